"""The HTTP server of the status page: h11 for the protocol, asyncio for the sockets.

Everything is bounded: connections, event streams, header bytes, the time of a request and of a
write. Over the bound the newest is refused, so that who is already looking keeps looking.
"""

from __future__ import annotations

import asyncio
import contextlib
from http import HTTPStatus
from typing import TYPE_CHECKING

import h11

from meterseal_agent.errors import ConfigError
from meterseal_agent.status.http import Names, Response, plain, refusal, stream_headers
from meterseal_agent.status.render import event, json_response, page_response

if TYPE_CHECKING:
    from meterseal_agent.config import StatusConfig
    from meterseal_agent.status.view import StatusSource

CONNECTIONS_MAX = 32
STREAMS_MAX = 16
HEADER_BYTES_MAX = 8192
REQUEST_S = 10.0
IDLE_S = 30.0
WRITE_S = 10.0
HEARTBEAT_S = 15.0
# A page redraws no faster than this, however many things change.
EVENT_EVERY_S = 1.0
_READ_BYTES = 4096


class StatusServer:
    """Serves one `StatusSource`.

    Args:
        names: Names of this device besides those of the configuration.
    """

    def __init__(
        self, source: StatusSource, config: StatusConfig, names: tuple[str, ...] = ()
    ) -> None:
        self._source = source
        self._config = config
        self._names = Names.of((config.host, *config.names, *names))
        self._page = page_response()
        self._server: asyncio.Server | None = None
        self._connections = 0
        self._streams = 0
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def port(self) -> int:
        """The port it listens on; the configured one until it does."""
        if self._server is None:
            return self._config.port
        return int(self._server.sockets[0].getsockname()[1])

    async def start(self) -> None:
        """Listen.

        Raises:
            ConfigError: The port is taken or not ours to take.
        """
        try:
            self._server = await asyncio.start_server(
                self._accept, self._config.host, self._config.port, limit=HEADER_BYTES_MAX
            )
        except OSError as error:
            raise ConfigError(
                f"[status] {self._config.host}:{self._config.port}: expected a free port for the "
                f"status page, got: {error.strerror or error}. Choose another [status] port."
            ) from error

    async def run(self) -> None:
        """Serve until cancelled, then close every connection."""
        if self._server is None:
            await self.start()
        try:
            await asyncio.Event().wait()
        finally:
            if self._server is not None:
                self._server.close()
            for task in tuple(self._tasks):
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is not None:
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        self._connections += 1
        try:
            with contextlib.suppress(OSError, TimeoutError, h11.ProtocolError):
                if self._connections <= CONNECTIONS_MAX:
                    await _Connection(reader, writer).serve(self._answer)
        except asyncio.CancelledError:
            # Shutdown: `run` cancelled us and waits for this task only.
            return
        finally:
            self._connections -= 1
            writer.close()

    async def _answer(self, connection: _Connection, request: h11.Request) -> None:
        refused = refusal(request.method, list(request.headers), self._names)
        if refused is not None:
            await connection.send(refused, head=request.method == b"HEAD")
            return
        match request.target.split(b"?", 1)[0]:
            case b"/":
                response = self._page
            case b"/api/v1/status":
                response = json_response(self._source.view())
            case b"/api/v1/events" if request.method == b"GET":
                await self._stream(connection)
                return
            case _:
                response = plain(
                    HTTPStatus.NOT_FOUND, "expected /, /api/v1/status or /api/v1/events"
                )
        await connection.send(response, head=request.method == b"HEAD")

    async def _stream(self, connection: _Connection) -> None:
        """Send the view now, at each change, and at least every `HEARTBEAT_S`."""
        if self._streams >= STREAMS_MAX:
            busy = plain(HTTPStatus.SERVICE_UNAVAILABLE, f"at most {STREAMS_MAX} live pages")
            await connection.send(busy, head=False)
            return
        self._streams += 1
        try:
            await connection.begin_stream()
            while True:
                # Also when nothing changed: a page that hears nothing says that the device is gone.
                await connection.push(event(self._source.view()))
                await asyncio.sleep(EVENT_EVERY_S)
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(HEARTBEAT_S):
                        await self._source.changed()
        finally:
            self._streams -= 1


class _Connection:
    """One socket and its h11 state."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._http = h11.Connection(h11.SERVER, max_incomplete_event_size=HEADER_BYTES_MAX)

    async def serve(self, answer: _Answer) -> None:
        """Answer request after request until the peer or a bound ends it."""
        patience_s = REQUEST_S
        while True:
            try:
                async with asyncio.timeout(patience_s):
                    request = await self._next_request()
            except h11.RemoteProtocolError as error:
                await self._refuse(error)
                return
            if request is None:
                return
            await answer(self, request)
            if self._http.our_state is not h11.DONE or self._http.their_state is not h11.DONE:
                return
            self._http.start_next_cycle()
            patience_s = IDLE_S

    async def send(self, response: Response, *, head: bool) -> None:
        """Send a whole response in one write (two would wait for each other's acknowledgement)."""
        data = self._encode(
            h11.Response(status_code=response.status.value, headers=response.headers())
        )
        if not head:
            data += self._encode(h11.Data(data=response.body))
        await self._write(data + self._encode(h11.EndOfMessage()))

    async def begin_stream(self) -> None:
        """Send the head of a response whose end is the end of the connection."""
        headers = [*stream_headers(), (b"Connection", b"close")]
        await self._write(
            self._encode(h11.Response(status_code=HTTPStatus.OK.value, headers=headers))
        )

    async def push(self, data: bytes) -> None:
        """Send a piece of a streamed response."""
        await self._write(self._encode(h11.Data(data=data)))

    async def _next_request(self) -> h11.Request | None:
        """Read one request to its end; None when the peer has gone."""
        request: h11.Request | None = None
        while True:
            happened = self._http.next_event()
            if happened is h11.NEED_DATA:
                self._http.receive_data(await self._reader.read(_READ_BYTES))
            elif isinstance(happened, h11.Request):
                request = happened
                if _has_body(request):
                    # `refusal` answers it; the body is never read.
                    return request
            elif isinstance(happened, h11.EndOfMessage):
                return request
            else:
                return None

    async def _refuse(self, error: h11.RemoteProtocolError) -> None:
        if self._http.our_state not in (h11.IDLE, h11.SEND_RESPONSE):
            return
        status = HTTPStatus(error.error_status_hint)
        await self.send(plain(status, "expected an HTTP/1.1 request of bounded size"), head=False)

    def _encode(self, piece: h11.Event) -> bytes:
        return self._http.send(piece) or b""

    async def _write(self, data: bytes) -> None:
        self._writer.write(data)
        async with asyncio.timeout(WRITE_S):
            await self._writer.drain()


def _has_body(request: h11.Request) -> bool:
    return any(
        name == b"transfer-encoding" or (name == b"content-length" and value != b"0")
        for name, value in request.headers
    )


if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    _Answer = Callable[[_Connection, h11.Request], Awaitable[None]]
