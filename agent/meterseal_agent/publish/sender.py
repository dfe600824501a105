"""Hands records to the broker, always from the store; `outgoing` says which come next.

At most `IN_FLIGHT_MAX` messages wait for the broker. A PUBACK frees a place and proves nothing.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from meterseal.topics import Leaf, device_topic
from meterseal_agent.publish.outgoing import Cursors
from meterseal_agent.store import outbox
from meterseal_agent.store.schema import NOWHERE, Place

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from meterseal_agent.publish.link import Link
    from meterseal_agent.publish.settings import Peer
    from meterseal_agent.store.store import Store
    from meterseal_agent.store.thread import StoreThread

IN_FLIGHT_MAX: Final = 8


class Sender:
    """Where sending stands; owned by the publish task.

    Attributes:
        stored: All up to here is durable at the aggregator, by its signed word.
    """

    def __init__(
        self, peer: Peer, store: Store, thread: StoreThread, on_change: Callable[[], None]
    ) -> None:
        self._peer = peer
        self._store = store
        self._thread = thread
        self._on_change = on_change
        self._cursors = Cursors()
        self._newest = NOWHERE
        self._stirred = asyncio.Event()
        self._running = asyncio.Event()
        self._running.set()
        self.stored = NOWHERE

    @property
    def newest(self) -> Place:
        """All up to here may be sent."""
        return self._newest

    @property
    def reached(self) -> Place:
        """All up to here was handed to the broker in this connection, or is known to be stored."""
        return max(self._cursors.reached, self.stored)

    @property
    def behind(self) -> bool:
        """Something was handed to the broker that is not shown to be stored."""
        return self._cursors.reached > self.stored

    def release(self, newest: Place) -> None:
        """Records up to `newest` are durable and marked."""
        self._newest = newest
        self._stirred.set()

    def begin(self, stored: Place) -> None:
        """A connection is up: what is stored is done, the rest up to now is backlog."""
        self.stored = stored
        self._cursors = Cursors.begin(stored, self._newest)

    def advance(self, at: Place) -> bool:
        """All up to `at` is stored; tell whether that is more than before."""
        more = at > self.stored
        self.stored = max(self.stored, at)
        self._cursors.stored(at)
        self._stirred.set()
        return more

    def rewind(self, at: Place) -> None:
        """The aggregator lacks what is behind `at`: send it again."""
        self.stored = at
        self._cursors.rewind(at, self._newest)
        self._stirred.set()

    def want(self, ranges: Iterable[tuple[Place, Place]]) -> None:
        """Send these again; what is on its way already is left out."""
        self._cursors.want((behind, min(until, self._newest)) for behind, until in ranges)
        self._stirred.set()

    def pause(self) -> None:
        """Send nothing until `resume`."""
        self._running.clear()

    def resume(self) -> None:
        """Go on behind what is stored: what was refused is sent again."""
        self.rewind(self.stored)
        self._running.set()

    async def run(self, link: Link) -> None:
        """Send over one connection until it is lost."""
        free = asyncio.Semaphore(IN_FLIGHT_MAX)
        topic = device_topic(self._peer.device, Leaf.RECORD)
        while True:
            await self._running.wait()
            self._stirred.clear()
            if self._cursors.next(self._newest) is None:
                await self._stirred.wait()
                continue
            # A place is waited for first, so that a live record overtakes the backlog here.
            await free.acquire()
            if not await self._send_next(link, topic, free):
                free.release()

    async def _send_next(self, link: Link, topic: str, free: asyncio.Semaphore) -> bool:
        """Send one batch; tell whether there was any."""
        span = self._cursors.next(self._newest)
        if span is None:
            return False
        batch = await self._thread.run(
            outbox.batch,
            self._store.connection,
            span.after,
            span.until,
            light_only=self._peer.light_only,
        )
        self._cursors.sent(span, batch.last)
        if not batch.count:
            return False
        acknowledged = link.publish(topic, batch.payload)
        acknowledged.add_done_callback(lambda done: self._release_place(done, free))
        return True

    def _release_place(self, done: asyncio.Future[None], free: asyncio.Semaphore) -> None:
        free.release()
        # A failure is the link's, and the receiving side raises it.
        if not done.cancelled() and done.exception() is None:
            self._on_change()
