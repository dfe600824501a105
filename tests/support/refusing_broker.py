"""A broker that takes the connection and refuses subscriptions, as one with a wrong ACL does.

mosquitto's ACL file only drops the messages; others say so in the SUBACK, which a client must read
(MQTT 3.1.1, 3.9.3: 0x80 is a failure).
"""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

_CONNECT, _SUBSCRIBE = 1, 8
_CONNACK = bytes([0x20, 2, 0, 0])
_REFUSED = 0x80


@asynccontextmanager
async def refusing_broker(refuse: bytes) -> AsyncIterator[int]:
    """Listen on a port of our own; refuse the topics that end in `refuse`."""

    served: list[asyncio.Task[None]] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        served.append(task)
        try:
            while True:
                kind, body = await _packet(reader)
                if kind == _CONNECT:
                    writer.write(_CONNACK)
                elif kind == _SUBSCRIBE:
                    codes = [_REFUSED if topic.endswith(refuse) else 1 for topic in _topics(body)]
                    writer.write(bytes([0x90, 2 + len(codes)]) + body[:2] + bytes(codes))
        except (asyncio.IncompleteReadError, ConnectionError):
            return
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        await asyncio.gather(*served)


async def _packet(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    first = (await reader.readexactly(1))[0]
    length, shift = 0, 0
    while True:
        byte = (await reader.readexactly(1))[0]
        length |= (byte & 0x7F) << shift
        shift += 7
        if not byte & 0x80:
            return first >> 4, await reader.readexactly(length)


def _topics(body: bytes) -> list[bytes]:
    topics, at = [], 2
    while at < len(body):
        size = int.from_bytes(body[at : at + 2], "big")
        topics.append(body[at + 2 : at + 2 + size])
        at += 3 + size
    return topics
