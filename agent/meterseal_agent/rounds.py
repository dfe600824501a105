"""A round: the meters through the gate, asked again where they are in doubt, and the pulse inputs.

Owned by the record task. What a round was judged by is remembered only once it is stored
(`keep`): what was never signed is nothing that a later value must continue.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import replace
from typing import TYPE_CHECKING, Protocol

from meterseal.records import Clock, MeterState
from meterseal_agent.gate import Base, Believed, Known
from meterseal_agent.gate.gate import second_look
from meterseal_agent.poll.snapshot import MeterSample
from meterseal_agent.store.last import S0_COUNT

if TYPE_CHECKING:
    from meterseal.records import MeterIdentity, S0Input
    from meterseal_agent.clock import TimeSource
    from meterseal_agent.gate import Gate, Judged
    from meterseal_agent.poll import MeterHealth, Poller
    from meterseal_agent.store.last import LastReading, LastValues

_log = logging.getLogger(__name__)

# Nobody knows how long we were off while the clock was not set.
_LONG_MS = 30 * 86_400_000
_BELIEVED = frozenset({Clock.SYNCHRONISED, Clock.INFORMATIVE})


class PulseSource(Protocol):
    """Where pulses are counted; `gpio.board.Board` is one."""

    @property
    def inputs(self) -> tuple[S0Input, ...]:
        """The pulse inputs, in order."""
        ...

    def pulses(self) -> tuple[int | None, ...]:
        """Pulses since the start, of each input; None for one that cannot be read."""
        ...


class Rounds:
    """Reads rounds that may be signed."""

    def __init__(
        self, poller: Poller, gate: Gate, time: TimeSource, pulses: PulseSource | None = None
    ) -> None:
        self._poller = poller
        self._gate = gate
        self._time = time
        self._pulses = pulses
        self._counts: dict[str, int] = {}  # of pulses, before this start
        self._known = Known()
        self._shown: tuple[MeterHealth, ...] = ()
        self._held: frozenset[int] = frozenset()

    @property
    def gate(self) -> Gate:
        """What judges the counters."""
        return self._gate

    @property
    def inputs(self) -> tuple[S0Input, ...]:
        """The pulse inputs, whose places follow behind the last meter's."""
        return () if self._pulses is None else self._pulses.inputs

    def identities(self) -> tuple[MeterIdentity, ...]:
        """The meters as known now."""
        return self._poller.identities()

    async def meet(self, deadline_s: float) -> None:
        """Read once to learn who the meters are; nothing of it is signed."""
        await self._poller.snapshot(deadline_s, boundary=True)

    def take_up(self, last: LastValues) -> None:
        """Go on from what was signed last."""
        now_ms, up_ms = self._time.now_ms(), self._time.up_ms()
        believed_clock = self._time.state() in _BELIEVED
        bases = {}
        for key, reading in last.meters.items():
            off_ms = max(now_ms - reading.at_ms, 0)
            off_ms = off_ms if believed_clock else max(off_ms, _LONG_MS)
            bases[key] = _believed(reading, up_ms - off_ms)
        self._known = replace(self._known, believed=bases)
        self._counts = dict(last.pulses)

    async def read(self, deadline_s: float, *, boundary: bool) -> Judged:
        """Read all meters once, those in doubt twice if time is left, and judge them."""
        loop = asyncio.get_running_loop()
        begun_s = loop.time()
        snapshot = await self._poller.snapshot(deadline_s, boundary=boundary)
        identities = self.identities()
        doubtful = self._gate.doubtful(snapshot, identities, self._known)
        took_s = loop.time() - begun_s
        if doubtful and took_s * 2 < deadline_s:
            _log.info("meters %s are read again: what they say is in doubt", sorted(doubtful))
            again = await self._poller.snapshot(deadline_s - took_s, boundary=boundary)
            if self.identities() == identities:
                snapshot = second_look(snapshot, again, doubtful)
        judged = self._gate.judge(snapshot, identities, self._known)
        samples = (*judged.snapshot.samples, *self._pulse_samples(snapshot.at_ms))
        self._show(judged)
        return replace(judged, snapshot=replace(judged.snapshot, samples=samples))

    def keep(self, judged: Judged) -> None:
        """What was read is stored: the next round continues it."""
        self._known = judged.known

    def health(self) -> tuple[MeterHealth, ...]:
        """The state of each meter, as it was judged."""
        return self._shown or self._poller.health()

    def _pulse_samples(self, at_ms: int) -> list[MeterSample]:
        if self._pulses is None:
            return []
        first = len(self.identities())
        return [
            MeterSample(meter=first + place, state=MeterState.NOT_PRESENT, at_ms=at_ms)
            if count is None
            else MeterSample(
                meter=first + place,
                state=MeterState.GOOD,
                at_ms=at_ms,
                values={S0_COUNT: self._counts.get(one.name, 0) + count},
            )
            for place, (one, count) in enumerate(
                zip(self._pulses.inputs, self._pulses.pulses(), strict=True)
            )
        ]

    def _show(self, judged: Judged) -> None:
        """Show what was judged instead of what was read, and log when a meter is held."""
        health = self._poller.health()
        self._shown = tuple(
            _judged_health(now, before, judged)
            for now, before in zip(health, self._shown or health, strict=True)
        )
        held = frozenset(judged.held)
        for meter in held - self._held:
            _log.warning("meter %d: held: %s", meter, judged.held[meter], extra={"meter": meter})
        for meter in self._held - held:
            _log.info("meter %d: believed again", meter, extra={"meter": meter})
        self._held = held


def _judged_health(now: MeterHealth, before: MeterHealth, judged: Judged) -> MeterHealth:
    sample = judged.snapshot.samples[now.meter]
    if sample.state is MeterState.GOOD:
        return replace(now, last_good=sample)
    if now.meter not in judged.held:
        return replace(now, last_good=before.last_good)
    since_ms = before.since_ms if before.state is sample.state else sample.at_ms
    return replace(before, state=sample.state, since_ms=since_ms, message=judged.held[now.meter])


def _believed(reading: LastReading, at_ms: int) -> Believed:
    counters = {
        code: Base(value=value, since_ms=at_ms)
        for code in reading.counters
        if (value := reading.values.get(code)) is not None
    }
    return Believed(at_ms=at_ms, counters=counters, values=reading.values, same_since_ms=at_ms)
