"""The round over all buses: one owner task a bus, buses in parallel, one snapshot out."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import replace
from typing import TYPE_CHECKING

from meterseal.records import MeterState
from meterseal_agent.poll.build import budgets, build_readers, check_periods
from meterseal_agent.poll.snapshot import MeterHealth, MeterSample, Snapshot

if TYPE_CHECKING:
    from collections.abc import Sequence

    from meterseal.records import MeterIdentity
    from meterseal_agent.clock import TimeSource
    from meterseal_agent.config import Config
    from meterseal_agent.poll.budget import BusBudget
    from meterseal_agent.poll.meter import MeterReader
    from meterseal_agent.poll.owner import BusOwner, Outcome

_log = logging.getLogger(__name__)


class Poller:
    """Reads every configured meter; `run` must be running while `snapshot` is awaited.

    Args:
        owners: One for each bus.
        readers: One for each configured meter, in order.
        time: The clocks.
        every_s: The period of the rounds; None where they follow one another.
    """

    def __init__(
        self,
        owners: Sequence[BusOwner],
        readers: Sequence[MeterReader],
        time: TimeSource,
        every_s: float | None = None,
    ) -> None:
        self._owners = tuple(owners)
        self._readers = tuple(readers)
        self._time = time
        self._every_s = every_s
        self._overruns = 0
        self._overran = False
        now_ms = time.now_ms()
        self._health = [
            MeterHealth(
                meter=index,
                state=MeterState.NOT_PRESENT,
                since_ms=now_ms,
                message="not read yet",
                last_good=None,
            )
            for index in range(len(self._readers))
        ]

    @classmethod
    def from_config(cls, config: Config, time: TimeSource) -> Poller:
        """Build the poller; nothing is opened yet.

        Raises:
            ConfigError: A profile is unknown, a meter asks for what its profile lacks, or a round
                cannot fit the period.
        """
        owners, readers = build_readers(config)
        check_periods(config, readers)
        return cls(owners, readers, time, config.agent.read_every_s)

    async def run(self) -> None:
        """Own the buses until cancelled: one task each, which alone touches its port."""
        for budget in self.budget():
            _log.log(logging.WARNING if budget.tight else logging.INFO, "%s", budget)
        async with asyncio.TaskGroup() as group:
            for owner in self._owners:
                group.create_task(owner.run(), name=f"poll[{owner.name}]")

    async def snapshot(self, deadline_s: float, *, boundary: bool = False) -> Snapshot:
        """Read all meters once.

        Args:
            deadline_s: Seconds from now after which meters not yet read count as timed out.
            boundary: The round closes an interval: every meter's identity is checked in it.
        """
        # All times of a round derive from one look at the clocks and the loop's monotonic time:
        # a clock step in the middle cannot put two of its meters into different hours.
        started_ms, up_ms = self._time.now_ms(), self._time.up_ms()
        start_s = asyncio.get_running_loop().time()
        rounds = [owner.round(start_s + deadline_s, boundary=boundary) for owner in self._owners]
        outcomes = [one for several in await asyncio.gather(*rounds) for one in several]
        outcomes.sort(key=lambda outcome: outcome.meter)
        samples = [_sample(outcome, started_ms, start_s) for outcome in outcomes]
        at_ms = min(
            (sample.at_ms for sample in samples if sample.state is MeterState.GOOD),
            default=started_ms,
        )
        # A meter that was given up before the first answer has no time of its own to tell.
        samples = [replace(sample, at_ms=max(at_ms, sample.at_ms)) for sample in samples]
        for outcome, sample in zip(outcomes, samples, strict=True):
            self._note(outcome, sample)
        self._count_overruns(asyncio.get_running_loop().time() - start_s)
        return Snapshot(
            started_ms=started_ms,
            at_ms=at_ms,
            up_ms=up_ms + at_ms - started_ms,
            boundary=boundary,
            samples=tuple(samples),
        )

    @property
    def overruns(self) -> int:
        """How many periods were skipped because the round before them was not over."""
        return self._overruns

    def budget(self) -> tuple[BusBudget, ...]:
        """Say how long a round takes on each bus, by what is known of its meters so far."""
        return budgets(self._readers, self._every_s)

    def notices(self) -> tuple[str, ...]:
        """Say what somebody should look after on the buses, though they may be working now."""
        return tuple(notice for owner in self._owners for notice in owner.notices())

    def identities(self) -> tuple[MeterIdentity, ...]:
        """The meters as known now, in order; changes only while `snapshot` runs."""
        return tuple(reader.identity() for reader in self._readers)

    def health(self) -> tuple[MeterHealth, ...]:
        """The state of each meter since when, in order."""
        return tuple(self._health)

    def _count_overruns(self, took_s: float) -> None:
        """Count the periods that a round took from those behind it; log when that begins."""
        if self._every_s is None:
            return
        skipped = int(took_s // self._every_s)
        self._overruns += skipped
        if skipped and not self._overran:
            _log.warning(
                "a round took %.1f s: readings are further apart than the %g s that are configured",
                took_s,
                self._every_s,
            )
        self._overran = skipped > 0

    def _note(self, outcome: Outcome, sample: MeterSample) -> None:
        """Keep the meter's health, and log a change of state once."""
        before = self._health[outcome.meter]
        good = sample.state is MeterState.GOOD
        changed = before.state is not sample.state
        self._health[outcome.meter] = MeterHealth(
            meter=outcome.meter,
            state=sample.state,
            since_ms=sample.at_ms if changed else before.since_ms,
            message=outcome.message,
            last_good=sample if good else before.last_good,
        )
        if not changed:
            return
        name = self._readers[outcome.meter].meter.name
        if good:
            _log.info("meter %s answers", name, extra={"meter": outcome.meter})
        else:
            _log.warning(
                "meter %s: state %s: %s",
                name,
                sample.state.value,
                outcome.message,
                extra={"meter": outcome.meter},
            )


def _sample(outcome: Outcome, started_ms: int, start_s: float) -> MeterSample:
    at_ms = started_ms + round((outcome.at_s - start_s) * 1000)
    if outcome.decoded is None:
        return MeterSample(meter=outcome.meter, state=outcome.state, at_ms=at_ms)
    return MeterSample(
        meter=outcome.meter,
        state=outcome.state,
        at_ms=at_ms,
        values=outcome.decoded.values,
        raw=outcome.decoded.raw,
        counters=outcome.decoded.counters,
    )
