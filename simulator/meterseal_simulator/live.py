"""The running house: brought to the present whenever a meter is read, its truth written down.

The truth file is what a test holds against what was signed. It is appended to, one JSON object a
line: one whenever a meter was read (`unit` is its address) and one a second (`unit` is null). Each
line holds the house's moment, real time, and what every meter's billing registers stood at.
"""

from __future__ import annotations

import json
import threading
import time
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from meterseal_simulator.eastron import Opening, export_wh, import_wh, production_wh
from meterseal_simulator.errors import SimulatorError
from meterseal_simulator.house import UJ_PER_WH
from meterseal_simulator.sunspec import inverter_wh

if TYPE_CHECKING:
    from pathlib import Path
    from typing import TextIO

    from meterseal_simulator.clock import ScaledClock
    from meterseal_simulator.house import House, HouseState
    from meterseal_simulator.state import StateFile


@dataclass(frozen=True, kw_only=True, slots=True)
class Openings:
    """What the counters of the three devices stood at when the simulation began."""

    grid: Opening
    pv: Opening
    inverter_wh: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Truth:
    """What really happened up to one moment: registers in Wh, flows in W.

    Attributes:
        time_ms: The house's own UTC milliseconds.
        real_ms: The computer's.
        unit: The meter that was read at this moment, or None.
    """

    time_ms: int
    real_ms: int
    unit: int | None
    grid_import_wh: int
    grid_export_wh: int
    pv_export_wh: int
    inverter_wh: int
    house_load_wh: int
    battery_charge_wh: int
    battery_discharge_wh: int
    battery_stored_wh: int | None
    pv_w: int
    load_w: int
    grid_w: int
    battery_w: int


class TruthFile:
    """Appends truths to a file, line by line.

    Raises:
        SimulatorError: The file cannot be written.
    """

    def __init__(self, path: Path) -> None:
        self._file: TextIO
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = path.open("a", encoding="utf-8", buffering=1)
        except OSError as error:
            msg = f"{path}: cannot be written ({error.strerror}); choose another --truth"
            raise SimulatorError(msg) from error

    def append(self, truth: Truth) -> None:
        """Write one line; it is in the file when this returns, for any other process to read.

        Raises:
            SimulatorError: The file can no longer be written.
        """
        try:
            self._file.write(json.dumps(asdict(truth), separators=(",", ":")) + "\n")
        except OSError as error:
            msg = f"{self._file.name}: cannot be written ({error.strerror}); make room for it"
            raise SimulatorError(msg) from error

    def close(self) -> None:
        """Close the file."""
        self._file.close()


class LiveHouse:
    """A house that is always at the present of its clock; safe to read from several threads."""

    def __init__(
        self,
        house: House,
        clock: ScaledClock,
        openings: Openings,
        *,
        truths: TruthFile | None = None,
        kept: StateFile | None = None,
    ) -> None:
        self.openings = openings
        self._lock = threading.Lock()
        self._house = house  # guarded by _lock
        self._clock = clock
        self._truths = truths
        self._kept = kept

    def read(self, unit: int | None = None) -> HouseState:
        """Bring the house to the present and return it; note which meter asked."""
        with self._lock:
            self._house.advance(self._clock.now_ms())
            state = self._house.state
            if self._kept is not None:
                self._kept.save(state)
            if self._truths is not None:
                self._truths.append(self._truth(state, unit))
        return state

    def close(self) -> None:
        """Write the last truth and close the file."""
        self.read()
        if self._truths is not None:
            self._truths.close()

    def truth(self) -> Truth:
        """Return what has really happened up to now."""
        return self._truth(self.read(), None)

    def _truth(self, state: HouseState, unit: int | None) -> Truth:
        flows, energies = state.flows, state.energies
        stored = state.stored_uj
        return Truth(
            time_ms=state.at_ms,
            real_ms=time.time_ns() // 1_000_000,
            unit=unit,
            grid_import_wh=import_wh(state, self.openings.grid),
            grid_export_wh=export_wh(state, self.openings.grid),
            pv_export_wh=production_wh(state, self.openings.pv),
            inverter_wh=inverter_wh(state, self.openings.inverter_wh),
            house_load_wh=energies.load // UJ_PER_WH,
            battery_charge_wh=energies.charged // UJ_PER_WH,
            battery_discharge_wh=energies.discharged // UJ_PER_WH,
            battery_stored_wh=None if stored is None else stored // UJ_PER_WH,
            pv_w=flows.pv_mw // 1000,
            load_w=sum(flows.load_mw) // 1000,
            grid_w=sum(flows.grid_mw) // 1000,
            battery_w=flows.battery_mw // 1000,
        )
