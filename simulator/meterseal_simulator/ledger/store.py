"""The ledger on disk: state nodes, blocks and logs in one SQLite database.

Rules:

* A block, its transaction, receipt, logs and state nodes are one transaction, WAL with
  synchronous=FULL: after `add_block` returns, no power cut takes the block back; killed before,
  nothing of it is there.
* The state is written once and never deleted: proofs of every old block stay possible.
* One process at a time holds the folder; a second one is refused.
"""

from __future__ import annotations

import sqlite3
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from meterseal_simulator.datadir import claim
from meterseal_simulator.errors import SimulatorError
from meterseal_simulator.ledger.errors import NotStoredError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

DATABASE: Final = "ledger.sqlite3"

_APPLICATION_ID: Final = 0x4D534C47  # "MSLG"
_SCHEMA_VERSION: Final = 1
_SCHEMA: Final = """
CREATE TABLE about (chain_id INTEGER NOT NULL);
CREATE TABLE state (key BLOB PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE blocks (
  number INTEGER PRIMARY KEY, hash BLOB NOT NULL UNIQUE, header BLOB NOT NULL,
  tx_hash BLOB UNIQUE, tx BLOB, receipt BLOB
);
CREATE TABLE logs (
  block INTEGER NOT NULL REFERENCES blocks, position INTEGER NOT NULL,
  address BLOB NOT NULL, topics BLOB NOT NULL, data BLOB NOT NULL,
  PRIMARY KEY (block, position)
) WITHOUT ROWID;
"""
_BLOCK: Final = "SELECT number, hash, header, tx_hash, tx, receipt FROM blocks "


@dataclass(frozen=True, kw_only=True, slots=True)
class Log:
    """One event that a contract emitted.

    Attributes:
        block: Number of the block.
        position: Index of the log in its block.
        topics: 0 to 4 words of 32 bytes.
    """

    block: int
    position: int
    address: bytes
    topics: tuple[bytes, ...]
    data: bytes


@dataclass(frozen=True, kw_only=True, slots=True)
class Block:
    """A sealed block as it is kept.

    Attributes:
        hash: The block hash, which is not the hash of `header`: seals are left out of it.
        header: RLP with all seals.
        tx_hash: Hash of its one transaction; the genesis block has none.
        tx: The raw transaction.
        receipt: The consensus encoding of the receipt.
    """

    number: int
    hash: bytes
    header: bytes
    tx_hash: bytes | None = None
    tx: bytes | None = None
    receipt: bytes | None = None


class Store:
    """The database of one ledger, and the lock on its folder."""

    def __init__(self, folder: Path, chain_id: int) -> None:
        """Open or create the database.

        Raises:
            SimulatorError: The folder is in use, or holds something else or another chain.
        """
        path = folder / DATABASE
        with ExitStack() as opened:
            opened.enter_context(claim(folder))
            try:
                self._db = opened.enter_context(closing(_connect(path)))
                new = self._is_new(path, chain_id)
                self._db.execute("PRAGMA journal_mode = WAL")
                self._db.execute("PRAGMA synchronous = FULL")
                if new:
                    self._create(chain_id)
            except sqlite3.DatabaseError as error:
                raise SimulatorError(
                    f"{path}: not a database of this ledger ({error}); use another data folder"
                ) from error
            self._opened = opened.pop_all()

    def close(self) -> None:
        """Release the database and the folder."""
        self._opened.close()

    def get(self, key: bytes) -> bytes | None:
        """Read a state node or a contract's code by its hash."""
        row = self._db.execute("SELECT value FROM state WHERE key = ?", (key,)).fetchone()
        return None if row is None else bytes(row[0])

    def add_block(self, block: Block, logs: tuple[Log, ...], nodes: Mapping[bytes, bytes]) -> None:
        """Keep a block and everything that it made; durable when this returns.

        Raises:
            NotStoredError: The disk is full or failing; nothing of the block is kept.
        """
        try:
            self._add_block(block, logs, nodes)
        except sqlite3.Error as error:
            raise NotStoredError(error) from error

    def _add_block(self, block: Block, logs: tuple[Log, ...], nodes: Mapping[bytes, bytes]) -> None:
        with self._transaction():
            self._db.executemany("INSERT OR IGNORE INTO state VALUES (?, ?)", nodes.items())
            self._db.execute(
                "INSERT INTO blocks VALUES (?, ?, ?, ?, ?, ?)",
                (block.number, block.hash, block.header, block.tx_hash, block.tx, block.receipt),
            )
            self._db.executemany(
                "INSERT INTO logs VALUES (?, ?, ?, ?, ?)",
                (
                    (log.block, log.position, log.address, b"".join(log.topics), log.data)
                    for log in logs
                ),
            )

    def head(self) -> Block | None:
        """Return the newest block, or None before genesis."""
        return self._block("ORDER BY number DESC LIMIT 1")

    def by_number(self, number: int) -> Block | None:
        """Return a block by its height."""
        return self._block("WHERE number = ?", number)

    def by_hash(self, block_hash: bytes) -> Block | None:
        """Return a block by its block hash."""
        return self._block("WHERE hash = ?", block_hash)

    def by_transaction(self, tx_hash: bytes) -> Block | None:
        """Return the block that a transaction is in."""
        return self._block("WHERE tx_hash = ?", tx_hash)

    def hashes_below(self, number: int) -> Iterator[bytes]:
        """Yield the hashes of the 256 blocks before a height, newest first (opcode BLOCKHASH)."""
        for below in range(number - 1, max(-1, number - 257), -1):
            row = self._db.execute("SELECT hash FROM blocks WHERE number = ?", (below,)).fetchone()
            if row is not None:
                yield bytes(row[0])

    def logs(self, first: int, last: int, limit: int) -> list[Log]:
        """Return the logs of the blocks from `first` to `last`, at most `limit`."""
        rows = self._db.execute(
            "SELECT block, position, address, topics, data FROM logs "
            "WHERE block BETWEEN ? AND ? ORDER BY block, position LIMIT ?",
            (first, last, limit),
        )
        return [
            Log(
                block=block,
                position=position,
                address=address,
                topics=tuple(topics[at : at + 32] for at in range(0, len(topics), 32)),
                data=data,
            )
            for block, position, address, topics, data in rows
        ]

    def _block(self, where: str, *values: int | bytes) -> Block | None:
        row = self._db.execute(_BLOCK + where, values).fetchone()
        if row is None:
            return None
        number, block_hash, header, tx_hash, tx, receipt = row
        return Block(
            number=number, hash=block_hash, header=header, tx_hash=tx_hash, tx=tx, receipt=receipt
        )

    def _is_new(self, path: Path, chain_id: int) -> bool:
        """Tell an empty database from one of this chain; nothing foreign is written to."""
        application = self._db.execute("PRAGMA application_id").fetchone()[0]
        tables = self._db.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0]
        if application == 0 and tables == 0:
            return True
        version = self._db.execute("PRAGMA user_version").fetchone()[0]
        if application != _APPLICATION_ID or version != _SCHEMA_VERSION:
            raise SimulatorError(
                f"{path}: expected a database of this ledger, version {_SCHEMA_VERSION}, got "
                f"application id {application:#x}, version {version}; use another data folder"
            )
        kept = self._db.execute("SELECT chain_id FROM about").fetchone()[0]
        if kept != chain_id:
            raise SimulatorError(
                f"{path}: expected chain id {chain_id}, got {kept}; start with --chain-id {kept}, "
                "or use another data folder"
            )
        return False

    def _create(self, chain_id: int) -> None:
        with self._transaction():
            for statement in _SCHEMA.split(";\n")[:-1]:
                self._db.execute(statement)
            self._db.execute("INSERT INTO about VALUES (?)", (chain_id,))
            self._db.execute(f"PRAGMA application_id = {_APPLICATION_ID}")
            self._db.execute(f"PRAGMA user_version = {_SCHEMA_VERSION}")

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
            # Killed before this line, nothing is there; after it, all of it.
            self._db.execute("COMMIT")
        except BaseException:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            raise


def _connect(path: Path) -> sqlite3.Connection:
    """Open a database whose transactions are begun and ended by hand, by one thread at a time."""
    return sqlite3.connect(path, isolation_level=None, check_same_thread=False)
