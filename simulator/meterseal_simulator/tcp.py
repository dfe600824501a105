"""The slaves behind TCP: Modbus TCP, and serial frames carried over TCP as cheap gateways do.

The caller runs it in an asyncio loop. Each connection is served in order: an answer that is late
is late for all that follow on it, as it is behind a real gateway. What another master says on the
serial side passes a gateway that carries frames as they come, and no other.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Literal

from meterseal_simulator.errors import SimulatorError
from meterseal_simulator.modbus import (
    MBAP_HEADER,
    PDU_MAX,
    RTU_FRAME_MAX,
    Request,
    request_length,
    split_requests,
)

if TYPE_CHECKING:
    from meterseal_simulator.bus import Bus
    from meterseal_simulator.reply import Reply

Framing = Literal["tcp", "rtu-over-tcp"]

# Serial frames over TCP have no silence that could be measured; this pause ends an odd request.
_PAUSE_S = 0.1


class TcpPort:
    """Serves a bus on a port of the loopback interface.

    Args:
        port: 0 lets the system choose.
        turnaround_s: From a whole request to the first byte of its answer.
    """

    def __init__(
        self, bus: Bus, *, port: int, framing: Framing = "tcp", turnaround_s: float = 0.0
    ) -> None:
        self.port = port
        self._bus = bus
        self._framing = framing
        self._turnaround_s = turnaround_s
        self._server: asyncio.Server | None = None
        self._connections: set[asyncio.Task[None]] = set()
        self._deaf_until: dict[int, float] = {}
        self._absent_until = 0.0

    async def start(self) -> None:
        """Listen.

        Raises:
            SimulatorError: The port is taken or not allowed.
        """
        try:
            self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        except OSError as error:
            msg = (
                f"port {self.port}: expected to listen there, but {error.strerror}; "
                "stop the program that has it or choose another --tcp (0 picks a free one)"
            )
            raise SimulatorError(msg) from error
        self.port = self._server.sockets[0].getsockname()[1]

    async def close(self) -> None:
        """Close the port and every connection."""
        if self._server is not None:
            self._server.close()
        for connection in tuple(self._connections):
            connection.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is not None:
            self._connections.add(task)
        try:
            if asyncio.get_running_loop().time() < self._absent_until:
                return
            serve = self._serve_mbap if self._framing == "tcp" else self._serve_rtu
            await serve(reader, writer)
        except (asyncio.IncompleteReadError, asyncio.CancelledError, ConnectionError):
            pass  # The client left, or the simulator ends: either way there is nobody to answer.
        finally:
            if task is not None:
                self._connections.discard(task)
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()

    async def _serve_mbap(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            header = await reader.readexactly(MBAP_HEADER)
            length = int.from_bytes(header[4:6]) - 1
            if header[2:4] != b"\0\0" or not 1 <= length <= PDU_MAX:
                return  # Not Modbus: nothing after this can be understood.
            request = Request(unit=header[6], pdu=await reader.readexactly(length))
            reply = await self._reply(request)
            if reply is None:
                continue
            await asyncio.sleep(self._turnaround_s + reply.delay_s)
            writer.write(reply.on_tcp(int.from_bytes(header[:2])))
            await writer.drain()

    async def _serve_rtu(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            requests, _noise = split_requests(await _read_frame(reader))
            for request in requests:
                reply = await self._reply(request)
                if reply is None:
                    continue
                writer.write(reply.early)
                await asyncio.sleep(self._turnaround_s + reply.delay_s)
                writer.write(reply.on_serial_line())
                for talk in reply.overheard:
                    await asyncio.sleep(talk.after_s)
                    writer.write(talk.on_serial_line())
                if behind := reply.behind():
                    await asyncio.sleep(reply.after_s)
                    writer.write(behind)
                await writer.drain()

    async def _reply(self, request: Request) -> Reply | None:
        """Ask the bus; a slave that restarts and a plug that is pulled are silent from here on."""
        now = asyncio.get_running_loop().time()
        if now < self._deaf_until.get(request.unit, now):
            return None
        reply = self._bus.answer(request)
        if reply is None:
            return None
        if reply.unplug_s:
            self._absent_until = now + reply.unplug_s
            raise ConnectionResetError
        if reply.deaf_s:
            self._deaf_until[request.unit] = now + reply.deaf_s
            return None
        return reply


async def _read_frame(reader: asyncio.StreamReader) -> bytes:
    """Read until a request is whole, or the master pauses."""
    frame = await reader.readexactly(1)
    with contextlib.suppress(TimeoutError):
        while len(frame) < (request_length(frame) or RTU_FRAME_MAX):
            async with asyncio.timeout(_PAUSE_S):
                frame += await reader.readexactly(1)
    return frame
