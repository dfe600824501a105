"""The guard on a scripted port: when it is silent, when it doubts, and against whom."""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass, field

import pytest

from meterseal_agent.bus.frame import Request
from meterseal_agent.bus.guard import Guard
from meterseal_agent.bus.settings import Pace, SerialLine
from meterseal_agent.errors import (
    BusError,
    MeterError,
    MissingReplyError,
    PortError,
    WrongReplyError,
)

LINE = SerialLine(port="/dev/ttyTEST", baud=115200, timeout_s=0.02, quiet_s=0.05)
REQUEST = Request(unit=1, function=4, address=0, count=2)
WORDS = b"\x44\xa3\x76\x14"


@dataclass(kw_only=True, slots=True)
class ScriptedPort:
    """Answers from a list; counts what is done to it."""

    answers: deque[bytes | Exception] = field(default_factory=deque)
    opening: deque[Exception] = field(default_factory=deque)
    noise: deque[int] = field(default_factory=deque)
    sent_at: list[float] = field(default_factory=list)
    opened: int = 0
    resets: int = 0
    received: int = 0
    last_byte_s: float = 0.0
    alive: bool = False

    async def open(self) -> None:
        self.opened += 1
        if self.opening:
            raise self.opening.popleft()
        self.alive = True

    def close(self) -> None:
        pass

    def reset(self) -> None:
        self.resets += 1
        self.received = self.noise.popleft() if self.noise else 0

    async def exchange(self, request: Request, timeout_s: float) -> bytes:
        self.sent_at.append(asyncio.get_running_loop().time())
        answer = self.answers.popleft() if self.answers else WORDS
        if isinstance(answer, Exception):
            raise answer
        self.last_byte_s = asyncio.get_running_loop().time()
        assert timeout_s > LINE.timeout_s
        assert request.count == 2
        return answer


def guard_of(port: ScriptedPort) -> Guard:
    return Guard(port, LINE, slowest_s=LINE.timeout_s, jitter=lambda: 0.0)


async def test_the_line_is_listened_to_before_the_first_request() -> None:
    port = ScriptedPort()
    began = asyncio.get_running_loop().time()

    await guard_of(port).read(REQUEST, Pace())

    assert port.sent_at[0] - began >= LINE.quiet_s


async def test_the_longer_silence_of_line_and_meter_is_kept() -> None:
    port = ScriptedPort()
    guard = guard_of(port)
    await guard.read(REQUEST, Pace())
    ended = port.last_byte_s

    await guard.read(REQUEST, Pace(silence_s=0.03))
    assert port.sent_at[1] - ended >= 0.03
    ended = port.last_byte_s
    await guard.read(REQUEST, Pace())
    assert port.sent_at[2] - ended >= LINE.silence_s


@pytest.mark.parametrize(
    ("error", "harmed", "others"),
    [
        (MissingReplyError("late"), 1, 0),
        (MeterError("busy", code=6), 1, 0),
        (MeterError("gateway", code=11), 1, 0),
        (WrongReplyError("foreign"), 1, 1),
        (PortError("gone"), 1, 1),
        (MeterError("no such register", code=2), 0, 0),
    ],
)
async def test_a_doubt_counts_against_whom_it_may_harm(
    error: Exception, harmed: int, others: int
) -> None:
    port = ScriptedPort()
    guard = guard_of(port)
    await guard.read(REQUEST, Pace())
    before = guard.doubts(1), guard.doubts(2)
    port.answers.append(error)

    with pytest.raises((BusError, MeterError)):
        await guard.read(REQUEST, Pace())

    assert (guard.doubts(1) - before[0], guard.doubts(2) - before[1]) == (harmed, others)


async def test_after_a_doubt_the_line_is_silent_and_its_input_thrown_away() -> None:
    port = ScriptedPort()
    guard = guard_of(port)
    port.answers.append(MissingReplyError("late"))
    with pytest.raises(MissingReplyError):
        await guard.read(REQUEST, Pace())
    doubted, resets = asyncio.get_running_loop().time(), port.resets

    await guard.read(REQUEST, Pace())

    assert port.sent_at[-1] - doubted >= LINE.quiet_s
    assert port.resets > resets


async def test_a_line_that_never_falls_silent_has_another_master() -> None:
    port = ScriptedPort(noise=deque([8] * 10))

    with pytest.raises(WrongReplyError, match="Another master"):
        await guard_of(port).read(REQUEST, Pace())
    assert port.sent_at == []


async def test_bytes_before_a_request_stop_it_and_harm_everybody() -> None:
    port = ScriptedPort()
    guard = guard_of(port)
    await guard.read(REQUEST, Pace())
    doubts = guard.doubts(9)
    port.received = 1

    with pytest.raises(WrongReplyError, match="nobody"):
        await guard.read(REQUEST, Pace())

    assert guard.doubts(9) == doubts + 1
    assert len(port.sent_at) == 1


class StuckPort(ScriptedPort):
    """A port whose exchange never ends."""

    async def exchange(self, request: Request, timeout_s: float) -> bytes:
        self.sent_at.append(timeout_s)
        await asyncio.Event().wait()
        raise AssertionError(request)


async def test_a_cancelled_request_leaves_a_doubt() -> None:
    port = StuckPort()
    guard = guard_of(port)
    task = asyncio.create_task(guard.read(REQUEST, Pace()))
    async with asyncio.timeout(5):
        while not port.sent_at:  # noqa: ASYNC110 - a list has no event
            await asyncio.sleep(0.005)
    doubts = guard.doubts(1)

    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert guard.doubts(1) == doubts + 1


async def test_a_lost_port_is_not_hammered() -> None:
    port = ScriptedPort(opening=deque([PortError("absent")]))
    guard = guard_of(port)

    for _ in range(5):
        with pytest.raises(PortError, match="absent"):
            await guard.read(REQUEST, Pace())

    assert port.opened == 1


async def test_a_connection_that_was_closed_while_idle_is_opened_without_complaint() -> None:
    port = ScriptedPort()
    guard = guard_of(port)
    await guard.read(REQUEST, Pace())
    doubts = guard.doubts(1)
    port.alive = False

    await guard.read(REQUEST, Pace())

    assert port.opened == 2
    assert guard.doubts(1) == doubts + 1


async def test_silence_behind_a_sample_proves_it_and_a_byte_disproves_it() -> None:
    port = ScriptedPort()
    guard = guard_of(port)
    await guard.read(REQUEST, Pace())

    await guard.quiet()
    port.received = 1
    with pytest.raises(WrongReplyError, match="cannot be believed"):
        await guard.quiet()
