"""The gate itself: what is known goes in with a snapshot, what may be signed comes out."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from meterseal.quantities import BY_CODE, ENERGY_EXPORT, ENERGY_IMPORT
from meterseal.records import Event, MeterState, RowFlag
from meterseal_agent.alarm import FROZEN, HELD, TAKEN, alarm
from meterseal_agent.gate.bases import POWER, Believed, Look, base_keys, first_look, look
from meterseal_agent.gate.known import Known, Suspect
from meterseal_agent.poll.snapshot import MeterSample, Snapshot

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from meterseal.records import MeterIdentity
    from meterseal_agent.gate.rating import Rating

_ALARM_EVERY_MS = 900_000
_FROZEN_MS = 900_000
_FROZEN_WH = 500
_MS_PER_H = 3_600_000
_ENERGY_TOTAL = 11


@dataclass(frozen=True, kw_only=True, slots=True)
class Judged:
    """What may be signed.

    Attributes:
        snapshot: Totals where values are believed, state O where they are held.
        events: What has to stand in front of it.
        known: To be remembered once it is stored.
        held: What is wrong with each meter that is held, in words.
    """

    snapshot: Snapshot
    events: tuple[Event, ...]
    known: Known
    held: Mapping[int, str]


@dataclass(frozen=True, kw_only=True, slots=True)
class Gate:
    """Judges snapshots.

    Attributes:
        ratings: What each configured meter can carry, in order.
    """

    ratings: tuple[Rating, ...]

    def highest_wh(self, span_ms: int) -> dict[int, int]:
        """Most energy that each meter with a configured rating counts in a span of time."""
        return {
            meter: rating.most_wh(span_ms) + 2 * rating.step_wh
            for meter, rating in enumerate(self.ratings)
            if rating.configured
        }

    def doubtful(
        self, snapshot: Snapshot, identities: Sequence[MeterIdentity], known: Known
    ) -> frozenset[int]:
        """Tell which meters should be read again at once.

        A suspicion that goes on needs no second look in each round.
        """
        found = set()
        for sample, key, at_ms in _good(snapshot, identities):
            believed, suspect = known.believed.get(key), known.suspects.get(key)
            if believed is None:
                continue
            rating = self.ratings[sample.meter]
            seen = look(sample, at_ms, believed, rating)
            if not seen.faults:
                fresh = known.alarmed_ms.get(key, at_ms - _ALARM_EVERY_MS)
                stuck = _frozen(seen, sample) and at_ms - fresh >= _ALARM_EVERY_MS
                if seen.turned or stuck:
                    found.add(sample.meter)
            elif suspect is None or look(sample, at_ms, suspect.latest, rating).faults:
                found.add(sample.meter)
        return frozenset(found)

    def judge(
        self, snapshot: Snapshot, identities: Sequence[MeterIdentity], known: Known
    ) -> Judged:
        """Let through what continues what is believed, and hold the rest."""
        samples = list(snapshot.samples)
        believed, suspects = dict(known.believed), dict(known.suspects)
        alarmed_ms, events, held = dict(known.alarmed_ms), list[Event](), dict[int, str]()
        for sample, key, at_ms in _good(snapshot, identities):
            verdict = self._judge(sample, at_ms, believed.get(key), suspects.pop(key, None))
            if verdict.suspect is not None:
                suspects[key] = verdict.suspect
            if verdict.believed is not None:
                believed[key] = verdict.believed
            samples[sample.meter] = verdict.sample
            if verdict.held:
                held[sample.meter] = verdict.held
            if verdict.event is None:
                continue
            if verdict.urgent or at_ms - alarmed_ms.get(key, at_ms - _ALARM_EVERY_MS) >= (
                _ALARM_EVERY_MS
            ):
                events.append(verdict.event)
                alarmed_ms[key] = at_ms
        return Judged(
            snapshot=replace(snapshot, samples=tuple(samples)),
            events=tuple(events),
            known=Known(believed=believed, suspects=suspects, alarmed_ms=alarmed_ms),
            held=held,
        )

    def _judge(
        self, sample: MeterSample, at_ms: int, believed: Believed | None, suspect: Suspect | None
    ) -> _Verdict:
        if believed is None:
            return _let_through(sample, first_look(sample, at_ms))
        rating = self.ratings[sample.meter]
        seen = look(sample, at_ms, believed, rating)
        if not seen.faults and _frozen(seen, sample):
            return _hold(sample, believed, seen, None, FROZEN)
        if not seen.faults:
            event = None
            if seen.uncertain:
                # Off for so long that a register may have turned twice: the least is signed.
                code = seen.uncertain[0]
                event = _alarm(TAKEN, sample, believed, seen, RowFlag.COUNTER_JUMPED, code)
            return _let_through(sample, seen, event)
        suspect = _continued(suspect, sample, at_ms, seen, rating)
        if not suspect.proved:
            return _hold(sample, believed, seen, suspect, HELD)
        seen = replace(seen, next=suspect.latest)
        event = _alarm(TAKEN, sample, believed, seen, seen.flags, min(suspect.faults))
        return _let_through(sample, seen, event)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Verdict:
    sample: MeterSample
    believed: Believed | None = None
    suspect: Suspect | None = None
    event: Event | None = None
    urgent: bool = False
    held: str = ""


def second_look(first: Snapshot, second: Snapshot, doubtful: frozenset[int]) -> Snapshot:
    """Replace what was doubtful by what the meter said when it was asked again."""
    samples = tuple(
        again if one.meter in doubtful and again.state is MeterState.GOOD else one
        for one, again in zip(first.samples, second.samples, strict=True)
    )
    return replace(first, samples=samples)


def _good(
    snapshot: Snapshot, identities: Sequence[MeterIdentity]
) -> Iterator[tuple[MeterSample, bytes, int]]:
    """Each sample that has values, its meter's key, and its time since boot."""
    for sample, key in zip(snapshot.samples, base_keys(identities), strict=True):
        if sample.state is MeterState.GOOD:
            yield sample, key, snapshot.up_ms + sample.at_ms - snapshot.at_ms


def _continued(
    suspect: Suspect | None, sample: MeterSample, at_ms: int, seen: Look, rating: Rating
) -> Suspect:
    """The suspicion behind one more reading that does not continue what is believed."""
    if suspect is not None:
        follows = look(sample, at_ms, suspect.latest, rating)
        if not follows.faults:
            return replace(suspect, latest=follows.next, rounds=suspect.rounds + 1)
    begun = {code: seen.next.counters[code].value for code in seen.faults}
    return Suspect(latest=seen.next, faults=seen.faults, begun=begun, since_ms=at_ms)


def _let_through(sample: MeterSample, seen: Look, event: Event | None = None) -> _Verdict:
    return _Verdict(
        sample=replace(sample, values=seen.values(sample)),
        believed=seen.next,
        event=event,
        urgent=True,
    )


def _hold(
    sample: MeterSample, believed: Believed, seen: Look, suspect: Suspect | None, what: str
) -> _Verdict:
    code = min(seen.faults, default=min(sample.counters, default=0))
    return _Verdict(
        # protocol 3.2: in every state but G both maps are empty.
        sample=MeterSample(meter=sample.meter, state=MeterState.OUT_OF_RANGE, at_ms=sample.at_ms),
        suspect=suspect,
        event=_alarm(what, sample, believed, seen, seen.flags, code),
        held=_words(what, believed, seen, code),
    )


def _alarm(  # noqa: PLR0913, PLR0917 -- what an event of the gate is made of
    what: str, sample: MeterSample, believed: Believed, seen: Look, flags: RowFlag, code: int
) -> Event:
    before, now = believed.counters.get(code), seen.next.counters.get(code)
    return alarm(
        what,
        sample.meter,
        flags,
        code,
        0 if before is None else before.value,
        0 if now is None else now.value,
        sample.raw.get(code),
    )


def _frozen(seen: Look, sample: MeterSample) -> bool:
    """Tell whether nothing moves although the power that is shown would have moved a counter."""
    power_w = sample.values.get(POWER) or 0
    stood_ms = seen.next.at_ms - seen.next.same_since_ms
    its = ENERGY_IMPORT if power_w > 0 else ENERGY_EXPORT
    steps = [sample.counters[code].step for code in (its, _ENERGY_TOTAL) if code in sample.counters]
    if not steps or stood_ms < _FROZEN_MS:
        return False
    return abs(power_w) * stood_ms >= (_FROZEN_WH + 3 * max(steps)) * _MS_PER_H


def _words(what: str, believed: Believed, seen: Look, code: int) -> str:
    if what == FROZEN:
        minutes = (seen.next.at_ms - seen.next.same_since_ms) // 60_000
        return (
            f"nothing has moved for {minutes} minutes though it shows power: these are not values "
            "of now. Start the meter, or the gateway in front of it, anew."
        )
    unit = BY_CODE[code].unit if code in BY_CODE else ""
    name = BY_CODE[code].name if code in BY_CODE else f"quantity {code}"
    return (
        f"{name}: expected {believed.counters[code].value} {unit} and a little more, got "
        f"{seen.next.counters[code].value} {unit}. It is held until it is plain what the meter "
        "counts; if the meter carries more than assumed, set its rated_w."
    )
