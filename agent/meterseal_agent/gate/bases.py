"""What is believed of a meter, and how its next reading compares with that.

A register of 16 or 23 bits begins again at 0. It is told from a reset by direction and size: a
wrap is a fall whose missing rest, up to the register's width, the meter could really have counted
in the time since. A reset in that last stretch before the width is taken for a wrap; nothing that
the meter says tells them apart.
"""

from __future__ import annotations

import math
from collections import Counter as Tally
from dataclasses import dataclass, field
from fractions import Fraction
from typing import TYPE_CHECKING, Final

from meterseal.records import RowFlag, meter_id

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from meterseal.records import MeterIdentity
    from meterseal_agent.gate.rating import Rating
    from meterseal_agent.poll.snapshot import MeterSample
    from meterseal_agent.profiles import Counter

POWER: Final = 16
# Inverters pass on counters that they refresh every five minutes, dataloggers every quarter-hour.
_STANDSTILL_MAX_MS = 900_000


@dataclass(frozen=True, kw_only=True, slots=True)
class Base:
    """The last believed value of one counter, in the quantity's unit.

    Attributes:
        value: The total, register turns included.
        since_ms: Since when it has stood there, in time since boot; may lie before the boot.
        exact: The total before it was rounded; None where only a record tells it.
    """

    value: int
    since_ms: int
    exact: Fraction | None = None

    @classmethod
    def of(cls, exact: Fraction, since_ms: int) -> Base:
        """A base of which everything is known."""
        return cls(value=round(exact), since_ms=since_ms, exact=exact)


@dataclass(frozen=True, kw_only=True, slots=True)
class Believed:
    """The last believed reading of one meter.

    Attributes:
        at_ms: When it was read, in time since boot.
        counters: By quantity code.
        values: All values as they came, to see whether anything moves.
        same_since_ms: Since when exactly these values came.
    """

    at_ms: int
    counters: Mapping[int, Base]
    values: Mapping[int, int | None] = field(default_factory=dict)
    same_since_ms: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Look:
    """A reading held against a base.

    Attributes:
        next: The base that this reading makes, if it is believed.
        faults: How counters break their bounds, by quantity code.
        turned: Counters that began again at 0 since the base.
        uncertain: Those that may have done so more often than it shows.
    """

    next: Believed
    faults: Mapping[int, RowFlag]
    turned: tuple[int, ...] = ()
    uncertain: tuple[int, ...] = ()

    @property
    def flags(self) -> RowFlag:
        """All faults together."""
        found = RowFlag(0)
        for flag in self.faults.values():
            found |= flag
        return found

    def values(self, sample: MeterSample) -> dict[int, int | None]:
        """The sample's values, its counters as totals."""
        totals = {code: self.next.counters[code].value for code in sample.counters}
        return {**sample.values, **totals}


def base_keys(identities: Iterable[MeterIdentity]) -> tuple[bytes, ...]:
    """Name each meter by its plate, so that another serial number finds no base.

    A device that is configured twice (inverter and meter in one) has two names.
    """
    seen: Tally[bytes] = Tally()
    keys = []
    for identity in identities:
        plate = meter_id(identity)
        keys.append(plate + bytes([seen[plate]]))
        seen[plate] += 1
    return tuple(keys)


def first_look(sample: MeterSample, at_ms: int) -> Look:
    """A meter that nothing is known of is believed."""
    counters = {code: Base.of(counter.count, at_ms) for code, counter in sample.counters.items()}
    return Look(next=_believed(sample, at_ms, counters, None), faults={})


def look(sample: MeterSample, at_ms: int, before: Believed, rating: Rating) -> Look:
    """Hold a reading against the one before it.

    Args:
        sample: What the meter says, every counter exactly.
        at_ms: When it arrived, in time since boot.
        before: What is believed of the meter.
        rating: What it can carry.
    """
    rating = rating.widened(before.values.get(POWER), sample.values.get(POWER))
    elapsed_ms = max(at_ms - before.at_ms, 0)
    counters, faults = dict(before.counters), dict[int, RowFlag]()
    turned, uncertain = list[int](), list[int]()
    for code, counter in sample.counters.items():
        base = before.counters.get(code)
        if base is None:
            counters[code] = Base.of(counter.count, at_ms)
            continue
        stood_ms = min(max(before.at_ms - base.since_ms, 0), _STANDSTILL_MAX_MS)
        most = rating.most_wh(elapsed_ms + stood_ms) + math.ceil(2 * counter.step)
        total, fault = _follow(counter, base, most)
        counters[code] = Base.of(total, base.since_ms if round(total) == base.value else at_ms)
        if fault is not None:
            faults[code] = fault
        elif counter.wrap is not None:
            if total - counter.count > (base.exact or base.value):
                turned.append(code)
            if rating.energy_wh(elapsed_ms) >= counter.wrap:
                uncertain.append(code)
    return Look(
        next=_believed(sample, at_ms, counters, before),
        faults=faults,
        turned=tuple(turned),
        uncertain=tuple(uncertain),
    )


def _follow(counter: Counter, base: Base, most: int) -> tuple[Fraction, RowFlag | None]:
    """The total that a counter shows behind `base`, and what is wrong with it."""
    total = counter.count
    if counter.wrap is not None:
        # A base that was rounded up may be above the total that it stands for.
        loose = max(Fraction(1), counter.step)
        floor = base.value - loose if base.exact is None else base.exact
        total += max(0, math.ceil((floor - counter.count) / counter.wrap)) * counter.wrap
    if base.value <= round(total) <= base.value + most:
        return total, None
    if counter.wrap is not None and counter.count < base.value % counter.wrap:
        # Too far for a wrap: the register was set back, and counts from where it stands.
        return counter.count, RowFlag.COUNTER_FELL
    fell = round(total) < base.value
    return total, RowFlag.COUNTER_FELL if fell else RowFlag.COUNTER_JUMPED


def _believed(
    sample: MeterSample, at_ms: int, counters: Mapping[int, Base], before: Believed | None
) -> Believed:
    same = before is not None and dict(before.values) == dict(sample.values)
    return Believed(
        at_ms=at_ms,
        counters=counters,
        values=sample.values,
        same_since_ms=before.same_since_ms if same and before is not None else at_ms,
    )
