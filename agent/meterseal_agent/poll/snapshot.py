"""What a round over all meters hands on.

- A sample is all or nothing: state "G" with every value from one go, or another state and empty
  maps. There is no half sample and no zero for "no answer".
- A quantity that the meter marks as not available is None; one that was not asked for is absent.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from meterseal.records import MeterState
    from meterseal_agent.profiles import Counter


@dataclass(frozen=True, kw_only=True, slots=True)
class MeterSample:
    """One meter in one snapshot.

    Attributes:
        meter: Index of the meter in the configuration.
        at_ms: UTC milliseconds at which the last byte of its billing counters arrived; for a
            meter that failed, when it was given up.
        values: Integer by quantity code, in the quantity's unit.
        raw: Register words by quantity code in wire order, for billing counters.
        counters: The billing counters exactly, for the gate; they are not recorded.
    """

    meter: int
    state: MeterState
    at_ms: int
    values: Mapping[int, int | None] = field(default_factory=dict)
    raw: Mapping[int, bytes | None] = field(default_factory=dict)
    counters: Mapping[int, Counter] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class Snapshot:
    """All meters of the gateway, read in one round.

    Attributes:
        started_ms: UTC milliseconds at which the round began.
        at_ms: UTC milliseconds of the first billing counter that arrived; `started_ms` when no
            meter answered. No sample is earlier.
        up_ms: Milliseconds since boot at `at_ms`.
        boundary: This round closes an interval and opens the next.
        samples: One for each configured meter, in order.
    """

    started_ms: int
    at_ms: int
    up_ms: int
    boundary: bool
    samples: tuple[MeterSample, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class MeterHealth:
    """What a person wants to know about one meter.

    Attributes:
        since_ms: UTC milliseconds since which `state` holds.
        message: What failed, expected and got, and the remedy; empty when good.
        last_good: The newest good sample, with its own time.
    """

    meter: int
    state: MeterState
    since_ms: int
    message: str
    last_good: MeterSample | None
