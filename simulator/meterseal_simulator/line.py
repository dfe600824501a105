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
- What the master sends while somebody talks is lost and counted as a collision; a slave's answer
  is heard all the same, another master's question is spoiled. What it sends before the silence is
  over is heard and counted as a breach.
- Another master waits for nobody. Where its bytes and others' overlap, one spoiled byte is left,
  and a question that was spoiled has no answer. (Strong and weak drivers are not told apart.)
- A slave that restarts forgets what it was asked, and is deaf for a while.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from meterseal_simulator.modbus import RTU_FRAME_MAX, rtu_frame, split_requests

if TYPE_CHECKING:
    from collections.abc import Callable

    from meterseal_simulator.modbus import Request
    from meterseal_simulator.reply import Overheard, Reply

    Answerer = Callable[[Request], Reply | None]

Parity = Literal["N", "E", "O"]

# MODBUS over Serial Line 1.02, 2.5.1.1: above 19200 baud the silence is fixed at 1.75 ms.
_FAST_BAUD = 19_200
_FAST_SILENCE_S = 0.00175
# Clocks of two computers never agree to the microsecond; a breach is what they cannot explain.
_BREACH_TOLERANCE_S = 0.0002
# What two drivers make of one byte; any change will do.
_SPOILED = 0x5A


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
    intrusions: int = 0
    breaches: int = 0


@dataclass(kw_only=True, slots=True)
class _Talk:
    """Bytes that somebody puts on the line.

    Attributes:
        ready: When they may start; another master's start then, whoever is talking.
        question: What another master asks with them.
        unit: The slave whose they are.
    """

    ready: float
    frame: bytes
    unit: int | None = None
    question: Overheard | None = None
    start: float = float("inf")
    sent: int = 0
    spoiled: set[int] = field(default_factory=set)


class Line:
    """A line with its slaves behind one function.

    Args:
        answer: Yields the reply to a request, or None for silence.
    """

    def __init__(self, timing: LineTiming, answer: Answerer) -> None:
        self.timing = timing
        self.statistics = LineStatistics()
        self.absent_until = float("-inf")  # the adapter is unplugged; its port acts on it
        self._answer = answer
        self._heard = bytearray()
        self._heard_from = float("-inf")
        self._heard_until = float("-inf")
        self._spoiled = False
        self._waiting: list[_Talk] = []
        self._intruding: list[_Talk] = []
        self._air: list[_Talk] = []
        self._ready: dict[int, float] = {}  # per slave: when it has answered all it heard
        self._deaf_until: dict[int, float] = {}
        self._quiet_from: float | None = None

    def hear(self, data: bytes, now: float) -> None:
        """Take bytes that the master put on the line at this moment."""
        self._settle(now)
        until = now + len(data) * self.timing.character_s
        quiet_from = max((self._end_of(talk) for talk in self._air), default=self._quiet_from)
        if self._air and quiet_from is not None and now < quiet_from:
            self.statistics.collisions += 1
            self._spoil(now, until)
            return
        if not self._heard:
            self._heard_from = now
            if quiet_from is not None:
                silence = now - quiet_from + _BREACH_TOLERANCE_S
                self.statistics.breaches += silence < self.timing.silence_s
        self._heard_until = max(now, self._heard_until) + until - now
        self._heard += data
        if len(self._heard) > RTU_FRAME_MAX:
            # Bounded: no frame is longer, so a line that never falls silent carries only noise.
            self.statistics.noise_bytes += len(self._heard)
            self._heard.clear()

    def intrude(self, talk: Overheard, now: float) -> None:
        """Let another master ask something, `talk.after_s` from now."""
        frame = rtu_frame(talk.request.unit, talk.request.pdu)
        self._intruding.append(_Talk(ready=now + talk.after_s, frame=frame, question=talk))
        self._intruding.sort(key=lambda one: one.ready)

    def speak(self, now: float) -> bytes:
        """Return the bytes that have left others by now and were not returned before."""
        spoken = bytearray()
        while True:
            self._settle(now)
            spoken += self._leaving(now)
            ended = [talk for talk in self._air if talk.sent == len(talk.frame)]
            if not ended:
                return bytes(spoken)
            for talk in ended:
                self._end(talk)

    def deadline(self) -> float | None:
        """Return when something happens next, or None while the line only listens."""
        c = self.timing.character_s
        times = [talk.start + (talk.sent + 1) * c for talk in self._air]
        times += [talk.ready for talk in self._intruding[:1]]
        if not any(talk.question is None for talk in self._air):
            times += [self._start_of(talk) for talk in self._waiting[:1]]
        if self._heard:
            times.append(self._heard_until + self.timing.silence_s)
        return min(times, default=None)

    def frame_end(self) -> float | None:
        """Return when the bytes that are leaving now have all left; None while nobody talks."""
        return max((self._end_of(talk) for talk in self._air), default=None)

    def _settle(self, now: float) -> None:
        """Bring the line to this moment: finish what was heard, let others talk."""
        if self._heard and now >= self._heard_until + self.timing.silence_s:
            self._take_frame()
        while self._intruding and self._intruding[0].ready <= now:
            self._burst_in(self._intruding.pop(0))
        if self._heard or not self._waiting or any(talk.question is None for talk in self._air):
            return
        start = self._start_of(self._waiting[0])
        if start <= now:
            talk = self._waiting.pop(0)
            talk.start = start
            self._air.append(talk)

    def _burst_in(self, talk: _Talk) -> None:
        """Another master starts, whoever is talking."""
        talk.start = talk.ready
        self.statistics.intrusions += 1
        if self._heard and talk.start < self._heard_until:
            self._spoiled = True
            self._spoil_talk(talk, self._heard_from, self._heard_until)
        self._air.append(talk)

    def _leaving(self, now: float) -> bytes:
        """Take the bytes that have left by now; where two overlap, one spoiled byte is left."""
        c = self.timing.character_s
        if len(self._air) == 1 and not self._air[0].spoiled:
            (talk,) = self._air
            begun, due = talk.sent, int((now - talk.start) / c + 1e-6)
            talk.sent = max(begun, min(due, len(talk.frame)))
            return talk.frame[begun : talk.sent]
        leaving = []
        for order, talk in enumerate(self._air):
            due = min(int((now - talk.start) / c + 1e-6), len(talk.frame))
            for index in range(talk.sent, due):
                start = talk.start + index * c
                rivals = [
                    rival
                    for rival in self._air
                    if rival is not talk and rival.start < start + c and start < self._end_of(rival)
                ]
                byte = talk.frame[index]
                if rivals or index in talk.spoiled:
                    talk.spoiled.add(index)
                    byte ^= _SPOILED
                if not any(rival.start < talk.start for rival in rivals):
                    leaving.append((start, order, byte))
            talk.sent = max(talk.sent, due)
        return bytes(byte for _, _, byte in sorted(leaving))

    def _end(self, talk: _Talk) -> None:
        self._air.remove(talk)
        end = self._end_of(talk)
        self._quiet_from = end if self._quiet_from is None else max(end, self._quiet_from)
        question = talk.question
        if question is None:
            self.statistics.answers += 1
        elif question.pdu is not None and not talk.spoiled:
            unit = question.request.unit
            whole_at = end + self.timing.silence_s
            self._enqueue(unit, whole_at + self.timing.turnaround_s, rtu_frame(unit, question.pdu))

    def _take_frame(self) -> None:
        whole_at = self._heard_until + self.timing.silence_s
        requests, noise = split_requests(bytes(self._heard))
        self._heard.clear()
        if self._spoiled:
            self._spoiled = False
            self.statistics.collisions += 1
            return
        self.statistics.requests += len(requests)
        self.statistics.noise_bytes += noise
        for request in requests:
            if whole_at < self._deaf_until.get(request.unit, whole_at):
                continue
            reply = self._answer(request)
            if reply is not None:
                self._schedule(request.unit, reply, whole_at)

    def _schedule(self, unit: int, reply: Reply, whole_at: float) -> None:
        """Put one reply, and what goes with it, into the line's future."""
        for talk in reply.overheard:
            self.intrude(talk, whole_at)
        if reply.unplug_s:
            self.absent_until = whole_at + reply.unplug_s
            return
        if reply.deaf_s:
            self._restart(unit, whole_at + reply.deaf_s)
            return
        if reply.early:
            self._waiting.append(_Talk(ready=whole_at, frame=reply.early))
        frame = reply.on_serial_line()
        ready = self._enqueue(unit, whole_at + self.timing.turnaround_s + reply.delay_s, frame)
        if behind := reply.behind():
            pause_s = len(frame) * self.timing.character_s + reply.after_s
            self._enqueue(unit, ready + pause_s, behind)

    def _enqueue(self, unit: int, ready: float, frame: bytes) -> float:
        """Let a slave talk after what it still has to say; return when it is ready to."""
        ready = max(ready, self._ready.get(unit, ready))
        if frame:
            self._ready[unit] = ready
            self._waiting.append(_Talk(ready=ready, frame=frame, unit=unit))
            self._waiting.sort(key=lambda talk: talk.ready)
        return ready

    def _restart(self, unit: int, until: float) -> None:
        """Forget what a slave was going to say; its transceiver leaves a glitch as it returns."""
        self._waiting = [talk for talk in self._waiting if talk.unit != unit]
        self._waiting.append(_Talk(ready=until, frame=b"\0"))
        self._waiting.sort(key=lambda talk: talk.ready)
        self._ready.pop(unit, None)
        self._deaf_until[unit] = until

    def _spoil(self, start: float, until: float) -> None:
        for talk in self._air:
            if talk.question is not None:
                self._spoil_talk(talk, start, until)

    def _spoil_talk(self, talk: _Talk, start: float, until: float) -> None:
        c = self.timing.character_s
        for index in range(len(talk.frame)):
            begins = talk.start + index * c
            if begins < until and start < begins + c:
                talk.spoiled.add(index)

    def _start_of(self, talk: _Talk) -> float:
        busy_until = self._heard_until
        if self._quiet_from is not None:
            busy_until = max(busy_until, self._quiet_from)
        return max(talk.ready, busy_until + self.timing.silence_s)

    def _end_of(self, talk: _Talk) -> float:
        return talk.start + len(talk.frame) * self.timing.character_s
