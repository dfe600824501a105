"""Who saw what the meters said, and says of each value that was believed whether it is true.

A value is true if a slave put exactly it into a reply to a request of ours for exactly that
register, in this round. Everything else is wrong: another register, another meter, an older
reading, another scale. What another master was told does not count.
"""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from meterseal.records import MeterState
from meterseal_simulator.bus import Bus

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from faultline.meters import Meter
    from meterseal_agent.poll import MeterSample
    from meterseal_simulator.modbus import Request
    from meterseal_simulator.registers import Slave
    from meterseal_simulator.reply import Reply

_TRACE_MAX = 200
_COUNTS = (
    "requests",
    "samples",
    "good",
    "values",
    "wrong",
    "late_fits",
    "late_fits_later",
    "valid_wrong_frames",
    "chance_frames",
)
_EXCEPTION_BIT = 0x80
_REGISTERS = 2


@dataclass(kw_only=True, slots=True)
class Finding:
    """A value that was believed and is not true."""

    scene: str
    seed: str
    at_s: float
    unit: int
    quantity: str
    got: int | None
    true: tuple[int, ...]
    trace: tuple[str, ...]


@dataclass(kw_only=True, slots=True)
class Tally:
    """What was counted on one line; tallies of several lines add up."""

    scene: str = ""
    seed: str = ""
    requests: int = 0
    samples: int = 0
    good: int = 0
    values: int = 0
    wrong: int = 0
    late_fits: int = 0
    late_fits_later: int = 0
    valid_wrong_frames: int = 0
    chance_frames: int = 0
    injected: dict[str, int] = field(default_factory=dict)
    dropped: dict[str, int] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)

    @property
    def faults(self) -> int:
        """All faults that were injected."""
        return sum(self.injected.values())

    def add(self, other: Tally) -> None:
        """Add what was counted on another line."""
        for name in _COUNTS:
            setattr(self, name, getattr(self, name) + getattr(other, name))
        for mine, theirs in ((self.injected, other.injected), (self.dropped, other.dropped)):
            for kind, count in theirs.items():
                mine[kind] = mine.get(kind, 0) + count
        self.findings += other.findings


class WatchedBus(Bus):
    """A bus that remembers, for a round, what each register was said to be.

    Args:
        now: Seconds of the line's clock.
    """

    def __init__(self, slaves: Mapping[int, Slave], now: Callable[[], float]) -> None:
        super().__init__(slaves)
        self.trace: deque[str] = deque(maxlen=_TRACE_MAX)
        self.now = now
        self._watch = threading.Lock()
        self._said: dict[tuple[int, int, int], set[bytes]] = {}  # guarded by _watch

    def answer(self, request: Request) -> Reply | None:
        """Answer, and remember the truth of the answer."""
        pdu = self.tell(request)
        if pdu is not None:
            self._remember(request, pdu)
        reply = super().answer(request)
        self.note(f"asked unit {request.unit} {request.pdu.hex(' ')} -> {_brief(reply)}")
        return reply

    def begin_round(self) -> None:
        """Forget what was said before."""
        with self._watch:
            self._said.clear()

    def note(self, text: str) -> None:
        """Write into the trace."""
        self.trace.append(f"{self.now():.4f} {text}")

    def said(self, unit: int, function: int, address: int) -> set[bytes]:
        """Return the words that a pair of registers was said to hold in this round."""
        with self._watch:
            return set(self._said.get((unit, function, address), ()))

    def _remember(self, request: Request, pdu: bytes) -> None:
        if pdu[0] & _EXCEPTION_BIT:
            return
        start = int.from_bytes(request.pdu[1:3])
        with self._watch:
            for index in range((len(pdu) - 2) // 2 - 1):
                words = pdu[2 + 2 * index : 2 + 2 * (index + _REGISTERS)]
                where = (request.unit, request.function, start + index)
                self._said.setdefault(where, set()).add(words)


def judge(tally: Tally, bus: WatchedBus, meter: Meter, sample: MeterSample, unit: int) -> None:
    """Hold one sample against what its meter said in this round."""
    tally.samples += 1
    if sample.state is not MeterState.GOOD:
        return
    tally.good += 1
    for point in meter.profile.points:
        got = sample.values.get(point.code)
        if point.code not in sample.values:
            continue
        said = bus.said(unit, point.field.function, point.field.address)
        true = {meter.decode(point, words) for words in said}
        tally.values += 1
        if got in true:
            continue
        tally.wrong += 1
        finding = Finding(
            scene=tally.scene,
            seed=tally.seed,
            at_s=bus.now(),
            unit=unit,
            quantity=point.name,
            got=got,
            true=tuple(sorted(true)),
            trace=tuple(bus.trace),
        )
        tally.findings.append(finding)


def _brief(reply: Reply | None) -> str:
    if reply is None:
        return "silence"
    parts = [f"unit {reply.unit} {reply.pdu.hex(' ')}"]
    parts += [f"delay {reply.delay_s:.4f}"] if reply.delay_s else []
    for name in ("crc_flip", "cut", "flips", "early", "before", "after", "deaf_s", "unplug_s"):
        value = getattr(reply, name)
        parts += [f"{name} {value!r}"] if value else []
    parts += [
        f"other master asks unit {talk.request.unit} {talk.request.pdu.hex(' ')} "
        f"after {talk.after_s:.4f}"
        for talk in reply.overheard
    ]
    return ", ".join(parts)
