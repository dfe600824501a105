"""An aggregator without broker and ledger: the real store, admission, log and receipts."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from meterseal.statements import Enrolment
from meterseal.topics import Leaf, device_topic
from meterseal.types import DeviceId, Hash, UnixMs
from meterseal_aggregator import sequencer
from meterseal_aggregator.broker import Delivery
from meterseal_aggregator.config import Config, parse
from meterseal_aggregator.daemon import Aggregator
from meterseal_aggregator.enrolment import enrol
from meterseal_aggregator.fsck import check_store
from meterseal_aggregator.identity import begin, check_origin
from meterseal_aggregator.intake import Answers, Intake
from meterseal_aggregator.keyfiles import ENROLMENT, read_key, read_keys
from meterseal_aggregator.outbox import set_published
from meterseal_aggregator.store import SignedCheckpoint, Status, Store

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    import httpx

    from support.gateway import Gateway

ORIGIN = "log.test/meterseal"
NOW_MS = UnixMs(1_795_450_000_000)


class Stage:
    """Opened over one folder; `reopen` is a restart after kill -9."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.audited = True
        if not (folder / "keys").exists():
            begin(config_of(folder, 1))
        (folder / "run").mkdir(exist_ok=True)
        self.keys = read_keys(folder / "keys")
        self.open()

    def open(self) -> None:
        self.store = Store(self.folder / "store.sqlite3", create=True)
        check_origin(self.store, ORIGIN)
        self.intake = Intake(self.store)

    def reopen(self) -> None:
        self.store.close()
        self.open()

    def close(self) -> None:
        self.store.close()

    def enrol(self, gateway: Gateway, replaces: tuple[DeviceId, Hash] | None = None) -> None:
        enrol(
            self.store,
            Enrolment(
                device=gateway.id,
                public_key=gateway.genesis,
                metering_point="DE0001",
                serials=("20260001",),
                role="grid",
                valid_from=NOW_MS,
                replaces=replaces,
            ),
            read_key(self.folder / "keys", ENROLMENT),
        )

    def send(self, gateway: Gateway, *records: bytes) -> Answers:
        """Each record as a message of its own, all in one batch."""
        return self.deliver(*(message(gateway.id, Leaf.RECORD, data) for data in records))

    def deliver(self, *batch: Delivery) -> Answers:
        return self.intake.take(batch, NOW_MS)

    def sequence(self) -> int:
        return sequencer.sequence(self.store)

    def checkpoint(self, now_s: int = 1_795_450_000) -> SignedCheckpoint | None:
        self.sequence()
        signed = sequencer.checkpoint(self.store, ORIGIN, self.keys, now_s)
        if signed is not None:
            set_published(self.store, signed.size)
        return signed

    def fsck(self) -> list[str]:
        return check_store(self.store, ORIGIN, self.keys)

    def stored(self, gateway: Gateway, status: Status = Status.CONNECTED) -> list[bytes]:
        rows = self.store.records.of_device(gateway.id)
        return [row.data for row in rows if row.status is status]

    def logged(self, gateway: Gateway) -> list[Hash]:
        return [leaf for _, leaf, owner in self.store.tree.leaves() if owner == gateway.id]

    def frozen(self, gateway: Gateway) -> str | None:
        device = self.store.devices.get(gateway.id)
        assert device is not None
        return device.frozen

    def head(self, gateway: Gateway) -> bytes | None:
        device = self.store.devices.get(gateway.id)
        assert device is not None
        return None if device.head is None else self.store.records.by_id(device.head).data


def message(device: DeviceId, leaf: Leaf, payload: bytes, *, retained: bool = False) -> Delivery:
    return Delivery(
        topic=device_topic(device, leaf),
        payload=payload,
        size=len(payload),
        retained=retained,
        mid=1,
        qos=1,
    )


def config_of(
    folder: Path, port: int, origin: str = ORIGIN, *, own: str = "", more: str = ""
) -> Config:
    """A configuration over a stage's folder; its marker lies in `run`, as in a tmpfs."""
    return parse(
        f"""
        [aggregator]
        data_dir = "{folder}"
        origin = "{origin}"
        checkpoint_every_s = 0.1
        marker_dir = "{folder}/run"
        {own}
        [mqtt]
        host = "127.0.0.1"
        port = {port}
        {more}
        """,
        source="test",
    )


@asynccontextmanager
async def running(
    config: Config, ledger: httpx.AsyncBaseTransport | None = None
) -> AsyncIterator[Aggregator]:
    """A whole aggregator, connected; how it ended is raised when the block ends."""
    aggregator = Aggregator(config, ledger=ledger)
    task = asyncio.create_task(aggregator.run())
    connected = asyncio.create_task(aggregator.connected.wait())
    await asyncio.wait({task, connected}, return_when=asyncio.FIRST_COMPLETED)
    connected.cancel()
    try:
        yield aggregator
    finally:
        task.cancel()
        (outcome,) = await asyncio.gather(task, return_exceptions=True)
        if not isinstance(outcome, asyncio.CancelledError) and outcome is not None:
            raise outcome
