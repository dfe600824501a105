"""One meter in the round: its identity, its proof, its values; all of them or none.

When something may have harmed its replies (`Guard.doubts` moved), or it is met for the first
time, its values stand for a minute between two proofs: the sentinel before, and after the values
the sentinel again. A reply too many, however late and however well it fits, shifts every later
reply by one, so the closing proof cannot come out right with a shifted value before it. A meter
without a sentinel proves the same by silence: after the values nothing more comes for as long as
the slowest reply may take.

A reply too many and a reply lost in the same go cancel out, and the closing proof comes out right.
So where the sentinel's reply has the form of a value's, or there is none, the go in doubt begins
with a canary: a request whose reply can pass for no other (`canary.py`). The same goes before a
meter introduces itself; and what it said counts only when its first go is over.

In quiet times the sentinel is read at least once a minute and in the round that closes an interval.

The requests are planned for how long the meter really takes to answer, once that is known, and
without holes for a meter that refuses registers which nobody wants.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from meterseal.records import MeterIdentity
from meterseal_agent.bus.plan import Cost
from meterseal_agent.errors import MeterError, MeterExchangedError, NoTimeError, WrongReplyError
from meterseal_agent.poll.budget import MeterBudget
from meterseal_agent.poll.canary import canary, form
from meterseal_agent.poll.identify import register_layout, sentinel_request
from meterseal_agent.poll.introduction import Introduction

if TYPE_CHECKING:
    from meterseal_agent.bus.frame import Request
    from meterseal_agent.bus.guard import Guard, Reply
    from meterseal_agent.bus.plan import Limits
    from meterseal_agent.bus.settings import Line
    from meterseal_agent.config import MeterConfig
    from meterseal_agent.poll.known import Known, Sentinel
    from meterseal_agent.profiles import Decoded, Profile
    from meterseal_agent.profiles.layout import Layout

_log = logging.getLogger(__name__)

_PROOF_EVERY_S = 60.0
# How long after a doubt a reply may still come that belongs to a request from before it.
_BRACKET_S = 60.0
# "I do not have all of these": illegal data address, or value (Application Protocol 1.1b3, 7).
_HOLE_CODES = frozenset({2, 3})
# A plan is made anew when the turnaround differs by more than both, and kept if that saves 2 %.
_TURNAROUND_OFF_S = 0.005
_TURNAROUND_OFF = 0.5
_WORTH_IT = 0.98
_NEVER_S = float("inf")
# A meter that refuses the canary so often in a row does not give half of what it has.
_REFUSALS_MAX = 3


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
        self._introduction = Introduction(meter, profile, guard)
        self._limits: Limits | None = None
        self._planned_for_s = 0.0
        self._known: Known | None = None
        self._proved = False  # the known identity has seen a whole go
        self._refusals = 0  # of the canary, in a row
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

    @property
    def line(self) -> Line:
        """The line that the meter is on."""
        return self._guard.line

    def budget(self, line: Line | None = None) -> MeterBudget:
        """Say how long a go takes, by what is known of the meter so far.

        Args:
            line: A line that it might be on instead.
        """
        turnaround_s = self._guard.turnaround_s(self.meter.address) or 0.0
        cost = Cost.of(line or self.line, self._profile.pace, turnaround_s)
        if self._known is not None:
            layout: Layout | None = self._known.layout
            proof = self._known.sentinel.request if self._known.sentinel else None
        else:
            sunspec = self._profile.sunspec
            layout = None if sunspec else register_layout(self.meter, self._profile).planned(cost)
            proof = sentinel_request(self.meter, self._profile)
        requests = () if layout is None else layout.requests
        return MeterBudget(
            meter=self.meter.name,
            requests=len(requests),
            registers=sum(request.count for request in requests),
            values_s=cost.total_s(requests),
            proof_s=0.0 if proof is None else cost.total_s([proof]),
            turnaround_s=turnaround_s,
        )

    async def read(self, *, boundary: bool, until_s: float = _NEVER_S) -> Reading:
        """Read all values in one go.

        Args:
            boundary: The round closes an interval: prove the identity in it.
            until_s: Event-loop time at which the round ends.

        Raises:
            NoTimeError: The round ended before the go was complete.
            BusError: The line failed; nothing of this go may be used.
            MeterError: The meter refused, or is not as its map says.
            MeterExchangedError: Another meter answers; from the next go on it is the known one.
        """
        try:
            reading = await self._go(until_s, boundary=boundary)
        except NoTimeError:
            raise
        except BaseException:
            if not self._proved:
                self._known = None
            raise
        self._proved = True
        return reading

    async def _go(self, until_s: float, *, boundary: bool) -> Reading:
        known = await self._get_to_know(until_s)
        bracket = self._in_doubt() or not self._proved
        if bracket:
            await self._flush(known.layout, known.sentinel, until_s)
        if bracket or boundary or self._proof_due():
            await self._prove(known, until_s)
        replies = await self._values(known, until_s)
        if bracket:
            await self._prove_behind(known, until_s)
        decoded = known.layout.decode([reply.words for reply in replies])
        self._guard.succeeded()
        self._accept(known)
        return Reading(decoded=decoded, at_s=replies[known.layout.stamp].at_s)

    async def _get_to_know(self, until_s: float) -> Known:
        turnaround_s = self._guard.turnaround_s(self.meter.address) or 0.0
        if self._known is None:
            self._proved = False
            if not self._profile.sunspec:
                layout = register_layout(self.meter, self._profile)
                await self._flush(layout.planned(self._cost(turnaround_s)), None, until_s)
            known = await self._introduction.go_on(until_s)
            layout = known.layout.planned(self._cost(turnaround_s), self._limits)
            self._planned_for_s = turnaround_s
            self._known = replace(known, layout=layout)
        elif self._planned_wrong(turnaround_s):
            self._known = replace(self._known, layout=self._replanned(self._known, turnaround_s))
        return self._known

    def _planned_wrong(self, turnaround_s: float) -> bool:
        off_s = abs(turnaround_s - self._planned_for_s)
        return off_s > max(_TURNAROUND_OFF_S, _TURNAROUND_OFF * self._planned_for_s)

    def _replanned(self, known: Known, turnaround_s: float) -> Layout:
        """Plan for the turnaround that was learned; keep the old plan if that saves nothing."""
        self._planned_for_s = turnaround_s
        cost = self._cost(turnaround_s)
        layout = known.layout.planned(cost)
        saves = cost.total_s(layout.requests) < _WORTH_IT * cost.total_s(known.layout.requests)
        return layout if saves else known.layout

    def _cost(self, turnaround_s: float) -> Cost:
        return Cost.of(self.line, self._profile.pace, turnaround_s)

    async def _values(self, known: Known, until_s: float) -> list[Reply]:
        try:
            return [await self._reply(request, until_s) for request in known.layout.requests]
        except MeterError as error:
            if error.code in _HOLE_CODES:
                self._avoid_holes(known)
            raise

    def _avoid_holes(self, known: Known) -> None:
        """Plan without registers that nobody wants, if there are such in the plan, and stay so."""
        limits = replace(known.layout.limits, gap_max=0)
        layout = known.layout.planned(self._cost(self._planned_for_s), limits)
        if layout.requests == known.layout.requests:
            return
        self._limits = limits
        self._known = replace(known, layout=layout)
        _log.warning(
            "meter %s refuses registers that nobody wants: read around them from now on, in %d "
            "requests instead of %d",
            self.meter.name,
            len(layout.requests),
            len(known.layout.requests),
        )

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

    async def _flush(self, layout: Layout, sentinel: Sentinel | None, until_s: float) -> None:
        """Make sure that no reply from before is still to come."""
        if sentinel is not None and form(sentinel.request) not in map(form, layout.requests):
            return  # it is a canary itself
        request = canary(layout, self._profile)
        if request is None or self._refusals >= _REFUSALS_MAX:
            return
        try:
            await self._reply(request, until_s)
        except MeterError:
            self._refusals += 1
            raise
        self._refusals = 0

    async def _prove(self, known: Known, until_s: float) -> None:
        """Read the sentinel and hold it against what it was."""
        if known.sentinel is None:
            return
        words = (await self._reply(known.sentinel.request, until_s)).words
        if words != known.sentinel.words:
            self._known = None
            self._guard.doubt(None)
            raise WrongReplyError(
                f"{self.meter.where}: expected the identity {known.sentinel.words.hex(' ', 2)} "
                f"({known.sentinel.request}), got {words.hex(' ', 2)}. A late reply passed for "
                "another, or the meter was exchanged: it is identified anew."
            )
        self._proved_at_s = asyncio.get_running_loop().time()

    async def _prove_behind(self, known: Known, until_s: float) -> None:
        """Prove after the values that none of the replies belonged to an earlier request."""
        if known.sentinel is None:
            await self._guard.quiet(until_s)
        else:
            await self._prove(known, until_s)

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

    async def _reply(self, request: Request, until_s: float) -> Reply:
        return await self._guard.read(request, self._profile.pace, until_s)
