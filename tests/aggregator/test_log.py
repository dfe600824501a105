"""The log and what is signed: one size, one root, durable first; receipts lead a device along."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from meterseal.checkpoint import LogPolicy, Witness, open_checkpoint
from meterseal.messages import Ask, Hello
from meterseal.receipt import Receipt, Trusted, check_receipt
from meterseal.receiptformat import RECEIPT_SIZE_MAX
from meterseal.records import CheckpointPointer, record_hash
from meterseal.topics import Leaf
from meterseal.types import Epoch, Hash, Seq
from meterseal_aggregator.errors import StoreError
from meterseal_aggregator.outbox import _anchored_pages, _asked_pages, _logged_pages, _set_served
from meterseal_aggregator.sequencer import check_newest, log_signer, operator_witness
from meterseal_aggregator.store import Anchored, SignedCheckpoint
from support.aggregator_stage import NOW_MS, ORIGIN, Stage, message
from support.gateway import Gateway

if TYPE_CHECKING:
    from meterseal_aggregator.receipts import Page


class Device:
    """A device that checks what it is sent."""

    def __init__(self, stage: Stage, gateway: Gateway) -> None:
        witness = operator_witness(ORIGIN, stage.keys).verifier
        self.gateway = gateway
        self.policy = LogPolicy(
            origin=ORIGIN,
            log=log_signer(ORIGIN, stage.keys).verifier,
            witnesses=(Witness(verifier=witness, owner="operator"),),
            quorum=1,
            operator=witness,
        )
        self.state = Trusted()
        self.logged: set[Hash] = set()

    def accept(self, page: Page) -> None:
        assert len(page.receipt) <= RECEIPT_SIZE_MAX
        accepted = check_receipt(Receipt.parse(page.receipt), self.state, self.policy)
        self.state = accepted.state
        self.logged |= {leaf for leaf, _ in accepted.logged}

    def hello(self) -> bytes:
        held = self.state.checkpoint
        return Hello(
            nonce=bytes(16),
            boot_nonce=bytes(16),
            epoch=Epoch(0),
            seq=Seq(0),
            hash=Hash(bytes(32)),
            light_n=0,
            checkpoint=None
            if held is None
            else CheckpointPointer(size=held.checkpoint.size, root=held.checkpoint.root),
        ).encode()


@pytest.fixture
def device(stage: Stage) -> Device:
    gateway = Gateway()
    stage.enrol(gateway)
    return Device(stage, gateway)


def serve(stage: Stage, device: Device, *, lost: bool = False) -> int:
    """Send what is owed; a lost page was taken by the broker and never came."""
    count = 0
    for owed in (_logged_pages, _anchored_pages):
        while pages := owed(stage.store):
            for page in pages:
                if page.device.id == device.gateway.id and not lost:
                    device.accept(page)
                count += 1
            _set_served(stage.store, pages)
    return count


def anchor(stage: Stage, size: int | None = None) -> None:
    checkpoint = stage.store.tree.checkpoint(size)
    assert checkpoint is not None
    with stage.store.write():
        stage.store.journal.add_anchored(
            Anchored(size=checkpoint.size, root=checkpoint.root, block=1, proof=None), NOW_MS
        )


def test_a_checkpoint_is_durable_signed_and_cosigned(stage: Stage, device: Device) -> None:
    stage.send(device.gateway, *device.gateway.chain(5))

    signed = stage.checkpoint()

    assert signed is not None
    assert stage.store.tree.checkpoint() == signed
    witness = operator_witness(ORIGIN, stage.keys).verifier
    opened = open_checkpoint(signed.note, device.policy.log, [witness])
    assert opened.checkpoint.size == stage.store.tree.size()
    assert opened.time_of(witness) == signed.time_s


def test_a_log_that_did_not_grow_is_not_signed_again(stage: Stage, device: Device) -> None:
    stage.send(device.gateway, *device.gateway.chain(5))
    stage.checkpoint()

    assert stage.checkpoint(now_s=1_900_000_000) is None


def test_one_size_never_gets_two_roots(stage: Stage, device: Device) -> None:
    stage.send(device.gateway, *device.gateway.chain(5))
    signed = stage.checkpoint()
    assert signed is not None
    other = SignedCheckpoint(size=signed.size, root=Hash(b"o" * 32), time_s=1, note=b"other")

    with stage.store.write():
        assert not stage.store.tree.add_checkpoint(other)

    assert stage.store.tree.checkpoint() == signed


def test_the_operators_times_never_fall_when_the_clock_does(stage: Stage, device: Device) -> None:
    stage.send(device.gateway, *device.gateway.chain(3))
    first = stage.checkpoint(now_s=2_000)
    stage.send(device.gateway, device.gateway.event())
    second = stage.checkpoint(now_s=1_000)

    assert first is not None
    assert second is not None
    assert second.time_s == first.time_s


def test_a_tree_that_is_not_the_signed_one_stops_the_start(stage: Stage, device: Device) -> None:
    stage.audited = False
    stage.send(device.gateway, *device.gateway.chain(5))
    stage.checkpoint()
    stage.store._connection.execute("UPDATE leaf SET hash = zeroblob(32) WHERE idx = 2")

    with pytest.raises(StoreError, match="was signed"):
        check_newest(stage.store)


def test_receipts_lead_a_device_from_checkpoint_to_checkpoint(stage: Stage, device: Device) -> None:
    for _ in range(5):
        stage.send(device.gateway, grow(device.gateway))
        stage.checkpoint()
        serve(stage, device)

    assert device.logged == set(device.gateway.light())
    assert serve(stage, device) == 0


def test_a_receipt_that_was_lost_with_a_broker_comes_again_after_a_hello(
    stage: Stage, device: Device
) -> None:
    stage.send(device.gateway, *device.gateway.chain(6))
    stage.checkpoint()
    serve(stage, device, lost=True)
    assert device.logged == set()

    stage.deliver(message(device.gateway.id, Leaf.HELLO, device.hello()))
    serve(stage, device)

    assert device.logged == set(device.gateway.light())


def test_who_asks_gets_a_receipt_from_his_own_size_also_when_nothing_is_owed(
    stage: Stage, device: Device
) -> None:
    stage.send(device.gateway, *device.gateway.chain(3))
    stage.checkpoint()
    serve(stage, device)
    other = Gateway("other")
    stage.enrol(other)
    stage.send(other, *other.chain(9))
    stage.checkpoint()

    held = device.state.size
    answers = stage.deliver(message(device.gateway.id, Leaf.ASK, Ask(size=held).encode()))
    for page in _asked_pages(stage.store, answers.asks):
        device.accept(page)

    assert device.state.size == stage.store.tree.size() > held


def test_an_anchor_that_comes_after_a_later_checkpoint_is_still_shown(
    stage: Stage, device: Device
) -> None:
    stage.send(device.gateway, *device.gateway.chain(6))
    first = stage.checkpoint()
    assert first is not None
    stage.send(device.gateway, grow(device.gateway))
    stage.checkpoint()
    serve(stage, device)
    device.logged.clear()
    anchor(stage, first.size)

    serve(stage, device)

    assert device.logged == set(device.gateway.light()[:-1])
    assert device.state.size > first.size


def test_many_records_are_paged_and_every_page_is_one_receipt(stage: Stage, device: Device) -> None:
    stage.send(device.gateway, device.gateway.manifest())
    stage.send(device.gateway, *(device.gateway.event() for _ in range(600)))
    stage.checkpoint()

    pages = serve(stage, device)

    assert pages > 2
    assert device.logged == set(device.gateway.light())


def test_an_unsigned_hello_with_a_foreign_checkpoint_raises_an_alarm_and_no_error(
    stage: Stage, device: Device
) -> None:
    stage.send(device.gateway, *device.gateway.chain(3))
    stage.checkpoint()
    hello = Hello(
        nonce=bytes(16),
        boot_nonce=bytes(16),
        epoch=Epoch(0),
        seq=Seq(0),
        hash=Hash(bytes(32)),
        light_n=0,
        checkpoint=CheckpointPointer(size=10_000, root=Hash(b"x" * 32)),
    )

    answers = stage.deliver(message(device.gateway.id, Leaf.HELLO, hello.encode()))

    assert "not of this log" in answers.alarms[0][1]
    serve(stage, device)


def test_two_boots_that_say_hello_in_turn_raise_clone_suspected(
    stage: Stage, device: Device
) -> None:
    def hello(boot: bytes) -> list[str]:
        payload = Hello(
            nonce=bytes(16),
            boot_nonce=boot * 16,
            epoch=Epoch(0),
            seq=Seq(0),
            hash=Hash(bytes(32)),
            light_n=0,
            checkpoint=None,
        ).encode()
        answers = stage.deliver(message(device.gateway.id, Leaf.HELLO, payload))
        return [sentence for _, sentence in answers.alarms]

    assert hello(b"a") == hello(b"a") == hello(b"b") == hello(b"b") == []
    assert "CLONE SUSPECTED" in hello(b"a")[0]


def test_a_retained_hello_is_nobodys_question(stage: Stage, device: Device) -> None:
    answers = stage.deliver(message(device.gateway.id, Leaf.HELLO, device.hello(), retained=True))

    assert answers.hellos == set()


def grow(gateway: Gateway) -> bytes:
    if gateway.state.seq < 0:
        return gateway.manifest()
    data = gateway.event()
    assert record_hash(data) == gateway.state.last
    return data
