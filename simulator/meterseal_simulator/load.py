"""What a household uses on one day: BDEW's standard profile by demandlib, appliances by seed.

The profile H25 is the mean of many households and smooth; one household is not. Part of the day's
energy stays as the profile's base, the rest is given to appliances that start when the profile
says that people are active. Over many days the mean is the profile's.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from datetime import date

    import numpy as np
    from numpy.typing import NDArray

    from meterseal_simulator.site import Site

SECONDS_PER_DAY = 86_400
PHASES = 3

_QUARTERS = 97
_QUARTER_S = 900
_BASE_SHARE = 0.6
_PHASE_SHARES = (0.4, 0.25, 0.35)
_PROFILE_GWH = 1e6  # demandlib scales H25 to 1 GWh a year, in kW.
_RANDOM_STREAM = 2


class Appliance(NamedTuple):
    """One thing that is switched on and off."""

    watts: float
    minutes: float
    phase: int
    weight: float


# Weight: the share of the appliances' energy that goes to this one.
APPLIANCES = (
    Appliance(2000.0, 3.0, 0, 0.15),  # kettle
    Appliance(2200.0, 25.0, 1, 0.30),  # oven
    Appliance(1800.0, 20.0, 2, 0.20),  # washing machine, heating
    Appliance(900.0, 6.0, 0, 0.10),  # microwave
    Appliance(150.0, 90.0, 2, 0.25),  # screen
)


def load_day(site: Site, day: date) -> tuple[NDArray[np.int64], ...]:
    """Compute the load of each phase for each second of one UTC day, in mW."""
    import numpy as np  # noqa: PLC0415 - half a second that only a running house should pay

    profile = _profile_w(site, day)
    random = np.random.default_rng([site.seed, day.toordinal(), _RANDOM_STREAM])
    phases = [_BASE_SHARE * share * profile for share in _PHASE_SHARES]
    energy_j = (1 - _BASE_SHARE) * float(profile.sum())
    busy = profile / profile.sum() if energy_j else np.full(SECONDS_PER_DAY, 1 / SECONDS_PER_DAY)
    for appliance in APPLIANCES:
        duration_s = int(60 * appliance.minutes)
        runs = random.poisson(appliance.weight * energy_j / (appliance.watts * duration_s))
        for start in random.choice(SECONDS_PER_DAY, size=runs, p=busy):
            seconds = np.arange(start, start + duration_s) % SECONDS_PER_DAY
            phases[appliance.phase][seconds] += appliance.watts
    return tuple(np.rint(1000 * phase).astype(np.int64) for phase in phases)


def _profile_w(site: Site, day: date) -> NDArray[np.float64]:
    """Return the standard profile in W for each second of one UTC day."""
    import numpy as np  # noqa: PLC0415
    import pandas as pd  # noqa: PLC0415
    from demandlib.bdew import H25  # type: ignore[import-untyped]  # noqa: PLC0415

    midnight = datetime(day.year, day.month, day.day) + timedelta(hours=site.utc_offset_h)  # noqa: DTZ001 - civil time of the site, as the profile is written
    quarters = pd.date_range(midnight, periods=_QUARTERS, freq="15min")
    kilowatts = np.asarray(H25(quarters), dtype=np.float64)
    watts = 1000 * kilowatts * site.load_kwh_year / _PROFILE_GWH
    return np.interp(np.arange(SECONDS_PER_DAY), np.arange(_QUARTERS) * _QUARTER_S, watts)
