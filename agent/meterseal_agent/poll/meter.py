"""One meter in the round: its identity, its proof, its values; all of them or none.

When something may have harmed its replies (`Guard.doubts` moved), or it is met for the first
time, its values stand for a minute between two proofs: the sentinel before, and after the values
the sentinel again. A reply too many, however late and however well it fits, shifts every later
reply by one, so the closing proof cannot come out right with a shifted value before it. A meter
without a sentinel proves the same by silence: after the values nothing more comes for as long as
the slowest reply may take.

In quiet times the sentinel is read at least once a minute and in the round that closes an interval.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING

from meterseal.records import MeterIdentity
from meterseal_agent.errors import MeterExchangedError, WrongReplyError
from meterseal_agent.poll.identify import Known, identify

if TYPE_CHECKING:
    from meterseal_agent.bus.frame import Request
    from meterseal_agent.bus.guard import Guard, Reply
    from meterseal_agent.config import MeterConfig
    from meterseal_agent.profiles import Decoded, Profile

_PROOF_EVERY_S = 60.0
# How long after a doubt a reply may still come that belongs to a request from before it.
_BRACKET_S = 60.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Reading:
    """Values of one go, and the event-loop time at which the billing counters arrived."""

    decoded: Decoded
    at_s: float


class MeterReader:
    """Reads one meter; used by the owner task of its bus."""

    def __init__(self, meter: MeterConfig, profile: Profile, guard: Guard) -> None:
        self.meter = meter
        self._profile = profile
        self._guard = guard
        self._known: Known | None = None
        self._accepted: Known | None = None
        self._seen_doubts = -1
        self._bracket_until_s = 0.0
        self._proved_at_s = 0.0

    def identity(self) -> MeterIdentity:
        """Say who the meter is, as far as it has told."""
        known = self._accepted
        return MeterIdentity(
            make=known.make if known else self._profile.make,
            model=known.model if known else self._profile.model,
            serial=known.serial if known else self.meter.serial or "",
            firmware=known.firmware if known else "",
            profile=self._profile.name,
            profile_hash=self._profile.hash,
            bus=self.meter.bus,
            address=self.meter.address,
        )

    async def read(self, *, boundary: bool) -> Reading:
        """Read all values in one go.

        Args:
            boundary: The round closes an interval: prove the identity in it.

        Raises:
            BusError: The line failed; nothing of this go may be used.
            MeterError: The meter refused, or is not as its map says.
            MeterExchangedError: Another meter answers; from the next go on it is the known one.
        """
        known = self._known or await identify(self._words, self.meter, self._profile)
        self._known = known
        bracket = self._in_doubt()
        if bracket or boundary or self._proof_due():
            await self._prove(known)
        replies = [await self._reply(request) for request in known.layout.requests]
        if bracket:
            await self._prove_behind(known)
        decoded = known.layout.decode([reply.words for reply in replies])
        self._guard.succeeded()
        self._accept(known)
        return Reading(decoded=decoded, at_s=replies[known.layout.stamp].at_s)

    def _in_doubt(self) -> bool:
        """Tell whether a reply from before the last doubt may still come."""
        now_s = asyncio.get_running_loop().time()
        doubts = self._guard.doubts(self.meter.address)
        if doubts != self._seen_doubts:
            self._seen_doubts = doubts
            self._bracket_until_s = now_s + _BRACKET_S
        return now_s < self._bracket_until_s

    def _proof_due(self) -> bool:
        return asyncio.get_running_loop().time() >= self._proved_at_s + _PROOF_EVERY_S

    async def _prove(self, known: Known) -> None:
        """Read the sentinel and hold it against what it was."""
        if known.sentinel is None:
            return
        words = await self._words(known.sentinel.request)
        if words != known.sentinel.words:
            self._known = None
            self._guard.doubt(None)
            raise WrongReplyError(
                f"{self.meter.where}: expected the identity {known.sentinel.words.hex(' ', 2)} "
                f"({known.sentinel.request}), got {words.hex(' ', 2)}. A late reply passed for "
                "another, or the meter was exchanged: it is identified anew."
            )
        self._proved_at_s = asyncio.get_running_loop().time()

    async def _prove_behind(self, known: Known) -> None:
        """Prove after the values that none of the replies belonged to an earlier request."""
        if known.sentinel is None:
            await self._guard.quiet()
        else:
            await self._prove(known)

    def _accept(self, known: Known) -> None:
        """Make a proved identity the meter's, and say so when it is another one.

        Raises:
            MeterExchangedError: It is; the values of this go are dropped with it.
        """
        before, self._accepted = self._accepted, known
        if before is not None and before.serial != known.serial:
            raise MeterExchangedError(
                f'{self.meter.where}: expected serial number "{before.serial}", got '
                f'"{known.serial}": the meter was exchanged. The record goes on with the new one.'
            )

    async def _words(self, request: Request) -> bytes:
        return (await self._reply(request)).words

    async def _reply(self, request: Request) -> Reply:
        return await self._guard.read(request, self._profile.pace)
