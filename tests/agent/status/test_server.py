"""The page shows, to who asks for this device by its name, and within its bounds; nothing else."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import TYPE_CHECKING

import pytest

from meterseal_agent.config import StatusConfig
from meterseal_agent.errors import ConfigError
from meterseal_agent.status import (
    ClockView,
    EnergyToday,
    MeterView,
    Notice,
    RecordView,
    StateCount,
    StatusServer,
    StatusView,
)
from meterseal_agent.status.server import CONNECTIONS_MAX, HEADER_BYTES_MAX, STREAMS_MAX

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

VIEW = StatusView(
    device="ab" * 16,
    fingerprint="abab cdcd",
    software="meterseal 0.1.0",
    now_ms=1_795_000_010_000,
    clock=ClockView(state="synchronised", source="the kernel"),
    meters=(
        MeterView(
            name="grid </script>",
            role="grid",
            model="SDM630",
            serial="1",
            state="G",
            since_ms=1_795_000_000_000,
            at_ms=1_795_000_009_000,
            values=MappingProxyType({"power_w": -1500, "energy_import_wh": 1_234_500}),
        ),
    ),
    today=(
        EnergyToday(
            name="grid",
            role="grid",
            since_ms=1_795_000_000_000,
            at_ms=1_795_000_009_000,
            import_wh=1,
            export_wh=None,
        ),
    ),
    record=RecordView(
        epoch=0,
        seq=7,
        hash_hex="00" * 32,
        time_ms=1_795_000_009_000,
        light_n=2,
        states=(StateCount(state="signed", count=7, since_ms=1_795_000_000_000),),
    ),
    notices=(Notice(since_ms=1, text="The broker is away. Nothing is lost."),),
)


@dataclass(kw_only=True, slots=True)
class Source:
    """A source that changes when the test says so."""

    current: StatusView = VIEW
    change: asyncio.Event = field(default_factory=asyncio.Event)

    def view(self) -> StatusView:
        return self.current

    async def changed(self) -> None:
        await self.change.wait()
        self.change.clear()


@asynccontextmanager
async def serving(source: Source | None = None) -> AsyncIterator[StatusServer]:
    server = StatusServer(source or Source(), StatusConfig(port=0), ("ms-abababab.local",))
    await server.start()
    task = asyncio.create_task(server.run())
    try:
        yield server
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def ask(server: StatusServer, request: str | bytes) -> bytes:
    """Send bytes, close our side, and return everything that comes back."""
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(request.encode() if isinstance(request, str) else request)
    with contextlib.suppress(ConnectionError):
        writer.write_eof()
    answer = b""
    with contextlib.suppress(ConnectionError):
        answer = await reader.read(-1)
    writer.close()
    return answer


def get(path: str, host: str = "127.0.0.1", method: str = "GET", more: str = "") -> str:
    return f"{method} {path} HTTP/1.1\r\nHost: {host}\r\n{more}\r\n"


def status_of(answer: bytes) -> int:
    return int(answer.split(b" ", 2)[1])


async def test_the_data_are_json_with_the_age_of_every_figure() -> None:
    async with serving() as server:
        answer = await ask(server, get("/api/v1/status"))

    head, body = answer.split(b"\r\n\r\n", 1)
    data = json.loads(body)
    assert status_of(answer) == 200
    assert b"no-store" in head
    assert data["meters"][0]["values"] == {"power_w": -1500, "energy_import_wh": 1_234_500}
    assert data["meters"][0]["at_ms"] == 1_795_000_009_000
    assert data["today"][0]["export_wh"] is None
    assert data["record"]["states"][0] == {
        "state": "signed",
        "count": 7,
        "since_ms": 1_795_000_000_000,
    }


async def test_the_page_is_one_file_that_runs_only_its_own_script() -> None:
    async with serving() as server:
        answer = await ask(server, get("/", host="localhost"))

    head, body = (part.decode() for part in answer.split(b"\r\n\r\n", 1))
    policy = re.search(r"(?i)content-security-policy: ([^\r]*)", head)
    assert policy is not None
    assert "default-src 'none'" in policy[1]
    assert "unsafe" not in policy[1]
    assert policy[1].count("'sha256-") == 2
    assert not re.search(r"(src|href)=\"(https?:)?//", body)
    assert "innerHTML" not in body


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1", "127.0.0.1:8080", "[::1]:80", "192.168.1.7", "localhost", "MS-abababab.local."],
)
async def test_a_name_or_address_of_the_device_is_answered(host: str) -> None:
    async with serving() as server:
        assert status_of(await ask(server, get("/", host=host))) == 200


@pytest.mark.parametrize("host", ["evil.example", "localhost.evil.example", "", "[evil]", "1"])
async def test_a_rebound_name_is_refused(host: str) -> None:
    async with serving() as server:
        assert status_of(await ask(server, get("/api/v1/status", host=host))) == 421


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "PATCH"])
async def test_nothing_but_reading_is_possible(method: str) -> None:
    async with serving() as server:
        answer = await ask(server, get("/api/v1/status", method=method))

    assert status_of(answer) == 405
    assert b"access-control" not in answer.lower()


@pytest.mark.parametrize("path", ["/api/v1/sign", "/api/jwt/create", "/..%2f", "/api/v1/"])
async def test_there_is_no_other_route(path: str) -> None:
    async with serving() as server:
        assert status_of(await ask(server, get(path))) == 404


async def test_a_body_is_refused_unread() -> None:
    async with serving() as server:
        answer = await ask(server, get("/", more="Content-Length: 100000000\r\n"))

    assert status_of(answer) == 413


async def test_head_has_no_body() -> None:
    async with serving() as server:
        answer = await ask(server, get("/", method="HEAD"))

    assert status_of(answer) == 200
    assert answer.endswith(b"\r\n\r\n")


async def test_two_requests_share_a_connection() -> None:
    async with serving() as server:
        answer = await ask(server, get("/api/v1/status") + get("/nowhere"))

    assert answer.count(b"HTTP/1.1 ") == 2


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"\x16\x03\x01\x02\x00\x01",
        b"GET / HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nX: " + b"y" * 2 * HEADER_BYTES_MAX,
        b"\0" * 100,
    ],
)
async def test_rubbish_is_refused_and_the_server_lives_on(request_bytes: bytes) -> None:
    async with serving() as server:
        answer = await ask(server, request_bytes)
        after = await ask(server, get("/"))

    assert answer == b"" or 400 <= status_of(answer) < 600
    assert status_of(after) == 200


async def next_event(reader: asyncio.StreamReader) -> dict[str, object]:
    async with asyncio.timeout(10):
        line = b""
        while not line.startswith(b"data: "):
            line = await reader.readline()
    found: dict[str, object] = json.loads(line.removeprefix(b"data: "))
    return found


async def test_events_bring_the_view_at_once_and_at_each_change() -> None:
    source = Source()
    async with serving(source) as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(get("/api/v1/events").encode())
        first = await next_event(reader)
        source.current = replace(VIEW, now_ms=VIEW.now_ms + 1)
        source.change.set()
        second = await next_event(reader)
        writer.close()

    assert first["now_ms"] == VIEW.now_ms
    assert second["now_ms"] == VIEW.now_ms + 1


async def test_connections_and_streams_are_bounded() -> None:
    async with serving() as server, contextlib.AsyncExitStack() as stack:
        streams = []
        for _ in range(STREAMS_MAX):
            reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
            stack.callback(writer.close)
            writer.write(get("/api/v1/events").encode())
            await next_event(reader)
            streams.append(writer)
        assert status_of(await ask(server, get("/api/v1/events"))) == 503
        assert status_of(await ask(server, get("/"))) == 200

        for _ in range(CONNECTIONS_MAX - STREAMS_MAX):
            reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
            stack.callback(writer.close)
            writer.write(get("/").encode())
            await reader.readuntil(b"\r\n\r\n")
        assert await ask(server, get("/")) == b""


async def test_a_taken_port_is_named_with_its_remedy() -> None:
    async with serving() as server:
        second = StatusServer(Source(), StatusConfig(port=server.port))
        with pytest.raises(ConfigError, match=f"{server.port}.*Choose another"):
            await second.start()
