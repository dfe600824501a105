"""The three devices of the simulated house, at their addresses on one line."""

from __future__ import annotations

import random
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Literal

from meterseal_simulator.bus import Bus
from meterseal_simulator.clock import ScaledClock
from meterseal_simulator.day import SiteAlmanac
from meterseal_simulator.eastron import EastronIdentity, Opening, sdm630, single_phase
from meterseal_simulator.house import House
from meterseal_simulator.live import LiveHouse, Openings, TruthFile
from meterseal_simulator.state import StateFile
from meterseal_simulator.sunspec import inverter

if TYPE_CHECKING:
    from fractions import Fraction
    from pathlib import Path

    from meterseal_simulator.site import Site

PvMeter = Literal["sdm120", "sdm230"]

GRID_UNIT = 1
PV_UNIT = 2
INVERTER_UNIT = 3

_CODE_SDM630 = 0x0070
_PV_METERS: dict[PvMeter, tuple[int, int]] = {  # meter code, most registers in one request
    "sdm120": (0x0020, 80),
    "sdm230": (0x002B, 60),
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Files:
    """The files of a house.

    Attributes:
        truth: Where it writes what really happens.
        state: Where it is kept between two runs.
    """

    truth: Path | None = None
    state: Path | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class WiredHouse:
    """A house with its meters, ready to be put on a line."""

    live: LiveHouse
    bus: Bus
    units: dict[str, dict[str, str]]


def wire_house(
    site: Site,
    *,
    start_ms: int,
    speed: Fraction,
    pv_meter: PvMeter = "sdm230",
    files: Files | None = None,
) -> WiredHouse:
    """Build the house and its devices; the first day is computed here, in less than a second.

    Args:
        site: The house in numbers.
        start_ms: The house's UTC milliseconds now; a kept house may be further on.
        speed: Simulated seconds in one real second.
        pv_meter: The model at the PV.
        files: What the house reads and writes; nothing if None.

    Raises:
        SimulatorError: A file cannot be written, or the state is not that of this house.
    """
    draw = random.Random(site.seed)  # noqa: S311 - serial numbers of a simulation
    openings = Openings(
        grid=Opening(
            import_wh=draw.randrange(1_000_000, 6_000_000),
            export_wh=draw.randrange(1_000_000, 6_000_000),
        ),
        pv=Opening(export_wh=draw.randrange(1_000_000, 6_000_000)),
        inverter_wh=draw.randrange(1_000_000, 6_000_000),
    )
    serials = [draw.randrange(20_000_000, 30_000_000) for _ in range(3)]
    files = files or Files()
    file = None if files.state is None else StateFile(files.state, seed=site.seed)
    kept = None if file is None else file.load()
    house = House(
        SiteAlmanac(site),
        start_ms=start_ms if kept is None else kept.resume_ms(start_ms),
        battery_kwh=site.battery_kwh,
        energies=None if kept is None else kept.energies,
    )
    house.advance(start_ms)
    clock = ScaledClock(start_ms=house.state.at_ms, speed=speed)
    truths = None if files.truth is None else TruthFile(files.truth)
    live = LiveHouse(house, clock, openings, truths=truths, kept=file)
    code, limit = _PV_METERS[pv_meter]
    grid = EastronIdentity(serial=serials[0], code=_CODE_SDM630, address=GRID_UNIT)
    pv = EastronIdentity(serial=serials[1], code=code, address=PV_UNIT)
    bus = Bus(
        {
            GRID_UNIT: sdm630(partial(live.read, GRID_UNIT), grid, openings.grid),
            PV_UNIT: single_phase(partial(live.read, PV_UNIT), pv, openings.pv, limit=limit),
            INVERTER_UNIT: inverter(
                partial(live.read, INVERTER_UNIT),
                serial=str(serials[2]),
                opening_wh=openings.inverter_wh,
            ),
        }
    )
    models = ("eastron-sdm630", f"eastron-{pv_meter}", "sunspec-103")
    units = {
        str(unit): {"model": model, "role": role, "serial": str(serial)}
        for unit, model, role, serial in zip(
            (GRID_UNIT, PV_UNIT, INVERTER_UNIT),
            models,
            ("grid", "pv", "inverter"),
            serials,
            strict=True,
        )
    }
    return WiredHouse(live=live, bus=bus, units=units)
