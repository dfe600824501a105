"""Only the newest store may speak: a copy that was put back never signs a size twice."""

from __future__ import annotations

import asyncio
import shutil
from contextlib import asynccontextmanager
from getpass import getuser
from typing import TYPE_CHECKING

import pytest

from meterseal.receiptformat import Receipt
from meterseal.records import decode_record, record_hash
from meterseal.topics import Leaf
from meterseal.types import Hash
from meterseal_aggregator.daemon import Aggregator
from meterseal_aggregator.errors import ConfigError, StoreError
from meterseal_aggregator.marker import Mark, Marker
from meterseal_aggregator.standing import (
    Past,
    Standing,
    check_note,
    confirm,
    mark_newest,
    read_past,
)
from support.aggregator_stage import NOW_MS, ORIGIN, Stage, config_of, running
from support.device_link import DeviceLink
from support.gateway import Gateway
from support.ledger import CHAIN_ID, SimulatedLedger
from support.mosquitto import Mosquitto

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator
    from pathlib import Path

    from meterseal_aggregator.config import Config
    from meterseal_aggregator.store import SignedCheckpoint

pytestmark = pytest.mark.timeout(60)


@pytest.fixture
def gateway(stage: Stage) -> Gateway:
    gateway = Gateway()
    stage.enrol(gateway)
    stage.close()
    return gateway


@pytest.fixture
def lasting(tmp_path: Path) -> Iterator[Mosquitto]:
    """A broker that keeps retained messages when it is stopped, not when it is killed."""
    folder = tmp_path / "lasting"
    folder.mkdir()
    extra = f"user {getuser()}\npersistence true\npersistence_location {folder}/"
    broker = Mosquitto(folder, extra=extra)
    broker.start()
    yield broker
    broker.stop()


def with_ledger(stage: Stage, port: int) -> Config:
    return config_of(
        stage.folder,
        port,
        own="anchor_every_s = 0.1",
        more=f"""
        [ledger]
        url = "http://ledger.test"
        chain_id = {CHAIN_ID}
        deploy = true
        finality = "blocks"
        confirmations = 0
        """,
    )


def ledger_of(stage: Stage) -> SimulatedLedger:
    from meterseal_aggregator.keyfiles import LEDGER, read_account  # noqa: PLC0415 -- slow

    account = read_account(stage.folder / "keys" / LEDGER)
    return SimulatedLedger(sender=bytes.fromhex(account.address[2:]))


def signed(stage: Stage) -> list[SignedCheckpoint]:
    stage.open()
    try:
        return list(stage.store.tree.checkpoints())
    finally:
        stage.close()


def reboot(stage: Stage) -> None:
    for path in (stage.folder / "run").iterdir():
        path.unlink()


def receipted(device: DeviceLink) -> set[Hash]:
    receipts = [Receipt.parse(data) for data in device.all(Leaf.RECEIPT)]
    return {one.record for receipt in receipts for one in receipt.inclusions}


def copy(stage: Stage) -> Path:
    """A backup of the store alone."""
    stage.open()
    stage.store._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    stage.close()
    kept = stage.folder.parent / "copy"
    shutil.copy(stage.folder / "store.sqlite3", kept)
    return kept


def put_back(stage: Stage, kept: Path | None) -> None:
    """Without a copy: an empty store, as `init` makes it."""
    for path in stage.folder.glob("store.sqlite3*"):
        path.unlink()
    if kept is not None:
        shutil.copy(kept, stage.folder / "store.sqlite3")
    stage.open()
    stage.close()


async def go(config: Config, port: int, gateway: Gateway, *records: bytes) -> None:
    """Run the aggregator until what the gateway sent has its receipts."""
    light = {record_hash(one) for one in records if decode_record(one).light is not None}
    async with running(config), DeviceLink(port, gateway.id) as device:
        await device.publish(Leaf.RECORD, b"".join(records))
        await device.until(lambda: receipted(device) & light == light, "receipts came")


@asynccontextmanager
async def started(config: Config, ledger: SimulatedLedger) -> AsyncIterator[asyncio.Task[None]]:
    task = asyncio.create_task(Aggregator(config, ledger=ledger).run())
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(15):
        while not condition():  # noqa: ASYNC110 -- asked of another object, which rings no bell
            await asyncio.sleep(0.01)


@pytest.mark.parametrize("what", ["copy", "empty store"])
async def test_a_store_older_than_the_checkpoint_at_the_broker_refuses_and_signs_nothing(
    stage: Stage, gateway: Gateway, mosquitto: Mosquitto, what: str
) -> None:
    """Goal: put back after a reboot, with more than one size signed since. Method: copy, sign on,
    put the copy back, and offer the records that it lacks in another order."""
    config = config_of(stage.folder, mosquitto.port)
    await go(config, mosquitto.port, gateway, *gateway.chain(3))
    kept = copy(stage) if what == "copy" else None
    await go(config, mosquitto.port, gateway, gateway.event(), gateway.event())
    told = signed(stage)[-1]
    put_back(stage, kept)
    stage.open()
    other = Gateway("other")
    stage.enrol(other)
    stage.close()
    before = signed(stage)
    reboot(stage)

    with pytest.raises(StoreError, match="older than what was signed"):
        async with asyncio.timeout(15):
            await Aggregator(config).run()

    assert signed(stage) == before
    assert await retained(config) == told.note


async def retained(config: Config) -> bytes:
    from meterseal.topics import checkpoint_topic  # noqa: PLC0415 -- one use
    from meterseal_aggregator.broker import Link  # noqa: PLC0415

    link = Link(config.mqtt, "reader")
    await link.connect([checkpoint_topic(ORIGIN)])
    (note, *_) = await link.take(1)
    await link.close()
    return note.payload


async def test_the_contract_first_and_the_note_late_signs_nothing_twice(
    stage: Stage, gateway: Gateway, lasting: Mosquitto
) -> None:
    """Goal: the race of a restored aggregator, contract before broker. Method: anchored at a size
    that the copy has; more signed since; the broker comes back after the contract was read."""
    config, ledger = with_ledger(stage, lasting.port), ledger_of(stage)
    async with running(config, ledger), DeviceLink(lasting.port, gateway.id) as device:
        await device.publish(Leaf.RECORD, b"".join(gateway.chain(3)))
        await until(lambda: ledger.executed() >= 3)
    kept = copy(stage)
    ledger.down = True
    await go(config_of(stage.folder, lasting.port), lasting.port, gateway, gateway.event())
    put_back(stage, kept)
    stage.open()
    stage.enrol(Gateway("other"))
    stage.close()
    before = signed(stage)
    reboot(stage)
    lasting.stop()
    ledger.down = False
    ledger.calls.clear()

    async with started(config, ledger) as task:
        await until(lambda: ledger.calls.count("eth_call") >= 3)
        await asyncio.sleep(0.5)  # as long as five checkpoints would take
        assert not task.done()
        assert signed(stage) == before
        lasting.start()
        with pytest.raises(StoreError, match="older than what was signed"):
            async with asyncio.timeout(15):
                await task

    assert signed(stage) == before


async def test_the_note_first_and_the_contract_late_signs_when_both_were_seen(
    stage: Stage, gateway: Gateway, lasting: Mosquitto
) -> None:
    config, ledger = with_ledger(stage, lasting.port), ledger_of(stage)
    async with running(config, ledger), DeviceLink(lasting.port, gateway.id) as device:
        await device.publish(Leaf.RECORD, b"".join(gateway.chain(3)))
        await until(lambda: ledger.executed() >= 3)
    before = signed(stage)
    reboot(stage)
    ledger.down = True

    async with running(config, ledger), DeviceLink(lasting.port, gateway.id) as device:
        await device.publish(Leaf.RECORD, gateway.event())
        await device.until(lambda: bool(device.all(Leaf.HEAD)), "the note was compared")
        await asyncio.sleep(0.5)  # as long as five checkpoints would take
        assert signed(stage) == before
        ledger.down = False
        await device.until(lambda: gateway.light()[-1] in receipted(device), "it signs")


async def test_a_restart_beside_a_broker_that_forgot_goes_on_alone(
    stage: Stage, gateway: Gateway, mosquitto: Mosquitto
) -> None:
    config = config_of(stage.folder, mosquitto.port)
    await go(config, mosquitto.port, gateway, *gateway.chain(3))
    mosquitto.kill()
    mosquitto.start()

    await go(config, mosquitto.port, gateway, gateway.event())

    assert len(signed(stage)) >= 2


async def test_after_a_reboot_beside_a_broker_that_forgot_the_operator_is_asked(
    stage: Stage, gateway: Gateway, mosquitto: Mosquitto
) -> None:
    config = config_of(stage.folder, mosquitto.port)
    await go(config, mosquitto.port, gateway, *gateway.chain(3))
    mosquitto.kill()
    mosquitto.start()
    reboot(stage)
    size = signed(stage)[-1].size

    with pytest.raises(StoreError, match=f"confirm --size {size}"):
        async with asyncio.timeout(15):
            await Aggregator(config).run()
    stage.open()
    confirm(stage.store, marker_of(stage), stage.folder, size, NOW_MS)
    stage.close()

    await go(config, mosquitto.port, gateway, gateway.event())


async def test_a_copy_beside_a_broker_that_forgot_meets_the_marker(
    stage: Stage, gateway: Gateway, mosquitto: Mosquitto
) -> None:
    config = config_of(stage.folder, mosquitto.port)
    await go(config, mosquitto.port, gateway, *gateway.chain(3))
    kept = copy(stage)
    await go(config, mosquitto.port, gateway, gateway.event())
    put_back(stage, kept)
    mosquitto.kill()
    mosquitto.start()

    with pytest.raises(StoreError, match=r"the marker .* older than what was signed"):
        await Aggregator(config).run()


def marker_of(stage: Stage) -> Marker:
    return Marker(stage.folder / "run", stage.keys.log.public)


def grown(stage: Stage) -> SignedCheckpoint:
    gateway = Gateway()
    stage.enrol(gateway)
    stage.send(gateway, *gateway.chain(3))
    checkpoint = stage.checkpoint()
    assert checkpoint is not None
    return checkpoint


def test_a_store_one_checkpoint_ahead_of_its_marker_is_the_newest(stage: Stage) -> None:
    """Killed between the commit and the marker."""
    grown(stage)
    mark_newest(stage.store, marker_of(stage))
    other = Gateway("other")
    stage.enrol(other)
    stage.checkpoint()

    assert read_past(stage.store, marker_of(stage), stage.folder).marked


@pytest.mark.parametrize(
    "content", ["", "[", "{}", "[" * 900, '{"boot_id": 1, "size": "x", "root": "zz"}']
)
def test_a_marker_that_is_rubbish_proves_nothing(stage: Stage, content: str) -> None:
    grown(stage)
    marker_of(stage).path.write_text(content)

    assert not read_past(stage.store, marker_of(stage), stage.folder).marked


def test_a_marker_of_another_boot_proves_nothing(stage: Stage, tmp_path: Path) -> None:
    grown(stage)
    mark_newest(stage.store, marker_of(stage))
    other = tmp_path / "boot_id"
    other.write_text("another\n")
    marker = Marker(stage.folder / "run", stage.keys.log.public, boot_id=other)

    assert not read_past(stage.store, marker, stage.folder).marked


def test_a_marker_that_cannot_be_written_leaves_none_that_is_older(stage: Stage) -> None:
    grown(stage)
    marker = marker_of(stage)
    mark_newest(stage.store, marker)
    nameless = Marker(stage.folder / "run", stage.keys.log.public, boot_id=stage.folder / "none")

    assert not nameless.write(Mark(size=9, root=Hash(bytes(32))))

    assert marker.read() is None


def test_a_confirmation_is_recorded_and_does_not_travel_with_a_copy(stage: Stage) -> None:
    from meterseal_aggregator.overview import log_overview  # noqa: PLC0415 -- one use

    size = grown(stage).size
    confirm(stage.store, marker_of(stage), stage.folder, size, NOW_MS)
    confirmed = read_past(stage.store, marker_of(stage), stage.folder)
    reboot(stage)

    assert confirmed.marked
    assert not read_past(stage.store, marker_of(stage), stage.folder).marked
    assert log_overview(stage.store)["confirmed"] == [f"size {size} at 2026-11-23T16:06:40.000Z"]


def test_a_confirmation_of_another_size_is_refused(stage: Stage) -> None:
    size = grown(stage).size

    with pytest.raises(ConfigError, match=f"has size {size}"):
        confirm(stage.store, marker_of(stage), stage.folder, size - 1, NOW_MS)


def test_the_operator_cannot_vouch_against_the_marker(stage: Stage) -> None:
    grown(stage)
    marker_of(stage).write(Mark(size=4711, root=Hash(bytes(32))))

    with pytest.raises(StoreError, match="older than what was signed"):
        confirm(stage.store, marker_of(stage), stage.folder, 4711, NOW_MS)


def test_a_note_that_our_key_did_not_sign_says_nothing(stage: Stage) -> None:
    from meterseal_aggregator.sequencer import log_signer  # noqa: PLC0415 -- one use

    note = grown(stage).note
    verifier = log_signer(ORIGIN, stage.keys).verifier

    text, _, signatures = note.partition(b"\n\n")
    other = signatures.replace(b"/meterseal ", b"/meterseel ")
    assert check_note(stage.store, text + b"\n\n" + other, verifier) is None
    assert check_note(stage.store, b"rubbish", verifier) is None


def past(**changes: int | bool) -> Past:
    values = {"size": 9, "published": 9, "signed": True, "marked": False, **changes}
    return Past(**values)  # type: ignore[arg-type]  # each of its own type


async def test_an_older_note_than_the_broker_once_took_vouches_for_nothing() -> None:
    standing = Standing(past(), ledger=False, quiet_s=0.01)
    standing.note_seen(8)

    with pytest.raises(StoreError, match="confirm --size 9"):
        await standing.may_speak()


async def test_a_busy_broker_is_waited_for_and_not_for_ever() -> None:
    standing = Standing(past(), ledger=False, quiet_s=0.2, longest_s=0.5)

    async def deliver() -> None:
        while True:
            standing.stirred()
            await asyncio.sleep(0.05)

    busy = asyncio.create_task(deliver())
    with pytest.raises(StoreError, match="confirm"):
        async with asyncio.timeout(5):
            await standing.may_speak()
    busy.cancel()


async def test_a_log_that_never_signed_begins_without_asking() -> None:
    standing = Standing(past(size=0, published=0, signed=False), ledger=False, quiet_s=0.01)

    await standing.may_speak()
    await standing.may_sign()


@pytest.mark.parametrize("first", ["note", "contract"])
async def test_both_must_be_seen_in_whatever_order(first: str) -> None:
    standing = Standing(past(), ledger=True)
    seen = {"note": lambda: standing.note_seen(9), "contract": standing.contract_seen}
    waiting = asyncio.create_task(standing.may_sign())

    seen.pop(first)()
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert not waiting.done()
    (last,) = seen.values()
    last()

    await waiting
