"""The house: what flows, second by second, and the counters that never lose a microjoule.

Power holds for one second in whole mW, time is in whole ms, so energy is in whole microjoules
(mW times ms) and nothing is ever rounded:

    PV + import + discharge = load + export + charge        exactly, at every moment

A counter's watt-hours are its microjoules divided by 3.6e9, rounded down as a meter's register is;
the remainder stays in the counter. The result does not depend on how time was cut into steps.

Wiring: PV on phase 1, battery on phase 2, loads on all. The grid meter's totals follow the sum of
the phases (they net at every moment), its phase counters follow each phase.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from meterseal_simulator.battery import Battery

if TYPE_CHECKING:
    from meterseal_simulator.day import Almanac

UJ_PER_WH = 3_600_000_000
MS_PER_DAY = 86_400_000

_CELL_MS = 1000


@dataclass(frozen=True, kw_only=True, slots=True)
class Flows:
    """Powers at one moment, in mW.

    Attributes:
        battery_mw: Positive while it charges.
        grid_mw: Of each phase, import positive.
    """

    pv_mw: int
    dc_mw: tuple[int, int]
    load_mw: tuple[int, int, int]
    battery_mw: int
    grid_mw: tuple[int, int, int]


@dataclass(kw_only=True, slots=True)
class Energies:
    """What has flowed since the start, in microjoules; each only ever grows."""

    pv: int = 0
    load: int = 0
    imported: int = 0
    exported: int = 0
    charged: int = 0
    discharged: int = 0
    dc: list[int] = field(default_factory=lambda: [0, 0])
    load_phase: list[int] = field(default_factory=lambda: [0, 0, 0])
    import_phase: list[int] = field(default_factory=lambda: [0, 0, 0])
    export_phase: list[int] = field(default_factory=lambda: [0, 0, 0])

    def add(self, flows: Flows, span_ms: int) -> None:
        """Let powers flow for a span."""
        self.pv += flows.pv_mw * span_ms
        self.load += sum(flows.load_mw) * span_ms
        grid_uj = sum(flows.grid_mw) * span_ms
        self.imported += max(0, grid_uj)
        self.exported += max(0, -grid_uj)
        self.charged += max(0, flows.battery_mw) * span_ms
        self.discharged += max(0, -flows.battery_mw) * span_ms
        for string, power_mw in enumerate(flows.dc_mw):
            self.dc[string] += power_mw * span_ms
        for phase, power_mw in enumerate(flows.grid_mw):
            self.load_phase[phase] += flows.load_mw[phase] * span_ms
            self.import_phase[phase] += max(0, power_mw) * span_ms
            self.export_phase[phase] += max(0, -power_mw) * span_ms

    def copy(self) -> Energies:
        """Return these energies as they stand now."""
        return Energies(
            pv=self.pv,
            load=self.load,
            imported=self.imported,
            exported=self.exported,
            charged=self.charged,
            discharged=self.discharged,
            dc=[*self.dc],
            load_phase=[*self.load_phase],
            import_phase=[*self.import_phase],
            export_phase=[*self.export_phase],
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class HouseState:
    """The house at one moment.

    Attributes:
        at_ms: UTC milliseconds of the house's own time.
        stored_uj: Content of the battery; None where there is none.
    """

    at_ms: int
    flows: Flows
    energies: Energies
    stored_uj: int | None


class House:
    """A house whose time is moved from outside. Owned by one thread at a time.

    Args:
        almanac: What sun and people do.
        start_ms: UTC milliseconds at which it begins.
        energies: What has flowed before; nothing in a new house.
    """

    def __init__(
        self,
        almanac: Almanac,
        *,
        start_ms: int,
        battery_kwh: float = 0.0,
        energies: Energies | None = None,
    ) -> None:
        self._almanac = almanac
        self._battery = Battery.of(battery_kwh) if battery_kwh else None
        self._energies = Energies() if energies is None else energies.copy()
        self._now_ms = start_ms
        self._flows = self._decide()

    @property
    def state(self) -> HouseState:
        """The house as it stands now."""
        return HouseState(
            at_ms=self._now_ms,
            flows=self._flows,
            energies=self._energies.copy(),
            stored_uj=self._stored_uj(),
        )

    def advance(self, to_ms: int) -> None:
        """Let time pass; a moment that is already past changes nothing."""
        while self._now_ms < to_ms:
            cell_end = self._now_ms - self._now_ms % _CELL_MS + _CELL_MS
            until = min(cell_end, to_ms)
            self._energies.add(self._flows, until - self._now_ms)
            self._now_ms = until
            if until == cell_end:
                self._flows = self._decide()

    def _decide(self) -> Flows:
        """Find the powers of the second that begins now."""
        second = self._now_ms % MS_PER_DAY // 1000
        day = self._almanac(datetime.fromtimestamp(self._now_ms // 1000, UTC).date())
        pv = day.pv_mw[second]
        load = (day.load_mw[0][second], day.load_mw[1][second], day.load_mw[2][second])
        battery = 0
        stored_uj = self._stored_uj()
        if self._battery is not None and stored_uj is not None:
            battery = self._battery.flow_mw(pv - sum(load), stored_uj, _CELL_MS)
        return Flows(
            pv_mw=pv,
            dc_mw=(day.dc_mw[0][second], day.dc_mw[1][second]),
            load_mw=load,
            battery_mw=battery,
            grid_mw=(load[0] - pv, load[1] + battery, load[2]),
        )

    def _stored_uj(self) -> int | None:
        if self._battery is None:
            return None
        return self._battery.stored_uj(self._energies.charged, self._energies.discharged)
