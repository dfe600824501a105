"""Who answers on a line: one short read at each address, and an ear for what comes late.

- The read is of two holding registers from 0 on. A meter that does not have them refuses, and a
  refusal is an answer.
- A dead address costs one timeout. Each request goes to another unit, so a late reply gives itself
  away by its unit: that unit is asked again, with more patience, and so are all after it.
- Bytes that are no frame make an address be asked again, three times in all: then it is noted as
  one that garbles. An address that answers once with two frames is noted too.

Nothing here is believed to be a value.
"""

from __future__ import annotations

import asyncio
from enum import Enum, auto
from typing import TYPE_CHECKING

from meterseal_agent.bus.frame import GATEWAY_EXCEPTIONS, Request, rtu_request
from meterseal_agent.bus.overheard import frames_in
from meterseal_agent.bus.plan import REPLY_BYTES, REQUEST_BYTES
from meterseal_agent.bus.settings import SerialLine
from meterseal_agent.errors import MeterError, MissingReplyError, PortError, WrongReplyError
from meterseal_agent.scan.tap import still

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from meterseal_agent.bus.port import Port
    from meterseal_agent.scan.found import LineReport

_COUNT = 2
_TRIES = 3
# How much longer than its last answer a slow unit is waited for, and the longest wait.
_MARGIN = 2.0
_PATIENCE_MAX_S = 1.5
# How long somebody else at the same address is listened for.
_SECOND_S = 0.05
# How long the line is listened to before the first request, and after the last.
_LISTEN_S = 0.25
_MBAP_UNIT = 6
_MBAP_CODE = 8
_EXCEPTION_BIT = 0x80
_STRANGERS_MAX = 4


class _Heard(Enum):
    """What came of one request."""

    REPLY = auto()
    NOTHING = auto()
    OTHERS = auto()  # whole frames, but not just the one that was asked for
    BROKEN = auto()


class Sweep:
    """One pass over the addresses of a line. Fills the line's report.

    Args:
        port: Open.
        report: Of this line.
    """

    def __init__(self, port: Port, report: LineReport) -> None:
        self.latencies: dict[int, float] = {}
        self.echoes = False
        self._port = port
        self._report = report
        self._line = report.line
        self._rtu = isinstance(self._line, SerialLine) or self._line.rtu
        self._timeout_s = self._line.timeout_s
        self._asking = 0
        self._sent_at: dict[int, float] = {}
        self._late: list[int] = []

    async def run(self, units: Iterable[int], step: Callable[[int], None]) -> None:
        """Ask each address; give up at once where the adapter turns out to hear itself.

        Args:
            units: Addresses, in order.
            step: Told each address before it is asked.

        Raises:
            PortError: The port or connection is lost.
        """
        await asyncio.sleep(_LISTEN_S)
        self._listen()
        for unit in units:
            step(unit)
            await self._ask(unit)
            if self.echoes:
                return
        await asyncio.sleep(max(_LISTEN_S, self._timeout_s))
        self._listen()
        # Whoever was too slow is asked once more, with the patience that was learned.
        for unit in tuple(self._late):
            await self._ask(unit)
        self._report.finished = True

    async def _ask(self, unit: int) -> None:
        self._report.asked += unit not in self._sent_at
        self._asking = unit
        heard = []
        for _ in range(_TRIES):
            heard.append(await self._try(unit))
            if heard[-1] in (_Heard.REPLY, _Heard.NOTHING) or self.echoes:
                break
        if unit in self.latencies:
            self._report.answers.append(unit)
            self._report.broken = [one for one in self._report.broken if one != unit]
        elif _Heard.BROKEN in heard and unit not in self._report.broken:
            self._report.broken.append(unit)

    async def _try(self, unit: int) -> _Heard:
        """Ask once."""
        await self._lull()
        request = Request(unit=unit, function=3, address=0, count=_COUNT)
        begun_s = self._sent_at[unit] = asyncio.get_running_loop().time()
        wire_s = (REQUEST_BYTES + REPLY_BYTES + 2 * _COUNT) * self._line.char_s
        try:
            await self._port.exchange(request, self._timeout_s + wire_s + self._line.silence_s)
        except MeterError as error:
            # A gateway speaks for a unit that is not there.
            if error.code in GATEWAY_EXCEPTIONS:
                return _Heard.NOTHING
        except MissingReplyError:
            return await self._odd(request) if self._port.received else _Heard.NOTHING
        except WrongReplyError:
            return await self._odd(request)
        except PortError:
            # Some devices hang up when they are asked for a unit that they do not have.
            await self._port.open()
            return _Heard.NOTHING
        self.latencies[unit] = max(0.0, self._port.last_byte_s - begun_s - wire_s)
        if self._rtu:
            await self._second_answer(unit)
        return _Heard.REPLY

    async def _second_answer(self, unit: int) -> None:
        """Listen whether somebody else answers to the same address."""
        await asyncio.sleep(_SECOND_S)
        if any(not one.asks and one.unit == unit for one in frames_in(self._port.heard)):
            self._note_double(unit)
        self._listen()

    def _note_double(self, unit: int) -> None:
        if unit not in self._report.doubled:
            self._report.doubled.append(unit)

    async def _odd(self, request: Request) -> _Heard:
        """Take what came instead of a reply, once it is whole."""
        await still(self._port)
        heard = self._port.heard
        if self._echoed(request, heard):
            self.echoes = True
            return _Heard.OTHERS
        frames = frames_in(heard) if self._rtu else ()
        if sum(one.answers(request) for one in frames) > 1:
            self._note_double(request.unit)
        self._listen()
        return _Heard.OTHERS if frames or not self._rtu else _Heard.BROKEN

    def _echoed(self, request: Request, heard: bytes) -> bool:
        serial = isinstance(self._line, SerialLine) and not self._line.echo
        return serial and heard.startswith(rtu_request(request))

    def _listen(self) -> None:
        """Take what is not the reply that we wait for."""
        heard = self._port.heard
        self._port.reset()
        if not self._rtu:
            self._hear_tcp(heard)
            return
        frames = frames_in(heard)
        for frame in frames:
            if frame.asks or frame.unit not in self._sent_at:
                self._note_stranger(str(frame))
            else:
                self._note_late(frame.unit)
        self._report.noise_bytes += len(heard) - sum(len(frame.data) for frame in frames)

    def _hear_tcp(self, heard: bytes) -> None:
        """Take a late reply of Modbus TCP, unless it is the gateway's own word."""
        if len(heard) <= _MBAP_CODE or heard[_MBAP_UNIT] not in self._sent_at:
            return
        unit, function, code = heard[_MBAP_UNIT : _MBAP_CODE + 1]
        gateway = bool(function & _EXCEPTION_BIT) and code in GATEWAY_EXCEPTIONS
        self._note_late(unit, present=not gateway)

    def _note_stranger(self, what: str) -> None:
        if what not in self._report.strangers and len(self._report.strangers) < _STRANGERS_MAX:
            self._report.strangers.append(what)

    def _note_late(self, unit: int, *, present: bool = True) -> None:
        late_s = self._port.last_byte_s - self._sent_at[unit]
        self._timeout_s = min(max(self._timeout_s, _MARGIN * late_s), _PATIENCE_MAX_S)
        if present and unit not in (self._asking, *self._late, *self.latencies):
            self._late.append(unit)

    async def _lull(self) -> None:
        """Keep t3.5 before a request, and take what is there."""
        wait_s = self._port.last_byte_s + self._line.silence_s - asyncio.get_running_loop().time()
        await asyncio.sleep(max(0.0, wait_s))
        if self._port.received:
            await still(self._port)
            self._listen()
