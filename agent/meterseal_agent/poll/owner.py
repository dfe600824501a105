"""The owner of one bus: the only task that touches its port, one round at a time.

Rounds come through a queue of one place. The meters that a round did not reach go first in the
next; a resting one (`quarantine.py`) is probed last. A meter that is not asked, or not reached by
the round's deadline, counts as timed out.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING

from meterseal.records import MeterState
from meterseal_agent.bus.frame import GATEWAY_EXCEPTIONS
from meterseal_agent.errors import (
    BusError,
    MeterError,
    MeterExchangedError,
    MissingReplyError,
    NoTimeError,
    PortError,
)
from meterseal_agent.poll.quarantine import Quarantine

if TYPE_CHECKING:
    from collections.abc import Sequence

    from meterseal_agent.bus.guard import Guard
    from meterseal_agent.poll.meter import MeterReader
    from meterseal_agent.profiles import Decoded

# A meter is slow by its own fault when it takes so many times what its requests need on the line.
_SLOW = 3.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """What one meter gave in one round.

    Attributes:
        at_s: Event-loop time of the values' arrival, or of giving up.
        decoded: The values; None unless the state is good.
    """

    meter: int
    state: MeterState
    at_s: float
    decoded: Decoded | None = None
    message: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Round:
    boundary: bool
    deadline_s: float
    outcomes: asyncio.Future[tuple[Outcome, ...]]


class BusOwner:
    """Owns one guard and its meters.

    Args:
        name: The bus, as the configuration calls it.
        guard: Its line.
        readers: Index of each meter in the configuration, and its reader.
        every_s: The period of the rounds, in seconds; None where they follow one another.
    """

    def __init__(
        self,
        name: str,
        guard: Guard,
        readers: Sequence[tuple[int, MeterReader]],
        every_s: float | None = None,
    ) -> None:
        self.name = name
        self._guard = guard
        self._readers = dict(readers)
        self._every_s = every_s
        self._rounds: asyncio.Queue[_Round] = asyncio.Queue(maxsize=1)
        self._quarantine = Quarantine(self._readers)
        self._unreached: tuple[int, ...] = ()

    def notices(self) -> tuple[str, ...]:
        """Say what somebody should look after on this bus, though it may be working now."""
        return self._guard.notices()

    async def run(self) -> None:
        """Serve rounds until cancelled, then close the port."""
        try:
            while True:
                await self._serve(await self._rounds.get())
        finally:
            self._guard.close()

    async def round(self, deadline_s: float, *, boundary: bool) -> tuple[Outcome, ...]:
        """Have every meter of the bus read once.

        Args:
            deadline_s: Event-loop time after which no more is asked.
            boundary: The round closes an interval.
        """
        outcomes: asyncio.Future[tuple[Outcome, ...]] = asyncio.get_running_loop().create_future()
        await self._rounds.put(_Round(boundary=boundary, deadline_s=deadline_s, outcomes=outcomes))
        return await outcomes

    async def _serve(self, order: _Round) -> None:
        try:
            outcomes = await self._go_round(order)
        except BaseException:
            order.outcomes.cancel()
            raise
        if not order.outcomes.done():
            order.outcomes.set_result(outcomes)

    async def _go_round(self, order: _Round) -> tuple[Outcome, ...]:
        begun_s = asyncio.get_running_loop().time()
        asked = self._order(begun_s)
        outcomes = [
            _failed(index, MeterState.TIMEOUT, self._quarantine.message(index))
            for index in self._readers
            if index not in asked
        ]
        unreached = []
        for index in asked:
            begun_one_s = asyncio.get_running_loop().time()
            try:
                outcomes.append(await self._ask(index, order))
            except NoTimeError as error:
                unreached.append(index)
                message = f"{self._readers[index].meter.where}: {error}"
                outcomes.append(_failed(index, MeterState.TIMEOUT, message))
            took_s = asyncio.get_running_loop().time() - begun_one_s
            self._judge(outcomes[-1], took_s, reached=index not in unreached)
        self._unreached = tuple(unreached)
        self._judge_slow(asked, begun_s)
        return tuple(outcomes)

    def _order(self, now_s: float) -> tuple[int, ...]:
        """Choose whom to ask: those left out last time first, one that rests last."""
        fit = [index for index in self._readers if not self._quarantine.rests(index)]
        fit.sort(key=lambda index: index not in self._unreached)
        probe = self._quarantine.probe(now_s)
        return tuple(fit) if probe is None else (*fit, probe)

    async def _ask(self, index: int, order: _Round) -> Outcome:
        reader = self._readers[index]
        try:
            reading = await reader.read(boundary=order.boundary, until_s=order.deadline_s)
        except NoTimeError:
            raise
        except (BusError, MeterError) as error:
            return _failed(index, _state(error), str(error))
        return Outcome(
            meter=index, state=MeterState.GOOD, at_s=reading.at_s, decoded=reading.decoded
        )

    def _judge(self, outcome: Outcome, took_s: float, *, reached: bool) -> None:
        """Count a silent meter's rounds; one that answers wrongly is neither silent nor well."""
        if outcome.state in (MeterState.GOOD, MeterState.EXCHANGED):
            self._quarantine.well(outcome.meter)
        if outcome.state is not MeterState.TIMEOUT or not reached:
            return
        # The silence that follows a missing reply keeps the others waiting, too.
        cost_s = took_s + self._guard.quiet_s
        now_s = asyncio.get_running_loop().time()
        self._quarantine.silent(outcome.meter, outcome.message, now_s, cost_s)

    def _judge_slow(self, asked: Sequence[int], begun_s: float) -> None:
        """Let those rest whose replies take so long that the rounds do not fit their period."""
        now_s = asyncio.get_running_loop().time()
        if self._every_s is None or now_s - begun_s <= self._every_s:
            return
        share_s = self._every_s / len(self._readers)
        for index in asked:
            # By what was learned of its replies: the time that a go took may be another's fault.
            budget = self._readers[index].budget()
            if budget.values_s > max(share_s, _SLOW * budget.prompt_s):
                message = (
                    f"{self._readers[index].meter.where}: expected its values within about "
                    f"{budget.prompt_s:.1f} s, it takes {budget.values_s:.1f} s: the rounds no "
                    f"longer fit {self._every_s:g} s, so it is read less often than the others"
                )
                self._quarantine.slow(index, message, now_s, budget.values_s + 2 * budget.proof_s)


def _failed(index: int, state: MeterState, message: str) -> Outcome:
    now_s = asyncio.get_running_loop().time()
    return Outcome(meter=index, state=state, at_s=now_s, message=message)


def _state(error: BusError | MeterError) -> MeterState:
    """Translate an error to OCMF's meter state."""
    match error:
        case PortError():
            return MeterState.DISCONNECTED
        case MissingReplyError():
            return MeterState.TIMEOUT
        case MeterExchangedError():
            return MeterState.EXCHANGED
        case MeterError(code=code) if code in GATEWAY_EXCEPTIONS:
            return MeterState.TIMEOUT
        case _:
            return MeterState.READ_ERROR
