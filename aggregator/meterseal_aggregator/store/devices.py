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
    """Enrolled devices.

    Attributes:
        enrolled: How many statements were kept over this connection.
    """

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._db = connection
        self.enrolled = 0

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
        self.enrolled += 1

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

    def move_receipted(
        self, was: Device, *, known_size: int, logged_to: int, anchored_to: int
    ) -> bool:
        """Remember that a page went out, by compare-and-set.

        Returns:
            False if the device was taken back meanwhile: what it is owed then is derived anew.
        """
        cursor = self._db.execute(
            "UPDATE device SET known_size = ?, logged_to = ?, anchored_to = ?"
            " WHERE id = ? AND known_size = ? AND logged_to = ? AND anchored_to = ?",
            (
                known_size,
                logged_to,
                anchored_to,
                was.id,
                was.known_size,
                was.logged_to,
                was.anchored_to,
            ),
        )
        return cursor.rowcount == 1

    def set_known(self, device: DeviceId, size: int) -> None:
        """Remember the size of the checkpoint that a device says it holds."""
        self._db.execute("UPDATE device SET known_size = ? WHERE id = ?", (size, device))

    def take_back(self, device: DeviceId, logged_to: int, anchored_to: int) -> None:
        """Let a device be owed again the receipts of leaves from these on."""
        self._db.execute(
            "UPDATE device SET logged_to = min(logged_to, ?1), anchored_to = min(anchored_to, ?2)"
            " WHERE id = ?3",
            (logged_to, anchored_to, device),
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


class Greetings:
    """Hellos whose answer is owed, and how far they take a device's receipts back."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._db = connection

    def owe(self, device: DeviceId, nonce: bytes) -> None:
        """Owe the answer to a hello; of several only the last one waits for it."""
        self._db.execute(
            "INSERT INTO greeting (device, nonce) VALUES (?, ?)"
            " ON CONFLICT (device) DO UPDATE SET nonce = excluded.nonce",
            (device, nonce),
        )

    def owed(self, limit: int) -> list[tuple[DeviceId, bytes]]:
        """(device, nonce) of hellos without an answer."""
        rows = self._db.execute(
            "SELECT device, nonce FROM greeting WHERE nonce IS NOT NULL LIMIT ?", (limit,)
        )
        return [(DeviceId(device), bytes(nonce)) for device, nonce in rows]

    def settle(self, device: DeviceId, nonce: bytes) -> None:
        """Say that a hello was answered; a later one is owed still."""
        self._db.execute(
            "UPDATE greeting SET nonce = NULL WHERE device = ? AND nonce = ?", (device, nonce)
        )

    def claim(self, device: DeviceId, logged_to: int, anchored_to: int) -> None:
        """Keep to where a device's receipts are to be taken back."""
        self._db.execute(
            "INSERT INTO greeting (device, logged_to, anchored_to) VALUES (?, ?, ?)"
            " ON CONFLICT (device) DO UPDATE"
            " SET logged_to = excluded.logged_to, anchored_to = excluded.anchored_to",
            (device, logged_to, anchored_to),
        )

    def due(
        self, now_ms: int, every_ms: int, device: DeviceId | None = None
    ) -> list[tuple[DeviceId, int, int]]:
        """(device, logged to, anchored to) of claims whose time has come.

        A clock that fell delays none.
        """
        query = (
            "SELECT device, logged_to, anchored_to FROM greeting WHERE logged_to IS NOT NULL"
            " AND (taken_back_ms <= ?1 - ?2 OR taken_back_ms > ?1) AND (?3 IS NULL OR device = ?3)"
        )
        rows = self._db.execute(query, (now_ms, every_ms, device))
        return [(DeviceId(one), int(logged), int(anchored)) for one, logged, anchored in rows]

    def served(self, device: DeviceId, now_ms: int) -> None:
        """Say that a device's receipts were taken back as it claimed."""
        self._db.execute(
            "UPDATE greeting SET logged_to = NULL, anchored_to = NULL, taken_back_ms = ?"
            " WHERE device = ?",
            (now_ms, device),
        )
