"""The connection's end: told to stop and abandoned by the broker in one moment, it stops."""

from __future__ import annotations

import asyncio
import gc
from typing import TYPE_CHECKING, Any, TypeVar

from meterseal_aggregator import session as module
from meterseal_aggregator.errors import BrokerAway
from meterseal_aggregator.outbox import Outbox
from meterseal_aggregator.session import Session
from meterseal_aggregator.standing import Past, Standing
from support.aggregator_stage import NOW_MS, Stage, config_of

if TYPE_CHECKING:
    from collections.abc import Callable

    import pytest

    from meterseal_aggregator.store import Store

T = TypeVar("T")


class GoingLink:
    """A connection that is lost at the very moment in which the process is stopped."""

    connections = 0

    def __init__(self, *_: object) -> None:
        GoingLink.connections += 1

    async def connect(self, _: object) -> None:
        return

    async def take(self, _: int) -> list[Any]:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            if GoingLink.connections > 1:
                raise
            raise BrokerAway("gone") from None
        return []

    async def publish(self, *_: object, **__: object) -> None:
        return

    async def close(self) -> None:
        return


async def test_stopped_while_the_broker_goes_away_it_stops_and_leaves_no_task_behind(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    GoingLink.connections = 0
    monkeypatch.setattr(module, "Link", GoingLink)
    complaints: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, what: complaints.append(what))

    async def in_store(work: Callable[[Store], T]) -> T:
        return work(stage.store)

    config, connected = config_of(stage.folder, 1), asyncio.Event()
    outbox = Outbox(config=config, keys=stage.keys, in_store=in_store, now_ms=lambda: NOW_MS)
    past = Past(size=0, published=0, signed=False, marked=False)
    session = Session(
        config=config,
        keys=stage.keys,
        connected=connected,
        standing=Standing(past, ledger=False, quiet_s=0.01),
        intake=stage.intake,
        outbox=outbox,
        in_store=in_store,
        now_ms=lambda: NOW_MS,
    )
    task = asyncio.create_task(session.run())
    await connected.wait()
    await asyncio.sleep(0.05)  # all of its tasks run

    task.cancel()

    done, _ = await asyncio.wait({task}, timeout=5)
    assert done
    assert task.cancelled()
    del task, done
    gc.collect()
    assert GoingLink.connections == 1
    assert complaints == []
