"""The guard of one line: what a signature will later vouch for passes here first.

- One request is outstanding at a time, and t3.5 or the meter's own longer silence lies before it.
- A reply counts only if `frame.py` finds it right byte for byte, in time.
- After any doubt the line is left silent for longer than the slowest reply that may still come,
  and what came meanwhile is thrown away. Bytes that arrive in the silence start it again.
- Each doubt is counted against the unit it may harm: a late reply can only pass for one of the
  same unit; what nobody asked for may harm any. Who reads a unit compares `doubts(unit)` and,
  when it moved, asks for proof of identity before and after the values (`poll/meter.py`).
- A port that is gone is opened again with back-off; until then every read fails at once.

No check of the content here: whether a value makes sense is the profile's business.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING

from meterseal_agent.bus.frame import GATEWAY_EXCEPTIONS
from meterseal_agent.errors import MeterError, MissingReplyError, PortError, WrongReplyError

if TYPE_CHECKING:
    from collections.abc import Callable

    from meterseal_agent.bus.frame import Request
    from meterseal_agent.bus.port import Port
    from meterseal_agent.bus.settings import Line, Pace

# Bytes of an RTU request, and of a reply without its register words (Serial Line 1.02, 2.5.1).
_REQUEST_BYTES = 8
_REPLY_BYTES = 5
# After so many broken silences the line is said to have another master.
_SILENCES_MAX = 4
# Exceptions that say "later": a reply may still come on its own (Application Protocol 1.1b3, 7).
_LATER_EXCEPTIONS = frozenset({5, 6}) | GATEWAY_EXCEPTIONS
_BACKOFF_FIRST_S = 1.0
_BACKOFF_LAST_S = 60.0


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
        self._port = port
        self._line = line
        self._quiet_s = max(line.quiet_s, 1.5 * slowest_s)
        self._jitter = jitter
        self._open = False
        self._unsettled = True
        self._doubts_of_all = 0
        self._doubts: dict[int, int] = {}
        self._backoff_s = _BACKOFF_FIRST_S
        self._retry_at_s = 0.0
        self._lost: PortError | None = None

    def doubts(self, unit: int) -> int:
        """Count what has happened so far that may have harmed replies of this unit."""
        return self._doubts_of_all + self._doubts.get(unit, 0)

    def doubt(self, unit: int | None) -> None:
        """Note that replies of a unit, or of all, cannot be believed until it is proved again."""
        self._unsettled = True
        if unit is None:
            self._doubts_of_all += 1
        else:
            self._doubts[unit] = self._doubts.get(unit, 0) + 1

    def close(self) -> None:
        """Close the port."""
        self._port.close()
        self._open = False

    async def read(self, request: Request, pace: Pace) -> Reply:
        """Send one request when the line is fit for it, and return its believable reply.

        Raises:
            BusError: No such reply; the line is in doubt from here on.
            MeterError: The meter refused.
        """
        await self._ensure_open()
        if self._unsettled:
            await self._settle()
        await self._keep_silence(max(self._line.silence_s, pace.silence_s))
        if self._port.received:
            self.doubt(None)
            raise WrongReplyError(
                f"{self._line.label}: expected silence before {request}, got bytes that nobody "
                "asked for. Is there another master on this line, or noise without termination?"
            )
        return await self._exchange(request, self._timeout_s(request, pace))

    async def quiet(self) -> None:
        """Wait out the slowest reply that may still come, and fail if anything comes.

        Raises:
            WrongReplyError: Something came: an earlier reply may have been somebody else's.
        """
        await asyncio.sleep(self._quiet_s)
        if self._port.received:
            self.doubt(None)
            raise WrongReplyError(
                f"{self._line.label}: expected silence after a sample, got bytes: "
                "a reply too many is on its way, the sample cannot be believed"
            )

    async def _exchange(self, request: Request, timeout_s: float) -> Reply:
        try:
            words = await self._port.exchange(request, timeout_s)
        except MeterError as error:
            if error.code in _LATER_EXCEPTIONS:
                self.doubt(request.unit)
            raise
        except MissingReplyError:
            self.doubt(request.unit)
            raise
        except WrongReplyError:
            self.doubt(None)
            raise
        except PortError as error:
            self.doubt(None)
            self._fail(error)
            raise
        except BaseException:
            # Cancelled: the request is out and its reply may come at any time.
            self.doubt(request.unit)
            raise
        return Reply(words=words, at_s=self._port.last_byte_s)

    def _timeout_s(self, request: Request, pace: Pace) -> float:
        characters = _REQUEST_BYTES + _REPLY_BYTES + 2 * request.count
        wire_s = characters * self._line.char_s + 2 * self._line.silence_s
        return max(self._line.timeout_s, pace.timeout_s) + wire_s

    async def _keep_silence(self, silence_s: float) -> None:
        loop = asyncio.get_running_loop()
        # No second look: a byte that comes during this sleep was asked for by nobody, and `read`
        # refuses to go on.
        await asyncio.sleep(max(0.0, self._port.last_byte_s + silence_s - loop.time()))

    async def _settle(self) -> None:
        """Wait until the line has been silent for longer than any reply may take."""
        for _ in range(_SILENCES_MAX):
            self._port.reset()
            await asyncio.sleep(self._quiet_s)
            if not self._port.received:
                self._port.reset()
                self._unsettled = False
                return
        raise WrongReplyError(
            f"{self._line.label}: expected {self._quiet_s:g} s of silence, got bytes in each of "
            f"{_SILENCES_MAX} tries. Another master is on this line: disconnect it."
        )

    async def _ensure_open(self) -> None:
        if self._open and self._port.alive:
            return
        # A device may close a connection that is idle: that is opened again without complaint.
        now_s = asyncio.get_running_loop().time()
        if self._lost is not None and now_s < self._retry_at_s:
            raise self._lost
        try:
            await self._port.open()
        except PortError as error:
            self._fail(error)
            raise
        self._open = True
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
