"""The tables, and how a database file is known to be ours.

* A row is written once and keeps its meaning: what moves is `record.status` and `record.branch`
  (when a record connects), the head and receipt columns of `device`, and `journal.state`.
* `record` holds no unique (device, epoch, seq): of a fork both branches are kept.
* `queue` orders what is to be logged; a leaf leaves it in the transaction that gives it its index.
* Nothing here is SQLite's alone but the pragmas: the move to PostgreSQL keeps tables and queries,
  and every key begins with what a shard is split by (the device) or is global to the one sequencer.
"""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING, Final

from meterseal_aggregator.errors import StoreError

if TYPE_CHECKING:
    from pathlib import Path

APPLICATION_ID: Final = 0x4D534147
"""ASCII MSAG in the file header: an aggregator's store and no other database."""
VERSION: Final = 2
BUSY_TIMEOUT_MS: Final = 10_000

TABLES: Final = """
CREATE TABLE meta (name TEXT PRIMARY KEY, value BLOB NOT NULL) STRICT, WITHOUT ROWID;

CREATE TABLE device (
  id BLOB PRIMARY KEY,               -- 16 bytes
  public_key BLOB NOT NULL,          -- as enrolled: the genesis key
  replaces BLOB,                     -- hash that its genesis may name: of the device it replaces
  head INTEGER,                      -- record: the last connected one of the highest epoch
  told INTEGER,                      -- record: the head last told to the device, 0 = "nothing yet"
  frozen TEXT,                       -- the rule that two of its records break between them
  clone_ms INTEGER,                  -- when two boots were seen alternating
  known_size INTEGER NOT NULL DEFAULT 0,   -- of the checkpoint that the device holds
  logged_to INTEGER NOT NULL DEFAULT 0,    -- leaves below have had their receipt
  anchored_to INTEGER NOT NULL DEFAULT 0   -- leaves below have had their receipt as anchored
) STRICT, WITHOUT ROWID;

CREATE INDEX device_untold ON device (id) WHERE told IS NOT coalesce(head, 0);

CREATE TABLE enrolment (
  hash BLOB PRIMARY KEY,             -- leaf hash of the statement
  device BLOB NOT NULL,
  statement BLOB NOT NULL            -- COSE_Sign1, meterseal-enrol/1
) STRICT, WITHOUT ROWID;

CREATE TABLE greeting (              -- hellos, and how far they take receipts back
  device BLOB PRIMARY KEY,
  nonce BLOB,                        -- of a hello whose answer is owed
  taken_back_ms INTEGER NOT NULL DEFAULT 0,
  logged_to INTEGER,                 -- to where its receipts are to be taken back, once it is due
  anchored_to INTEGER
) STRICT, WITHOUT ROWID;
CREATE INDEX greeting_owed ON greeting (device) WHERE nonce IS NOT NULL;
CREATE INDEX greeting_claimed ON greeting (taken_back_ms) WHERE logged_to IS NOT NULL;

CREATE TABLE record (
  id INTEGER PRIMARY KEY,
  hash BLOB NOT NULL UNIQUE,
  device BLOB NOT NULL,
  epoch INTEGER NOT NULL,
  seq INTEGER NOT NULL,
  kind INTEGER NOT NULL,
  prev BLOB NOT NULL,
  light_n INTEGER,
  light_prev BLOB,
  status INTEGER NOT NULL,           -- 0 waiting, 1 connected, 2 rival, 3 void
  branch INTEGER,                    -- record: its last light record, itself included
  data BLOB NOT NULL
) STRICT;
CREATE INDEX record_place ON record (device, epoch, seq);
CREATE INDEX record_light ON record (device, epoch, light_n) WHERE light_n IS NOT NULL;
CREATE INDEX record_restore ON record (device, epoch) WHERE kind = 5;
CREATE INDEX record_aside ON record (device, status) WHERE status <> 1;
CREATE INDEX record_waiting ON record (device, prev) WHERE status = 0;
CREATE INDEX record_waiting_light ON record (device, light_prev) WHERE status = 0;

CREATE TABLE chain (                 -- what rules after a connected light record
  record INTEGER PRIMARY KEY,
  state BLOB NOT NULL                -- keys and manifest in force, see chain state
) STRICT;

CREATE TABLE contradiction (
  id INTEGER PRIMARY KEY,
  device BLOB NOT NULL,
  record INTEGER NOT NULL,
  rival INTEGER NOT NULL,
  rule TEXT NOT NULL,
  found_ms INTEGER NOT NULL,
  UNIQUE (record, rival)
) STRICT;

CREATE TABLE queue (                 -- to be logged, in this order
  position INTEGER PRIMARY KEY AUTOINCREMENT,
  hash BLOB NOT NULL UNIQUE,
  device BLOB                        -- null for an enrolment
) STRICT;
CREATE TABLE leaf (
  idx INTEGER PRIMARY KEY,
  hash BLOB NOT NULL UNIQUE,
  device BLOB                        -- whom a receipt goes to, null for an enrolment
) STRICT;
CREATE INDEX leaf_device ON leaf (device, idx) WHERE device IS NOT NULL;
CREATE TABLE node (                  -- complete nodes above the leaves
  level INTEGER NOT NULL,
  idx INTEGER NOT NULL,
  hash BLOB NOT NULL,
  PRIMARY KEY (level, idx)
) STRICT, WITHOUT ROWID;
CREATE TABLE checkpoint (
  size INTEGER PRIMARY KEY,
  root BLOB NOT NULL,
  time_s INTEGER NOT NULL,
  note BLOB NOT NULL
) STRICT;

CREATE TABLE journal (               -- what was, or may have been, sent to the ledger
  id INTEGER PRIMARY KEY,
  purpose TEXT NOT NULL,             -- deploy, register, anchor
  size INTEGER NOT NULL,
  nonce INTEGER NOT NULL,
  hash BLOB NOT NULL UNIQUE,
  raw BLOB NOT NULL,
  state TEXT NOT NULL,               -- open, mined, failed, replaced
  note TEXT NOT NULL DEFAULT '',
  created_ms INTEGER NOT NULL
) STRICT;
CREATE TABLE anchored (
  size INTEGER PRIMARY KEY,
  root BLOB NOT NULL,
  block INTEGER NOT NULL,
  proof BLOB,                        -- ledger proof, null on a chain without seals
  found_ms INTEGER NOT NULL
) STRICT;
"""


_GREETING: Final = TABLES[
    TABLES.index("CREATE TABLE greeting") : TABLES.index("CREATE TABLE record")
]
MIGRATIONS: Final = {1: _GREETING}
"""What makes a store of a version one of the next."""


def open_database(path: Path, *, create: bool) -> sqlite3.Connection:
    """Open the store, WAL and synchronous=FULL, after making sure that it is one.

    Raises:
        StoreError: It is absent, foreign, of a newer version, or cannot be opened.
    """
    if not create and not path.exists():
        raise StoreError(
            f"store {path}: no such file. `meterseal-aggregator init` creates it; "
            "if it should exist, check data_dir."
        )
    try:
        connection = sqlite3.connect(
            path, isolation_level=None, check_same_thread=False, timeout=BUSY_TIMEOUT_MS / 1000
        )
    except sqlite3.Error as error:
        raise StoreError(f"store {path}: cannot be opened: {error}.") from error
    try:
        _recognise(connection, path, create=create)
    except sqlite3.DatabaseError as error:
        connection.close()
        raise StoreError(f"store {path}: expected an aggregator's store: {error}.") from error
    except StoreError:
        connection.close()
        raise
    return connection


def _recognise(connection: sqlite3.Connection, path: Path, *, create: bool) -> None:
    """Check who made the file before anything of it is changed."""
    connection.execute("PRAGMA trusted_schema = OFF")
    application = _pragma(connection, "application_id")
    version = _pragma(connection, "user_version")
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
    if tables and application != APPLICATION_ID:
        raise StoreError(
            f"store {path}: expected an aggregator's store (application id {APPLICATION_ID:#x}), "
            f"got another program's database ({application:#x}). It was not touched; "
            "name another data_dir."
        )
    if not tables and not create:
        # A log that begins anew under its old name would be a second history.
        raise StoreError(
            f"store {path}: expected an aggregator's store, found an empty database. "
            "Put the newest store back. A log that lost its store for good has ended: name a new "
            "origin and another data_dir."
        )
    if version > VERSION:
        raise StoreError(
            f"store {path}: schema version {version} is newer than this program's {VERSION}. "
            "It was not touched; install the newer release."
        )
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA foreign_keys = ON")
    if not tables:
        _create(connection)
        return
    for older in range(version, VERSION):
        # Killed here, the file is of the one version or of the other.
        connection.executescript(
            f"BEGIN IMMEDIATE;\n{MIGRATIONS[older]}\nPRAGMA user_version = {older + 1};\nCOMMIT;"
        )


def _create(connection: sqlite3.Connection) -> None:
    """Make the tables in one transaction: killed here, the file is empty and made anew."""
    connection.executescript(
        f"BEGIN IMMEDIATE;\n{TABLES}\nPRAGMA application_id = {APPLICATION_ID};\n"
        f"PRAGMA user_version = {VERSION};\nCOMMIT;"
    )


def _pragma(connection: sqlite3.Connection, name: str) -> int:
    (value,) = connection.execute(f"PRAGMA {name}").fetchone()
    return int(value)
