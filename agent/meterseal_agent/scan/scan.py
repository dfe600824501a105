"""The scan itself: port by port, setting by setting, who answers and what it is."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol

from meterseal_agent.bus.port import ModbusPort
from meterseal_agent.bus.settings import SerialLine
from meterseal_agent.errors import PortError
from meterseal_agent.scan.found import Found, LineReport, Verdict
from meterseal_agent.scan.identify import Identification
from meterseal_agent.scan.settings import patient
from meterseal_agent.scan.sweep import Sweep
from meterseal_agent.scan.tap import Tap

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from meterseal_agent.bus.port import Port
    from meterseal_agent.bus.settings import Line
    from meterseal_agent.profiles import Profile

# A device is waited for so much longer than it took to answer the sweep.
_MARGIN = 4.0
_PATIENCE_MAX_S = 2.0
# How soon a connection that was lost is opened again.
_AGAIN_S = 0.5


class Progress(Protocol):
    """Who wants to know how far the scan is."""

    def begin(self, report: LineReport, units: int) -> None:
        """Note that a setting is tried, at so many addresses."""
        ...

    def step(self, address: int) -> None:
        """Note that an address is asked."""
        ...

    def identify(self, address: int) -> None:
        """Note that a device is asked what it is."""
        ...

    def end(self, report: LineReport) -> None:
        """Note that a setting is done."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class Target:
    """One port or host, the settings to try there in order, and the addresses.

    Attributes:
        first_only: Settings behind the first that finds anybody are left out.
    """

    lines: tuple[Line, ...]
    units: tuple[int, ...]
    first_only: bool = False


class Scan:
    """One run over several ports; what it found so far is there at any time.

    Args:
        targets: What to try.
        profiles: Every model that is known.
        progress: Told of each step.
        make_port: How a line is opened.
    """

    def __init__(
        self,
        targets: Sequence[Target],
        profiles: Sequence[Profile],
        progress: Progress,
        make_port: Callable[[Line], Port] = ModbusPort,
    ) -> None:
        self.reports: list[list[LineReport]] = []
        self._targets = targets
        self._profiles = profiles
        self._progress = progress
        self._make_port = make_port

    async def run(self) -> None:
        """Try everything."""
        for target in self._targets:
            await self._target(target)

    async def _target(self, target: Target) -> None:
        reports: list[LineReport] = []
        self.reports.append(reports)
        for line in target.lines:
            if target.first_only and any(report.answers for report in reports):
                return
            units = [one for one in target.units if not _answered(reports, line, one)]
            if not units:
                continue
            report = LineReport(line=line)
            reports.append(report)
            await self._line(report, units)
            if report.fault and len(reports) == 1:
                # It will not be better at another speed. (Later it may: not every port has all.)
                return

    async def _line(self, report: LineReport, units: Sequence[int]) -> None:
        self._progress.begin(report, len(units))
        try:
            if await self._search(report, units):
                _restart_with_echo(report)
                await self._search(report, units)
        except PortError as error:
            report.fault = str(error)
        finally:
            self._progress.end(report)

    async def _search(self, report: LineReport, units: Sequence[int]) -> bool:
        """Ask every address, and whoever answers what it is; tell whether the adapter echoes."""
        port = Tap(self._make_port(report.line), report)
        try:
            await port.open()
            if port.warning:
                report.notices.append(port.warning)
            sweep = Sweep(port, report)
            await sweep.run(units, self._progress.step)
            if sweep.echoes:
                return True
            for address in sorted(sweep.latencies):
                if not _same_everywhere(report):
                    self._progress.identify(address)
                    await self._identify(port, report, address, sweep.latencies[address])
                else:
                    report.found[0] = _also(report.found[0], address)
            return False
        finally:
            port.close()

    async def _identify(
        self, port: Port, report: LineReport, address: int, latency_s: float
    ) -> None:
        wait_s = min(max(report.line.timeout_s, _MARGIN * latency_s), _PATIENCE_MAX_S)
        line = patient(report.line, wait_s)
        device = Identification(port, line, address, self._profiles)
        try:
            candidates = await device.run()
        except PortError:
            # Some devices hang up at a question that they do not like: unknown, if that is all.
            await asyncio.sleep(_AGAIN_S)
            await port.open()
            candidates = ()
        found = Found(
            line=line,
            address=address,
            latency_s=latency_s,
            candidates=candidates,
            tried=tuple(device.tried),
        )
        for index, other in enumerate(report.found):
            if not isinstance(line, SerialLine) and _same(other, found):
                report.found[index] = _also(other, address)
                return
        report.found.append(found)


def _answered(reports: Sequence[LineReport], line: Line, unit: int) -> bool:
    """Tell whether a unit answered at this speed with another parity: it does not care for it."""
    return isinstance(line, SerialLine) and any(
        isinstance(report.line, SerialLine)
        and report.line.baud == line.baud
        and unit in report.answers
        for report in reports
    )


def _restart_with_echo(report: LineReport) -> None:
    if isinstance(report.line, SerialLine):
        report.echo = True
        report.line = replace(report.line, echo=True)
    report.asked = 0
    report.broken.clear()
    report.tallies.clear()
    report.units.clear()


def _same(one: Found, other: Found) -> bool:
    """Tell whether two addresses are one device, which does not look at the unit."""
    if Verdict.UNKNOWN in (one.verdict, other.verdict):
        return False
    first, second = one.candidates[0], other.candidates[0]
    return bool(first.serial) and (first.profile, first.serial) == (second.profile, second.serial)


def _same_everywhere(report: LineReport) -> bool:
    """Tell a device that answered at every unit and turned out to be the same one at three."""
    everywhere = len(report.answers) == report.asked
    return everywhere and len(report.found) == 1 and len(report.found[0].also_at) >= 2  # noqa: PLR2004


def _also(found: Found, address: int) -> Found:
    return replace(found, also_at=(*found.also_at, address))
