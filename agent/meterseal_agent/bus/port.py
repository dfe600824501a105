"""The one module that speaks to pymodbus 3.16.1: connections, and bytes out and in.

pymodbus opens and owns the serial port or socket and frames the request. What it does not do is
left to us (facts measured with exactly this version, see docs/adr/0013):

- it matches a reply by unit alone, so a late, short or wrong-function reply passes for the right
  one. Here requests go out with `no_response_expected`, every byte that arrives is taken at its
  `trace_packet` hook, and `hearing.py` and `frame.py` alone decide: pymodbus never sees a reply;
- its retry creates the surplus reply that shifts every later one: `retries=0`, and its reconnect
  is off (`reconnect_delay=0`): nothing happens on the line that the line's owner did not start;
- its timeout is one for all: ours is the request's own.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import termios
from typing import TYPE_CHECKING, Protocol

from pymodbus.client import AsyncModbusSerialClient, AsyncModbusTcpClient
from pymodbus.exceptions import ModbusException
from pymodbus.framer import FramerType

from meterseal_agent.bus.adapter import Adapter
from meterseal_agent.bus.hearing import Hearing
from meterseal_agent.bus.settings import Line, SerialLine
from meterseal_agent.bus.unopened import CONNECT_S, GONE, no_answer, why_not_open
from meterseal_agent.errors import MeterError, PortError, WrongReplyError

if TYPE_CHECKING:
    from pymodbus.client import ModbusBaseClient

    from meterseal_agent.bus.frame import Request

# pymodbus counts its own timeout from the request; ours always comes first.
_PYMODBUS_TIMEOUT_S = 3600.0
# pymodbus drops its whole buffer beyond this; ours has a limit of its own.
_PYMODBUS_BUFFER_MAX = 1 << 16
_READS = {
    3: lambda client: client.read_holding_registers,
    4: lambda client: client.read_input_registers,
}


class Port(Protocol):
    """An open or closed connection to one line; the guard drives it, tests imitate it."""

    async def open(self) -> None:
        """Open the port anew.

        Raises:
            PortError: It is absent, busy or refused.
        """
        ...

    def close(self) -> None:
        """Close the port; harmless when closed."""
        ...

    async def exchange(self, request: Request, timeout_s: float) -> bytes:
        """Send one request and judge everything that arrives until its reply is complete.

        Raises:
            BusError: See `frame.rtu_reply`; PortError when the connection is lost.
            MeterError: The meter refused.
        """
        ...

    def reset(self) -> None:
        """Throw away whatever was received and not asked for."""
        ...

    @property
    def alive(self) -> bool:
        """Whether the connection stands."""
        ...

    @property
    def received(self) -> int:
        """Bytes received since the last reply or reset, which nobody asked for."""
        ...

    @property
    def heard(self) -> bytes:
        """These bytes, as far as they are kept."""
        ...

    @property
    def warning(self) -> str:
        """What is unsafe about how the port is found; empty if nothing."""
        ...

    @property
    def last_byte_s(self) -> float:
        """Event-loop time at which the last byte left or arrived."""
        ...


class ModbusPort:
    """A pymodbus client that is allowed to do little. Owned by the line's one task."""

    def __init__(self, line: Line) -> None:
        self._line = line
        self._adapter = Adapter(port=line.port) if isinstance(line, SerialLine) else None
        self._client: ModbusBaseClient | None = None
        self._request: Request | None = None
        self._reply: asyncio.Future[bytes] | None = None
        self._hearing = Hearing(line)
        # pymodbus logs each refused frame as an error of its own; the guard says it once, better.
        logging.getLogger("pymodbus.logging").setLevel(logging.CRITICAL + 1)

    @property
    def alive(self) -> bool:
        """Whether the connection stands."""
        return self._client is not None and self._client.ctx.transport is not None

    @property
    def received(self) -> int:
        """Bytes received since the last reply or reset, which nobody asked for."""
        return self._hearing.received

    @property
    def heard(self) -> bytes:
        """These bytes, as far as they are kept."""
        return self._hearing.heard

    @property
    def warning(self) -> str:
        """What is unsafe about how the port is found; empty if nothing."""
        return "" if self._adapter is None else self._adapter.warning()

    @property
    def last_byte_s(self) -> float:
        """Event-loop time at which the last byte left or arrived."""
        return self._hearing.last_byte_s

    async def open(self) -> None:
        """Open the port anew.

        Raises:
            PortError: It is absent, busy or refused; the message names the remedy.
        """
        self.close()
        client = self._make_client()
        try:
            # `client.connect()` would swallow the reason; this is the call inside it.
            transport, _ = await asyncio.wait_for(client.ctx.call_create(), CONNECT_S)
        except TimeoutError as error:
            raise PortError(f"{self._line.label}: {no_answer(self._line)}") from error
        except OSError as error:
            raise PortError(f"{self._line.label}: {why_not_open(self._line, error)}") from error
        except termios.error as error:
            # The adapter went while it was being opened: not an OSError, though it looks like one.
            raise PortError(f"{self._line.label}: {GONE}") from error
        client.ctx.transport = transport
        client.ctx.max_buffer_size = _PYMODBUS_BUFFER_MAX
        # A serial transport announces itself in the loop's next rounds; until then it is deaf.
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        self._client = client
        self.reset()
        if self._adapter is not None:
            self._adapter.opened()
            self._hearing.wired = self._adapter.has_wire()

    def close(self) -> None:
        """Close the port; harmless when closed."""
        if self._client is not None:
            # An adapter that was unplugged raises when its flags are restored: it is gone anyway.
            with contextlib.suppress(OSError, termios.error):
                self._client.close()
        self._client = None
        self.reset()

    def reset(self) -> None:
        """Throw away whatever was received and not asked for."""
        self._hearing.clear()
        if self._client is None:
            return
        self._client.ctx.recv_buffer = b""
        serial = getattr(self._client.ctx.transport, "sync_serial", None)
        if serial is not None:
            # If the adapter is gone, the next read or write says so.
            with contextlib.suppress(OSError, termios.error):
                serial.reset_input_buffer()

    async def exchange(self, request: Request, timeout_s: float) -> bytes:
        """Send one request and judge everything that arrives until its reply is complete.

        Raises:
            BusError: See `frame.rtu_reply`; PortError when the connection is lost.
            MeterError: The meter refused.
        """
        client = self._client
        if client is None or client.ctx.transport is None:
            raise PortError(f"{self._line.label}: expected an open port, got a closed one")
        self._hearing.clear()
        self._request = request
        reply: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self._reply = reply
        read = _READS[request.function](client)
        try:
            await read(
                request.address,
                count=request.count,
                device_id=request.unit,
                no_response_expected=True,
            )
            async with asyncio.timeout(timeout_s):
                return await reply
        except TimeoutError:
            # The last judgement over all that came says what is missing.
            return self._hearing.last_word(request)
        except ModbusException as error:
            raise PortError(f"{self._line.label}: {error}") from error
        finally:
            self._request = self._reply = None
            reply.cancel()

    def _trace(self, sending: bool, data: bytes) -> bytes:  # noqa: FBT001 - pymodbus's signature
        """See every byte that leaves or arrives; called by pymodbus in the event loop."""
        now_s = asyncio.get_running_loop().time()
        if sending:
            self._hearing.sent(data, now_s)
            return data
        self._hearing.take(data, now_s)
        if self._client is not None:
            self._client.ctx.recv_buffer = b""  # taken over: the next call brings new bytes only
        if self._request is not None and self._reply is not None and not self._reply.done():
            self._conclude(self._request, self._reply)
        return b""

    def _trace_connect(self, connected: bool) -> None:  # noqa: FBT001 - pymodbus's signature
        if not connected and self._reply is not None and not self._reply.done():
            self._reply.set_exception(
                PortError(
                    f"{self._line.label}: expected the connection to stay, got it closed. "
                    "Check the adapter's plug or the gateway."
                )
            )

    def _conclude(self, request: Request, reply: asyncio.Future[bytes]) -> None:
        """Settle the pending reply unless more of it may still come."""
        try:
            words = self._hearing.reply(request)
        except WrongReplyError as error:
            # Its bytes are kept: with what follows, they tell the guard whose they were.
            reply.set_exception(error)
            return
        except MeterError as error:
            reply.set_exception(error)
        else:
            if words is None:
                return
            reply.set_result(words)
        # What belonged to this reply is spent; what comes from here on, nobody asked for.
        self._hearing.clear()

    def _make_client(self) -> ModbusBaseClient:
        if isinstance(self._line, SerialLine):
            port = self._line.port if self._adapter is None else self._adapter.path
            return AsyncModbusSerialClient(
                port,
                baudrate=self._line.baud,
                parity=self._line.parity,
                stopbits=self._line.stop_bits,
                reconnect_delay=0,
                timeout=_PYMODBUS_TIMEOUT_S,
                retries=0,
                trace_packet=self._trace,
                trace_connect=self._trace_connect,
            )
        return AsyncModbusTcpClient(
            self._line.host,
            port=self._line.tcp_port,
            framer=FramerType.RTU if self._line.rtu else FramerType.SOCKET,
            reconnect_delay=0,
            timeout=_PYMODBUS_TIMEOUT_S,
            retries=0,
            trace_packet=self._trace,
            trace_connect=self._trace_connect,
        )
