"""Queries over records and what contradicts what."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from meterseal.types import DeviceId, Hash
from meterseal_aggregator.store.rows import Contradiction, Status, StoredRecord

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator

    from meterseal_aggregator.store.rows import NewRecord

_COLUMNS = "id, hash, device, epoch, seq, kind, prev, light_n, light_prev, status, branch, data"
_ONE = f"SELECT {_COLUMNS} FROM record WHERE"  # noqa: S608 -- column names of ours


def _row(row: tuple[Any, ...]) -> StoredRecord:
    return StoredRecord(
        id=row[0],
        hash=Hash(row[1]),
        device=DeviceId(row[2]),
        epoch=row[3],
        seq=row[4],
        kind=row[5],
        prev=Hash(row[6]),
        light_n=row[7],
        light_prev=None if row[8] is None else Hash(row[8]),
        status=Status(row[9]),
        branch=row[10],
        data=row[11],
    )


class Records:
    """The records of all devices, and the chain states after light ones."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._db = connection

    def add(self, record: NewRecord, status: Status, branch: int | None = None) -> int:
        """Insert a record that is not known yet.

        Returns:
            Its number.
        """
        cursor = self._db.execute(
            "INSERT INTO record (hash, device, epoch, seq, kind, prev, light_n, light_prev,"
            " status, branch, data) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                record.hash,
                record.device,
                record.epoch,
                record.seq,
                record.kind,
                record.prev,
                record.light_n,
                record.light_prev,
                int(status),
                branch,
                record.data,
            ),
        )
        return int(cursor.lastrowid or 0)

    def move(self, record: int, status: Status, branch: int | None = None) -> None:
        """Let a stored record change its status."""
        self._db.execute(
            "UPDATE record SET status = ?, branch = ? WHERE id = ?", (int(status), branch, record)
        )

    def drop(self, record: int) -> None:
        """Forget a record that nothing refers to."""
        self._db.execute("DELETE FROM record WHERE id = ? AND status = 0", (record,))

    def set_aside(self, device: DeviceId, after: tuple[int, int]) -> None:
        """Let the waiting records of a device beyond a place wait no more."""
        self._db.execute(
            "UPDATE record SET status = 3 WHERE device = ? AND status = 0"
            " AND (epoch, seq) > (?, ?)",
            (device, *after),
        )

    def set_chain(self, record: int, state: bytes) -> None:
        """Keep what rules after a connected light record."""
        self._db.execute("INSERT INTO chain (record, state) VALUES (?, ?)", (record, state))

    def chain(self, record: int) -> bytes:
        """Read what rules after a connected light record."""
        row = self._db.execute("SELECT state FROM chain WHERE record = ?", (record,)).fetchone()
        return bytes(row[0])

    def by_id(self, record: int) -> StoredRecord:
        """Read a record by its number."""
        return _row(self._db.execute(f"{_ONE} id = ?", (record,)).fetchone())

    def by_hash(self, record_hash: Hash) -> StoredRecord | None:
        """Read a record by its hash."""
        return self._first("hash = ?", (record_hash,))

    def at(self, device: DeviceId, epoch: int, seq: int) -> list[StoredRecord]:
        """All records of a device at one place; more than one is a fork."""
        return self._all("device = ? AND epoch = ? AND seq = ?", (device, epoch, seq))

    def light_at(self, device: DeviceId, epoch: int, n: int) -> list[StoredRecord]:
        """All light records of a device with one number."""
        return self._all(
            "device = ? AND epoch = ? AND light_n = ? AND light_n IS NOT NULL", (device, epoch, n)
        )

    def restores(self, device: DeviceId, epoch: int) -> list[StoredRecord]:
        """All restore records that begin an epoch; more than one is a fork."""
        return self._all("device = ? AND epoch = ? AND kind = 5", (device, epoch))

    def hashes(self, device: DeviceId, epoch: int, start: int, end: int) -> list[Hash]:
        """Hashes of a device's connected records with start <= seq < end, in order."""
        rows = self._db.execute(
            "SELECT hash FROM record WHERE device = ? AND epoch = ? AND seq >= ? AND seq < ?"
            " AND status = 1 ORDER BY seq",
            (device, epoch, start, end),
        )
        return [Hash(row[0]) for row in rows]

    def waiting_on(self, device: DeviceId, predecessor: Hash) -> list[StoredRecord]:
        """Waiting records that name a hash as predecessor, in either chain."""
        return self._all(
            "device = ?1 AND status = 0 AND (prev = ?2 OR light_prev = ?2) ORDER BY epoch, seq",
            (device, predecessor),
        )

    def waiting(self, device: DeviceId, limit: int) -> list[tuple[int, int, int | None]]:
        """(epoch, seq, light number) of a device's first waiting records, in order."""
        return self._db.execute(
            "SELECT epoch, seq, light_n FROM record"
            " WHERE device = ? AND status = 0 ORDER BY epoch, seq LIMIT ?",
            (device, limit),
        ).fetchall()

    def load(self, device: DeviceId, status: Status) -> tuple[int, int]:
        """How many records of a status a device has, and their bytes."""
        row = self._db.execute(
            "SELECT count(*), coalesce(sum(length(data)), 0) FROM record"
            " WHERE device = ? AND status = ? AND status <> 1",
            (device, int(status)),
        ).fetchone()
        return int(row[0]), int(row[1])

    def waiting_devices(self) -> list[DeviceId]:
        """Devices that have waiting records and are not frozen."""
        rows = self._db.execute(
            "SELECT id FROM device WHERE frozen IS NULL AND EXISTS"
            " (SELECT 1 FROM record WHERE device = device.id AND status = 0)"
        )
        return [DeviceId(row[0]) for row in rows]

    def of_device(self, device: DeviceId) -> Iterator[StoredRecord]:
        """All records of a device in order of place."""
        cursor = self._db.execute(f"{_ONE} device = ? ORDER BY epoch, seq, id", (device,))
        return map(_row, cursor)

    def light_hashes(self, device: DeviceId) -> list[Hash]:
        """Hashes of a device's connected light records."""
        rows = self._db.execute(
            "SELECT hash FROM record WHERE device = ? AND status = 1 AND light_n IS NOT NULL",
            (device,),
        )
        return [Hash(row[0]) for row in rows]

    def kinds(self, device: DeviceId) -> dict[int, int]:
        """Number of a device's connected records by kind."""
        rows = self._db.execute(
            "SELECT kind, count(*) FROM record WHERE device = ? AND status = 1 GROUP BY kind",
            (device,),
        )
        return {int(kind): int(count) for kind, count in rows}

    def intervals_below(self, device: DeviceId, size: int) -> int:
        """Number of a device's intervals in the first `size` leaves of the log."""
        row = self._db.execute(
            "SELECT count(*) FROM record JOIN leaf ON leaf.hash = record.hash"
            " WHERE record.device = ? AND record.kind = 2 AND leaf.idx < ?",
            (device, size),
        ).fetchone()
        return int(row[0])

    def count(self) -> int:
        """Number of connected records of all devices."""
        row = self._db.execute("SELECT count(*) FROM record WHERE status = 1").fetchone()
        return int(row[0])

    def add_contradiction(self, found: Contradiction) -> bool:
        """Keep that two records contradict each other.

        Returns:
            False if it was known.
        """
        cursor = self._db.execute(
            "INSERT INTO contradiction (device, record, rival, rule, found_ms)"
            " VALUES (?, ?, ?, ?, ?) ON CONFLICT (record, rival) DO NOTHING",
            (found.device, found.record, found.rival, found.rule, found.found_ms),
        )
        return cursor.rowcount == 1

    def contradictions(self, device: DeviceId | None = None) -> list[Contradiction]:
        """All contradictions found, of one device or of all, oldest first."""
        where, values = ("", ()) if device is None else (" WHERE device = ?", (device,))
        rows = self._db.execute(
            f"SELECT device, record, rival, rule, found_ms FROM contradiction{where} ORDER BY id",  # noqa: S608
            values,
        )
        return [
            Contradiction(
                device=DeviceId(row[0]), record=row[1], rival=row[2], rule=row[3], found_ms=row[4]
            )
            for row in rows
        ]

    def _first(self, where: str, values: tuple[object, ...]) -> StoredRecord | None:
        row = self._db.execute(f"{_ONE} {where}", values).fetchone()
        return None if row is None else _row(row)

    def _all(self, where: str, values: tuple[object, ...]) -> list[StoredRecord]:
        return [_row(row) for row in self._db.execute(f"{_ONE} {where}", values)]
