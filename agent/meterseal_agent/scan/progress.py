"""How far a scan is, for people: a bar on a terminal, a line per setting elsewhere, or nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, TextIO

from meterseal_agent.scan.found import setting

if TYPE_CHECKING:
    from meterseal_agent.scan.found import LineReport

_WIDTH = 24
_COLUMNS = 100


class Quiet:
    """Says nothing."""

    def begin(self, report: LineReport, units: int) -> None:
        """Note nothing."""

    def step(self, address: int) -> None:
        """Note nothing."""

    def identify(self, address: int) -> None:
        """Note nothing."""

    def end(self, report: LineReport) -> None:
        """Note nothing."""


class Lines(Quiet):
    """Writes a line when a setting is done."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def end(self, report: LineReport) -> None:
        """Say what was heard."""
        self._stream.write(f"{_outcome(report)}\n")
        self._stream.flush()


class Bar:
    """Keeps one line of a terminal up to date, and leaves one for each setting behind.

    Args:
        settings: How many there are to try.
    """

    def __init__(self, stream: TextIO, settings: int) -> None:
        self._stream = stream
        self._settings = settings
        self._begun = 0
        self._done = 0
        self._units = 1
        self._what = ""

    def begin(self, report: LineReport, units: int) -> None:
        """Start the bar anew."""
        self._begun += 1
        self._done, self._units = 0, max(1, units)
        self._what = f"{report.line.label} {setting(report.line)}"
        self._draw("")

    def step(self, address: int) -> None:
        """Move the bar."""
        self._draw(f"address {address}")
        self._done += 1

    def identify(self, address: int) -> None:
        """Say who is asked."""
        self._draw(f"address {address} answers: which model?")

    def end(self, report: LineReport) -> None:
        """Replace the bar by what was heard."""
        self._stream.write(f"\r{_outcome(report)[:_COLUMNS]:<{_COLUMNS}}\n")
        self._stream.flush()

    def _draw(self, doing: str) -> None:
        full = min(_WIDTH, round(_WIDTH * self._done / self._units))
        bar = "#" * full + "." * (_WIDTH - full)
        text = f"[{self._begun}/{self._settings}] {self._what} [{bar}] {doing}"
        self._stream.write(f"\r{text[:_COLUMNS]:<{_COLUMNS}}")
        self._stream.flush()


def _outcome(report: LineReport) -> str:
    if report.fault:
        return f"{setting(report.line)}: {report.fault}"
    what = f"{report.line.label} {setting(report.line)}"
    heard = [f"{len(report.answers)} of {report.asked} addresses answer"]
    if report.broken:
        heard.append(f"{len(report.broken)} garbled")
    return f"{what}: {', '.join(heard)}"
