"""Which records a snapshot leads to, in which order: pure, decided from the tip and a memory.

- A snapshot in which no meter answered is no reading: it begins a gap, which is written when the
  next meter answers or the interval ends. (protocol 1.1)
- The first good reading in [end, end + tolerance] closes the open interval; without one the
  interval is closed with null, as soon as the window is over. (protocol 5)
- Time never runs backwards within an epoch. A clock that can be believed and says less than the
  floor opens an epoch; a clock that cannot is shifted up to the floor. (protocol 4)

A plan is a generator: it yields what to sign next and gets back the tip behind it. The store runs
it inside one append, so all of it is committed or none; the memory it returns is kept only then.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, TypeAlias

from meterseal.records import (
    CheckpointPointer,
    Clock,
    Event,
    EventCode,
    Gap,
    GapReason,
    Manifest,
    MeterReading,
    MeterState,
    Reading,
    Restore,
    RestoreReason,
)
from meterseal.types import Seq, UnixMs
from meterseal_agent.sign import Close, Draft, Reopen, Stamp
from meterseal_agent.store.store import Entry
from meterseal_agent.tip import Tip

if TYPE_CHECKING:
    from meterseal.chain import Head
    from meterseal_agent.poll.snapshot import Snapshot

# A time service slews within this; a larger difference between UTC and time since boot is a step.
_STEP_MS = 1000
_NONCE_BYTES = 16
# What the gate holds was an answer: its reading is state O, and no gap.
_ANSWERED = frozenset({MeterState.GOOD, MeterState.OUT_OF_RANGE})
_BELIEVED = frozenset({Clock.SYNCHRONISED, Clock.INFORMATIVE})


@dataclass(frozen=True, kw_only=True, slots=True)
class Moment:
    """What the clocks say now.

    Attributes:
        utc_ms: UTC milliseconds.
        up_ms: Milliseconds since boot.
        clock: How far UTC can be believed.
    """

    utc_ms: int
    up_ms: int
    clock: Clock


@dataclass(frozen=True, kw_only=True, slots=True)
class Memory:
    """What is remembered between snapshots; owned by the record task.

    Attributes:
        dark: Since when nothing could be recorded, and why.
        shift_ms: How much is added to a clock that is behind the floor and not to be believed.
        seen: The moment of the last plan.
        believed: The clock has been believed once since the start.
        states: The meters' states in the last snapshot.
    """

    dark: tuple[int, GapReason] | None = None
    shift_ms: int = 0
    seen: Moment | None = None
    believed: bool = False
    states: Mapping[int, MeterState] = field(default_factory=dict)


Plan: TypeAlias = Generator[Entry, Tip, Memory]
"""Yields what to sign, receives the tip behind it, returns what to remember once it is durable."""
Steps: TypeAlias = Generator[Entry, Tip, Tip]
"""A part of a plan: returns the tip behind its last record."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Reopening:
    """A new epoch.

    Attributes:
        base: The head at the record that the restore names: ours, or one we did not hold.
        missing: Numbers of the records in between that this device does not hold.
    """

    reason: RestoreReason
    base: Head
    missing: tuple[Seq, Seq] | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Start:
    """How this run of the agent begins.

    Attributes:
        same_boot: The last run ended in this boot of the kernel: no power was lost.
        reopen: Why a new epoch must be opened, and behind what; None to continue.
    """

    same_boot: bool
    reopen: Reopening | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Planner:
    """Plans records.

    Attributes:
        read_every_ms: Time between readings; a silence of more than two is a gap.
        randomness: Returns that many unpredictable bytes, for the nonce of a restore.
        highest_wh: Most energy that flows through each meter in an interval, by its index.
    """

    read_every_ms: int
    randomness: Callable[[int], bytes] = field(repr=False)
    highest_wh: Mapping[int, int] = field(default_factory=dict)

    def begin(self, tip: Tip, start: Start, manifest: Manifest, now: Moment) -> Plan:
        """The records of a start, before any reading."""
        memory = Memory(seen=now, believed=now.clock in _BELIEVED)
        boot = Event(code=EventCode.BOOT)
        if tip.head is None and start.reopen is None:
            stamp = Stamp(time=UnixMs(now.utc_ms), clock=now.clock, up=now.up_ms)
            yield from _write(tip, stamp, manifest, boot)
            return memory
        if start.reopen is not None:
            return (yield from self.reopen(tip, start.reopen, manifest, now, memory))
        tip, stamp, memory = yield from self._timed(tip, now, memory)
        dark_from = tip.last.time if tip.last is not None else stamp.time
        if not start.same_boot:
            tip = yield from _close(tip, stamp, cut=True)
        tip = yield from self._silence(tip, stamp, dark_from, _why_dark(start))
        if not start.same_boot:
            tip = yield from _write(tip, stamp, boot)
        if tip.manifest != manifest:
            tip = yield from _write(tip, stamp, manifest)
        return memory

    def reopen(
        self, tip: Tip, reopening: Reopening, manifest: Manifest, now: Moment, memory: Memory
    ) -> Plan:
        """The records that begin an epoch, at a start or when the aggregator turns out ahead."""
        base = reopening.base
        shift_ms = max(memory.shift_ms, base.time - now.utc_ms, 0)
        stamp = Stamp(time=UnixMs(now.utc_ms + shift_ms), clock=now.clock, up=now.up_ms)
        tip = yield from _write(tip, stamp, self._restore(reopening), manifest)
        tip = yield from self._silence(tip, stamp, base.time, GapReason.POWER_OFF)
        yield from _write(tip, stamp, Event(code=EventCode.BOOT))
        return replace(memory, shift_ms=shift_ms, seen=now, dark=None)

    def snapshot(  # noqa: PLR0913 -- a plan is decided from these, and from nothing else
        self,
        tip: Tip,
        snapshot: Snapshot,
        *,
        clock: Clock,
        manifest: Manifest,
        memory: Memory,
        checkpoint: CheckpointPointer | None,
        events: Sequence[Event] = (),
    ) -> Plan:
        """The records of one round over the meters, with what the gate says in front of them."""
        now = Moment(utc_ms=snapshot.at_ms, up_ms=snapshot.up_ms, clock=clock)
        last_ms = now.utc_ms if tip.last is None else tip.last.time
        tip, stamp, memory = yield from self._timed(tip, now, memory)
        answered = any(sample.state in _ANSWERED for sample in snapshot.samples)
        if not answered and memory.dark is None:
            memory = replace(memory, dark=(last_ms, GapReason.NO_METER_ANSWERED))
        tip, memory = yield from _overdue(tip, stamp, memory, checkpoint)
        memory = replace(memory, states=_states(snapshot))
        if tip.manifest != manifest:
            tip = yield from _write(tip, stamp, manifest)
        if not answered:
            return memory
        tip, memory = yield from _gap(tip, stamp, memory, until_ms=stamp.time)
        tip = yield from _write(tip, stamp, *events, _reading(snapshot))
        if tip.end is not None and stamp.time >= tip.end:
            yield from _close(tip, stamp, checkpoint=checkpoint, highest_wh=self.highest_wh)
        return replace(memory, dark=None)

    def events(self, tip: Tip, events: Sequence[Event], now: Moment, memory: Memory) -> Plan:
        """The records of what happened between two rounds."""
        tip, stamp, memory = yield from self._timed(tip, now, memory)
        tip, memory = yield from _overdue(tip, stamp, memory, None)
        yield from _write(tip, stamp, *events)
        return memory

    def lost(self, memory: Memory, snapshot: Snapshot, reason: GapReason) -> Memory:
        """A snapshot could not be stored: the silence begins with it."""
        if memory.dark is not None:
            return memory
        return replace(memory, dark=(snapshot.at_ms + memory.shift_ms, reason))

    def _timed(
        self, tip: Tip, now: Moment, memory: Memory
    ) -> Generator[Entry, Tip, tuple[Tip, Stamp, Memory]]:
        """Find the time of the next record, and write what a change of clock asks for first."""
        head, believed = tip.head, now.clock in _BELIEVED
        floor = now.utc_ms if head is None else head.time
        time = now.utc_ms + (0 if believed else memory.shift_ms)
        after = replace(memory, seen=now, believed=memory.believed or believed, shift_ms=0)
        if head is not None and believed and time < floor - _STEP_MS:
            # protocol 4: only a restore may lower time. What was open ends where it stands.
            tip = yield from _close(tip, _stamp(floor, now), cut=True)
            reopening = Reopening(reason=RestoreReason.CLOCK, base=tip.head or head)
            step = _step(floor, time)
            tip = yield from _write(tip, _stamp(time, now), self._restore(reopening), step)
            return tip, _stamp(time, now), replace(after, dark=None)
        time = max(time, floor)
        stamp = _stamp(time, now)
        if believed and not memory.believed:
            # protocol 5: at first synchronisation the open interval is closed as partial.
            tip = yield from _close(tip, stamp, cut=True)
        expected = _expected_ms(memory, now)
        if expected is not None and abs(time - expected) > _STEP_MS:
            tip = yield from _write(tip, stamp, _step(expected, time))
        return tip, stamp, after if believed else replace(after, shift_ms=time - now.utc_ms)

    def _silence(self, tip: Tip, stamp: Stamp, since_ms: int, reason: GapReason) -> Steps:
        """One gap record for time in which nothing ran; short pauses are none."""
        end = tip.end
        if end is not None and tip.leaves and stamp.time > end + _tolerance_ms(tip):
            tip = yield from _close(tip, stamp)
        if stamp.time - since_ms <= 2 * self.read_every_ms:
            return tip
        gap = Gap(start=UnixMs(since_ms), end=stamp.time, reason=reason, meter=None)
        return (yield from _write(tip, stamp, gap))

    def _restore(self, reopening: Reopening) -> Reopen:
        nonce = self.randomness(_NONCE_BYTES)
        restore = Restore(reason=reopening.reason, nonce=nonce, missing=reopening.missing)
        return Reopen(base=reopening.base, restore=restore)


def _write(tip: Tip, stamp: Stamp, *drafts: Draft) -> Steps:
    for draft in drafts:
        tip = yield Entry(draft=draft, stamp=stamp)
    return tip


def _close(  # noqa: PLR0913 -- what a close is made of, each by its name
    tip: Tip,
    stamp: Stamp,
    *,
    cut: bool = False,
    checkpoint: CheckpointPointer | None = None,
    states: Mapping[int, MeterState] | None = None,
    highest_wh: Mapping[int, int] | None = None,
) -> Steps:
    """Close the open interval, if there is one: at its end, or cut at its last record."""
    if not tip.leaves or tip.end is None:
        return tip
    end = None if cut else tip.end
    close = Close(end=end, checkpoint=checkpoint, states=states or {}, highest_wh=highest_wh or {})
    return (yield from _write(tip, stamp, close))


def _overdue(
    tip: Tip, stamp: Stamp, memory: Memory, checkpoint: CheckpointPointer | None
) -> Generator[Entry, Tip, tuple[Tip, Memory]]:
    """Close the open interval if its boundary's window is over."""
    end = tip.end
    # An interval in which nothing was recorded is dark time: it gets no record of its own.
    if end is None or not tip.leaves or stamp.time <= end + _tolerance_ms(tip):
        return tip, memory
    tip, memory = yield from _gap(tip, stamp, memory, until_ms=end)
    tip = yield from _close(tip, stamp, checkpoint=checkpoint, states=memory.states)
    return tip, memory


def _gap(
    tip: Tip, stamp: Stamp, memory: Memory, *, until_ms: int
) -> Generator[Entry, Tip, tuple[Tip, Memory]]:
    """Write down the silence so far, and let it go on from there."""
    if memory.dark is None or until_ms <= memory.dark[0]:
        return tip, memory
    since_ms, reason = memory.dark
    gap = Gap(start=UnixMs(since_ms), end=UnixMs(until_ms), reason=reason, meter=None)
    tip = yield from _write(tip, stamp, gap)
    return tip, replace(memory, dark=(until_ms, reason))


def _reading(snapshot: Snapshot) -> Reading:
    return Reading(
        meters=tuple(
            MeterReading(
                meter=sample.meter,
                state=sample.state,
                offset_ms=sample.at_ms - snapshot.at_ms,
                values=sample.values,
                raw=sample.raw,
            )
            for sample in snapshot.samples
        )
    )


def _states(snapshot: Snapshot) -> dict[int, MeterState]:
    return {sample.meter: sample.state for sample in snapshot.samples}


def _tolerance_ms(tip: Tip) -> int:
    return 0 if tip.manifest is None else tip.manifest.tolerance_ms


def _stamp(time: int, now: Moment) -> Stamp:
    return Stamp(time=UnixMs(time), clock=now.clock, up=now.up_ms)


def _step(before: int, after: int) -> Event:
    return Event(code=EventCode.CLOCK_STEP, detail=(before, after))


def _expected_ms(memory: Memory, now: Moment) -> int | None:
    """What UTC should say now, by the time since boot that passed since the last plan."""
    if memory.seen is None:
        return None
    return memory.seen.utc_ms + memory.shift_ms + now.up_ms - memory.seen.up_ms


def _why_dark(start: Start) -> GapReason:
    return GapReason.AGENT_STOPPED if start.same_boot else GapReason.POWER_OFF
