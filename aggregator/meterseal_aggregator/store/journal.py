"""Queries over what was sent to the ledger and what was found there."""

from __future__ import annotations

from typing import TYPE_CHECKING

from meterseal.types import Hash
from meterseal_aggregator.store.rows import Anchored, Journaled, Sent

if TYPE_CHECKING:
    import sqlite3


class Journal:
    """Ledger transactions, each durable before it is sent, and the anchors found."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._db = connection

    def add(self, entry: Journaled, created_ms: int) -> None:
        """Keep a signed transaction before it is sent."""
        self._db.execute(
            "INSERT INTO journal (purpose, size, nonce, hash, raw, state, note, created_ms)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (
                entry.purpose,
                entry.size,
                entry.nonce,
                entry.hash,
                entry.raw,
                entry.state,
                entry.note,
                created_ms,
            ),
        )

    def settle(self, transaction: Hash, state: Sent, note: str = "") -> None:
        """Say what became of a transaction."""
        self._db.execute(
            "UPDATE journal SET state = ?, note = ? WHERE hash = ?", (state, note, transaction)
        )

    def open(self) -> list[Journaled]:
        """Transactions whose end is not known, oldest first."""
        return self._select("WHERE state = 'open'")

    def entries(self) -> list[Journaled]:
        """All transactions, oldest first."""
        return self._select("")

    def add_anchored(self, anchored: Anchored, found_ms: int) -> None:
        """Keep a root found on the ledger; a later proof replaces an earlier one."""
        self._db.execute(
            "INSERT INTO anchored (size, root, block, proof, found_ms) VALUES (?, ?, ?, ?, ?)"
            " ON CONFLICT (size) DO UPDATE SET block = excluded.block, proof = excluded.proof",
            (anchored.size, anchored.root, anchored.block, anchored.proof, found_ms),
        )

    def anchored(self) -> Anchored | None:
        """The newest anchor."""
        entries = self._anchored("ORDER BY size DESC LIMIT 1")
        return entries[0] if entries else None

    def all_anchored(self) -> list[Anchored]:
        """All anchors, oldest first."""
        return self._anchored("ORDER BY size")

    def _anchored(self, tail: str) -> list[Anchored]:
        rows = self._db.execute(f"SELECT size, root, block, proof FROM anchored {tail}")  # noqa: S608
        return [
            Anchored(size=size, root=Hash(root), block=block, proof=proof)
            for size, root, block, proof in rows
        ]

    def _select(self, where: str) -> list[Journaled]:
        rows = self._db.execute(
            f"SELECT purpose, size, nonce, hash, raw, state, note FROM journal {where} ORDER BY id"  # noqa: S608
        )
        return [
            Journaled(
                purpose=row[0],
                size=row[1],
                nonce=row[2],
                hash=Hash(row[3]),
                raw=row[4],
                state=Sent(row[5]),
                note=row[6],
            )
            for row in rows
        ]
