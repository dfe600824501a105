"""A device made of the real store, planner and key, with meters and clocks moved by hand."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from meterseal.keys import SigningKey, device_id
from meterseal.records import (
    Clock,
    Interval,
    Manifest,
    MeterIdentity,
    MeterState,
    Publishes,
    Record,
    RestoreReason,
    decode_record,
)
from meterseal.types import Hash
from meterseal_agent.poll.snapshot import MeterSample, Snapshot
from meterseal_agent.record import Memory, Moment, Planner, Reopening, Start
from meterseal_agent.store import schema
from meterseal_agent.store.audit import audit
from meterseal_agent.store.marker import Marker
from meterseal_agent.store.store import Store

if TYPE_CHECKING:
    from pathlib import Path

    from meterseal_agent.sign import Signed
    from meterseal_agent.store.schema import Connect

KEY = SigningKey.from_seed(bytes(range(32)))
DEVICE = device_id(KEY.public)
INTERVAL_S = 60
EVERY_MS = 10_000
# 2026-11-23 12:00:00 UTC, a boundary.
NOON_MS = 1_795_435_200_000
NOON_MS -= NOON_MS % (INTERVAL_S * 1000)

METER = MeterIdentity(
    make="Eastron",
    model="SDM630",
    serial="4711",
    firmware="",
    profile="eastron-sdm630",
    profile_hash=Hash(bytes(32)),
    bus="rs485",
    address=1,
)


def manifest(*meters: MeterIdentity, interval_s: int = INTERVAL_S) -> Manifest:
    return Manifest(
        public_key=KEY.public,
        software="test 1",
        meters=meters or (METER,),
        interval_s=interval_s,
        tolerance_ms=5000,
        publishes=Publishes.READINGS,
    )


_BENCHES: list[Bench] = []


def turn_all_off() -> None:
    """Close every store that a test left open; Python 3.13 warns of each that is not."""
    while _BENCHES:
        _BENCHES.pop().turn_off()


@dataclass(kw_only=True)
class Bench:
    """One device on a bench: `turn_on` it, let meters answer, cut its power.

    Attributes:
        now_ms: UTC, moved by hand.
        boot: The kernel's boot id; `cut_power` changes it.
        auditing: Whether every step ends with fsck.
    """

    folder: Path
    connect: Connect = schema.connect
    now_ms: int = NOON_MS
    booted_ms: int = NOON_MS - 60_000
    boot: int = 1
    clock: Clock = Clock.SYNCHRONISED
    import_wh: int = 1000
    wanted: Manifest = field(default_factory=manifest)
    memory: Memory = field(default_factory=Memory)
    nonces: int = 0
    auditing: bool = True
    released: list[Signed] = field(default_factory=list)
    _store: Store | None = None

    def __post_init__(self) -> None:
        _BENCHES.append(self)
        self.data = self.folder / "data"
        self.tmpfs = self.folder / "tmpfs"
        self.data.mkdir(parents=True, exist_ok=True)
        self.tmpfs.mkdir(exist_ok=True)
        self.marker = Marker(self.tmpfs, DEVICE)
        self.planner = Planner(read_every_ms=EVERY_MS, randomness=self._nonce)
        if not (self.data / schema.STORE_NAME).exists():
            schema.create(self.data / schema.STORE_NAME, DEVICE, born_with_key=True)

    @property
    def store(self) -> Store:
        assert self._store is not None
        return self._store

    @property
    def moment(self) -> Moment:
        return Moment(utc_ms=self.now_ms, up_ms=self.now_ms - self.booted_ms, clock=self.clock)

    def open(self) -> Store:
        """Open the store without signing anything."""
        self._store = Store(self.data, KEY, self.marker, str(self.boot), self.connect)
        return self._store

    def turn_on(self, *, answered: bool = False) -> list[Record]:
        """Start the agent: offline, with what the marker proves, or `answered` by an aggregator."""
        store, reopening = self.open(), None
        if store.tip.head is not None and not store.proved_newest() and not answered:
            reopening = Reopening(reason=RestoreReason.OFFLINE_START, base=store.tip.head)
        mark = self.marker.read()
        start = Start(
            same_boot=mark is not None and mark.boot_id == str(self.boot), reopen=reopening
        )
        return self._append(lambda tip: self.planner.begin(tip, start, self.wanted, self.moment))

    def reopen(self, reopening: Reopening) -> list[Record]:
        """Begin an epoch, as when the aggregator proves that it is ahead."""
        memory = self.memory
        return self._append(
            lambda tip: self.planner.reopen(tip, reopening, self.wanted, self.moment, memory)
        )

    def turn_off(self) -> None:
        """Stop the agent in good order."""
        if self._store is not None:
            self._store.close()
            self._store = None

    def cut_power(self, *, dark_ms: int = 60_000) -> None:
        """Take away what lives in memory, and come back in another boot."""
        self.turn_off()
        self.marker.remove()
        self.boot += 1
        self.now_ms += dark_ms
        self.booted_ms = self.now_ms

    def read(self, *states: MeterState, after_ms: int = EVERY_MS) -> list[Record]:
        """Let `after_ms` pass and read the meters; good ones count 10 Wh on."""
        self.now_ms += after_ms
        self.import_wh += 10
        snapshot = self.snapshot(*states)
        return self._append(
            lambda tip: self.planner.snapshot(
                tip,
                snapshot,
                clock=self.clock,
                manifest=self.wanted,
                memory=self.memory,
                checkpoint=None,
            )
        )

    def snapshot(self, *states: MeterState) -> Snapshot:
        samples = tuple(
            MeterSample(
                meter=meter,
                state=state,
                at_ms=self.now_ms,
                values={1: self.import_wh, 2: 0} if state is MeterState.GOOD else {},
                raw={1: self.import_wh.to_bytes(4, "big")} if state is MeterState.GOOD else {},
            )
            for meter, state in enumerate(states or (MeterState.GOOD,))
        )
        return Snapshot(
            started_ms=self.now_ms,
            at_ms=self.now_ms,
            up_ms=self.now_ms - self.booted_ms,
            boundary=False,
            samples=samples,
        )

    def _append(self, plan: object) -> list[Record]:
        signed, self.memory = self.store.append(plan)  # type: ignore[arg-type]
        self.released += signed
        self.check()
        return [one.record for one in signed]

    def check(self) -> None:
        """fsck, which every step of every test ends with."""
        if not self.auditing:
            return
        report = audit(self.store.connection, KEY.public)
        assert report.faults == (), report.faults

    def records(self) -> list[Record]:
        return [
            decode_record(data)
            for (data,) in self.store.connection.execute("SELECT bytes FROM record ORDER BY place")
        ]

    def intervals(self) -> list[Interval]:
        return [each.body for each in self.records() if isinstance(each.body, Interval)]

    def kinds(self) -> str:
        """Kinds of all records, a digit each."""
        return "".join(str(int(record.kind)) for record in self.records())

    def _nonce(self, size: int) -> bytes:
        self.nonces += 1
        return self.nonces.to_bytes(size, "big")


class FaultyConnection(sqlite3.Connection):
    """A connection whose next commit fails, before it or after it happened.

    `lost`: the write failed. `unanswered`: it happened, and the answer was lost.
    """

    fail_before: sqlite3.Error | None = None
    fail_after: sqlite3.Error | None = None

    def execute(self, sql: str, *parameters: object) -> sqlite3.Cursor:
        if sql != "COMMIT":
            return super().execute(sql, *parameters)  # type: ignore[arg-type]
        before, self.fail_before = self.fail_before, None
        after, self.fail_after = self.fail_after, None
        if before is not None:
            raise before
        cursor = super().execute(sql)
        if after is not None:
            raise after
        return cursor


def any_thread(path: Path) -> sqlite3.Connection:
    """For tests where the store's thread and the test take turns, never at once."""
    return sqlite3.connect(path, isolation_level=None, check_same_thread=False)


def faulty_connect(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, isolation_level=None, factory=FaultyConnection)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    return connection


def disk_error(code: int) -> sqlite3.OperationalError:
    error = sqlite3.OperationalError("injected")
    error.sqlite_errorcode = code
    return error
