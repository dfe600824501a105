"""What every benchmark shares: rows with a reference of the same run, interleaving, and the load.

A figure alone says little on a machine that others use too, so each row names a reference
(a physical limit, or a peer measured in the same run) and the ratio to it. What is compared is
interleaved and repeated, and rates are counted in CPU time of this process.
"""

from __future__ import annotations

import os
import statistics
import time
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

INCONCLUSIVE = "inconclusive"


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One measured figure beside its reference.

    `goal_of` says whether the goal speaks of the value or of value / reference_value. A `note` that
    begins with "inconclusive" says that the machine was in no state to tell: then no goal holds.
    """

    figure: str
    value: float
    unit: str
    reference: str
    reference_value: float
    goal_of: Literal["value", "ratio"] | None = None
    goal_op: Literal["<=", ">="] | None = None
    goal_limit: float | None = None
    note: str = ""

    @property
    def ratio(self) -> float:
        """The value over the reference's value."""
        return self.value / self.reference_value

    @property
    def holds(self) -> bool:
        """Whether the goal is met; a row without a goal informs, and holds."""
        if self.goal_limit is None:
            return True
        if self.note.startswith(INCONCLUSIVE):
            return False
        judged = self.value if self.goal_of == "value" else self.ratio
        return judged <= self.goal_limit if self.goal_op == "<=" else judged >= self.goal_limit

    def as_json(self, load: float) -> dict[str, object]:
        """The row as `scripts/bench --json` writes it."""
        goal = None
        if self.goal_limit is not None:
            goal = {"of": self.goal_of, "op": self.goal_op, "limit": self.goal_limit}
        fields = asdict(self)
        for name in ("goal_of", "goal_op", "goal_limit"):
            del fields[name]
        return {**fields, "ratio": self.ratio, "goal": goal, "holds": self.holds, "load": load}


def interleaved(
    callables: Mapping[str, Callable[[], int]], rounds: int = 7
) -> dict[str, list[float]]:
    """Run each callable in turn, `rounds` times over.

    Args:
        callables: by name; each does a batch of work and returns how many pieces it did.
        rounds: how often the whole turn is repeated, after one turn that is not counted.

    Returns:
        For each name its rates, in pieces per second of CPU time, one a round.
    """
    rates: dict[str, list[float]] = {name: [] for name in callables}
    for turn in range(rounds + 1):
        for name, work in callables.items():
            begun = time.process_time()
            count = work()
            elapsed = time.process_time() - begun
            if turn:
                rates[name].append(count / elapsed)
    return rates


def median_ratio(measured: list[float], reference: list[float]) -> float:
    """The median of the ratios, pair by pair: drift of the machine cancels within a pair."""
    return statistics.median(a / b for a, b in zip(measured, reference, strict=True))


def load() -> float:
    """The machine's load average over the last minute."""
    return os.getloadavg()[0]
