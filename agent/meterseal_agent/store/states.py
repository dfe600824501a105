"""The state of single records, walked from the newest: for `show` and `export`, not for the page.

A logged record's state is its own; a reading's is that of the interval that covers it. What a
running agent knows beyond the store (what it has sent) is not told here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from meterseal.records import Kind
from meterseal.types import Hash
from meterseal_agent.store import receipts
from meterseal_agent.store.schema import Place, unplace

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator

    from meterseal.types import Epoch, Seq


@dataclass(frozen=True, kw_only=True, slots=True)
class RecordState:
    """One record and how far it has come.

    Attributes:
        since_ms: UTC milliseconds since which the state holds; None where nobody noted it.
        size: Bytes of the record.
    """

    place: Place
    hash: Hash
    kind: Kind
    time_ms: int
    size: int
    state: str
    since_ms: int | None

    @property
    def epoch(self) -> Epoch:
        """Epoch of the record."""
        return unplace(self.place)[0]

    @property
    def seq(self) -> Seq:
        """Sequence number of the record."""
        return unplace(self.place)[1]


def walk(connection: sqlite3.Connection) -> Iterator[RecordState]:
    """All records with their states, newest first."""
    stored = receipts.frontier(connection).stored
    rows = connection.execute(
        "SELECT place, hash, kind, time_ms, length(bytes), logged_ms, witnessed_ms, anchored_ms"
        " FROM record LEFT JOIN logged USING (place) ORDER BY place DESC"
    )
    covering: tuple[str, int] | None = None
    for at, hashed, kind, time_ms, size, *returned in rows:
        own = _returned(*returned)
        if kind == Kind.INTERVAL:
            covering = own
        found = covering if kind == Kind.READING else own
        state, since_ms = found or (("stored" if at <= stored else "signed"), None)
        yield RecordState(
            place=Place(at),
            hash=Hash(hashed),
            kind=Kind(kind),
            time_ms=time_ms,
            size=size,
            state=state,
            since_ms=since_ms,
        )
        if kind == Kind.RESTORE:
            # Readings in front of a restore, behind the last interval, are in no interval's tree.
            covering = None


def _returned(
    logged_ms: int | None, witnessed_ms: int | None, anchored_ms: int | None
) -> tuple[str, int] | None:
    for state, since_ms in (
        ("anchored", anchored_ms),
        ("witnessed", witnessed_ms),
        ("logged", logged_ms),
    ):
        if since_ms is not None:
            return state, since_ms
    return None
