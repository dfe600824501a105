"""What the roof yields on one day: sun and panels by pvlib, clouds by seed.

Two strings, one to the south-east, one to the south-west, feed one single-phase inverter. pvlib
gives the sun's position (NREL), the clear sky (Ineichen and Perez), the light on each string, the
cells' temperature (Faiman) and the conversion (PVWatts). Clouds are ours: each day is clear, mixed
or overcast, and a mixed day has clouds of one to fifteen minutes passing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import date

    import numpy as np
    from numpy.typing import NDArray
    from pandas import DatetimeIndex

    from meterseal_simulator.site import Site

SECONDS_PER_DAY = 86_400
STRING_SHARES = (0.6, 0.4)

_AZIMUTHS = (150.0, 210.0)
_TILT = 35.0
_LINKE_TURBIDITY = 3.0
_TEMPERATURE_COEFFICIENT = -0.0035
# VDE-AR-N 4105 allows 4.6 kVA on one phase.
_INVERTER_AC_W = 4600.0
_INVERTER_EFFICIENCY = 0.97
_RANDOM_STREAM = 1


@dataclass(frozen=True, kw_only=True, slots=True)
class PvDay:
    """Powers of each second of one UTC day, in mW.

    Attributes:
        ac_mw: What the inverter feeds in.
        dc_mw: What each string delivers.
    """

    ac_mw: NDArray[np.int64]
    dc_mw: tuple[NDArray[np.int64], NDArray[np.int64]]


def pv_day(site: Site, day: date) -> PvDay:
    """Compute the yield of the two strings and of the inverter for one UTC day."""
    import numpy as np  # noqa: PLC0415 - half a second that only a running house should pay
    from pvlib import inverter  # type: ignore[import-untyped]  # noqa: PLC0415

    clouds = _clouds(site, day)
    strings = [watts * clouds for watts in _clear_sky_strings(site, day)]
    ac = inverter.pvwatts(
        strings[0] + strings[1],
        pdc0=_INVERTER_AC_W / _INVERTER_EFFICIENCY,
        eta_inv_nom=_INVERTER_EFFICIENCY,
    )
    dc_mw = [np.rint(1000 * string).astype(np.int64) for string in strings]
    ac_mw = np.rint(1000 * np.maximum(ac, 0.0)).astype(np.int64)
    # Rounding must not make an inverter that gives more than it takes.
    return PvDay(ac_mw=np.minimum(ac_mw, dc_mw[0] + dc_mw[1]), dc_mw=(dc_mw[0], dc_mw[1]))


def _clear_sky_strings(site: Site, day: date) -> list[NDArray[np.float64]]:
    """Compute each string's DC power under a clear sky, in W for each second."""
    import numpy as np  # noqa: PLC0415
    import pandas as pd  # noqa: PLC0415
    from pvlib import irradiance, location, pvsystem, temperature  # noqa: PLC0415

    minutes = pd.date_range(pd.Timestamp(day, tz="UTC"), periods=1441, freq="1min")
    place = location.Location(site.latitude, site.longitude, altitude=site.altitude_m)
    sun = place.get_solarposition(minutes)
    sky = place.get_clearsky(minutes, solar_position=sun, linke_turbidity=_LINKE_TURBIDITY)
    air = _air_temperature(site, minutes)
    strings = []
    for share, azimuth in zip(STRING_SHARES, _AZIMUTHS, strict=True):
        light = irradiance.get_total_irradiance(
            _TILT,
            azimuth,
            sun["apparent_zenith"],
            sun["azimuth"],
            sky["dni"],
            sky["ghi"],
            sky["dhi"],
        )["poa_global"].fillna(0.0)
        cells = temperature.faiman(light, air, wind_speed=2.0)
        watts = pvsystem.pvwatts_dc(
            light, cells, pdc0=1000 * site.pv_kwp * share, gamma_pdc=_TEMPERATURE_COEFFICIENT
        )
        clean = np.maximum(np.nan_to_num(watts.to_numpy()), 0.0)
        strings.append(np.interp(np.arange(SECONDS_PER_DAY), np.arange(1441) * 60, clean))
    return strings


def _air_temperature(site: Site, minutes: DatetimeIndex) -> NDArray[np.float64]:
    """Return a plain year and day: coldest in January and before dawn."""
    import numpy as np  # noqa: PLC0415

    season = np.cos(2 * np.pi * (minutes.day_of_year.to_numpy() - 15) / 365.25)
    solar_hour = minutes.hour.to_numpy() + minutes.minute.to_numpy() / 60 + site.longitude / 15
    daily = np.cos(np.pi * (solar_hour - 3) / 12)
    celsius: NDArray[np.float64] = 10 - 9 * season * np.sign(site.latitude) - 4 * daily
    return celsius


def _clouds(site: Site, day: date) -> NDArray[np.float64]:
    """Return the share of clear-sky light that arrives in each second."""
    import numpy as np  # noqa: PLC0415

    random = np.random.default_rng([site.seed, day.toordinal(), _RANDOM_STREAM])
    weather = random.choice(["clear", "mixed", "overcast"], p=[0.35, 0.45, 0.2])
    if weather == "clear":
        return np.full(SECONDS_PER_DAY, random.uniform(0.93, 1.0))
    if weather == "overcast":
        level = np.full(SECONDS_PER_DAY, random.uniform(0.12, 0.3))
    else:
        spells = random.integers(60, 900, size=2 * SECONDS_PER_DAY // 60)
        open_sky = random.uniform(0.92, 1.0, size=spells.size)
        covered = random.uniform(0.25, 0.7, size=spells.size)
        levels = np.where(np.arange(spells.size) % 2, covered, open_sky)
        level = np.repeat(levels, spells)[:SECONDS_PER_DAY]
    edge = np.full(41, 1 / 41)  # A cloud's shadow takes some forty seconds to cross a roof.
    shadows: NDArray[np.float64] = np.convolve(np.pad(level, 20, mode="edge"), edge, mode="valid")
    return shadows
