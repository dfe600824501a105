"""Queries over the log: queue, leaves, complete nodes, signed checkpoints."""

from __future__ import annotations

from typing import TYPE_CHECKING

from meterseal.types import DeviceId, Hash
from meterseal_aggregator.errors import StoreError
from meterseal_aggregator.store.rows import SignedCheckpoint

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable, Iterator

    from meterseal.merkle import Node


class Tree:
    """The RFC 9162 log and what waits to enter it."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._db = connection

    def enqueue(self, leaf: Hash, device: DeviceId | None) -> None:
        """Put a leaf at the end of the queue; a leaf enters the log once."""
        self._db.execute("INSERT INTO queue (hash, device) VALUES (?, ?)", (leaf, device))

    def queued(self, limit: int) -> list[tuple[int, Hash, DeviceId | None]]:
        """The first leaves of the queue: (position, hash, device)."""
        rows = self._db.execute(
            "SELECT position, hash, device FROM queue ORDER BY position LIMIT ?", (limit,)
        )
        return [(p, Hash(h), None if d is None else DeviceId(d)) for p, h, d in rows]

    def append(self, position: int, device: DeviceId | None, nodes: Iterable[Node]) -> None:
        """Give a queued leaf its index: `nodes` are it and what it completes.

        An index that is taken is refused by the key of the table: two sequencers cannot both win.
        """
        leaf, *above = nodes
        self._db.execute(
            "INSERT INTO leaf (idx, hash, device) VALUES (?, ?, ?)", (leaf.index, leaf.hash, device)
        )
        self._db.executemany(
            "INSERT INTO node (level, idx, hash) VALUES (?, ?, ?)",
            [(node.level, node.index, node.hash) for node in above],
        )
        self._db.execute("DELETE FROM queue WHERE position = ?", (position,))

    def size(self) -> int:
        """Number of leaves."""
        return int(self._db.execute("SELECT coalesce(max(idx) + 1, 0) FROM leaf").fetchone()[0])

    def read(self, level: int, index: int) -> Hash:
        """Read a complete node: the node reader of `meterseal.merkle`.

        Raises:
            StoreError: It is not there: the store is damaged.
        """
        if level == 0:
            row = self._db.execute("SELECT hash FROM leaf WHERE idx = ?", (index,)).fetchone()
        else:
            row = self._db.execute(
                "SELECT hash FROM node WHERE level = ? AND idx = ?", (level, index)
            ).fetchone()
        if row is None:
            raise StoreError(f"store: node {index} of level {level} is missing. Run fsck.")
        return Hash(row[0])

    def nodes(self) -> Iterator[tuple[int, int, Hash]]:
        """All stored nodes above the leaves."""
        return iter(self._db.execute("SELECT level, idx, hash FROM node ORDER BY level, idx"))

    def leaves(self) -> Iterator[tuple[int, Hash, DeviceId | None]]:
        """All leaves in order."""
        return iter(self._db.execute("SELECT idx, hash, device FROM leaf ORDER BY idx"))

    def index_of(self, leaf: Hash) -> int | None:
        """Index of a leaf, None while it is not logged."""
        row = self._db.execute("SELECT idx FROM leaf WHERE hash = ?", (leaf,)).fetchone()
        return None if row is None else int(row[0])

    def leaves_of(
        self, device: DeviceId, start: int, end: int, limit: int
    ) -> list[tuple[int, Hash]]:
        """(index, hash) of a device's first leaves in [start, end)."""
        rows = self._db.execute(
            "SELECT idx, hash FROM leaf WHERE device = ? AND idx >= ? AND idx < ?"
            " ORDER BY idx LIMIT ?",
            (device, start, end, limit),
        )
        return [(int(i), Hash(h)) for i, h in rows]

    def last_leaves_start(self, device: DeviceId, end: int, count: int) -> int:
        """Index of the first of a device's last `count` leaves below `end`."""
        rows = self._db.execute(
            "SELECT idx FROM leaf WHERE device = ? AND idx < ? ORDER BY idx DESC LIMIT ?",
            (device, end, count),
        ).fetchall()
        return int(rows[-1][0]) if rows else end

    def leaf_count(self, device: DeviceId, end: int) -> int:
        """Number of a device's leaves below `end`."""
        row = self._db.execute(
            "SELECT count(*) FROM leaf WHERE device = ? AND idx < ?", (device, end)
        ).fetchone()
        return int(row[0])

    def add_checkpoint(self, checkpoint: SignedCheckpoint) -> bool:
        """Keep what is going to be signed, by compare-and-set.

        Returns:
            False if a checkpoint of this size or a larger one stands: then nothing was written.
        """
        cursor = self._db.execute(
            "INSERT INTO checkpoint (size, root, time_s, note) SELECT ?1, ?2, ?3, ?4"
            " WHERE NOT EXISTS (SELECT 1 FROM checkpoint WHERE size >= ?1)",
            (checkpoint.size, checkpoint.root, checkpoint.time_s, checkpoint.note),
        )
        return cursor.rowcount == 1

    def checkpoint(self, size: int | None = None) -> SignedCheckpoint | None:
        """The checkpoint of exactly a size, or the newest."""
        if size is None:
            return self._newest("", ())
        return self._newest("WHERE size = ?", (size,))

    def checkpoints(self) -> Iterator[SignedCheckpoint]:
        """All checkpoints, oldest first."""
        cursor = self._db.execute("SELECT size, root, time_s, note FROM checkpoint ORDER BY size")
        return map(_checkpoint, cursor)

    def _newest(self, where: str, values: tuple[int, ...]) -> SignedCheckpoint | None:
        row = self._db.execute(
            f"SELECT size, root, time_s, note FROM checkpoint {where} ORDER BY size DESC LIMIT 1",  # noqa: S608
            values,
        ).fetchone()
        return None if row is None else _checkpoint(row)


def _checkpoint(row: tuple[int, bytes, int, bytes]) -> SignedCheckpoint:
    return SignedCheckpoint(size=row[0], root=Hash(row[1]), time_s=row[2], note=row[3])
