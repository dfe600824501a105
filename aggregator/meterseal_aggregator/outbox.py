"""What goes out: heads, wants, rejects, checkpoints, receipts; all derived from the store.

* A head is told at once in answer to a hello, else at most every `HEAD_EVERY_S` for one device.
* A checkpoint goes to the broker's retained topic before any receipt shows it: what a device holds
  is then never newer than what a restored store of ours meets there (`standing.py`).
* What is missing is asked for after `WANT_AFTER_S` without progress, then ever more rarely.
* `told`, `logged_to` and `anchored_to` move after the broker took the message. Killed in between,
  the device gets it twice and finds nothing new.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from meterseal.messages import Reject, Want
from meterseal.records import Publishes
from meterseal.topics import Leaf, checkpoint_topic, device_topic
from meterseal_aggregator.devicestate import read_point
from meterseal_aggregator.heads import head_of
from meterseal_aggregator.receipts import (
    TAKE_BACK_EVERY_MS,
    Page,
    anchored_page,
    logged_page,
    take_back_due,
)
from meterseal_aggregator.standing import PUBLISHED
from meterseal_aggregator.wants import missing

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterable

    from meterseal.types import DeviceId, UnixMs
    from meterseal_aggregator.broker import Link
    from meterseal_aggregator.config import Config
    from meterseal_aggregator.intake import Answers
    from meterseal_aggregator.keyfiles import Keys
    from meterseal_aggregator.store import Device, InStore, SignedCheckpoint, Store
    from meterseal_aggregator.wants import Range

log = logging.getLogger(__name__)
TICK_S: Final = 0.25
HEAD_EVERY_S: Final = 1.0
WANT_AFTER_S: Final = 2.0
WANT_EVERY_S_MAX: Final = 60.0
DEVICES_AT_ONCE: Final = 64
ANSWERS_MAX: Final = 4096
"""Rejects waiting to be sent; beyond, the oldest are dropped: the device sends its record again."""
WAITING_LOOKED_AT: Final = 512
"""Waiting records of a device between which gaps are looked for; the rest waits its turn."""


@dataclass(slots=True)
class _Gap:
    """A device that lacks something, and when it is asked next."""

    ranges: tuple[Range, ...]
    due: float
    pause_s: float


class Outbox:
    """Sends what is due over the present connection; owned by the link task."""

    def __init__(
        self,
        *,
        config: Config,
        keys: Keys,
        in_store: InStore,
        now_ms: Callable[[], UnixMs],
    ) -> None:
        self._config = config
        self._keys = keys
        self._in_store = in_store
        self._now_ms = now_ms
        self._stirred = asyncio.Event()
        self._checkpoint_due = True
        self._receipts_due = True
        self._hellos_due = True
        self._rejects: list[tuple[DeviceId, Reject]] = []
        self._asks: set[DeviceId] = set()
        self._again: set[DeviceId] = set()
        self._told_at: dict[DeviceId, float] = {}
        self._gaps: dict[DeviceId, _Gap] = {}
        self._beyond: dict[DeviceId, tuple[int, int]] = {}
        self._unjudged: set[DeviceId] = set()  # whose gaps are to be looked for again

    def answer(self, answers: Answers) -> None:
        """Take over what a batch asks to be sent."""
        self._hellos_due |= bool(answers.hellos)
        self._rejects = [*self._rejects, *answers.rejects][-ANSWERS_MAX:]
        self._asks |= answers.asks
        self._again |= answers.known
        self._beyond |= answers.beyond
        self._unjudged |= answers.stirred
        self._receipts_due |= bool(answers.hellos or answers.asks)
        self._stirred.set()

    def checkpoint_is_due(self) -> None:
        """Say that a newer checkpoint stands in the store."""
        self._checkpoint_due = True
        self.receipts_are_due()

    def receipts_are_due(self) -> None:
        """Say that the store may owe receipts."""
        self._receipts_due = True
        self._stirred.set()

    async def serve(self, link: Link) -> None:
        """Send over one connection until it is lost.

        Raises:
            BrokerAway: The connection was lost; all that is due stays due.
        """
        self._checkpoint_due = self._receipts_due = self._hellos_due = True
        self._unjudged |= set(await self._in_store(lambda store: store.records.waiting_devices()))
        while True:
            self._stirred.clear()
            await self._send_answers(link)
            if self._checkpoint_due:
                await self._send_checkpoint(link)
            await self._take_back()
            if self._receipts_due:
                await self._send_receipts(link)
            await self._send_heads(link)
            await self._send_wants(link)
            try:
                async with asyncio.timeout(TICK_S):
                    await self._stirred.wait()
            except TimeoutError:
                pass

    async def _send_answers(self, link: Link) -> None:
        rejects, self._rejects = self._rejects, []
        await _all(
            link.publish(device_topic(device, Leaf.REJECT), refused.encode())
            for device, refused in dict.fromkeys(rejects)
        )
        while self._hellos_due:
            owed = await self._in_store(lambda store: store.greetings.owed(DEVICES_AT_ONCE))
            self._hellos_due = len(owed) == DEVICES_AT_ONCE
            await _all(self._tell_head(link, device, nonce) for device, nonce in owed)

    async def _send_checkpoint(self, link: Link) -> None:
        self._checkpoint_due = False  # before it is read: a newer one makes it due again
        try:
            newest = await self._in_store(lambda store: store.tree.checkpoint())
            if newest is None:
                return
            await link.publish(checkpoint_topic(self._config.origin), newest.note, retain=True)
            # Killed here, the broker has a newer one than the store says: that one vouches too.
            await self._in_store(lambda store: set_published(store, newest.size))
            self._receipts_due = True
        except BaseException:
            self._checkpoint_due = True
            raise

    # -- heads -----------------------------------------------------------------------------------

    async def _send_heads(self, link: Link) -> None:
        now = asyncio.get_running_loop().time()
        untold = await self._in_store(lambda store: store.devices.untold(ANSWERS_MAX))
        due = {d for d in (*untold, *self._again) if now - self._told_at.get(d, 0) >= HEAD_EVERY_S}
        self._again -= due
        for some in _portions(sorted(due)):
            await _all(self._tell_head(link, device, None) for device in some)

    async def _tell_head(self, link: Link, device: DeviceId, nonce: bytes | None) -> None:
        built = await self._in_store(
            lambda store: head_of(
                store,
                device,
                key=self._keys.head,
                nonce=nonce,
                now_ms=self._now_ms(),
                longest_delay_ms=self._config.longest_delay_ms,
            )
        )
        if built is None:
            return
        head, statement = built
        await link.publish(device_topic(device, Leaf.HEAD), statement)
        self._told_at[device] = asyncio.get_running_loop().time()
        # Killed here, the hello is owed an answer still, and gets it again.
        await self._in_store(lambda store: _set_told(store, device, head, nonce))

    # -- receipts --------------------------------------------------------------------------------

    async def _take_back(self) -> None:
        """Serve what devices claimed before its time had come."""
        now = self._now_ms()
        if await self._in_store(lambda store: _take_back_due(store, now)):
            self._receipts_due = True

    async def _send_receipts(self, link: Link) -> None:
        """Send one page to each device that is owed one; what was not taken is owed still.

        One round at a time: a hello and a new checkpoint do not wait behind a long backlog.
        """
        self._receipts_due = False
        asking, self._asks = self._asks, set()
        try:
            await self._send_pages(link, await self._in_store(lambda s: _asked_pages(s, asking)))
            for owed in (_logged_pages, _anchored_pages):
                pages = await self._in_store(owed)
                await self._send_pages(link, pages)
                if pages:
                    self.receipts_are_due()
        except BaseException:
            self._asks |= asking
            self._receipts_due = True
            raise

    async def _send_pages(self, link: Link, pages: list[Page]) -> None:
        await _all(link.publish(device_topic(p.device.id, Leaf.RECEIPT), p.receipt) for p in pages)
        # Killed here, these pages are sent again: nothing says yet that they were.
        await self._in_store(lambda store: _set_served(store, pages))

    # -- wants -----------------------------------------------------------------------------------

    async def _send_wants(self, link: Link) -> None:
        now = asyncio.get_running_loop().time()
        await self._find_gaps(now)
        for device, gap in self._gaps.items():
            if now >= gap.due:
                gap.pause_s = min(2 * gap.pause_s, WANT_EVERY_S_MAX)
                gap.due = now + gap.pause_s
                await link.publish(
                    device_topic(device, Leaf.WANT), Want(ranges=gap.ranges).encode()
                )

    async def _find_gaps(self, now: float) -> None:
        """Look again at devices whose records moved, some at a time."""
        some = set(sorted(self._unjudged)[:DEVICES_AT_ONCE])
        if not some:
            return
        self._unjudged -= some
        gaps = await self._in_store(lambda store: _gaps(store, some, self._beyond))
        for device in some:
            ranges = gaps.get(device, ())
            if ranges:
                self._gaps[device] = self._gap(device, ranges, now)
            else:
                self._gaps.pop(device, None)
                self._beyond.pop(device, None)

    def _gap(self, device: DeviceId, ranges: tuple[Range, ...], now: float) -> _Gap:
        known = self._gaps.get(device)
        if known is not None and known.ranges[0] == ranges[0]:
            known.ranges = ranges
            return known
        return _Gap(ranges, now + WANT_AFTER_S, WANT_AFTER_S)  # new, or something came: wait again


def _portions(devices: list[DeviceId]) -> Iterable[list[DeviceId]]:
    return (devices[at : at + DEVICES_AT_ONCE] for at in range(0, len(devices), DEVICES_AT_ONCE))


def set_published(store: Store, size: int) -> None:
    """Remember the newest checkpoint that a broker took."""
    fact = size.to_bytes(8, "big")
    if store.fact(PUBLISHED) != fact:
        with store.write():
            store.set_fact(PUBLISHED, fact)


def _set_told(store: Store, device: DeviceId, head: int, nonce: bytes | None) -> None:
    with store.write():
        store.devices.set_told(device, head)
        if nonce is not None:
            store.greetings.settle(device, nonce)


def _take_back_due(store: Store, now_ms: UnixMs) -> bool:
    if not store.greetings.due(now_ms, TAKE_BACK_EVERY_MS):
        return False
    with store.write():
        return take_back_due(store, now_ms)


def _set_served(store: Store, pages: list[Page]) -> None:
    """Move on, unless the device was taken back while its page was under way: then it is owed."""
    if not pages:
        return
    with store.write():
        for page in pages:
            store.devices.move_receipted(
                page.device,
                known_size=page.known_size,
                logged_to=page.logged_to,
                anchored_to=page.anchored_to,
            )


def _published(store: Store) -> SignedCheckpoint | None:
    """Read the newest checkpoint that the broker retains: no device sees a newer one before."""
    size = store.fact(PUBLISHED)
    return None if size is None else store.tree.checkpoint(int.from_bytes(size, "big"))


def _logged_pages(store: Store) -> list[Page]:
    newest = _published(store)
    if newest is None:
        return []
    behind = store.devices.behind_log(newest.size, DEVICES_AT_ONCE)
    return [logged_page(store, device, newest) for device in behind]


def _anchored_pages(store: Store) -> list[Page]:
    anchored = store.journal.anchored()
    checkpoint = None if anchored is None else store.tree.checkpoint(anchored.size)
    newest = _published(store)
    if anchored is None or checkpoint is None or newest is None or newest.size < anchored.size:
        return []  # nothing anchored, or by another hand: no note of ours states that size
    behind = store.devices.behind_anchor(anchored.size, DEVICES_AT_ONCE)
    return [anchored_page(store, device, anchored, checkpoint) for device in behind]


def _asked_pages(store: Store, asking: Iterable[DeviceId]) -> list[Page]:
    """Answer who asked, also when no leaf of theirs is owed."""
    newest = _published(store)
    rows = [store.devices.get(device) for device in asking]
    if newest is None:
        return []
    return [logged_page(store, row, newest) for row in rows if row is not None]


def _gaps(
    store: Store, devices: Iterable[DeviceId], beyond: dict[DeviceId, tuple[int, int]]
) -> dict[DeviceId, tuple[Range, ...]]:
    """What each device lacks before its waiting records, and before those not yet judged."""
    rows = [store.devices.get(device) for device in devices]
    return {row.id: gaps_of(store, row, beyond.get(row.id)) for row in rows if row is not None}


def gaps_of(
    store: Store, device: Device, beyond: tuple[int, int] | None = None
) -> tuple[Range, ...]:
    """What a device lacks before its first waiting records; a frozen one is not asked."""
    if device.frozen is not None:
        return ()
    waiting = store.records.waiting(device.id, WAITING_LOOKED_AT)
    if not waiting and beyond is None:
        return ()
    head, readings = None, True
    if device.head is not None:
        point = read_point(store, store.records.by_id(device.head))
        head = (point.head.epoch, point.head.seq)
        readings = point.rules.publishes is Publishes.READINGS
    if beyond is not None and (head is None or beyond > head):
        epoch, seq = beyond
        waiting = sorted([*waiting, (epoch, seq + 1, None)], key=lambda one: one[:2])
    return missing(head, waiting, readings=readings) if waiting else ()


async def _all(sending: Iterable[Coroutine[None, None, None]]) -> None:
    """Send several messages at once; when one is lost, the others are given up and awaited."""
    async with asyncio.TaskGroup() as tasks:
        for one in sending:
            tasks.create_task(one)
