"""Queries over devices: enrolment, head, and what each was told."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from meterseal.types import DeviceId, Hash, PublicKey
from meterseal_aggregator.store.rows import Device

if TYPE_CHECKING:
    import sqlite3

_COLUMNS = (
    "id, public_key, replaces, head, told, frozen, clone_ms, known_size, logged_to, anchored_to"
)
_SELECT = f"SELECT {_COLUMNS} FROM device"  # noqa: S608 -- column names of ours


def _row(row: tuple[Any, ...]) -> Device:
    return Device(
        id=DeviceId(row[0]),
        public_key=PublicKey(row[1]),
        replaces=None if row[2] is None else Hash(row[2]),
        head=row[3],
        told=row[4],
        frozen=row[5],
        clone_ms=row[6],
        known_size=row[7],
        logged_to=row[8],
        anchored_to=row[9],
    )


class Devices:
    """Enrolled devices."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._db = connection

    def enrol(
        self,
        device: DeviceId,
        public_key: PublicKey,
        replaces: Hash | None,
        statement_hash: Hash,
        statement: bytes,
    ) -> None:
        """Keep an enrolment statement, and the device from now on; the key of a device stays."""
        self._db.execute(
            "INSERT INTO device (id, public_key, replaces) VALUES (?, ?, ?)"
            " ON CONFLICT (id) DO UPDATE SET replaces = excluded.replaces",
            (device, public_key, replaces),
        )
        self._db.execute(
            "INSERT INTO enrolment (hash, device, statement) VALUES (?, ?, ?)",
            (statement_hash, device, statement),
        )

    def get(self, device: DeviceId) -> Device | None:
        """Read a device, None when it is not enrolled."""
        row = self._db.execute(f"{_SELECT} WHERE id = ?", (device,)).fetchone()
        return None if row is None else _row(row)

    def all(self) -> list[Device]:
        """All devices, by id."""
        return [_row(row) for row in self._db.execute(f"{_SELECT} ORDER BY id")]

    def enrolments(self, device: DeviceId | None = None) -> list[tuple[Hash, bytes]]:
        """(leaf hash, statement) of the enrolments of one device or of all."""
        where, values = ("", ()) if device is None else (" WHERE device = ?", (device,))
        rows = self._db.execute(f"SELECT hash, statement FROM enrolment{where}", values)  # noqa: S608
        return [(Hash(row[0]), bytes(row[1])) for row in rows]

    def move_head(self, device: DeviceId, was: int | None, now: int) -> bool:
        """Move the head by compare-and-set.

        Returns:
            False if the head was not `was`: another writer is at work.
        """
        cursor = self._db.execute(
            "UPDATE device SET head = ? WHERE id = ? AND head IS ?", (now, device, was)
        )
        return cursor.rowcount == 1

    def freeze(self, device: DeviceId, rule: str) -> None:
        """Freeze a device; the first reason stays."""
        self._db.execute(
            "UPDATE device SET frozen = ? WHERE id = ? AND frozen IS NULL", (rule, device)
        )

    def suspect_clone(self, device: DeviceId, at_ms: int) -> None:
        """Remember that two boots of a device were seen alternating."""
        self._db.execute("UPDATE device SET clone_ms = ? WHERE id = ?", (at_ms, device))

    def untold(self, limit: int) -> list[DeviceId]:
        """Devices whose head is not the one they were last told of."""
        rows = self._db.execute(
            "SELECT id FROM device WHERE told IS NOT coalesce(head, 0) LIMIT ?", (limit,)
        )
        return [DeviceId(row[0]) for row in rows]

    def set_told(self, device: DeviceId, head: int) -> None:
        """Remember the head that a device was told."""
        self._db.execute("UPDATE device SET told = ? WHERE id = ?", (head, device))

    def set_receipted(
        self, device: DeviceId, *, known_size: int, logged_to: int, anchored_to: int
    ) -> None:
        """Remember how far a device's receipts went."""
        self._db.execute(
            "UPDATE device SET known_size = ?, logged_to = ?, anchored_to = ? WHERE id = ?",
            (known_size, logged_to, anchored_to, device),
        )

    def behind_log(self, size: int, limit: int) -> list[Device]:
        """Devices with leaves below `size` without a receipt."""
        return self._behind("logged_to", size, limit)

    def behind_anchor(self, size: int, limit: int) -> list[Device]:
        """Devices with leaves below `size` without a receipt as anchored."""
        return self._behind("anchored_to", size, limit)

    def _behind(self, column: str, size: int, limit: int) -> list[Device]:
        query = (
            f"{_SELECT} WHERE {column} < ?1 AND EXISTS (SELECT 1 FROM leaf"  # noqa: S608 -- ours
            f" WHERE leaf.device = device.id AND leaf.idx >= device.{column} AND leaf.idx < ?1)"
            " LIMIT ?2"
        )
        return [_row(row) for row in self._db.execute(query, (size, limit))]
