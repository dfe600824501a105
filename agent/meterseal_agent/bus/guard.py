"""The guard of one line: what a signature will later vouch for passes here first.

- One request is outstanding at a time, and t3.5 or the meter's own longer silence lies before it.
- A reply counts only if `frame.py` finds it right byte for byte, in time.
- After any doubt the line is left silent for longer than the slowest reply that may still come,
  and what came meanwhile is thrown away. Bytes that arrive in the silence start it again.
- Each doubt is counted against the unit it may harm: a late reply can only pass for one of the
  same unit; what nobody asked for may harm any. Who reads a unit compares `doubts(unit)` and,
  when it moved, asks for proof of identity before and after the values (`poll/meter.py`).
- A request is begun only while the round has time for it. What is begun is waited for, so that
  the end of a round never leaves a reply on its way, and with it a doubt.
- A port that is gone is opened again with back-off; until then every read fails at once.

No check of the content here: whether a value makes sense is the profile's business.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING

from meterseal_agent.bus.frame import GATEWAY_EXCEPTIONS
from meterseal_agent.bus.latency import Latency
from meterseal_agent.bus.plan import REPLY_BYTES, REQUEST_BYTES
from meterseal_agent.bus.strangers import Strangers
from meterseal_agent.errors import (
    MeterError,
    MissingReplyError,
    NoTimeError,
    PortError,
    WrongReplyError,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from meterseal_agent.bus.frame import Request
    from meterseal_agent.bus.port import Port
    from meterseal_agent.bus.settings import Line, Pace

# After so many broken silences in a row the line is said never to fall silent.
_SILENCES_MAX = 4
# The silence after a doubt is longer than the longest wait for a reply by this factor.
_QUIET = 1.5
# Exceptions that say "later": a reply may still come on its own (Application Protocol 1.1b3, 7).
_LATER_EXCEPTIONS = frozenset({5, 6}) | GATEWAY_EXCEPTIONS
_BACKOFF_FIRST_S = 1.0
_BACKOFF_LAST_S = 60.0
_NEVER_S = float("inf")


@dataclass(frozen=True, kw_only=True, slots=True)
class Reply:
    """Register words in wire order, and the event-loop time of their last byte."""

    words: bytes
    at_s: float


class Guard:
    """Owns one port; used by one task.

    Args:
        port: The connection; closed at first.
        line: Its settings.
        slowest_s: Longest timeout of any meter on this line, in seconds.
        jitter: A random number from 0 to 1 for the back-off.
    """

    def __init__(
        self, port: Port, line: Line, *, slowest_s: float, jitter: Callable[[], float]
    ) -> None:
        self.line = line
        self._port = port
        self._least_quiet_s = max(line.quiet_s, _QUIET * slowest_s)
        self._jitter = jitter
        self._open = False
        self._unsettled = True
        self._quiet_since_s = 0.0
        self._broken_silences = 0
        self._doubts_of_all = 0
        self._doubts: dict[int, int] = {}
        self._latencies: dict[int, Latency] = {}
        self._strangers = Strangers(line)
        self._backoff_s = _BACKOFF_FIRST_S
        self._retry_at_s = 0.0
        self._lost: PortError | None = None

    @property
    def quiet_s(self) -> float:
        """How long the line is left silent after a doubt, in seconds."""
        slowest_s = max((one.timeout_s for one in self._latencies.values()), default=0.0)
        return max(self._least_quiet_s, _QUIET * slowest_s)

    def doubts(self, unit: int) -> int:
        """Count what has happened so far that may have harmed replies of this unit."""
        return self._doubts_of_all + self._doubts.get(unit, 0)

    def doubt(self, unit: int | None) -> None:
        """Note that replies of a unit, or of all, cannot be believed until it is proved again."""
        self._unsettled = True
        self._quiet_since_s = asyncio.get_running_loop().time()
        if unit is None:
            self._doubts_of_all += 1
        else:
            self._doubts[unit] = self._doubts.get(unit, 0) + 1

    def turnaround_s(self, unit: int) -> float | None:
        """Tell how long a unit usually takes to begin its reply; None while that is not known."""
        latency = self._latencies.get(unit)
        usual_s = None if latency is None else latency.usual_s
        return None if usual_s is None else max(0.0, usual_s - self.line.silence_s)

    def notices(self) -> tuple[str, ...]:
        """Say what somebody should look after on this line, though it may be working now."""
        now_s = asyncio.get_running_loop().time()
        texts = (self._port.warning if self._open else "", self._strangers.notice(now_s))
        return tuple(text for text in texts if text)

    def close(self) -> None:
        """Close the port."""
        self._port.close()
        self._open = False

    async def read(self, request: Request, pace: Pace, until_s: float = _NEVER_S) -> Reply:
        """Send one request when the line is fit for it, and return its believable reply.

        Args:
            request: What to ask.
            pace: What the meter needs.
            until_s: Event-loop time at which the round ends: nothing is begun that cannot be
                expected to be over by then.

        Raises:
            NoTimeError: The round has no time left; nothing was sent.
            BusError: No such reply; the line is in doubt from here on.
            MeterError: The meter refused.
        """
        await self._ensure_open(until_s)
        if self._unsettled:
            await self._settle(until_s)
        silent_until_s = self._port.last_byte_s + max(self.line.silence_s, pace.silence_s)
        latency = self._latency(request.unit, pace)
        self._check_time(request, silent_until_s, until_s, latency.usual_s or 0.0)
        # No second look: a byte that comes during this sleep was asked for by nobody, and we refuse
        # to go on.
        await _sleep_until(silent_until_s)
        if self._port.received:
            self._fail_on_strangers(f"before {request}")
        return await self._exchange(request, latency)

    async def quiet(self, until_s: float = _NEVER_S) -> None:
        """Wait out the slowest reply that may still come, and fail if anything comes.

        Raises:
            NoTimeError: The round has no time left for it.
            WrongReplyError: Something came: an earlier reply may have been somebody else's.
        """
        ends_s = asyncio.get_running_loop().time() + self.quiet_s
        if ends_s > until_s:
            raise NoTimeError(
                f"{self.line.label}: expected {self.quiet_s:g} s of silence behind the values, "
                "got no time left in this round"
            )
        await _sleep_until(ends_s)
        if self._port.received:
            self._fail_on_strangers("after a sample, which cannot be believed")

    async def _exchange(self, request: Request, latency: Latency) -> Reply:
        begun_s = asyncio.get_running_loop().time()
        wire_s = self._wire_s(request)
        patience_s = latency.timeout_s + wire_s + self.line.silence_s
        try:
            words = await self._port.exchange(request, patience_s)
        except MeterError as error:
            if error.code in _LATER_EXCEPTIONS:
                self._owe(request, begun_s)
            raise
        except MissingReplyError:
            self._owe(request, begun_s)
            raise
        except WrongReplyError:
            self._strangers.owes(request, begun_s)
            self.doubt(None)
            raise
        except PortError as error:
            self.doubt(None)
            self._fail(error)
            raise
        except BaseException:
            # Cancelled: the request is out and its reply may come at any time.
            self._owe(request, begun_s)
            raise
        latency.note(self._port.last_byte_s - begun_s - wire_s)
        return Reply(words=words, at_s=self._port.last_byte_s)

    def _owe(self, request: Request, begun_s: float) -> None:
        """Note that a unit may still answer."""
        self._strangers.owes(request, begun_s)
        self.doubt(request.unit)

    def _wire_s(self, request: Request) -> float:
        return (REQUEST_BYTES + REPLY_BYTES + 2 * request.count) * self.line.char_s

    def _latency(self, unit: int, pace: Pace) -> Latency:
        if unit not in self._latencies:
            self._latencies[unit] = Latency(
                least_s=pace.timeout_s or self.line.timeout_s,
                start_s=max(self.line.timeout_s, pace.timeout_s),
            )
        return self._latencies[unit]

    def _check_time(
        self, request: Request, begins_s: float, until_s: float, usual_s: float
    ) -> None:
        begins_s = max(begins_s, asyncio.get_running_loop().time())
        if begins_s + self._wire_s(request) + usual_s > until_s:
            raise NoTimeError(f"{request}: expected a reply within the round, got no time left")

    def _fail_on_strangers(self, when: str) -> None:
        """Refuse what nobody asked for, and everything that it may have harmed."""
        self._overhear()
        self.doubt(None)
        raise WrongReplyError(
            f"{self.line.label}: expected silence {when}, got bytes that nobody asked for. "
            f"{self._strangers.guess}"
        )

    def _overhear(self) -> None:
        """Take what was heard for what it is, and learn from a reply that came late."""
        last_byte_s = self._port.last_byte_s
        for request, begun_s in self._strangers.hear(self._port.heard, last_byte_s):
            latency = self._latencies.get(request.unit)
            if latency is not None:
                latency.note(last_byte_s - begun_s - self._wire_s(request))
        self._port.reset()

    async def _settle(self, until_s: float) -> None:
        """Wait until the line has been silent for longer than any reply may take.

        The silence counts from the doubt on, also between two rounds: nobody speaks then. What
        comes is kept until it is whole, so that it can be named.
        """
        while True:
            silent_since_s = self._quiet_since_s
            if self._port.received:
                silent_since_s = max(silent_since_s, self._port.last_byte_s)
            ends_s = silent_since_s + self.quiet_s
            if ends_s > until_s:
                raise NoTimeError(
                    f"{self.line.label}: expected {self.quiet_s:g} s of silence after a doubt, "
                    "got no time left in this round"
                )
            await _sleep_until(ends_s)
            if not self._port.received or self._port.last_byte_s <= silent_since_s:
                break
            self._broken_silences += 1
            if self._broken_silences >= _SILENCES_MAX:
                self._overhear()
                raise WrongReplyError(
                    f"{self.line.label}: expected {self.quiet_s:g} s of silence, got bytes in each "
                    f"of {self._broken_silences} tries. {self._strangers.guess}"
                )
        if self._port.received:
            self._overhear()
        self._port.reset()
        self._unsettled = False
        self._broken_silences = 0

    async def _ensure_open(self, until_s: float) -> None:
        if self._open and self._port.alive:
            return
        # A device may close a connection that is idle: that is opened again without complaint.
        now_s = asyncio.get_running_loop().time()
        if self._lost is not None and now_s < self._retry_at_s:
            raise self._lost
        try:
            # Nothing is asked yet: to be cut short here leaves nothing on its way.
            async with asyncio.timeout_at(None if until_s == _NEVER_S else until_s):
                await self._port.open()
        except TimeoutError as error:
            raise NoTimeError(
                f"{self.line.label}: expected it to open within the round, got no time left"
            ) from error
        except PortError as error:
            self._fail(error)
            raise
        self._open = True
        self._broken_silences = 0
        # Whoever held the line before us may have left a question open.
        self.doubt(None)

    def _fail(self, error: PortError) -> None:
        """Close at once, so that a new adapter can take the old one's name, and back off."""
        self.close()
        loop = asyncio.get_running_loop()
        self._retry_at_s = loop.time() + self._backoff_s * (0.5 + self._jitter() / 2)
        self._backoff_s = min(self._backoff_s * 2, _BACKOFF_LAST_S)
        self._lost = error

    def succeeded(self) -> None:
        """Note that a whole sample came through: the next loss backs off from the first step."""
        self._backoff_s = _BACKOFF_FIRST_S


async def _sleep_until(when_s: float) -> None:
    await asyncio.sleep(max(0.0, when_s - asyncio.get_running_loop().time()))
