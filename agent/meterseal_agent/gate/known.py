"""What the gate remembers between rounds: what is believed, what is held, what was written down."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

    from meterseal.records import RowFlag
    from meterseal_agent.gate.bases import Believed

ROUNDS: Final = 3
"""Rounds in a row that must follow each other before what was held becomes the base."""
STANDING_MS: Final = 86_400_000
"""A counter that was set back and never moves again is believed after this."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Suspect:
    """Readings that follow each other, and not what is believed.

    Attributes:
        latest: The base that they would make.
        faults: How they differ from what is believed.
        begun: The faulty counters when they were first seen.
        since_ms: When that was, in time since boot.
        rounds: How many there are.
    """

    latest: Believed
    faults: Mapping[int, RowFlag]
    begun: Mapping[int, int]
    since_ms: int
    rounds: int = 1

    @property
    def proved(self) -> bool:
        """Whether they count like a meter."""
        now = self.latest.counters
        moved = all(now[code].value > value for code, value in self.begun.items())
        stood = self.latest.at_ms - self.since_ms >= STANDING_MS
        return self.rounds >= ROUNDS and (moved or stood)


@dataclass(frozen=True, kw_only=True, slots=True)
class Known:
    """What the gate remembers; by meter, as `base_keys` names it.

    Attributes:
        believed: The last believed reading.
        suspects: What is held.
        alarmed_ms: When something was last written down, in time since boot.
    """

    believed: Mapping[bytes, Believed] = field(default_factory=dict)
    suspects: Mapping[bytes, Suspect] = field(default_factory=dict)
    alarmed_ms: Mapping[bytes, int] = field(default_factory=dict)
