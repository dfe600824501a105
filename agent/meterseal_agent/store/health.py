"""The store as a database: whole, with the tables that this release makes, and how full they are.

Only `meterseal-agent fsck` comes here; sqlite-utils, which knows how to look at any SQLite file,
takes longer to import than a round over the meters takes.
"""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlite_utils import Database

from meterseal_agent.store import schema
from meterseal_agent.store.audit import Fault

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator, Mapping


@dataclass(frozen=True, kw_only=True, slots=True)
class Health:
    """What SQLite itself says of the file.

    Attributes:
        rows: Rows in each table.
        size: Bytes of the database, without its write-ahead log.
        free: Bytes in it that hold nothing.
    """

    rows: Mapping[str, int]
    size: int
    free: int
    faults: tuple[Fault, ...]


def look(connection: sqlite3.Connection) -> Health:
    """Check pages, references and tables, and count."""
    database = Database(connection, recursive_triggers=False)
    names = database.table_names()
    page = _pragma(database, "page_size")
    return Health(
        rows={name: database.table(name).count for name in names},
        size=page * _pragma(database, "page_count"),
        free=page * _pragma(database, "freelist_count"),
        faults=(*_page_faults(database), *_reference_faults(database), *_table_faults(database)),
    )


def _page_faults(database: Database) -> Iterator[Fault]:
    for row in database.query("PRAGMA integrity_check"):
        if row["integrity_check"] != "ok":
            yield Fault(where="database", message=str(row["integrity_check"]))


def _reference_faults(database: Database) -> Iterator[Fault]:
    for row in database.query("PRAGMA foreign_key_check"):
        message = f"row {row['rowid']} refers to a row of {row['parent']} that is not here"
        yield Fault(where=f"table {row['table']}", message=message)


def _table_faults(database: Database) -> Iterator[Fault]:
    """Hold every table and index against those of a store that was made just now."""
    ours = _definitions(database)
    with closing(schema.in_memory()) as fresh:
        theirs = _definitions(Database(fresh, recursive_triggers=False))
    for name in sorted(ours.keys() | theirs.keys()):
        if ours.get(name) != theirs.get(name):
            here = "is not here" if name not in ours else "is not as this release makes it"
            yield Fault(where=f"schema, {name}", message=f"{name} {here}")


def _definitions(database: Database) -> dict[str, str]:
    rows = database.query("SELECT name, sql FROM sqlite_schema WHERE sql IS NOT NULL")
    return {row["name"]: row["sql"] for row in rows}


def _pragma(database: Database, name: str) -> int:
    (row,) = database.query(f"PRAGMA {name}")
    return int(row[name])
