"""The talk with a real broker: what is sent, what is believed, and what a crash costs."""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import paho.mqtt.client as paho
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from meterseal.encoding import decode_sequence
from meterseal.messages import Ask, Hello, Reject, RejectCode, Want
from meterseal.records import Kind, decode_record, record_hash
from meterseal.topics import Leaf, checkpoint_topic, device_topic
from meterseal.types import Epoch, Hash, Seq
from meterseal_agent.config.model import MqttConfig
from meterseal_agent.publish.backoff import Backoff
from meterseal_agent.publish.publisher import Parts, Publisher
from meterseal_agent.publish.settings import Peer
from meterseal_agent.store import receipts
from meterseal_agent.store.overdue import Overdue
from meterseal_agent.store.schema import place
from meterseal_agent.store.thread import StoreThread
from support.device import DEVICE, KEY, Bench, any_thread
from support.small_log import NOW_MS, SmallLog

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from meterseal.checkpoint import LogPolicy
    from meterseal_agent.publish.answer import Answer
    from support.mosquitto import Mosquitto

pytestmark = pytest.mark.system


class Aggregator:
    """The other end: it keeps what arrives, and says what a test makes it say."""

    def __init__(self, broker: Mosquitto) -> None:
        self.records: list[bytes] = []
        self.messages: list[tuple[str, bytes, bool]] = []
        self.batches: list[list[bytes]] = []
        self._loop = asyncio.get_running_loop()
        self._changed = asyncio.Event()
        # The broker gives the name: two that listen one after the other must not oust each other.
        self._client = paho.Client(CallbackAPIVersion.VERSION2)
        self._client.on_message = self._on_message
        self.ready = asyncio.Event()
        self._client.on_subscribe = self._on_subscribe
        self._client.connect(broker.host, broker.port)
        self._client.subscribe("meterseal/#", qos=1)
        self._client.loop_start()

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()
        self._client.on_message = self._client.on_subscribe = None  # else a cycle keeps its sockets

    def say(self, leaf: Leaf, payload: bytes, *, retain: bool = False) -> None:
        self._client.publish(device_topic(DEVICE, leaf), payload, qos=1, retain=retain)

    def say_checkpoint(self, origin: str, note: bytes) -> None:
        self._client.publish(checkpoint_topic(origin), note, qos=1)

    def of(self, leaf: Leaf) -> list[bytes]:
        return [data for topic, data, _ in self.messages if topic.endswith(f"/{leaf.value}")]

    async def until(self, condition: Callable[[], bool]) -> None:
        while not condition():
            self._changed.clear()
            await self._changed.wait()

    def _on_subscribe(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self.ready.set)

    def _on_message(self, _client: object, _userdata: object, message: paho.MQTTMessage) -> None:
        self._loop.call_soon_threadsafe(
            self._take, message.topic, bytes(message.payload), message.retain
        )

    def _take(self, topic: str, payload: bytes, retained: bool) -> None:  # noqa: FBT001
        self.messages.append((topic, payload, retained))
        if topic.endswith("/record"):
            items, fault = decode_sequence(payload)
            assert fault is None
            self.batches.append(items)
            self.records += items
        self._changed.set()


@dataclass
class Talk:
    bench: Bench
    publisher: Publisher
    aggregator: Aggregator
    log: SmallLog
    ahead: list[Answer] = field(default_factory=list)
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def connected(self) -> bool:
        return self.publisher._link is not None

    async def hello(self) -> Hello:
        await self.aggregator.until(lambda: bool(self.aggregator.of(Leaf.HELLO)))
        return Hello.decode(self.aggregator.of(Leaf.HELLO)[-1])

    async def until(self, condition: Callable[[], bool]) -> None:
        while not condition():
            self.changed.clear()
            await self.changed.wait()

    def release(self) -> None:
        head = self.bench.store.tip.head
        assert head is not None
        self.publisher.released(place(head.epoch, head.seq))


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    bench = Bench(folder=tmp_path / "device", connect=any_thread)
    bench.turn_on()
    for _ in range(8):
        bench.read()
    return bench


@asynccontextmanager
async def talking(
    bench: Bench,
    broker: Mosquitto,
    *,
    light_only: bool = False,
    policy: LogPolicy | None = None,
) -> AsyncIterator[Talk]:
    log = SmallLog()
    thread = StoreThread()
    ahead: list[Answer] = []
    changed = asyncio.Event()
    peer = Peer(
        mqtt=MqttConfig(host=broker.host, port=broker.port),
        device=DEVICE,
        public=KEY.public,
        head_key=log.head_key.public,
        policy=policy or log.policy(),
        ledger=log.ledger_policy,
        light_only=light_only,
    )
    publisher = Publisher(
        Parts(
            peer=peer,
            store=bench.store,
            thread=thread,
            backoff=Backoff(random=lambda: 0.0, first_s=0.05, last_s=0.1),
            randomness=lambda size: bytes([7]) * size,
            boot_nonce=bytes(16),
            on_ahead=ahead.append,
            on_change=changed.set,
            now_ms=lambda: NOW_MS,
        )
    )
    aggregator = Aggregator(broker)
    await aggregator.ready.wait()
    talk = Talk(bench, publisher, aggregator, log, ahead, changed)
    talk.release()
    running = asyncio.create_task(publisher.run(), name="publish")
    try:
        yield talk
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        aggregator.close()
        thread.close()


def signed(bench: Bench) -> list[bytes]:
    return [one.data for one in bench.released]


async def test_everything_that_was_released_arrives_in_order(
    bench: Bench, mosquitto: Mosquitto
) -> None:
    async with talking(bench, mosquitto) as talk:
        await talk.aggregator.until(lambda: len(talk.aggregator.records) == 11)

        assert talk.aggregator.records == signed(bench)


async def test_a_new_record_is_sent_when_it_is_released_and_not_before(
    bench: Bench, mosquitto: Mosquitto
) -> None:
    async with talking(bench, mosquitto) as talk:
        await talk.aggregator.until(lambda: len(talk.aggregator.records) == 11)

        bench.read()
        assert len(talk.aggregator.records) == 11
        talk.release()

        await talk.aggregator.until(lambda: len(talk.aggregator.records) == 12)


async def test_readings_stay_at_home_where_the_owner_says_so(
    bench: Bench, mosquitto: Mosquitto
) -> None:
    async with talking(bench, mosquitto, light_only=True) as talk:
        await talk.aggregator.until(lambda: len(talk.aggregator.records) == 3)

        kinds = [decode_record(data).kind for data in talk.aggregator.records]
        assert kinds == [Kind.MANIFEST, Kind.EVENT, Kind.INTERVAL]


async def test_a_hello_tells_where_we_stand(bench: Bench, mosquitto: Mosquitto) -> None:
    async with talking(bench, mosquitto) as talk:
        hello = await talk.hello()

        head = bench.store.tip.head
        assert head is not None
        assert (hello.epoch, hello.seq, hello.hash) == (head.epoch, head.seq, head.hash)


async def test_an_answer_moves_stored_and_ends_the_handshake(
    bench: Bench, mosquitto: Mosquitto
) -> None:
    async with talking(bench, mosquitto) as talk:
        hello = await talk.hello()
        light = next(d for d in signed(bench) if decode_record(d).kind is Kind.INTERVAL)

        talk.aggregator.say(Leaf.HEAD, talk.log.head(DEVICE, light, nonce=hello.nonce))
        await talk.publisher.first_answer

        assert talk.publisher._sender.stored == 8
        assert receipts.frontier(bench.store.connection).stored == 8


async def test_a_hello_whose_answer_was_lost_is_said_again(
    bench: Bench, mosquitto: Mosquitto
) -> None:
    async with talking(bench, mosquitto) as talk:
        await talk.aggregator.until(lambda: len(talk.aggregator.of(Leaf.HELLO)) == 2)

        hello = Hello.decode(talk.aggregator.of(Leaf.HELLO)[1])
        head = talk.log.head(DEVICE, signed(bench)[1], nonce=hello.nonce)
        talk.aggregator.say(Leaf.HEAD, head)
        await talk.publisher.first_answer


async def test_an_answer_that_a_broker_says_again_moves_nothing(
    bench: Bench, mosquitto: Mosquitto
) -> None:
    async with talking(bench, mosquitto) as talk:
        hello = await talk.hello()
        await talk.aggregator.until(lambda: len(talk.aggregator.records) == 11)
        old = talk.log.head(DEVICE, signed(bench)[1], nonce=hello.nonce)
        talk.aggregator.say(Leaf.HEAD, old)
        await talk.publisher.first_answer
        talk.aggregator.say(Leaf.HEAD, talk.log.head(DEVICE, signed(bench)[8]))
        await talk.until(lambda: talk.publisher._sender.stored == 8)

        for _ in range(5):
            talk.aggregator.say(Leaf.HEAD, old)
        # What is asked for behind them shows that they were read and left without effect.
        want = Want(ranges=((Epoch(0), Seq(2), Seq(2)),))
        talk.aggregator.say(Leaf.WANT, want.encode())
        await talk.aggregator.until(lambda: len(talk.aggregator.records) > 11)

        assert talk.aggregator.records[11:] == [signed(bench)[2]]
        assert talk.publisher._sender.stored == 8


async def test_what_is_overdue_is_said_on_the_status_topic(
    bench: Bench, mosquitto: Mosquitto
) -> None:
    async with talking(bench, mosquitto) as talk:
        await talk.hello()
        talk.publisher.tell(Overdue(log_ms=1, anchor_ms=2))
        talk.publisher.tell(Overdue(log_ms=1, anchor_ms=2))
        talk.publisher.tell(Overdue())
        await talk.aggregator.until(lambda: len(talk.aggregator.of(Leaf.STATUS)) == 3)

        assert [json.loads(said) for said in talk.aggregator.of(Leaf.STATUS)] == [
            {"online": True},
            {"online": True, "log_overdue_since_ms": 1, "anchor_overdue_since_ms": 2},
            {"online": True},
        ]


async def test_a_record_that_we_do_not_hold_in_an_answer_proves_the_aggregator_ahead(
    bench: Bench, mosquitto: Mosquitto, tmp_path: Path
) -> None:
    """A card from yesterday: the aggregator holds a restore that this card never saw."""
    other = Bench(folder=tmp_path / "other")
    other.turn_on()
    other.cut_power()
    other.turn_on()
    theirs = other.released[-1].data
    async with talking(bench, mosquitto) as talk:
        hello = await talk.hello()

        talk.aggregator.say(Leaf.HEAD, talk.log.head(DEVICE, theirs, nonce=hello.nonce))
        await talk.publisher.first_answer

        assert [answer.hash for answer in talk.ahead] == [record_hash(theirs)]
        kept = bench.store.connection.execute("SELECT bytes FROM recovered").fetchall()
        assert kept == [(theirs,)]
    other.turn_off()


@pytest.mark.parametrize("nonce", [None, bytes(16)])
async def test_a_replayed_head_proves_nothing(
    bench: Bench, mosquitto: Mosquitto, tmp_path: Path, nonce: bytes | None
) -> None:
    other = Bench(folder=tmp_path / "other")
    other.turn_on()
    other.cut_power()
    other.turn_on()
    async with talking(bench, mosquitto) as talk:
        hello = await talk.hello()
        stale = talk.log.head(DEVICE, other.released[-1].data, nonce=nonce)
        talk.aggregator.say(Leaf.HEAD, stale, retain=True)
        # The asked answer behind it shows that the stale one was read and left without effect.
        fresh = talk.log.head(DEVICE, bench.released[1].data, nonce=hello.nonce)
        talk.aggregator.say(Leaf.HEAD, fresh)
        await talk.publisher.first_answer

        assert talk.ahead == []
    other.turn_off()


async def test_what_a_broker_acknowledged_and_forgot_is_sent_again(
    bench: Bench, mosquitto: Mosquitto
) -> None:
    """Goal: a PUBACK is not storage. Method: kill -9 the broker behind the PUBACKs, start again."""
    async with talking(bench, mosquitto) as talk:
        await talk.aggregator.until(lambda: len(talk.aggregator.records) == 11)
        await talk.until(lambda: talk.publisher.reached == 10)

        mosquitto.kill()
        await talk.until(lambda: not talk.connected)
        mosquitto.start()
        late = Aggregator(mosquitto)
        await late.until(lambda: len(set(late.records)) == 11)

        assert set(late.records) == set(signed(bench))
        late.close()


async def test_a_wanted_range_is_sent_again(bench: Bench, mosquitto: Mosquitto) -> None:
    async with talking(bench, mosquitto) as talk:
        await talk.aggregator.until(lambda: len(talk.aggregator.records) == 11)

        want = Want(ranges=((Epoch(0), Seq(2), Seq(4)),))
        talk.aggregator.say(Leaf.WANT, want.encode())
        await talk.aggregator.until(lambda: len(talk.aggregator.records) == 14)

        assert talk.aggregator.records[11:] == signed(bench)[2:5]


async def test_a_receipt_is_committed_and_shown(bench: Bench, mosquitto: Mosquitto) -> None:
    async with talking(bench, mosquitto) as talk:
        await talk.hello()
        talk.log.take(*signed(bench))

        talk.aggregator.say(Leaf.RECEIPT, talk.log.receipt(anchored=True).encode())
        await talk.until(lambda: receipts.frontier(bench.store.connection).anchored == 8)


async def test_a_quorum_that_was_raised_stops_nothing(bench: Bench, mosquitto: Mosquitto) -> None:
    log = SmallLog()
    log.take(*signed(bench))
    receipts.accept(bench.store, log.receipt(), log.policy(), log.ledger_policy, NOW_MS)
    async with talking(bench, mosquitto, policy=log.policy(quorum=2)) as talk:
        await talk.hello()
        talk.log.take(*signed(bench))
        talk.log.leaves.append(Hash(bytes(32)))

        both = (log.witness, log.second)
        receipt = talk.log.receipt(since=3, all_leaves=True, anchored=True, cosigners=both)
        talk.aggregator.say(Leaf.RECEIPT, receipt.encode())
        await talk.until(lambda: receipts.frontier(bench.store.connection).anchored == 8)


async def test_a_device_that_is_given_another_log_publishes_nothing_and_says_so(
    bench: Bench, mosquitto: Mosquitto
) -> None:
    log = SmallLog()
    log.take(*signed(bench))
    receipts.accept(bench.store, log.receipt(), log.policy(), log.ledger_policy, NOW_MS)
    other = replace(log.policy(), log=replace(log.log, key=KEY).verifier)
    async with talking(bench, mosquitto, policy=other) as talk:
        await talk.until(lambda: "follows one log for life" in str(talk.publisher.troubles))

        assert not talk.connected
        bench.read()  # and signs on
        talk.release()


async def test_a_receipt_from_the_wrong_size_makes_us_ask_from_ours(
    bench: Bench, mosquitto: Mosquitto
) -> None:
    async with talking(bench, mosquitto) as talk:
        await talk.hello()
        talk.log.take(*signed(bench)[:2])
        talk.aggregator.say(Leaf.RECEIPT, talk.log.receipt().encode())
        talk.log.take(*signed(bench))
        talk.aggregator.say(Leaf.RECEIPT, talk.log.receipt(since=1).encode())

        await talk.aggregator.until(
            lambda: 2 in [Ask.decode(data).size for data in talk.aggregator.of(Leaf.ASK)]
        )


async def test_a_public_checkpoint_that_splits_the_view_is_an_alarm_with_evidence(
    bench: Bench, mosquitto: Mosquitto
) -> None:
    async with talking(bench, mosquitto) as talk:
        await talk.hello()
        talk.log.take(*signed(bench))
        talk.aggregator.say(Leaf.RECEIPT, talk.log.receipt().encode())
        rival = talk.log.note(root=record_hash(b"another root"))

        talk.aggregator.say_checkpoint(talk.log.log.name, rival)
        await talk.until(lambda: bool(talk.publisher.inbox.alarms))

        assert "AGGREGATOR SPLIT VIEW" in talk.publisher.inbox.alarms


async def test_a_device_that_is_not_enrolled_waits_and_tries_again(
    bench: Bench, mosquitto: Mosquitto
) -> None:
    async with talking(bench, mosquitto) as talk:
        await talk.aggregator.until(lambda: len(talk.aggregator.records) == 11)
        reject = Reject(hash=bench.released[0].hash, code=RejectCode.NOT_ENROLLED)

        for _ in range(5):
            talk.aggregator.say(Leaf.REJECT, reject.encode())
        await talk.until(lambda: "not enrolled" in str(talk.publisher.troubles))
        await talk.aggregator.until(lambda: len(talk.aggregator.records) == 22)

        assert talk.aggregator.records[11:] == signed(bench)


async def test_rubbish_on_every_topic_stops_nothing(bench: Bench, mosquitto: Mosquitto) -> None:
    async with talking(bench, mosquitto) as talk:
        await talk.hello()
        for leaf in (Leaf.HEAD, Leaf.WANT, Leaf.REJECT, Leaf.RECEIPT):
            for rubbish in (b"", b"\x00", b"\xff" * 50, b"\xa1" * 1000, bytes(1 << 16)):
                talk.aggregator.say(leaf, rubbish)

        want = Want(ranges=((Epoch(0), Seq(0), Seq(0)),))
        talk.aggregator.say(Leaf.WANT, want.encode())
        await talk.aggregator.until(lambda: len(talk.aggregator.records) == 12)

        assert talk.connected
        assert talk.publisher.inbox.wrong.total() == 20


async def test_a_clean_stop_says_offline_and_a_crash_lets_the_broker_say_it(
    bench: Bench, mosquitto: Mosquitto
) -> None:
    async with talking(bench, mosquitto) as talk:
        await talk.aggregator.until(lambda: bool(talk.aggregator.of(Leaf.STATUS)))
        aggregator = Aggregator(mosquitto)
        await aggregator.until(lambda: bool(aggregator.of(Leaf.STATUS)))
        assert aggregator.of(Leaf.STATUS) == [b'{"online": true}']

    # A broker that reads the goodbye too late says the last will as well.
    await aggregator.until(lambda: len(aggregator.of(Leaf.STATUS)) >= 2)
    assert set(aggregator.of(Leaf.STATUS)[1:]) == {b'{"online": false}'}
    aggregator.close()


async def test_an_absent_broker_is_tried_again_and_said_once(
    bench: Bench, mosquitto: Mosquitto, caplog: pytest.LogCaptureFixture
) -> None:
    async with talking(bench, mosquitto) as talk:
        await talk.until(lambda: talk.connected)
        mosquitto.stop()
        await talk.until(lambda: not talk.connected)
        await talk.until(lambda: "cannot connect" in str(talk.publisher.troubles))
        mosquitto.start()

        await talk.until(lambda: talk.connected)

    assert len([one for one in caplog.records if "cannot connect" in one.message]) == 1
