"""The owner of one bus: the only task that touches its port, one round at a time.

Rounds come through a queue of one place. A meter that stays silent is asked less and less often,
so that it does not eat the time of the others; a meter not reached by the round's deadline counts
as timed out.
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

if TYPE_CHECKING:
    from collections.abc import Sequence

    from meterseal_agent.bus.guard import Guard
    from meterseal_agent.poll.meter import MeterReader
    from meterseal_agent.profiles import Decoded

# A meter is asked in every round until it has been silent this often in a row.
_SILENT_ROUNDS = 3
_PAUSE_FIRST_S = 10.0
_PAUSE_LAST_S = 60.0


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


@dataclass(kw_only=True, slots=True)
class _Silence:
    """How long a meter has been silent, and when it is asked again."""

    rounds: int = 0
    pause_s: float = _PAUSE_FIRST_S
    ask_at_s: float = 0.0
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
        readers: Index of each meter in the configuration, and its reader.
    """

    def __init__(self, name: str, guard: Guard, readers: Sequence[tuple[int, MeterReader]]) -> None:
        self.name = name
        self._guard = guard
        self._readers = tuple(readers)
        self._rounds: asyncio.Queue[_Round] = asyncio.Queue(maxsize=1)
        self._silences = {index: _Silence() for index, _ in self._readers}

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
            deadline_s: Event-loop time after which no more is read.
            boundary: The round closes an interval.
        """
        outcomes: asyncio.Future[tuple[Outcome, ...]] = asyncio.get_running_loop().create_future()
        await self._rounds.put(_Round(boundary=boundary, deadline_s=deadline_s, outcomes=outcomes))
        return await outcomes

    async def _serve(self, order: _Round) -> None:
        try:
            outcomes = [await self._ask(index, reader, order) for index, reader in self._readers]
        except BaseException:
            order.outcomes.cancel()
            raise
        if not order.outcomes.done():
            order.outcomes.set_result(tuple(outcomes))

    async def _ask(self, index: int, reader: MeterReader, order: _Round) -> Outcome:
        loop = asyncio.get_running_loop()
        silence = self._silences[index]
        if silence.rounds >= _SILENT_ROUNDS and loop.time() < silence.ask_at_s:
            return _failed(index, MeterState.TIMEOUT, silence.message)
        try:
            reading = await reader.read(boundary=order.boundary, until_s=order.deadline_s)
        except NoTimeError as error:
            return _failed(index, MeterState.TIMEOUT, f"{reader.meter.where}: {error}")
        except (BusError, MeterError) as error:
            outcome = _failed(index, _state(error), str(error))
            _note(silence, outcome, loop.time())
            return outcome
        self._silences[index] = _Silence()
        return Outcome(
            meter=index, state=MeterState.GOOD, at_s=reading.at_s, decoded=reading.decoded
        )


def _failed(index: int, state: MeterState, message: str) -> Outcome:
    now_s = asyncio.get_running_loop().time()
    return Outcome(meter=index, state=state, at_s=now_s, message=message)


def _note(silence: _Silence, outcome: Outcome, now_s: float) -> None:
    """Count a silent round; a meter that answers wrongly is not silent."""
    if outcome.state is not MeterState.TIMEOUT:
        return
    silence.rounds += 1
    silence.message = outcome.message
    if silence.rounds >= _SILENT_ROUNDS:
        silence.ask_at_s = now_s + silence.pause_s
        silence.pause_s = min(2 * silence.pause_s, _PAUSE_LAST_S)


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
