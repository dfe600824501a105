"""The guard on a scripted port: when it is silent, when it doubts, and against whom."""

from __future__ import annotations

import asyncio
from collections import deque
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest

from meterseal_agent.bus.frame import Request, crc16, rtu_request
from meterseal_agent.bus.guard import Guard
from meterseal_agent.bus.settings import Pace, SerialLine
from meterseal_agent.errors import (
    BusError,
    MeterError,
    MissingReplyError,
    NoTimeError,
    PortError,
    WrongReplyError,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

LINE = SerialLine(port="/dev/ttyTEST", baud=115200, timeout_s=0.02, quiet_s=0.05)
REQUEST = Request(unit=1, function=4, address=0, count=2)
WORDS = b"\x44\xa3\x76\x14"
REPLY = b"\x01\x04\x04" + WORDS + crc16(b"\x01\x04\x04" + WORDS)


@dataclass(kw_only=True, slots=True)
class ScriptedPort:
    """Answers from a list; counts what is done to it."""

    answers: deque[bytes | Exception] = field(default_factory=deque)
    opening: deque[Exception] = field(default_factory=deque)
    heard: bytes = b""
    warning: str = ""
    sent_at: list[float] = field(default_factory=list)
    patience_s: list[float] = field(default_factory=list)
    opened: int = 0
    resets: int = 0
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
        self.heard = b""

    @property
    def received(self) -> int:
        return len(self.heard)

    def hear(self, data: bytes) -> None:
        """Let bytes come that nobody asked for."""
        self.heard += data
        self.last_byte_s = asyncio.get_running_loop().time()

    async def exchange(self, request: Request, timeout_s: float) -> bytes:
        self.sent_at.append(asyncio.get_running_loop().time())
        answer = self.answers.popleft() if self.answers else WORDS
        if isinstance(answer, Exception):
            raise answer
        self.last_byte_s = asyncio.get_running_loop().time()
        self.patience_s.append(timeout_s)
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


@asynccontextmanager
async def chatter(port: ScriptedPort, data: bytes, every_s: float) -> AsyncIterator[None]:
    """Let somebody else talk on the line."""

    async def talk() -> None:
        while True:
            port.hear(data)
            await asyncio.sleep(every_s)

    task = asyncio.create_task(talk())
    try:
        yield
    finally:
        task.cancel()


async def test_a_line_that_never_falls_silent_is_left_alone_and_its_master_named() -> None:
    port = ScriptedPort()
    guard = guard_of(port)
    foreign = rtu_request(Request(unit=3, function=4, address=0, count=10))

    async with chatter(port, foreign, LINE.quiet_s / 2):
        with pytest.raises(WrongReplyError, match="another master is on this bus") as caught:
            await guard.read(REQUEST, Pace())

    assert "somebody asks unit 3, function 4, registers 0..9" in str(caught.value)
    assert port.sent_at == []
    (notice,) = guard.notices()
    assert "another master is on this bus" in notice


async def test_noise_is_not_called_a_master() -> None:
    port = ScriptedPort()
    guard = guard_of(port)

    async with chatter(port, b"\x00\xff", LINE.quiet_s / 2):
        with pytest.raises(WrongReplyError, match="check wires A and B"):
            await guard.read(REQUEST, Pace())

    assert guard.notices() == ()


async def test_an_adapter_that_hears_itself_is_recognised() -> None:
    port = ScriptedPort()
    guard = guard_of(port)
    await guard.read(REQUEST, Pace())
    port.answers.append(WrongReplyError("the echo is no reply"))
    with pytest.raises(WrongReplyError):
        await guard.read(REQUEST, Pace())
    port.hear(rtu_request(REQUEST))

    async with chatter(port, b"", LINE.quiet_s / 2):
        with pytest.raises(WrongReplyError, match="echo = true"):
            await guard.read(REQUEST, Pace())


async def test_a_late_reply_is_no_stranger_and_lengthens_the_wait() -> None:
    port = ScriptedPort()
    guard = guard_of(port)
    port.answers.append(MissingReplyError("late"))
    with pytest.raises(MissingReplyError):
        await guard.read(REQUEST, Pace())
    await asyncio.sleep(LINE.quiet_s / 2)

    port.hear(REPLY)
    await guard.read(REQUEST, Pace())

    assert guard.notices() == ()
    # Four times 25 ms and more, but no more than four times what the line began with.
    assert port.patience_s == [pytest.approx(4 * LINE.timeout_s, rel=0.1)]


async def test_the_silence_after_a_doubt_counts_between_two_rounds() -> None:
    port = ScriptedPort()
    guard = guard_of(port)
    await guard.read(REQUEST, Pace())
    guard.doubt(1)
    await asyncio.sleep(LINE.quiet_s)
    began = asyncio.get_running_loop().time()

    await guard.read(REQUEST, Pace())

    assert port.sent_at[-1] - began < LINE.quiet_s / 2


async def test_a_request_without_time_is_not_begun_and_leaves_no_doubt() -> None:
    port = ScriptedPort()
    guard = guard_of(port)
    await guard.read(REQUEST, Pace())
    doubts = guard.doubts(1)
    now = asyncio.get_running_loop().time()

    with pytest.raises(NoTimeError):
        await guard.read(REQUEST, Pace(), now)
    with pytest.raises(NoTimeError):
        await guard.quiet(now)

    assert len(port.sent_at) == 1
    assert guard.doubts(1) == doubts


async def test_a_silence_that_does_not_fit_the_round_goes_on_in_the_next() -> None:
    port = ScriptedPort()
    guard = guard_of(port)
    loop = asyncio.get_running_loop()
    began = loop.time()

    for _ in range(20):
        try:
            await guard.read(REQUEST, Pace(), loop.time() + LINE.quiet_s / 4)
        except NoTimeError:
            await asyncio.sleep(LINE.quiet_s / 4)
        else:
            break

    assert LINE.quiet_s <= port.sent_at[0] - began < 3 * LINE.quiet_s


async def test_bytes_before_a_request_stop_it_and_harm_everybody() -> None:
    port = ScriptedPort()
    guard = guard_of(port)
    await guard.read(REQUEST, Pace())
    doubts = guard.doubts(9)
    port.hear(b"\x00")

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
    port.hear(b"\x00")
    with pytest.raises(WrongReplyError, match="cannot be believed"):
        await guard.quiet()
