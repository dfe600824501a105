"""What is on disk: one SQLite file whose header says whose it is and which version.

- `application_id` tells a MeterSeal agent's store from any other database; a foreign file is
  refused by name, from its header alone, so that refusing never touches it.
- `user_version` is the schema version; a newer one is refused untouched.
- A new store is built under a temporary name and renamed: after a power cut there is a whole
  empty store or none.
- WAL with synchronous=FULL: a commit that returned is on the card.

`place` orders all records of the device in one integer: epoch * 2^40 + seq. It is the rowid, so
that appending touches one b-tree at its right edge.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Final, NewType

from meterseal.types import Epoch, Seq
from meterseal_agent.errors import StoreError
from meterseal_agent.keyfile import sync_folder

Place = NewType("Place", int)
Connect = Callable[[Path], sqlite3.Connection]

STORE_NAME: Final = "store.sqlite3"
APPLICATION_ID: Final = 0x4D53_4C31  # "MSL1"
SCHEMA_VERSION: Final = 1
NOWHERE: Final = Place(-1)

_SEQ_BITS = 40
_MAGIC = b"SQLite format 3\0"
_HEADER_BYTES = 100
_USER_VERSION_AT = 60  # https://www.sqlite.org/fileformat.html, 1.3
_APPLICATION_ID_AT = 68
_PAGE_BYTES = 4096
_WAL_BYTES_MAX = 4 << 20

_TABLES = """
CREATE TABLE device (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    device BLOB NOT NULL CHECK (length(device) = 16),
    born_with_key INTEGER NOT NULL
) STRICT;
CREATE TABLE record (
    place INTEGER PRIMARY KEY,
    hash BLOB NOT NULL CHECK (length(hash) = 32),
    kind INTEGER NOT NULL,
    light_n INTEGER,
    time_ms INTEGER NOT NULL,
    bytes BLOB NOT NULL
) STRICT;
CREATE INDEX record_light ON record (place) WHERE light_n IS NOT NULL;
CREATE INDEX record_light_hash ON record (hash) WHERE light_n IS NOT NULL;
CREATE TABLE head (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    epoch INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    hash BLOB NOT NULL,
    light_n INTEGER NOT NULL,
    light_hash BLOB NOT NULL,
    time_ms INTEGER NOT NULL
) STRICT;
CREATE TABLE recovered (hash BLOB PRIMARY KEY, bytes BLOB NOT NULL) STRICT;
CREATE TABLE aside (
    id INTEGER PRIMARY KEY,
    place INTEGER NOT NULL,
    bytes BLOB NOT NULL,
    reason TEXT NOT NULL
) STRICT;
CREATE TABLE trusted (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    size INTEGER NOT NULL,
    root BLOB NOT NULL,
    note BLOB NOT NULL
) STRICT;
CREATE TABLE checkpoint (size INTEGER PRIMARY KEY, note BLOB NOT NULL) STRICT;
CREATE TABLE anchor (
    size INTEGER PRIMARY KEY,
    proof BLOB NOT NULL,
    block INTEGER NOT NULL,
    block_time_ms INTEGER NOT NULL
) STRICT;
CREATE TABLE logged (
    place INTEGER PRIMARY KEY REFERENCES record (place),
    log_index INTEGER NOT NULL,
    size INTEGER NOT NULL REFERENCES checkpoint (size),
    path BLOB NOT NULL,
    logged_ms INTEGER NOT NULL,
    witnessed_ms INTEGER,
    anchored_ms INTEGER
) STRICT;
CREATE TABLE frontier (state TEXT PRIMARY KEY, place INTEGER NOT NULL, at_ms INTEGER NOT NULL)
    STRICT;
CREATE TABLE alarm (
    id INTEGER PRIMARY KEY,
    at_ms INTEGER NOT NULL,
    verdict TEXT NOT NULL,
    detail TEXT NOT NULL,
    ours BLOB,
    theirs BLOB
) STRICT;
"""
_LATER = "CREATE INDEX IF NOT EXISTS logged_size ON logged (size)"
"""What a store that was made earlier lacks; an older release does not mind it."""


def place(epoch: int, seq: int) -> Place:
    """One integer that orders records by epoch, then by seq."""
    return Place((epoch << _SEQ_BITS) | seq)


def unplace(at: Place) -> tuple[Epoch, Seq]:
    """The epoch and seq of a place."""
    return Epoch(at >> _SEQ_BITS), Seq(at & ((1 << _SEQ_BITS) - 1))


def connect(path: Path) -> sqlite3.Connection:
    """Open for the one writer. Statements run in transactions that we begin ourselves."""
    connection = sqlite3.connect(path, isolation_level=None, timeout=5.0)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA foreign_keys = ON")
    connection.execute(f"PRAGMA journal_size_limit = {_WAL_BYTES_MAX}")
    return connection


def connect_to_read(path: Path) -> sqlite3.Connection:
    """Open beside the running agent, unable to write."""
    connection = sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True, isolation_level=None)
    connection.execute("PRAGMA query_only = ON")
    return connection


def complete(connection: sqlite3.Connection) -> None:
    """Add what came later within this schema version."""
    connection.execute(_LATER)


def create(path: Path, device: bytes, *, born_with_key: bool) -> None:
    """Make an empty store.

    Args:
        path: Where; nothing may be there yet.
        device: The 16 bytes of the device id.
        born_with_key: Whether the key was made in the same step, which is what entitles the
            store to a genesis record. A store made later than its key replaces a lost one.

    Raises:
        StoreError: If the folder cannot be written.
    """
    temporary = path.with_name(path.name + ".new")
    try:
        temporary.unlink(missing_ok=True)
        connection = sqlite3.connect(temporary, isolation_level=None)
        try:
            # Rollback journal until it is whole, so that the header is in the file itself.
            connection.execute(f"PRAGMA page_size = {_PAGE_BYTES}")
            connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
            connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
            connection.executescript(_TABLES)
            complete(connection)
            connection.execute("INSERT INTO device VALUES (1, ?, ?)", (device, int(born_with_key)))
        finally:
            connection.close()
        temporary.replace(path)
        sync_folder(path.parent)
    except (OSError, sqlite3.Error) as error:
        message = f"store {path}: cannot be made ({error}); check data_dir's owner and free space"
        raise StoreError(message) from error


def in_memory() -> sqlite3.Connection:
    """An empty store without a device, to compare another one with."""
    connection = sqlite3.connect(":memory:", isolation_level=None)
    connection.executescript(_TABLES)
    complete(connection)
    return connection


def check_header(path: Path) -> None:
    """Refuse what is not our store, by its first 100 bytes and without opening it as a database.

    Raises:
        StoreError: Naming what was found.
    """
    try:
        with path.open("rb") as file:
            header = file.read(_HEADER_BYTES)
    except OSError as error:
        message = f"store {path}: cannot be read ({error.strerror})"
        raise StoreError(message) from error
    remedy = "nothing was touched; give the agent a data_dir of its own"
    if len(header) < _HEADER_BYTES or not header.startswith(_MAGIC):
        message = f"store {path}: expected an SQLite database, got another kind of file; {remedy}"
        raise StoreError(message)
    application = int.from_bytes(header[_APPLICATION_ID_AT : _APPLICATION_ID_AT + 4], "big")
    if application != APPLICATION_ID:
        message = (
            f"store {path}: expected a MeterSeal agent store (application id "
            f"{APPLICATION_ID:08x}), got a foreign database ({application:08x}); {remedy}"
        )
        raise StoreError(message)
    version = int.from_bytes(header[_USER_VERSION_AT : _USER_VERSION_AT + 4], "big")
    if version != SCHEMA_VERSION:
        message = (
            f"store {path}: schema version {version}, this release reads {SCHEMA_VERSION}; "
            "nothing was touched; run the release that wrote it"
        )
        raise StoreError(message)
