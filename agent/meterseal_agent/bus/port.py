"""The one module that speaks to pymodbus 3.16.1: connections, and bytes out and in.

pymodbus opens and owns the serial port or socket and frames the request. What it does not do is
left to us (facts measured with exactly this version, see docs/adr/0013):

- it matches a reply by unit alone, so a late, short or wrong-function reply passes for the right
  one. Here requests go out with `no_response_expected`, every byte that arrives is taken at its
  `trace_packet` hook, and `frame.py` alone decides: pymodbus never sees a reply;
- its retry creates the surplus reply that shifts every later one: `retries=0`, and its reconnect
  is off (`reconnect_delay=0`): nothing happens on the line that the line's owner did not start;
- its timeout is one for all: ours is the request's own.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
from typing import TYPE_CHECKING, Protocol

from pymodbus.client import AsyncModbusSerialClient, AsyncModbusTcpClient
from pymodbus.exceptions import ModbusException
from pymodbus.framer import FramerType

from meterseal_agent.bus.frame import Request, mbap_reply, rtu_reply
from meterseal_agent.bus.settings import Line, SerialLine
from meterseal_agent.errors import MeterError, MissingReplyError, PortError, WrongReplyError

if TYPE_CHECKING:
    from pymodbus.client import ModbusBaseClient

_CONNECT_S = 5.0
# pymodbus counts its own timeout from the request; ours always comes first.
_PYMODBUS_TIMEOUT_S = 3600.0
# What the buffer of a line may hold: the longest frame, an echo of the request, and noise.
_RECEIVED_MAX = 1024
_TRANSACTION_BYTES = 2
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
        """Bytes received since the last request or reset."""
        ...

    @property
    def last_byte_s(self) -> float:
        """Event-loop time at which the last byte left or arrived."""
        ...


class ModbusPort:
    """A pymodbus client that is allowed to do little. Owned by the line's one task."""

    def __init__(self, line: Line) -> None:
        self._line = line
        self._client: ModbusBaseClient | None = None
        self._request: Request | None = None
        self._reply: asyncio.Future[bytes] | None = None
        self._sent = b""
        self._received = bytearray()
        self._last_byte_s = 0.0
        # pymodbus logs each refused frame as an error of its own; the guard says it once, better.
        logging.getLogger("pymodbus.logging").setLevel(logging.CRITICAL + 1)

    @property
    def alive(self) -> bool:
        """Whether the connection stands."""
        return self._client is not None and self._client.ctx.transport is not None

    @property
    def received(self) -> int:
        """Bytes received since the last request or reset."""
        return len(self._received)

    @property
    def last_byte_s(self) -> float:
        """Event-loop time at which the last byte left or arrived."""
        return self._last_byte_s

    async def open(self) -> None:
        """Open the port anew.

        Raises:
            PortError: It is absent, busy or refused; the message names the remedy.
        """
        self.close()
        client = self._make_client()
        try:
            # `client.connect()` would swallow the reason; this is the call inside it.
            transport, _ = await asyncio.wait_for(client.ctx.call_create(), _CONNECT_S)
        except TimeoutError as error:
            raise PortError(f"{self._line.label}: {_no_answer(self._line)}") from error
        except OSError as error:
            raise PortError(f"{self._line.label}: {_why(self._line, error)}") from error
        client.ctx.transport = transport
        client.ctx.max_buffer_size = _PYMODBUS_BUFFER_MAX
        # A serial transport announces itself in the loop's next rounds; until then it is deaf.
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        self._client = client
        self.reset()

    def close(self) -> None:
        """Close the port; harmless when closed."""
        if self._client is not None:
            # An adapter that was unplugged raises when its flags are restored: it is gone anyway.
            with contextlib.suppress(OSError):
                self._client.close()
        self._client = None
        self.reset()

    def reset(self) -> None:
        """Throw away whatever was received and not asked for."""
        self._received.clear()
        if self._client is None:
            return
        self._client.ctx.recv_buffer = b""
        serial = getattr(self._client.ctx.transport, "sync_serial", None)
        if serial is not None:
            with contextlib.suppress(OSError):
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
        self._received.clear()
        self._request, self._sent = request, b""
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
            return self._judge(request)
        except ModbusException as error:
            raise PortError(f"{self._line.label}: {error}") from error
        finally:
            self._request = self._reply = None
            reply.cancel()

    def _trace(self, sending: bool, data: bytes) -> bytes:  # noqa: FBT001 - pymodbus's signature
        """See every byte that leaves or arrives; called by pymodbus in the event loop."""
        self._last_byte_s = asyncio.get_running_loop().time()
        if sending:
            self._sent = data
            return data
        self._received += data[: _RECEIVED_MAX - len(self._received)]
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
            reply.set_result(self._judge(request))
        except MissingReplyError:
            return
        except (WrongReplyError, MeterError) as error:
            reply.set_exception(error)
        # What belonged to this reply is spent; what comes from here on, nobody asked for.
        self._received.clear()

    def _judge(self, request: Request) -> bytes:
        data = bytes(self._received)
        if isinstance(self._line, SerialLine) and self._line.echo:
            data = data.removeprefix(self._sent)
        if isinstance(self._line, SerialLine) or self._line.rtu:
            return rtu_reply(request, data)
        transaction = int.from_bytes(self._sent[:_TRANSACTION_BYTES], "big")
        return mbap_reply(request, transaction, data)

    def _make_client(self) -> ModbusBaseClient:
        if isinstance(self._line, SerialLine):
            return AsyncModbusSerialClient(
                self._line.port,
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


def _no_answer(line: Line) -> str:
    return (
        f"expected a connection within {_CONNECT_S:g} s, got none. "
        "Check that the device is on and its address right."
        if not isinstance(line, SerialLine)
        else f"expected the port to open within {_CONNECT_S:g} s, got no answer from its driver."
    )


def _why(line: Line, error: OSError) -> str:
    """Say why a port did not open: expected, got, remedy."""
    text = str(error)
    match error.errno:
        case errno.ENOENT | errno.ENODEV | errno.ENXIO:
            return (
                "expected a serial port, got no such device. Plug the adapter in; "
                "`ls -l /dev/serial/by-id` shows the stable names of those present."
            )
        case errno.EACCES | errno.EPERM:
            return (
                "expected to open the port, got permission denied. "
                "Add the agent's user to the group of the device (dialout)."
            )
        case errno.ECONNREFUSED:
            return (
                "expected a Modbus TCP server, got the connection refused. "
                "Check address and port, and that Modbus TCP is enabled in the device."
            )
        case errno.EBUSY | errno.EAGAIN:
            return _BUSY
        case _:
            pass
    if "exclusively lock" in text:
        return _BUSY
    what = "a serial port" if isinstance(line, SerialLine) else "a connection"
    return f"expected {what}, got: {text}."


_BUSY = (
    "expected the port for ourselves, got it busy. Another program holds it (a second agent, a "
    "home automation system): `fuser -v` on the port names it."
)
