"""How a run begins: proved newest, answered, or behind a visible epoch."""

from __future__ import annotations

import asyncio
import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

import pytest

from meterseal.records import RestoreReason
from meterseal_agent.errors import StoreError
from meterseal_agent.publish.answer import Answer, read_answer
from meterseal_agent.record import Start
from meterseal_agent.start import decide_start
from meterseal_agent.store import schema
from meterseal_agent.store.thread import StoreThread
from support.device import DEVICE, KEY, Bench, any_thread
from support.small_log import NOW_MS, SmallLog

if TYPE_CHECKING:
    from pathlib import Path

    from meterseal_agent.publish.publisher import Publisher


@dataclass
class Asked:
    """Stands for the publisher: the one question that a start asks it."""

    first_answer: asyncio.Future[Answer]


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    bench = Bench(folder=tmp_path / "device", connect=any_thread)
    bench.turn_on()
    for _ in range(3):
        bench.read()
    return bench


async def begin(
    bench: Bench,
    answer: Answer | None = None,
    *,
    online: bool = True,
    ahead: bool = False,
    waits: list[bool] | None = None,
) -> Start:
    loop = asyncio.get_running_loop()
    first: asyncio.Future[Answer] = loop.create_future()
    proof: asyncio.Future[Answer] = loop.create_future()
    if answer is not None:
        first.set_result(answer)
        if ahead:
            proof.set_result(answer)
    thread = StoreThread()
    try:
        return await decide_start(
            bench.store,
            thread,
            bench.marker,
            str(bench.boot),
            publisher=cast("Publisher", Asked(first)) if online else None,
            ahead=proof,
            on_wait=lambda: (waits if waits is not None else []).append(True),
            handshake_s=0.05,
        )
    finally:
        thread.close()


def answer_with(bench: Bench, number: int) -> Answer:
    data = bench.released[number].data
    return read_answer(
        SmallLog().head(DEVICE, data, nonce=bytes(16), light=bench.released[1].data),
        head_key=SmallLog().head_key.public,
        device=DEVICE,
        public=KEY.public,
        nonces=[bytes(16)],
    )


async def test_a_store_born_with_its_key_begins_its_chain_at_once(tmp_path: Path) -> None:
    fresh = Bench(folder=tmp_path)
    fresh.connect = any_thread
    fresh.open()

    assert await begin(fresh, online=False) == Start(same_boot=False)


async def test_a_marker_of_this_boot_needs_nobody(bench: Bench) -> None:
    assert await begin(bench, online=False) == Start(same_boot=True)


async def test_after_a_power_cut_an_answer_keeps_the_epoch(bench: Bench) -> None:
    bench.cut_power()
    bench.open()

    assert await begin(bench, answer_with(bench, 2)) == Start(same_boot=False)


@pytest.mark.parametrize("online", [True, False])
async def test_after_a_power_cut_without_an_answer_an_epoch_begins_and_says_so(
    bench: Bench, *, online: bool
) -> None:
    bench.cut_power()
    store = bench.open()

    start = await begin(bench, online=online)

    assert start.reopen is not None
    assert start.reopen.reason is RestoreReason.OFFLINE_START
    assert start.reopen.base == store.tip.head


async def test_an_aggregator_that_is_ahead_is_followed(bench: Bench, tmp_path: Path) -> None:
    """A card from last week: the aggregator holds more of this device than the card does."""
    bench.turn_off()
    old = Bench(folder=tmp_path / "old", connect=any_thread)
    shutil.copytree(bench.data, old.data, dirs_exist_ok=True)
    bench.turn_on()
    bench.read()
    old.open()

    start = await begin(old, answer_with(bench, -1), ahead=True)

    assert start.reopen is not None
    assert start.reopen.reason is RestoreReason.AGGREGATOR_AHEAD
    assert start.reopen.base.seq == 5
    assert start.reopen.missing == (5, 5)
    bench.turn_off()


async def test_a_proof_of_ahead_counts_however_sure_the_store_is_of_itself(
    bench: Bench, tmp_path: Path
) -> None:
    """Goal: two cards with one key; the marker says newest, the aggregator holds more.

    Method: the other card goes on in the same boot; its proof is there before the decision.
    """
    bench.turn_off()
    other = Bench(folder=tmp_path / "other", connect=any_thread, now_ms=bench.now_ms)
    shutil.copytree(bench.data, other.data, dirs_exist_ok=True)
    shutil.copytree(bench.tmpfs, other.tmpfs, dirs_exist_ok=True)
    other.released = list(bench.released)
    other.turn_on()
    other.read()
    bench.open()
    assert bench.store.proved_newest()

    start = await begin(bench, answer_with(other, -1), ahead=True)

    assert start.reopen is not None
    assert start.reopen.reason is RestoreReason.AGGREGATOR_AHEAD


async def test_a_chain_that_lost_its_end_opens_an_epoch_even_when_answered(bench: Bench) -> None:
    bench.store.connection.execute("DELETE FROM record WHERE place = 4")
    bench.turn_off()
    bench.open()

    start = await begin(bench, answer_with(bench, 2))

    assert start.reopen is not None


async def test_a_lost_store_begins_anew_only_when_the_aggregator_holds_nothing(
    tmp_path: Path,
) -> None:
    lost = Bench(folder=tmp_path, connect=any_thread)
    (lost.data / schema.STORE_NAME).unlink()
    schema.create(lost.data / schema.STORE_NAME, DEVICE, born_with_key=False)
    lost.open()

    with pytest.raises(StoreError, match="made later than its key"):
        await begin(lost, online=False)
    waits: list[bool] = []
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(begin(lost, waits=waits), 0.2)
    assert waits == [True]
    assert await begin(lost, Answer(asked=True, time_ms=NOW_MS)) == Start(same_boot=False)


async def test_a_lost_store_goes_on_behind_what_the_aggregator_holds(
    bench: Bench, tmp_path: Path
) -> None:
    """The card died. Its key was saved; the chain goes on behind the last record that arrived."""
    lost = Bench(folder=tmp_path / "lost", connect=any_thread, nonces=50, now_ms=bench.now_ms)
    (lost.data / schema.STORE_NAME).unlink()
    schema.create(lost.data / schema.STORE_NAME, DEVICE, born_with_key=False)
    lost.open()
    answer = answer_with(bench, -1)
    for data in answer.kept:
        lost.store.keep_recovered(data)

    start = await begin(lost, answer, ahead=True)
    assert start.reopen is not None
    records = lost.reopen(start.reopen)
    lost.read()
    tip = lost.store.tip
    lost.turn_off()

    assert (records[0].epoch, records[0].seq) == (1, 5)
    assert lost.open().tip == tip
    lost.check()
    lost.turn_off()
