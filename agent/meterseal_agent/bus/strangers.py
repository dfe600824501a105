"""Who spoke on a line although nobody asked: our own late slave, another master, or noise."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from meterseal_agent.bus.frame import rtu_request
from meterseal_agent.bus.overheard import frames_in
from meterseal_agent.bus.settings import SerialLine

if TYPE_CHECKING:
    from meterseal_agent.bus.frame import Request
    from meterseal_agent.bus.overheard import Frame
    from meterseal_agent.bus.settings import Line

_log = logging.getLogger(__name__)

# For how long a reply may be late, and for how long another master is still told of.
_LATE_MAX_S = 60.0
_NOTICED_S = 600.0
_NOISE = (
    "Noise, or another master on this bus with other settings: check wires A and B, the "
    "termination, baud rate and parity."
)
_ECHO = "The adapter hears what it sends: set `echo = true` for this bus."


class Strangers:
    """What is known of those who speak unasked on one line. Owned by the line's guard."""

    def __init__(self, line: Line) -> None:
        self._line = line
        self._rtu = isinstance(line, SerialLine) or line.rtu
        self._owed: dict[int, tuple[Request, float]] = {}
        self._heard_at_s = float("-inf")
        self._master = ""
        self.guess = ""

    def owes(self, request: Request, begun_s: float) -> None:
        """Note a request that was sent at this time and whose reply may still come."""
        self._owed[request.unit] = request, begun_s

    def hear(self, data: bytes, at_s: float) -> list[tuple[Request, float]]:
        """Take what was heard, and set `guess` to what it probably was.

        Args:
            data: All of it, in order.
            at_s: Event-loop time of its last byte.

        Returns:
            The requests that it answers late, and when they were sent.
        """
        if not self._rtu:
            self.guess = "The device or gateway answers late, or more than once."
            return []
        frames = frames_in(data)
        late = [owed for frame in frames if (owed := self._owed_by(frame, at_s)) is not None]
        foreign = [frame for frame in frames if not self._ours(frame, at_s)]
        if any(frame.asks for frame in frames) and not foreign:
            self.guess = _ECHO
        elif foreign:
            self._note_master(foreign, at_s)
        elif late:
            units = ", ".join(str(request.unit) for request, _ in late)
            self.guess = f"It was a late reply of unit {units}."
        else:
            self.guess = _NOISE
        for request, _ in late:
            self._owed.pop(request.unit, None)  # two frames may answer one request
        return late

    def notice(self, now_s: float) -> str:
        """Tell of another master that was heard lately; empty if there was none."""
        return self._master if now_s < self._heard_at_s + _NOTICED_S else ""

    def _note_master(self, foreign: list[Frame], at_s: float) -> None:
        # A request says more than the reply that it got.
        told = next((frame for frame in foreign if frame.asks), foreign[0])
        fresh = not self.notice(at_s)
        self._heard_at_s = at_s
        self._master = self.guess = (
            f"{self._line.label}: another master is on this bus: {told}. Disconnect it."
        )
        if fresh:
            _log.warning("%s", self._master)

    def _ours(self, frame: Frame, at_s: float) -> bool:
        if frame.asks:
            return any(frame.data == rtu_request(request) for request, _ in self._owed.values())
        return self._owed_by(frame, at_s) is not None

    def _owed_by(self, frame: Frame, at_s: float) -> tuple[Request, float] | None:
        owed = self._owed.get(frame.unit)
        if owed is None or at_s > owed[1] + _LATE_MAX_S or not frame.answers(owed[0]):
            return None
        return owed
