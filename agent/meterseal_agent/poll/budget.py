"""What reading costs: how long each bus is taken by a round, and whether that fits the period.

A round that closes an interval reads each meter's identity too, so the period must hold that one.
Sums of frame times, silences and turnarounds: what no computer can be faster than. A turnaround
that is not known yet counts as nothing, and so does a SunSpec device before it has been asked for
its models.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from meterseal_agent.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping

# Beyond this part of the period there is no room for a retry or a slow reply.
_TIGHT = 0.8


@dataclass(frozen=True, kw_only=True, slots=True)
class MeterBudget:
    """One meter's part of a round.

    Attributes:
        requests: For its values; 0 for a SunSpec device that has not been asked yet.
        values_s: Seconds that they take the line.
        proof_s: Seconds of one more request that proves its identity.
        turnaround_s: Part of each request that the meter takes to begin its reply.
    """

    meter: str
    requests: int
    registers: int
    values_s: float
    proof_s: float
    turnaround_s: float = 0.0

    @property
    def prompt_s(self) -> float:
        """What its values would take if it answered at once."""
        return self.values_s - self.requests * self.turnaround_s


@dataclass(frozen=True, kw_only=True, slots=True)
class BusBudget:
    """A round over one bus.

    Attributes:
        line: Port or address, as messages name it.
        every_s: The period that the round has to fit.
    """

    bus: str
    line: str
    every_s: float
    meters: tuple[MeterBudget, ...]

    @property
    def cycle_s(self) -> float:
        """A round in quiet times."""
        return sum(meter.values_s for meter in self.meters)

    @property
    def boundary_s(self) -> float:
        """A round that closes an interval: every identity is proved in it."""
        return self.cycle_s + sum(meter.proof_s for meter in self.meters)

    @property
    def tight(self) -> bool:
        """Whether a round fits, but leaves little room."""
        return _TIGHT * self.every_s < self.boundary_s <= self.every_s

    def __str__(self) -> str:
        """Sum it up in one line, as the log and the doctor say it."""
        requests = sum(meter.requests for meter in self.meters)
        registers = sum(meter.registers for meter in self.meters)
        return (
            f"bus {self.bus} ({self.line}): a round of {len(self.meters)} meters, {requests} "
            f"requests and {registers} registers takes {self.cycle_s:.2f} s of "
            f"{self.every_s:g} s; one that closes an interval {self.boundary_s:.2f} s"
        )


def check_budget(
    budget: BusBudget, where: str, interval_s: int, faster: Mapping[str, float]
) -> None:
    """Refuse a period that no round can fit, and say what would.

    Args:
        budget: The bus as configured.
        where: File and table, for the message.
        interval_s: What the period has to divide.
        faster: Seconds of the round that closes an interval, by what would have to be changed.

    Raises:
        ConfigError: The round cannot fit.
    """
    needed_s = budget.boundary_s
    if needed_s <= budget.every_s:
        return
    fits = [f"read_every_s = {every_s}" for every_s in _divisors(interval_s) if every_s > needed_s]
    fits = fits[:1] + [
        f"{change} ({taken_s:.1f} s)"
        for change, taken_s in faster.items()
        if taken_s <= budget.every_s
    ]
    remedy = " or ".join(fits) or "two buses"
    raise ConfigError(
        f"{where} read_every_s: expected a period that holds a round over bus "
        f'"{budget.bus}" ({budget.line}), got read_every_s = {budget.every_s:g}: the cycle needs '
        f"{budget.cycle_s:.1f} s, and {needed_s:.1f} s where it closes an interval. It would fit "
        f"with {remedy}; or read fewer `quantities`."
    )


def _divisors(interval_s: int) -> list[int]:
    return [every_s for every_s in range(1, interval_s + 1) if interval_s % every_s == 0]
