"""The aggregator behind a real mosquitto: what it takes, answers, refuses and asks for."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from meterseal.messages import Hello, Reject, RejectCode, Want
from meterseal.receiptformat import Receipt
from meterseal.statements import open_head
from meterseal.topics import Leaf
from meterseal.types import Epoch, Hash, Seq
from meterseal_aggregator.daemon import Aggregator
from meterseal_aggregator.errors import StoreError
from support.aggregator_stage import Stage, config_of, running
from support.device_link import DeviceLink
from support.gateway import Gateway

if TYPE_CHECKING:
    from support.mosquitto import Mosquitto


@pytest.fixture
def gateway(stage: Stage) -> Gateway:
    gateway = Gateway()
    stage.enrol(gateway)
    stage.close()
    return gateway


def told(stage: Stage, device: DeviceLink, record: bytes) -> bool:
    heads = [open_head(data, stage.keys.head.public) for data in device.all(Leaf.HEAD)]
    return any(head.last_record == record for head in heads)


def rejected(device: DeviceLink) -> list[RejectCode]:
    return [Reject.decode(data).code for data in device.all(Leaf.REJECT)]


async def test_records_are_stored_logged_and_receipted(
    stage: Stage, gateway: Gateway, mosquitto: Mosquitto
) -> None:
    records = gateway.chain(6)
    async with (
        running(config_of(stage.folder, mosquitto.port)),
        DeviceLink(mosquitto.port, gateway.id) as device,
    ):
        for record in records:
            await device.publish(Leaf.RECORD, record)
        await device.until(lambda: told(stage, device, records[-1]), "the head is told")
        await device.until(lambda: receipted(device) >= set(gateway.light()), "receipts came")

    stage.open()
    assert stage.stored(gateway) == records


async def test_a_missing_range_is_asked_for(
    stage: Stage, gateway: Gateway, mosquitto: Mosquitto
) -> None:
    records = gateway.chain(6, every=99)
    async with (
        running(config_of(stage.folder, mosquitto.port)),
        DeviceLink(mosquitto.port, gateway.id) as device,
    ):
        await device.publish(Leaf.RECORD, b"".join([*records[:2], *records[4:]]))
        await device.until(lambda: bool(device.all(Leaf.WANT)), "it is asked for")
        want = Want.decode(device.all(Leaf.WANT)[0])
        ((_, first, last),) = want.ranges
        await device.publish(Leaf.RECORD, b"".join(records[first : last + 1]))
        await device.until(lambda: told(stage, device, records[-1]), "the head is told")

    assert (first, last) == (2, 3)


async def test_what_leads_to_a_key_not_known_yet_is_asked_for(
    stage: Stage, gateway: Gateway, mosquitto: Mosquitto
) -> None:
    before = gateway.chain(2)
    change = gateway.change_key("second")
    after = gateway.reading()
    async with (
        running(config_of(stage.folder, mosquitto.port)),
        DeviceLink(mosquitto.port, gateway.id) as device,
    ):
        await device.publish(Leaf.RECORD, b"".join(before))
        await device.publish(Leaf.RECORD, after)
        await device.until(lambda: bool(device.all(Leaf.WANT)), "it is asked for")
        ((_, first, last),) = Want.decode(device.all(Leaf.WANT)[0]).ranges
        await device.publish(Leaf.RECORD, b"".join([*change, after]))
        await device.until(lambda: told(stage, device, after), "the head is told")

    assert (first, last) == (len(before), len(before) + len(change))
    assert rejected(device) == [RejectCode.TOO_FAR_AHEAD]


async def test_hostile_payloads_are_dropped_and_honest_devices_go_on(
    stage: Stage, gateway: Gateway, mosquitto: Mosquitto
) -> None:
    """Rubbish, oversize, another device's record, an unenrolled device, foreign topics."""
    records = gateway.chain(3)
    stranger = Gateway("stranger")
    async with (
        running(config_of(stage.folder, mosquitto.port)),
        DeviceLink(mosquitto.port, gateway.id) as device,
        DeviceLink(mosquitto.port, stranger.id) as other,
    ):
        for leaf in (Leaf.RECORD, Leaf.HELLO, Leaf.ASK):
            await other.publish(leaf, b"\xff" * 100)
            await other.publish(leaf, b"")
            await other.publish(leaf, b"\x9f" * 70_000)
        await other.publish(Leaf.RECORD, records[0])
        await other.publish(Leaf.RECORD, stranger.manifest())
        await device.publish(Leaf.RECORD, stranger.records[0])
        await device.publish(Leaf.RECORD, records[0] + b"\xff" + records[1])
        await device.publish(Leaf.RECORD, b"".join(records))
        await device.until(lambda: told(stage, device, records[-1]), "the head is told")
        await other.until(
            lambda: RejectCode.NOT_ENROLLED in rejected(other), "the stranger is refused"
        )

    stage.open()
    assert stage.stored(gateway) == records
    assert stage.store.records.count() == len(records)


async def test_a_hello_is_answered_with_its_own_nonce(
    stage: Stage, gateway: Gateway, mosquitto: Mosquitto
) -> None:
    hello = Hello(
        nonce=b"q" * 16,
        boot_nonce=bytes(16),
        epoch=Epoch(0),
        seq=Seq(0),
        hash=Hash(bytes(32)),
        light_n=0,
        checkpoint=None,
    )
    async with (
        running(config_of(stage.folder, mosquitto.port)),
        DeviceLink(mosquitto.port, gateway.id) as device,
    ):
        await device.publish(Leaf.HELLO, hello.encode())
        await device.until(lambda: b"q" * 16 in nonces(stage, device), "the head answers")

    (answer,) = [one for one in device.all(Leaf.HEAD) if b"q" * 16 in one]
    assert open_head(answer, stage.keys.head.public).last_record is None


async def test_what_was_sent_while_the_aggregator_was_down_is_taken_at_its_next_start(
    stage: Stage, gateway: Gateway, mosquitto: Mosquitto
) -> None:
    records = gateway.chain(5)
    config = config_of(stage.folder, mosquitto.port)
    async with DeviceLink(mosquitto.port, gateway.id) as device:
        async with running(config):
            await device.publish(Leaf.RECORD, records[0])
            await device.until(lambda: told(stage, device, records[0]), "the first is told")
        for record in records[1:]:
            await device.publish(Leaf.RECORD, record)
        async with running(config):
            await device.until(lambda: told(stage, device, records[-1]), "the last is told")


async def test_a_broker_that_dies_and_forgets_loses_nothing(
    stage: Stage, gateway: Gateway, mosquitto: Mosquitto
) -> None:
    records = gateway.chain(5)
    async with (
        running(config_of(stage.folder, mosquitto.port)),
        DeviceLink(mosquitto.port, gateway.id) as device,
    ):
        await device.publish(Leaf.RECORD, b"".join(records[:3]))
        await device.until(lambda: told(stage, device, records[2]), "the third is told")
        mosquitto.kill()
        mosquitto.start()
        await device.until(device.is_connected, "the device is back")
        # The broker forgot both sessions; a device repeats what was not told as stored.
        while not told(stage, device, records[-1]):
            await device.publish(Leaf.RECORD, b"".join(records[3:]))
            await asyncio.sleep(0.1)

    stage.open()
    assert stage.stored(gateway) == records


async def test_a_device_enrolled_while_running_is_told_at_once(
    stage: Stage, gateway: Gateway, mosquitto: Mosquitto
) -> None:
    late = Gateway("late")
    record = late.manifest()
    async with (
        running(config_of(stage.folder, mosquitto.port)),
        DeviceLink(mosquitto.port, late.id) as device,
    ):
        await device.publish(Leaf.RECORD, record)
        await device.until(lambda: bool(rejected(device)), "it is refused")
        stage.open()
        stage.enrol(late)
        stage.close()
        await device.until(lambda: bool(device.all(Leaf.HEAD)), "it hears of its enrolment")
        await device.publish(Leaf.RECORD, record)
        await device.until(lambda: told(stage, device, record), "it is stored")

    assert gateway.records == []


async def test_two_aggregators_in_one_folder_are_refused(
    stage: Stage, gateway: Gateway, mosquitto: Mosquitto
) -> None:
    config = config_of(stage.folder, mosquitto.port)
    async with running(config), DeviceLink(mosquitto.port, gateway.id) as device:
        record = gateway.manifest()
        await device.publish(Leaf.RECORD, record)
        await device.until(lambda: told(stage, device, record), "the first one runs")

        with pytest.raises(StoreError, match="another aggregator runs"):
            await Aggregator(config).run()


async def test_another_logs_store_is_refused(stage: Stage, gateway: Gateway) -> None:
    assert gateway.records == []

    with pytest.raises(StoreError, match="An origin never changes"):
        await Aggregator(config_of(stage.folder, 1, origin="log.test/other")).run()


def receipted(device: DeviceLink) -> set[Hash]:
    receipts = [Receipt.parse(data) for data in device.all(Leaf.RECEIPT)]
    return {one.record for receipt in receipts for one in receipt.inclusions}


def nonces(stage: Stage, device: DeviceLink) -> list[bytes | None]:
    return [open_head(data, stage.keys.head.public).nonce for data in device.all(Leaf.HEAD)]
