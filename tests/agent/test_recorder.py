"""The record task with the real store and planner: how it begins, waits and follows."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, cast

import pytest

from meterseal.records import Clock, Restore, RestoreReason
from meterseal_agent.config.model import AgentConfig
from meterseal_agent.gate import Gate
from meterseal_agent.publish.answer import Answer, read_answer
from meterseal_agent.recorder import Recorder
from meterseal_agent.rounds import Rounds
from meterseal_agent.store import schema
from meterseal_agent.store.thread import StoreThread
from support.device import DEVICE, KEY, METER, Bench, any_thread
from support.small_log import NOW_MS, SmallLog

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from meterseal.records import MeterIdentity
    from meterseal_agent.poll import MeterHealth, Poller, Snapshot
    from meterseal_agent.publish.publisher import Publisher


@dataclass
class Meters:
    """Stands for the poller: every round the bench's meter counts on."""

    bench: Bench
    rounds: int = 0
    read: asyncio.Event = field(default_factory=asyncio.Event)

    async def snapshot(self, _deadline_s: float, *, boundary: bool) -> Snapshot:  # noqa: ARG002
        self.rounds += 1
        self.bench.now_ms += 10_000
        self.bench.import_wh += 10
        if self.rounds > 1:  # the first one is before anything is signed
            self.read.set()
        return self.bench.snapshot()

    def health(self) -> tuple[MeterHealth, ...]:
        return ()

    def identities(self) -> tuple[MeterIdentity, ...]:
        return (METER,)


@dataclass
class Time:
    bench: Bench
    source: str = "the test"

    def now_ms(self) -> int:
        return self.bench.now_ms

    def up_ms(self) -> int:
        return self.bench.now_ms - self.bench.booted_ms

    def state(self) -> Clock:
        return Clock.SYNCHRONISED


@dataclass
class Asked:
    first_answer: asyncio.Future[Answer]


@dataclass
class Run:
    recorder: Recorder
    meters: Meters
    answer: asyncio.Future[Answer]
    ready: asyncio.Event = field(default_factory=asyncio.Event)


@asynccontextmanager
async def recording(bench: Bench) -> AsyncIterator[Run]:
    thread, meters = StoreThread(), Meters(bench)
    first: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
    config = AgentConfig(
        data_dir=bench.data, marker_dir=bench.tmpfs, interval_s=60, read_every_s=10
    )
    recorder = Recorder(
        config=config,
        public=KEY.public,
        software="test 1",
        store=bench.store,
        thread=thread,
        marker=bench.marker,
        rounds=Rounds(cast("Poller", meters), Gate(ratings=()), Time(bench)),
        time=Time(bench),
        on_release=lambda _: None,
    )
    run = Run(recorder, meters, first)
    task = asyncio.create_task(recorder.run(cast("Publisher", Asked(first)), run.ready.set))
    try:
        yield run
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        thread.close()


def restores(bench: Bench) -> list[RestoreReason]:
    return [each.body.reason for each in bench.records() if isinstance(each.body, Restore)]


def proof_by(other: Bench) -> Answer:
    """What an aggregator says that holds all of the other card."""
    light = [one.data for one in other.released if one.record.light is not None][-1]
    return read_answer(
        SmallLog().head(DEVICE, other.released[-1].data, nonce=bytes(16), light=light),
        head_key=SmallLog().head_key.public,
        device=DEVICE,
        public=KEY.public,
        nonces=[bytes(16)],
    )


@pytest.fixture
def other(tmp_path: Path) -> Bench:
    """The card that this one was copied from: it went on."""
    other = Bench(folder=tmp_path / "other")
    other.turn_on()
    for _ in range(3):
        other.read()
    return other


async def test_a_proof_that_comes_before_the_start_decision_is_followed(
    tmp_path: Path, other: Bench
) -> None:
    bench = Bench(folder=tmp_path / "card", connect=any_thread, now_ms=other.now_ms)
    bench.open()
    answer = proof_by(other)
    for data in answer.kept:
        bench.store.keep_recovered(data)

    async with recording(bench) as run:
        run.recorder.note_ahead(answer)
        await run.meters.read.wait()

    assert restores(bench) == [RestoreReason.AGGREGATOR_AHEAD]


async def test_a_proof_that_comes_behind_the_start_decision_is_followed_before_a_reading(
    tmp_path: Path, other: Bench
) -> None:
    bench = Bench(folder=tmp_path / "card", connect=any_thread, now_ms=other.now_ms)
    bench.open()
    answer = proof_by(other)
    for data in answer.kept:
        bench.store.keep_recovered(data)
    async with recording(bench) as run:
        # Genesis is decided at once; the proof arrives while it is being committed.
        while not run.ready.is_set():
            run.recorder.note_ahead(answer)
            await asyncio.sleep(0)
        await run.meters.read.wait()

    assert RestoreReason.AGGREGATOR_AHEAD in restores(bench)


async def test_a_proof_about_a_branch_that_our_restore_has_left_opens_no_second_epoch(
    tmp_path: Path, other: Bench
) -> None:
    bench = Bench(folder=tmp_path / "card", connect=any_thread)
    bench.turn_on()
    bench.cut_power()
    bench.turn_on()
    assert restores(bench) == [RestoreReason.OFFLINE_START]

    async with recording(bench) as run:
        await run.ready.wait()
        run.recorder.note_ahead(proof_by(other))  # judged while we were in epoch 0 still
        await run.meters.read.wait()

    assert restores(bench) == [RestoreReason.OFFLINE_START]


async def test_a_lost_store_that_waits_says_so_and_is_no_stall(tmp_path: Path) -> None:
    lost = Bench(folder=tmp_path, connect=any_thread)
    (lost.data / schema.STORE_NAME).unlink()
    schema.create(lost.data / schema.STORE_NAME, DEVICE, born_with_key=False)
    lost.open()
    async with recording(lost) as run:
        await run.ready.wait()
        assert (run.recorder.waiting, run.meters.rounds) == (True, 1)
        assert "this card's store is new" in str(run.recorder.trouble)

        run.answer.set_result(Answer(asked=True, time_ms=NOW_MS))
        await run.meters.read.wait()

        assert (run.recorder.waiting, run.recorder.trouble) == (False, None)
