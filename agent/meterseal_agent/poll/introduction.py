"""Getting to know a meter, over as many rounds as it takes.

A round may end before a meter has said all there is to say of itself, and a bus with many meters
or a slow line may never have a round that is long enough. What it has said is therefore kept: the
questions begin again from the first, but those already answered are not sent twice.

What was said counts only while nothing may have harmed it: at any doubt about the meter's replies,
and at any error, it is forgotten and asked anew. The end of a round is no doubt (`Guard.read`).
"I do not have that" counts if it is said twice: a refusal that came late, or to another request,
would otherwise pass for how the meter is set up.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from meterseal_agent.errors import MeterError, NoTimeError, WrongReplyError
from meterseal_agent.poll.identify import identify

if TYPE_CHECKING:
    from meterseal_agent.bus.frame import Request
    from meterseal_agent.bus.guard import Guard
    from meterseal_agent.config import MeterConfig
    from meterseal_agent.poll.known import Known
    from meterseal_agent.profiles import Profile

# Bounded: a SunSpec walk is the longest, with two registers for each of its models.
_ANSWERS_MAX = 512


class Introduction:
    """What one meter has said of itself so far. Owned by the meter's reader."""

    def __init__(self, meter: MeterConfig, profile: Profile, guard: Guard) -> None:
        self._meter = meter
        self._profile = profile
        self._guard = guard
        self._answers: dict[Request, bytes | MeterError] = {}
        self._doubts = 0

    async def go_on(self, until_s: float) -> Known:
        """Ask what is not known yet.

        Args:
            until_s: Event-loop time at which the round ends.

        Raises:
            NoTimeError: There is more to ask in the next round.
            BusError: The line failed.
            MeterError: As `identify`.
        """
        doubts = self._guard.doubts(self._meter.address)
        if doubts != self._doubts:
            self._doubts = doubts
            self._answers.clear()

        async def read(request: Request) -> bytes:
            return await self._answer(request, until_s)

        try:
            known = await identify(read, self._meter, self._profile)
        except NoTimeError:
            raise
        except BaseException:
            self._answers.clear()
            raise
        self._answers.clear()
        return known

    async def _answer(self, request: Request, until_s: float) -> bytes:
        answer = self._answers.get(request)
        if answer is None:
            answer = await self._ask(request, until_s)
            if isinstance(answer, MeterError):
                self._check_same(request, answer, await self._ask(request, until_s))
            if len(self._answers) < _ANSWERS_MAX:
                self._answers[request] = answer
        if isinstance(answer, MeterError):
            raise answer
        return answer

    async def _ask(self, request: Request, until_s: float) -> bytes | MeterError:
        try:
            return (await self._guard.read(request, self._profile.pace, until_s)).words
        except MeterError as error:
            return error

    def _check_same(self, request: Request, refused: MeterError, again: bytes | MeterError) -> None:
        if isinstance(again, MeterError) and again.code == refused.code:
            return
        self._guard.doubt(None)
        raise WrongReplyError(
            f"{request}: expected the same answer twice, got exception {refused.code} and then "
            "something else: a reply too many is on its way, or the meter is restarting"
        ) from refused
