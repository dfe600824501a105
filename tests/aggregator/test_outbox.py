"""What goes out: owed until the broker took it, once, and bounded whoever asks."""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, TypeVar

import pytest

from meterseal.messages import Hello
from meterseal.receiptformat import Receipt
from meterseal.records import CheckpointPointer
from meterseal.statements import open_head
from meterseal.topics import DeviceTopic, Leaf, parse_topic
from meterseal.types import Epoch, Hash, Seq, UnixMs
from meterseal_aggregator.errors import BrokerAway
from meterseal_aggregator.outbox import Outbox, _gaps, _logged_pages, _set_served, gaps_of
from meterseal_aggregator.receipts import TAKE_BACK_EVERY_MS
from support.aggregator_stage import NOW_MS, Stage, config_of, message
from support.gateway import Gateway

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from meterseal.types import DeviceId
    from meterseal_aggregator.intake import Answers
    from meterseal_aggregator.store import Store

T = TypeVar("T")


class Wire:
    """A broker's place: keeps what is published, and goes away before a leaf when told to."""

    def __init__(self) -> None:
        self.sent: list[tuple[DeviceId | None, str, bytes]] = []
        self.lost: Leaf | None = None
        self.stirred = asyncio.Event()
        self.seen: Callable[[DeviceTopic], None] = lambda _: None

    async def publish(self, topic: str, payload: bytes, *, retain: bool = False) -> None:
        where = parse_topic(topic)
        device = where.device if isinstance(where, DeviceTopic) else None
        leaf = where.leaf.value if isinstance(where, DeviceTopic) else "checkpoint"
        if self.lost is not None and leaf == self.lost.value:
            raise BrokerAway("gone")
        assert retain is (device is None)
        await asyncio.sleep(0)
        self.sent.append((device, leaf, payload))
        if isinstance(where, DeviceTopic):
            self.seen(where)
        self.stirred.set()

    def of(self, device: Gateway, leaf: Leaf) -> list[bytes]:
        return [data for to, what, data in self.sent if (to, what) == (device.id, leaf.value)]


def outbox_of(stage: Stage, now: Callable[[], int] = lambda: NOW_MS) -> Outbox:
    async def in_store(work: Callable[[Store], T]) -> T:
        return work(stage.store)

    return Outbox(
        config=config_of(stage.folder, 1),
        keys=stage.keys,
        in_store=in_store,
        now_ms=lambda: UnixMs(now()),
    )


@asynccontextmanager
async def serving(outbox: Outbox, wire: Wire) -> AsyncIterator[None]:
    task = asyncio.create_task(outbox.serve(wire))  # type: ignore[arg-type]  # in a Link's place
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def until(wire: Wire, condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition():
            wire.stirred.clear()
            await wire.stirred.wait()


def hello(nonce: int = 1, size: int = 0, root: Hash | None = None) -> bytes:
    return Hello(
        nonce=bytes([nonce]) * 16,
        boot_nonce=bytes(16),
        epoch=Epoch(0),
        seq=Seq(0),
        hash=Hash(bytes(32)),
        light_n=0,
        checkpoint=None if root is None else CheckpointPointer(size=size, root=root),
    ).encode()


def say(stage: Stage, gateway: Gateway, payload: bytes, after_ms: int = 0) -> Answers:
    delivery = message(gateway.id, Leaf.HELLO, payload)
    return stage.intake.take([delivery], UnixMs(NOW_MS + after_ms))


def logged(stage: Stage, gateway: Gateway, count: int) -> int:
    """A device whose leaves have all had their receipt; in how many pages."""
    stage.enrol(gateway)
    stage.send(gateway, gateway.manifest())
    for _ in range(0, count, 200):
        stage.send(gateway, *(gateway.event() for _ in range(200)))
    stage.checkpoint()
    return serve(stage)


def serve(stage: Stage) -> int:
    pages = 0
    while owed := _logged_pages(stage.store):
        _set_served(stage.store, owed)
        pages += len(owed)
    return pages


async def test_a_hello_is_answered_although_the_process_died_after_its_acknowledgement(
    stage: Stage,
) -> None:
    """Method: the batch is durable and acknowledged; the head was never sent; start anew."""
    gateway = Gateway()
    stage.enrol(gateway)
    outbox = outbox_of(stage)
    outbox.answer(say(stage, gateway, hello(7)))
    stage.reopen()

    wire = Wire()
    async with serving(outbox_of(stage), wire):
        await until(wire, lambda: bool(wire.of(gateway, Leaf.HEAD)))

    nonces = [open_head(head, stage.keys.head.public).nonce for head in wire.of(gateway, Leaf.HEAD)]
    assert nonces == [b"\x07" * 16]


async def test_a_hello_whose_answer_the_broker_did_not_take_is_owed_still(stage: Stage) -> None:
    gateway = Gateway()
    stage.enrol(gateway)
    outbox, wire = outbox_of(stage), Wire()
    wire.lost = Leaf.HEAD
    outbox.answer(say(stage, gateway, hello(7)))
    with pytest.raises(BaseExceptionGroup):
        await outbox.serve(wire)  # type: ignore[arg-type]  # in a Link's place
    wire.lost = None

    async with serving(outbox, wire):
        await until(wire, lambda: bool(wire.of(gateway, Leaf.HEAD)))

    assert stage.store.greetings.owed(9) == []


async def test_a_page_under_way_does_not_undo_what_a_hello_took_back(stage: Stage) -> None:
    """The race of B14: the page is built, the hello comes, then the page is taken."""
    gateway = Gateway()
    stage.enrol(gateway)
    stage.send(gateway, gateway.manifest(), *(gateway.event() for _ in range(300)))
    stage.checkpoint()
    first = _logged_pages(stage.store)
    _set_served(stage.store, first)
    second = _logged_pages(stage.store)

    say(stage, gateway, hello())  # it lost the first page with its store
    _set_served(stage.store, second)

    owed = {one.record for page in _drain(stage) for one in Receipt.parse(page).inclusions}
    assert owed == set(gateway.light())


def _drain(stage: Stage) -> list[bytes]:
    receipts = []
    while owed := _logged_pages(stage.store):
        _set_served(stage.store, owed)
        receipts += [page.receipt for page in owed]
    return receipts


def test_an_honest_restart_has_its_receipts_again_at_once(stage: Stage) -> None:
    gateway = Gateway()
    pages = logged(stage, gateway, 400)

    say(stage, gateway, hello())

    assert serve(stage) == pages > 1


def test_hellos_in_a_row_take_receipts_back_once_a_minute_and_none_is_forgotten(
    stage: Stage,
) -> None:
    gateway = Gateway()
    pages = logged(stage, gateway, 400)
    again = 0
    for number in range(50):
        say(stage, gateway, hello(number), after_ms=number)
        again += serve(stage)
    assert again == pages

    say(stage, gateway, hello(), after_ms=TAKE_BACK_EVERY_MS)

    assert serve(stage) == pages


async def test_what_came_too_early_is_served_when_its_time_has_come(stage: Stage) -> None:
    gateway = Gateway()
    logged(stage, gateway, 200)
    say(stage, gateway, hello(1))
    serve(stage)
    say(stage, gateway, hello(2), after_ms=1)
    now = [NOW_MS + 2]
    wire = Wire()

    async with serving(outbox_of(stage, lambda: now[0]), wire):
        await until(wire, lambda: bool(wire.of(gateway, Leaf.HEAD)))
        assert wire.of(gateway, Leaf.RECEIPT) == []
        now[0] += TAKE_BACK_EVERY_MS
        await until(wire, lambda: bool(wire.of(gateway, Leaf.RECEIPT)))


def test_a_clock_that_fell_does_not_keep_receipts_back(stage: Stage) -> None:
    gateway = Gateway()
    pages = logged(stage, gateway, 200)
    say(stage, gateway, hello(1))
    serve(stage)

    say(stage, gateway, hello(2), after_ms=-10_000_000)

    assert serve(stage) == pages


async def test_a_hello_does_not_wait_behind_another_devices_backlog(stage: Stage) -> None:
    greedy, honest = Gateway("greedy"), Gateway("honest")
    logged(stage, greedy, 2000)
    stage.enrol(honest)
    say(stage, greedy, hello())
    outbox, wire = outbox_of(stage), Wire()

    def ask(topic: DeviceTopic) -> None:
        if topic.leaf is Leaf.RECEIPT and not stage.store.greetings.owed(1):
            outbox.answer(say(stage, honest, hello()))
            wire.seen = lambda _: None

    wire.seen = ask
    async with serving(outbox, wire):
        await until(wire, lambda: bool(wire.of(honest, Leaf.HEAD)))

    assert len(wire.of(greedy, Leaf.RECEIPT)) <= 2


async def test_a_checkpoint_signed_while_another_is_published_is_published_too(
    stage: Stage,
) -> None:
    gateway = Gateway()
    stage.enrol(gateway)
    stage.checkpoint()
    outbox, wire = outbox_of(stage), Wire()

    async def publish(topic: str, payload: bytes, *, retain: bool = False) -> None:
        if not wire.sent:
            stage.send(gateway, gateway.manifest())
            stage.checkpoint()
            outbox.checkpoint_is_due()
        await Wire.publish(wire, topic, payload, retain=retain)

    wire.publish = publish  # type: ignore[method-assign]
    async with serving(outbox, wire):
        newest = stage.store.tree.checkpoint
        await until(wire, lambda: any(data == newest().note for _, _, data in wire.sent))  # type: ignore[union-attr]


async def test_no_receipt_shows_a_checkpoint_that_the_broker_does_not_retain_yet(
    stage: Stage,
) -> None:
    gateway = Gateway()
    stage.enrol(gateway)
    stage.send(gateway, *gateway.chain(3))
    stage.sequence()
    from meterseal_aggregator.sequencer import checkpoint  # noqa: PLC0415 -- unpublished

    checkpoint(stage.store, "log.test/meterseal", stage.keys, 1)
    assert _logged_pages(stage.store) == []
    wire = Wire()

    async with serving(outbox_of(stage), wire):
        await until(wire, lambda: bool(wire.of(gateway, Leaf.RECEIPT)))

    order = [leaf for _, leaf, _ in wire.sent]
    assert order.index("checkpoint") < order.index("receipt")


def test_gaps_are_looked_for_among_a_bounded_number_of_waiting_records(stage: Stage) -> None:
    gateway = Gateway()
    stage.enrol(gateway)
    records = gateway.chain(1200, every=10**6)
    stage.send(gateway, records[0])
    stage.send(gateway, *records[2:900], *records[901:])
    read = Counter[str]()
    stage.store._connection.set_trace_callback(lambda sql: read.update([sql[-9:]]))

    (device,) = stage.store.devices.all()
    assert gaps_of(stage.store, device) == ((0, 1, 1),)

    assert read["LIMIT 512"] == 1


async def test_a_device_that_does_not_change_is_not_looked_at_again_and_is_asked_again(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    gateway, frozen = Gateway(), Gateway("frozen")
    for one in (gateway, frozen):
        stage.enrol(one)
        records = one.chain(5)
        stage.send(one, records[0], *records[2:])
    with stage.store.write():
        stage.store.devices.freeze(frozen.id, "a rule")
    looked: list[set[DeviceId]] = []

    def counted(store: Store, devices: set[DeviceId], beyond: dict[DeviceId, tuple[int, int]]):  # type: ignore[no-untyped-def]  # noqa: ANN202 -- as the original
        looked.append(set(devices))
        return _gaps(store, devices, beyond)

    monkeypatch.setattr("meterseal_aggregator.outbox._gaps", counted)
    monkeypatch.setattr("meterseal_aggregator.outbox.WANT_AFTER_S", 0.05)
    monkeypatch.setattr("meterseal_aggregator.outbox.TICK_S", 0.01)
    wire = Wire()
    async with serving(outbox_of(stage), wire):
        await until(wire, lambda: len(wire.of(gateway, Leaf.WANT)) == 3)

    assert looked == [{gateway.id}]
    assert wire.of(frozen, Leaf.WANT) == []
