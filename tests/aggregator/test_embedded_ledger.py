"""The whole aggregator with a real broker and the embedded ledger: from a record to a receipt
whose anchor a device believes."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest

from meterseal.messages import Hello
from meterseal.policy import parse_policy
from meterseal.receipt import Receipt, Trusted, check_receipt
from meterseal.records import record_hash
from meterseal.statements import open_head
from meterseal.topics import Leaf
from meterseal.types import Epoch, Hash, Seq
from meterseal_aggregator.config import Config, parse
from meterseal_aggregator.daemon import Aggregator
from meterseal_aggregator.trust import trust_text
from support.aggregator_stage import ORIGIN, Stage
from support.device_link import DeviceLink
from support.gateway import Gateway
from support.mosquitto import Mosquitto
from support.simulated import Simulated

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path


@asynccontextmanager
async def running(config: Config) -> AsyncIterator[Aggregator]:
    """The daemon as a task of this loop; leaving ends it as SIGTERM does."""
    aggregator = Aggregator(config)
    task = asyncio.create_task(aggregator.run())
    await aggregator.connected.wait()
    try:
        yield aggregator
    finally:
        task.cancel()
        (outcome,) = await asyncio.gather(task, return_exceptions=True)
        if not isinstance(outcome, asyncio.CancelledError) and outcome is not None:
            raise outcome


def config_of(folder: Path, broker: Mosquitto, ledger: Simulated) -> Config:
    return parse(
        f"""
        [aggregator]
        data_dir = "{folder}"
        origin = "{ORIGIN}"
        checkpoint_every_s = 0.1
        anchor_every_s = 0.2
        [mqtt]
        host = "127.0.0.1"
        port = {broker.port}
        [ledger]
        url = "{ledger.ready["url"]}"
        chain_id = {ledger.ready["chain_id"]}
        key_file = "{ledger.ready["funded_key_file"]}"
        deploy = true
        """,
        source="test",
    )


@pytest.mark.timeout(60)
async def test_a_device_believes_the_anchor_of_its_records(tmp_path: Path) -> None:
    stage = Stage(tmp_path / "data")
    gateway = Gateway()
    stage.enrol(gateway)
    stage.close()
    records = gateway.chain(6)
    broker = Mosquitto(tmp_path)
    broker.start()
    with Simulated("ledger", "--data", tmp_path / "ledger", "--port", 0) as ledger:
        config = config_of(tmp_path / "data", broker, ledger)
        async with running(config), DeviceLink(broker.port, gateway.id) as device:
            hello = Hello(
                nonce=b"n" * 16,
                boot_nonce=b"b" * 16,
                epoch=Epoch(0),
                seq=Seq(0),
                hash=record_hash(records[0]),
                light_n=0,
                checkpoint=None,
            )
            await device.publish(Leaf.HELLO, hello.encode())
            await device.publish(Leaf.RECORD, b"".join(records))
            await device.until(lambda: anchored(device) >= set(gateway.light()), "all is anchored")
            await device.until(
                lambda: any(
                    open_head(head, stage.keys.head.public).last_record == records[-1]
                    for head in device.all(Leaf.HEAD)
                ),
                "the head is told",
            )
    broker.stop()

    stage.open()
    policy = parse_policy(trust_text(stage.store, config, stage.keys))
    assert stage.fsck() == []
    stage.close()
    state, believed = Trusted(), set[Hash]()
    for payload in device.all(Leaf.RECEIPT):
        accepted = check_receipt(Receipt.parse(payload), state, policy.log, policy.ledger)
        state = accepted.state
        if accepted.anchored is not None and accepted.anchored.root is not None:
            believed |= {leaf for leaf, _ in accepted.logged}
    assert believed == set(gateway.light())
    answered = [open_head(head, stage.keys.head.public).nonce for head in device.all(Leaf.HEAD)]
    assert b"n" * 16 in answered


def anchored(device: DeviceLink) -> set[Hash]:
    receipts = [Receipt.parse(payload) for payload in device.all(Leaf.RECEIPT)]
    return {one.record for receipt in receipts if receipt.ledger for one in receipt.inclusions}
