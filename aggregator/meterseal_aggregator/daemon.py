"""The aggregator as one process: who runs when, and in which order things become true.

    broker ──▶ intake ──▶ store ──▶ acknowledge, answer
                            │
                            ├──▶ sequencer ──▶ checkpoint ──▶ receipts
                            └──▶ anchor ──▶ ledger proof ──▶ receipts

* One thread owns the store; every task reaches it through `in_store`, so transactions are serial.
* What is sent is derived from the store: heads from `told`, receipts from `logged_to` and
  `anchored_to`, wants from what waits. A task that was cut off finds its work again.
* Nothing that this process signs leaves it, and no checkpoint is signed, before the store has
  been held against the marker of this boot, the broker's retained checkpoint and, with a ledger
  configured, the contract's head: `standing.py`. A store put back from a copy would sign another
  history.
"""

from __future__ import annotations

import asyncio
import fcntl
import logging
import os
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final, TypeVar

from meterseal.types import UnixMs
from meterseal_aggregator.errors import LedgerUnavailable, StoreError, first_of
from meterseal_aggregator.identity import check_identity, open_store, read_keys
from meterseal_aggregator.intake import Intake
from meterseal_aggregator.keyfiles import read_account
from meterseal_aggregator.ledger.anchor import Anchor, Progress
from meterseal_aggregator.ledger.contract import load_artifact
from meterseal_aggregator.ledger.node import Limits, Node
from meterseal_aggregator.ledger.rpc import Rpc
from meterseal_aggregator.marker import Marker
from meterseal_aggregator.mqttfiles import check_files
from meterseal_aggregator.outbox import Outbox
from meterseal_aggregator.sequencer import LEAVES_MAX, check_newest, checkpoint, grew, sequence
from meterseal_aggregator.session import Session
from meterseal_aggregator.standing import Past, Standing, mark_newest, read_past, remember_signing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    import httpx

    from meterseal_aggregator.config import Config, Ledger
    from meterseal_aggregator.store import SignedCheckpoint, Store

log = logging.getLogger(__name__)
T = TypeVar("T")

LEDGER_RETRY_S: Final = (0.5, 30.0)
POLL_MINED_S: Final = (0.25, 5.0)


def now_ms() -> UnixMs:
    """Tell the time of statements; order never rests on it."""
    return UnixMs(time.time_ns() // 1_000_000)


class Aggregator:
    """One log, one store, one broker, one ledger.

    Attributes:
        connected: Set once the broker delivers to us.
    """

    def __init__(self, config: Config, *, ledger: httpx.AsyncBaseTransport | None = None) -> None:
        """Read the keys, and see to it that the files which [mqtt] names can be used.

        Args:
            config: All of aggregator.toml.
            ledger: What stands in for the way to the node.
        """
        self._config = config
        check_files(config.mqtt)
        self._keys = read_keys(config)
        self._marker = Marker(config.marker_dir, self._keys.log.public)
        self._ledger_transport = ledger
        self._store_thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="store")
        self._store: Store | None = None  # owned by the store's thread
        self._grown = asyncio.Event()
        self.connected = asyncio.Event()

    async def in_store(self, work: Callable[[Store], T]) -> T:
        """Run a piece of work in the thread that owns the store."""

        def run() -> T:
            if self._store is None:
                raise StoreError("store: used before it was opened")
            return work(self._store)

        return await asyncio.get_running_loop().run_in_executor(self._store_thread, run)

    async def run(self) -> None:
        """Run until cancelled.

        Raises:
            AggregatorError: Something that waiting does not mend: store, ledger, configuration.
        """
        with alone(self._config.data_dir):
            loop = asyncio.get_running_loop()
            past = await loop.run_in_executor(self._store_thread, self._open)
            try:
                await self._tasks(Standing(past, ledger=self._config.ledger is not None))
            except BaseExceptionGroup as group:
                raise first_of(group) from group
            finally:
                await loop.run_in_executor(self._store_thread, self._close)
                self._store_thread.shutdown()

    def _open(self) -> Past:
        store = open_store(self._config)
        try:
            check_identity(store, self._config.origin, self._keys)
            check_newest(store)
            past = read_past(store, self._marker, self._config.data_dir)
        except BaseException:
            store.close()
            raise
        self._store = store
        return past

    def _close(self) -> None:
        if self._store is not None:
            self._store.close()

    async def _tasks(self, standing: Standing) -> None:
        intake = await self.in_store(Intake)
        outbox = Outbox(config=self._config, keys=self._keys, in_store=self.in_store, now_ms=now_ms)
        session = Session(
            config=self._config,
            keys=self._keys,
            connected=self.connected,
            standing=standing,
            intake=intake,
            outbox=outbox,
            in_store=self.in_store,
            now_ms=now_ms,
        )
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(session.run(), name="broker")
            tasks.create_task(self._log(outbox, standing), name="sequencer")
            if self._config.ledger is not None:
                anchoring = self._anchor(self._config.ledger, outbox, standing)
                tasks.create_task(anchoring, name="anchor")

    async def _log(self, outbox: Outbox, standing: Standing) -> None:
        """Sequence, sign, and let the outbox know."""
        await standing.may_sign()
        await self.in_store(lambda store: mark_newest(store, self._marker))
        while True:
            while await self.in_store(sequence) == LEAVES_MAX:
                pass
            signed = await self.in_store(self._sign)
            if signed is not None:
                log.info("log: checkpoint of size %d", signed.size)
                outbox.checkpoint_is_due()
                self._grown.set()
            await asyncio.sleep(self._config.checkpoint_every_s)

    def _sign(self, store: Store) -> SignedCheckpoint | None:
        if grew(store):
            remember_signing(self._config.data_dir)
        signed = checkpoint(store, self._config.origin, self._keys, now_ms() // 1000)
        # Killed here, the store is one checkpoint ahead of the marker, which still vouches for it.
        if signed is not None:
            mark_newest(store, self._marker)
        return signed

    async def _anchor(self, config: Ledger, outbox: Outbox, standing: Standing) -> None:
        """Anchor in a rhythm; the node may be away for as long as it likes."""
        account = read_account(config.key_file)
        limits = Limits(gas=config.gas_limit_max, fee_per_gas_wei=config.fee_per_gas_max_wei)
        async with Rpc(config.url, transport=self._ledger_transport) as rpc:
            anchor = Anchor(
                origin=self._config.origin,
                config=config,
                artifact=load_artifact(),
                node=Node(rpc, account, limits),
                in_store=self.in_store,
                now_ms=now_ms,
            )
            away, pause_s, poll_s = "", LEDGER_RETRY_S[0], POLL_MINED_S[0]
            while True:
                try:
                    progress = await anchor.step()
                except LedgerUnavailable as error:
                    if not away:
                        log.warning("%s. Retrying; records are stored meanwhile.", error)
                    away = str(error)
                    await asyncio.sleep(pause_s)
                    pause_s = min(2 * pause_s, LEDGER_RETRY_S[1])
                    continue
                if away:
                    log.info("ledger: back")
                away, pause_s = "", LEDGER_RETRY_S[0]
                if anchor.head_seen:
                    standing.contract_seen()
                outbox.receipts_are_due()
                poll_s = min(1.5 * poll_s, POLL_MINED_S[1])
                if progress is Progress.DONE:
                    poll_s = POLL_MINED_S[0]
                await self._until_next(progress, poll_s)

    async def _until_next(self, progress: Progress, poll_s: float) -> None:
        match progress:
            case Progress.MORE:
                return
            case Progress.WAIT:
                await asyncio.sleep(poll_s)
            case Progress.DONE:
                await self._grown.wait()
                self._grown.clear()
                await asyncio.sleep(self._config.anchor_every_s)


@contextmanager
def alone(data_dir: Path) -> Iterator[None]:
    """Hold the data folder for this process; the kernel lets go when the process ends.

    Raises:
        StoreError: The folder is missing, or another aggregator runs in it.
    """
    try:
        descriptor = os.open(data_dir / "run.lock", os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise StoreError(
            f"data_dir {data_dir}: {error.strerror}. Create it with `meterseal-aggregator init`."
        ) from error
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise StoreError(
                f"data_dir {data_dir}: another aggregator runs in it. Stop that one."
            ) from error
        yield
    finally:
        os.close(descriptor)
