"""One RS-485 line as a schedule: when a request is whole, when each byte of the answer leaves.

Decides on bytes and times; it neither sleeps nor reads a clock: `now` is an argument, in seconds
of any monotonic clock. Whoever owns the port (`port.py`) tells it what was heard, sleeps until
`deadline`, and writes what `speak` returns.

The rules, c being one character and g the silence between frames:

- A request of n bytes whose first byte is heard at t is whole at t + n*c + g.
- Its answer starts the slave's turnaround later; byte i leaves at start + (i + 1)*c, an absolute
  time, so that delays of the computer do not add up.
- One slave answers what it heard in order: a late answer delays those after it. Other slaves do
  not wait for it.
- Only one slave talks at a time, and after its last byte there is silence for g. (A slave that is
  ready meanwhile waits. Real ones do not: that is the one kindness of this line.)
- What the master sends while a slave talks is lost and counted as a collision; what it sends
  before the silence is over is heard and counted as a breach.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from meterseal_simulator.modbus import RTU_FRAME_MAX, split_requests

if TYPE_CHECKING:
    from collections.abc import Callable

    from meterseal_simulator.faults import Reply
    from meterseal_simulator.modbus import Request

    Answerer = Callable[[Request], Reply | None]

Parity = Literal["N", "E", "O"]

# MODBUS over Serial Line 1.02, 2.5.1.1: above 19200 baud the silence is fixed at 1.75 ms.
_FAST_BAUD = 19_200
_FAST_SILENCE_S = 0.00175
# Clocks of two computers never agree to the microsecond; a breach is what they cannot explain.
_BREACH_TOLERANCE_S = 0.0002


@dataclass(frozen=True, kw_only=True, slots=True)
class LineTiming:
    """How fast a line is.

    Attributes:
        turnaround_s: From the end of the silence after a request to the first bit of the answer.
    """

    baud: int = 9600
    parity: Parity = "N"
    stop_bits: int = 1
    turnaround_s: float = 0.0

    @property
    def character_s(self) -> float:
        """Time of one character: start bit, eight data bits, parity, stop bits."""
        return (9 + (self.parity != "N") + self.stop_bits) / self.baud

    @property
    def silence_s(self) -> float:
        """The 3.5 characters between two frames."""
        return 3.5 * self.character_s if self.baud <= _FAST_BAUD else _FAST_SILENCE_S


@dataclass(kw_only=True, slots=True)
class LineStatistics:
    """What a line has seen so far."""

    requests: int = 0
    answers: int = 0
    noise_bytes: int = 0
    collisions: int = 0
    breaches: int = 0


@dataclass(kw_only=True, slots=True)
class _Answer:
    ready: float
    frame: bytes
    start: float | None = None
    sent: int = 0


class Line:
    """A line with its slaves behind one function.

    Args:
        answer: Yields the reply to a request, or None for silence.
    """

    def __init__(self, timing: LineTiming, answer: Answerer) -> None:
        self.timing = timing
        self.statistics = LineStatistics()
        self._answer = answer
        self._heard = bytearray()
        self._heard_until = float("-inf")
        self._waiting: list[_Answer] = []
        self._ready: dict[int, float] = {}  # per slave: when it has answered all it heard
        self._talking: _Answer | None = None
        self._quiet_from: float | None = None

    def hear(self, data: bytes, now: float) -> None:
        """Take bytes that the master put on the line at this moment."""
        self._settle(now)
        quiet_from = self._quiet_from if self._talking is None else self._end_of(self._talking)
        if self._talking is not None and quiet_from is not None and now < quiet_from:
            self.statistics.collisions += 1
            return
        if quiet_from is not None and not self._heard:
            silence = now - quiet_from + _BREACH_TOLERANCE_S
            self.statistics.breaches += silence < self.timing.silence_s
        self._heard_until = max(now, self._heard_until) + len(data) * self.timing.character_s
        self._heard += data
        if len(self._heard) > RTU_FRAME_MAX:
            # Bounded: no frame is longer, so a line that never falls silent carries only noise.
            self.statistics.noise_bytes += len(self._heard)
            self._heard.clear()

    def speak(self, now: float) -> bytes:
        """Return the bytes that have left the slaves by now and were not returned before."""
        spoken = bytearray()
        while True:
            self._settle(now)
            answer = self._talking
            if answer is None or answer.start is None:
                return bytes(spoken)
            due = int((now - answer.start) / self.timing.character_s + 1e-6)
            spoken += answer.frame[answer.sent : due]
            answer.sent = max(answer.sent, min(due, len(answer.frame)))
            if answer.sent < len(answer.frame):
                return bytes(spoken)
            self._quiet_from = self._end_of(answer)
            self._talking = None
            self.statistics.answers += 1

    def deadline(self) -> float | None:
        """Return when something happens next, or None while the line only listens."""
        if self._talking is not None and self._talking.start is not None:
            return self._talking.start + (self._talking.sent + 1) * self.timing.character_s
        times = [self._start_of(answer) for answer in self._waiting[:1]]
        if self._heard:
            times.append(self._heard_until + self.timing.silence_s)
        return min(times, default=None)

    def _settle(self, now: float) -> None:
        """Bring the line to this moment: finish what was heard, let the next slave talk."""
        if self._heard and now >= self._heard_until + self.timing.silence_s:
            self._take_frame()
        if self._talking is None and self._waiting and not self._heard:
            start = self._start_of(self._waiting[0])
            if start <= now:
                self._talking = self._waiting.pop(0)
                self._talking.start = start

    def _take_frame(self) -> None:
        whole_at = self._heard_until + self.timing.silence_s
        requests, noise = split_requests(bytes(self._heard))
        self._heard.clear()
        self.statistics.requests += len(requests)
        self.statistics.noise_bytes += noise
        for request in requests:
            reply = self._answer(request)
            if reply is None or not (frame := reply.on_serial_line()):
                continue
            ready = whole_at + self.timing.turnaround_s + reply.delay_s
            ready = max(ready, self._ready.get(request.unit, ready))
            self._ready[request.unit] = ready
            self._waiting.append(_Answer(ready=ready, frame=frame))
        self._waiting.sort(key=lambda answer: answer.ready)

    def _start_of(self, answer: _Answer) -> float:
        busy_until = self._heard_until
        if self._quiet_from is not None:
            busy_until = max(busy_until, self._quiet_from)
        return max(answer.ready, busy_until + self.timing.silence_s)

    def _end_of(self, answer: _Answer) -> float | None:
        if answer.start is None:
            return None
        return answer.start + len(answer.frame) * self.timing.character_s
