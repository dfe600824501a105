"""The publish task: one connection after the other, each begun from what the store says.

- `talk` decides when to say what, `sender` hands over records, `inbox` judges what comes.
- Here all of them meet: what a message causes (`inbox.Effects`) and what is said of ourselves.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

from meterseal.messages import Ask, Hello
from meterseal.topics import TO_DEVICE, Leaf, checkpoint_topic, device_topic
from meterseal.types import ZERO_HASH, Epoch, Seq
from meterseal_agent.publish.inbox import Inbox
from meterseal_agent.publish.link import Link, LinkError
from meterseal_agent.publish.sender import Sender
from meterseal_agent.publish.talk import PROBE_EVERY_S, Talk
from meterseal_agent.publish.troubles import Troubles
from meterseal_agent.store import receipts, trusted
from meterseal_agent.store.errors import OtherLog
from meterseal_agent.store.overdue import Overdue

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from meterseal.messages import RejectCode
    from meterseal_agent.publish.answer import Answer
    from meterseal_agent.publish.backoff import Backoff
    from meterseal_agent.publish.settings import Peer
    from meterseal_agent.store.schema import Place
    from meterseal_agent.store.store import Store
    from meterseal_agent.store.thread import StoreThread

_log = logging.getLogger(__name__)

_INBOUND_BYTES_MAX = 1 << 20
_NONCE_BYTES = 16
_NONCES_MAX = 4


@dataclass(frozen=True, kw_only=True, slots=True)
class Parts:
    """What the publisher works with; times and randomness are arguments, so that tests own them.

    Attributes:
        boot_nonce: 16 bytes that stay the same until the next boot.
        on_ahead: Called with an answer that proves the aggregator ahead of us.
        on_change: Called when a record's state may have changed.
        now_ms: UTC milliseconds.
    """

    peer: Peer
    store: Store
    thread: StoreThread
    backoff: Backoff
    randomness: Callable[[int], bytes]
    boot_nonce: bytes
    on_ahead: Callable[[Answer], None]
    on_change: Callable[[], None]
    now_ms: Callable[[], int]


class Publisher:
    """Sends what the store holds and takes in what comes back; `run` owns all of it.

    Attributes:
        troubles: What a person should know, for the page.
        first_answer: The first answer to a hello of this run.
    """

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._peer = parts.peer
        self._sender = Sender(parts.peer, parts.store, parts.thread, parts.on_change)
        self._talk = Talk()
        self._nonces: deque[bytes] = deque(maxlen=_NONCES_MAX)
        self._link: Link | None = None
        self._overdue = Overdue()
        self.troubles = Troubles(now_ms=parts.now_ms)
        self.troubles.note("connection", "Not connected to the broker yet")
        self.first_answer: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self.inbox = Inbox(
            peer=parts.peer,
            store=parts.store,
            thread=parts.thread,
            effects=self,
            now_ms=parts.now_ms,
        )

    @property
    def reached(self) -> Place:
        """All up to here was handed to the broker in this connection, or is known to be stored."""
        return self._sender.reached

    def released(self, newest: Place) -> None:
        """Records up to `newest` are durable and marked: they may be sent."""
        self._sender.release(newest)

    async def run(self) -> None:
        """Connect, serve, wait, again; until cancelled."""
        clock = asyncio.get_running_loop().time
        await self.inbox.recall()
        await self._check_log()
        while True:
            link = self._new_link()
            began_s = clock()
            try:
                refused = await link.connect(self._subscriptions())
                began_s = clock()
                self.troubles.note("subscription", _refusal(refused))
                await self._serve(link)
            except* LinkError as errors:
                lost = f"{errors.exceptions[0]}; readings are kept and sent later"
                self.troubles.note("connection", lost)
                self._parts.on_change()
            finally:
                self._link = None
                await link.close()
            self._parts.backoff.lasted(clock() - began_s)
            await asyncio.sleep(self._parts.backoff.delay_s())

    async def _check_log(self) -> None:
        """Publish nothing to another log than the one this device has followed; never return."""
        try:
            await self._parts.thread.run(
                trusted.load_trusted, self._parts.store.connection, self._peer.policy
            )
        except OtherLog as error:
            self.troubles.note("connection", f"Nothing is published: {error}")
            self._parts.on_change()
            await asyncio.Event().wait()

    async def _serve(self, link: Link) -> None:
        store, thread = self._parts.store, self._parts.thread
        at = await thread.run(receipts.frontier, store.connection)
        self._sender.begin(at.stored)
        self._link = link
        self.troubles.note("connection", "")
        self._parts.on_change()
        _log.info("connected to broker %s:%d", self._peer.mqtt.host, self._peer.mqtt.port)
        self._say_status(link, online=True)
        self._talk.begin(asyncio.get_running_loop().time())
        try:
            await self._hello(link)
            async with asyncio.TaskGroup() as group:
                group.create_task(self._receive(link), name="publish[receive]")
                group.create_task(self._sender.run(link), name="publish[send]")
                group.create_task(self._probe(link), name="publish[probe]")
        except asyncio.CancelledError:
            # A clean stop: say so ourselves, because a clean DISCONNECT sends no last will.
            self._say_status(link, online=False)
            raise

    async def _receive(self, link: Link) -> None:
        while True:
            await self.inbox.take(await link.receive())

    async def _probe(self, link: Link) -> None:
        """Say what is due, as `talk` decides."""
        clock = asyncio.get_running_loop().time
        await self._ask_if_behind(link)
        while True:
            await asyncio.sleep(PROBE_EVERY_S)
            due = self._talk.due(clock(), behind=self._sender.behind)
            if due.hello:
                await self._hello(link)
            if due.ask:
                await self._ask_if_behind(link)

    async def _ask_if_behind(self, link: Link) -> None:
        """Ask for receipts that a broker may have lost while we, or it, were away."""
        store = self._parts.store
        at = await self._parts.thread.run(receipts.frontier, store.connection)
        if at.anchored < self._sender.newest:
            size = await self._parts.thread.run(trusted.size, store.connection)
            link.publish(device_topic(self._peer.device, Leaf.ASK), Ask(size=size).encode())

    async def _hello(self, link: Link) -> None:
        nonce = self._parts.randomness(_NONCE_BYTES)
        self._nonces.append(nonce)
        head = self._parts.store.tip.head
        pointer = await self._parts.thread.run(trusted.pointer, self._parts.store.connection)
        hello = Hello(
            nonce=nonce,
            boot_nonce=self._parts.boot_nonce,
            epoch=Epoch(0) if head is None else head.epoch,
            seq=Seq(0) if head is None else head.seq,
            hash=ZERO_HASH if head is None else head.hash,
            light_n=0 if head is None else head.light_n,
            checkpoint=pointer,
        )
        link.publish(device_topic(self._peer.device, Leaf.HELLO), hello.encode())

    # What messages cause (`inbox.Effects`).

    def nonces(self) -> Collection[bytes]:
        """The nonces of our hellos that no answer has used up."""
        return self._nonces

    def answered(self, answer: Answer, at: Place, *, ahead: bool) -> None:
        """A checked head: move the cursors, and tell the daemon what it proves."""
        again = False
        if answer.asked:
            # Used up: a broker that says it once more says nothing.
            self._nonces.clear()
            again = self._talk.answer(behind_stored=at < self._sender.stored)
        if ahead:
            self._parts.on_ahead(answer)
        elif again:
            self._sender.rewind(at)
        elif self._sender.advance(at):
            self._talk.taken()
        if answer.asked and not self.first_answer.done():
            self.first_answer.set_result(answer)
        self._made_progress()

    def wanted(self, ranges: list[tuple[Place, Place]]) -> None:
        """Queue ranges; the cursors drop what is on its way already."""
        if self._talk.grant(asyncio.get_running_loop().time()):
            self._sender.want(ranges)

    def refused(self, code: RejectCode) -> None:
        """Pause where sending on is pointless, then try again from what is stored."""
        pause_s = self._talk.refuse(code)
        if pause_s is not None:
            self._sender.pause()
            asyncio.get_running_loop().call_later(pause_s, self._resume)
        self.troubles.note("refusal", self._talk.trouble)
        self._parts.on_change()

    def moved(self) -> None:
        """A receipt was committed."""
        self._made_progress()

    def ask(self, size: int) -> None:
        """Ask for a proof that starts where we stand."""
        if self._link is not None:
            topic = device_topic(self._peer.device, Leaf.ASK)
            self._link.publish(topic, Ask(size=size).encode())

    def alarmed(self) -> None:
        """An offence was found; the page shows it."""
        self._parts.on_change()

    def tell(self, overdue: Overdue) -> None:
        """Say on the broker what is overdue, too: who runs a fleet watches there."""
        changed, self._overdue = overdue != self._overdue, overdue
        if changed and self._link is not None:
            self._say_status(self._link, online=True)

    def _resume(self) -> None:
        self._talk.resume()
        self._sender.resume()

    def _made_progress(self) -> None:
        self._talk.progress(asyncio.get_running_loop().time())
        self.troubles.note("refusal", self._talk.trouble)
        self._parts.on_change()

    def _new_link(self) -> Link:
        will = (device_topic(self._peer.device, Leaf.STATUS), _status(None))
        return Link(self._peer.mqtt, self._peer.device.hex(), will, _INBOUND_BYTES_MAX)

    def _subscriptions(self) -> tuple[str, ...]:
        ours = tuple(device_topic(self._peer.device, leaf) for leaf in TO_DEVICE)
        return (*ours, checkpoint_topic(self._peer.policy.origin))

    def _say_status(self, link: Link, *, online: bool) -> None:
        topic = device_topic(self._peer.device, Leaf.STATUS)
        link.publish(topic, _status(self._overdue if online else None), retain=True)


def _status(overdue: Overdue | None) -> bytes:
    """What the status topic says; None for offline."""
    if overdue is None:
        return json.dumps({"online": False}).encode()
    late = {"log_overdue_since_ms": overdue.log_ms, "anchor_overdue_since_ms": overdue.anchor_ms}
    known = {name: since_ms for name, since_ms in late.items() if since_ms is not None}
    return json.dumps({"online": True, **known}).encode()


def _refusal(topics: tuple[str, ...]) -> str:
    if not topics:
        return ""
    return (
        f"the broker will not deliver {', '.join(topics)}; allow this device's user to subscribe "
        "to it, else nothing is ever shown to be stored"
    )
