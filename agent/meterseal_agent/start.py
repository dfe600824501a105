"""How a run begins: whether this store is the newest, and behind what an epoch opens if not.

- A proof that the aggregator is ahead counts before everything else, whenever it came.
- A store proved newest by the marker, or born together with its key, starts at once; an answer
  that comes later is acted on when it comes.
- Any other store waits for the aggregator's answer, for a bounded time; without one it opens an
  epoch with reason 1, which is normal and says so. (protocol 4)
- A store that was made later than its key has lost a chain: it waits for the answer however long
  it takes, because a second genesis would be a fork.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from meterseal.records import RestoreReason
from meterseal_agent.errors import StoreError
from meterseal_agent.publish.answer import missing_between
from meterseal_agent.record import Reopening, Start

if TYPE_CHECKING:
    from collections.abc import Callable

    from meterseal_agent.publish.answer import Answer
    from meterseal_agent.publish.publisher import Publisher
    from meterseal_agent.store.marker import Marker
    from meterseal_agent.store.store import Store
    from meterseal_agent.store.thread import StoreThread

_log = logging.getLogger(__name__)

HANDSHAKE_S = 10.0


async def decide_start(  # noqa: PLR0913 -- each is asked one question
    store: Store,
    thread: StoreThread,
    marker: Marker,
    boot_id: str,
    *,
    publisher: Publisher | None,
    ahead: asyncio.Future[Answer],
    on_wait: Callable[[], None],
    handshake_s: float = HANDSHAKE_S,
) -> Start:
    """Decide how this run begins.

    Args:
        store: The open store.
        thread: Its thread.
        marker: The proof in tmpfs.
        boot_id: The kernel's name of this boot.
        publisher: Where answers come from; None if nothing is published.
        ahead: Done when an answer has proved the aggregator ahead.
        on_wait: Called before a wait that only an answer ends.
        handshake_s: Longest wait for an answer of a store that is not lost.

    Raises:
        StoreError: The store lost its chain and there is no aggregator to ask.
    """
    mark = marker.read()
    same_boot = mark is not None and mark.boot_id == boot_id
    start = await _unless_ahead(
        store, thread, publisher, same_boot=same_boot, on_wait=on_wait, handshake_s=handshake_s
    )
    if ahead.done():
        return Start(same_boot=same_boot, reopen=reopening(store, ahead.result()))
    return start


async def _unless_ahead(  # noqa: PLR0913 -- as above
    store: Store,
    thread: StoreThread,
    publisher: Publisher | None,
    *,
    same_boot: bool,
    on_wait: Callable[[], None],
    handshake_s: float,
) -> Start:
    head = store.tip.head
    fault = await thread.run(store.lost_end)
    if head is None and store.born_with_key and fault is None:
        return Start(same_boot=False)
    if await thread.run(store.proved_newest):
        return Start(same_boot=True)
    if head is None:
        await _answer(publisher, on_wait)
        _log.info("the aggregator holds nothing of this device: its chain begins")
        return Start(same_boot=False)
    if await _answered_within(publisher, handshake_s) and fault is None:
        return Start(same_boot=same_boot)
    why = fault or "nobody could be asked whether this card is the newest"
    _log.warning("a new epoch begins: %s", why)
    reopen = Reopening(reason=RestoreReason.OFFLINE_START, base=head)
    return Start(same_boot=same_boot, reopen=reopen)


def reopening(store: Store, answer: Answer) -> Reopening:
    """The epoch that an aggregator's proof of being ahead calls for."""
    if answer.head is None:
        raise ValueError("an answer without a record proves nothing")
    ours = store.tip.head
    _log.warning(
        "the aggregator holds record %d/%d of ours, which this card does not; was it restored "
        "from a backup, or copied? A new epoch begins behind it",
        answer.head.epoch,
        answer.head.seq,
    )
    return Reopening(
        reason=RestoreReason.AGGREGATOR_AHEAD,
        base=answer.head,
        missing=missing_between(ours, answer.head),
    )


async def _answer(publisher: Publisher | None, on_wait: Callable[[], None]) -> None:
    if publisher is None:
        message = (
            "store: it was made later than its key, so a chain was lost, and there is no "
            "[aggregator] to ask where it ended; restore the store, or use another data_dir"
        )
        raise StoreError(message)
    if not publisher.first_answer.done():
        on_wait()
    await asyncio.shield(publisher.first_answer)


async def _answered_within(publisher: Publisher | None, handshake_s: float) -> bool:
    if publisher is None:
        return False
    try:
        async with asyncio.timeout(handshake_s):
            await asyncio.shield(publisher.first_answer)
    except TimeoutError:
        return False
    return True
