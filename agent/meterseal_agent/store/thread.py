"""The one thread in which the store works, so that a slow card never stops the event loop."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, ParamSpec, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

P = ParamSpec("P")
T = TypeVar("T")


class StoreThread:
    """Runs calls one after the other, in the order in which they were made."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(max_workers=1, thread_name_prefix="store")

    async def run(self, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run `call` in the thread and wait for it.

        A cancelled caller stops waiting; the call itself runs to its end, because half a
        transaction is worse than a late one.
        """
        running = self._pool.submit(call, *args, **kwargs)
        return await asyncio.shield(asyncio.wrap_future(running))

    def close(self) -> None:
        """Wait for what is running and end the thread."""
        self._pool.shutdown(wait=True)
