"""The store: one SQLite file, one writer, and transactions that are on disk when they end.

Killed anywhere inside `Store.write`, nothing of the transaction exists. After it, power may fail:
WAL with synchronous=FULL syncs before COMMIT returns.
"""

from __future__ import annotations

import sqlite3
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol, TypeVar

from meterseal_aggregator.errors import StoreError
from meterseal_aggregator.store.devices import Devices, Greetings
from meterseal_aggregator.store.journal import Journal
from meterseal_aggregator.store.records import Records
from meterseal_aggregator.store.schema import open_database
from meterseal_aggregator.store.tree import Tree

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path
    from types import TracebackType
    from typing import Self

T = TypeVar("T")


class InStore(Protocol):
    """Runs a piece of work in the one thread that owns the store."""

    async def __call__(self, work: Callable[[Store], T]) -> T:
        """Run it and give its result."""


class Store:
    """Records, devices, tree and journal in one file.

    All of them share the connection, so a transaction may span them. Calls are serial: the daemon
    makes them from one thread.
    """

    def __init__(self, path: Path, *, create: bool = False) -> None:
        self._connection = open_database(path, create=create)
        self.records = Records(self._connection)
        self.devices = Devices(self._connection)
        self.greetings = Greetings(self._connection)
        self.tree = Tree(self._connection)
        self.journal = Journal(self._connection)

    @contextmanager
    def write(self) -> Iterator[None]:
        """Run the block as one durable transaction.

        Raises:
            StoreError: The disk or another writer refused; nothing of the block was kept.
        """
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield
            except BaseException:
                self._connection.execute("ROLLBACK")
                raise
            self._connection.execute("COMMIT")
        except sqlite3.Error as error:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
            raise StoreError(f"store: a transaction failed: {error}") from error

    @contextmanager
    def read(self) -> Iterator[None]:
        """Read one consistent state, whatever is written meanwhile."""
        self._connection.execute("BEGIN")
        try:
            yield
        finally:
            self._connection.execute("ROLLBACK")

    def enrolled_when(self) -> tuple[int, int]:
        """Name the state of the enrolments: it differs when this or another process changed them.

        SQLite's own counter moves with every commit of another connection, which is often enough
        never: the other processes are the operator's commands.
        """
        (version,) = self._connection.execute("PRAGMA data_version").fetchone()
        return int(version), self.devices.enrolled

    def integrity(self) -> list[str]:
        """Ask SQLite about the file itself; empty when sound."""
        rows = [str(row[0]) for row in self._connection.execute("PRAGMA integrity_check")]
        return [] if rows == ["ok"] else rows

    def fact(self, name: str) -> bytes | None:
        """Read a fact about the store itself."""
        row = self._connection.execute("SELECT value FROM meta WHERE name = ?", (name,)).fetchone()
        return None if row is None else bytes(row[0])

    def pin(self, name: str, value: bytes) -> bytes:
        """Write a fact once, inside `write`; what stands already stays.

        Returns:
            What stands now.
        """
        self._connection.execute(
            "INSERT INTO meta (name, value) VALUES (?, ?) ON CONFLICT (name) DO NOTHING",
            (name, value),
        )
        return self.fact(name) or value

    def set_fact(self, name: str, value: bytes) -> None:
        """Write a fact that moves, inside `write`."""
        self._connection.execute(
            "INSERT INTO meta (name, value) VALUES (?, ?)"
            " ON CONFLICT (name) DO UPDATE SET value = excluded.value",
            (name, value),
        )

    def facts(self, prefix: str) -> list[tuple[str, bytes]]:
        """All facts whose names begin so, by name."""
        rows = self._connection.execute(
            "SELECT name, value FROM meta WHERE substr(name, 1, ?) = ? ORDER BY name",
            (len(prefix), prefix),
        )
        return [(str(name), bytes(value)) for name, value in rows]

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    def __enter__(self) -> Self:
        """Use the store in a `with` block."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close it."""
        self.close()
