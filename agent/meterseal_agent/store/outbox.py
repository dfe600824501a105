"""What is still to be sent, read from the store and from nowhere else.

Sending has no state on disk: after a restart or a lost connection everything that is not shown to
be stored at the aggregator is sent again, and the aggregator says KNOWN.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from meterseal.encoding import MAX_PAYLOAD, MAX_SEQUENCE_ITEMS
from meterseal_agent.store.schema import Place

if TYPE_CHECKING:
    import sqlite3

_ALL_BEHIND = (
    "SELECT place, bytes FROM record WHERE place > ? AND place <= ? ORDER BY place LIMIT ?"
)
_LIGHT_BEHIND = (
    "SELECT place, bytes FROM record WHERE place > ? AND place <= ? AND light_n IS NOT NULL"
    " ORDER BY place LIMIT ?"
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Batch:
    """Records to send in one message.

    Attributes:
        payload: A CBOR sequence of records; empty when there is nothing to send.
        last: Place of the last record looked at; where the next batch goes on.
        count: Number of records.
    """

    payload: bytes
    last: Place
    count: int


def batch(connection: sqlite3.Connection, after: Place, until: Place, *, light_only: bool) -> Batch:
    """The records behind `after`, up to and with `until`, as many as fit a payload.

    Args:
        connection: The store.
        after: Where the last batch ended.
        until: The last place to send.
        light_only: Leave readings at home.
    """
    rows = connection.execute(
        _LIGHT_BEHIND if light_only else _ALL_BEHIND, (after, until, MAX_SEQUENCE_ITEMS)
    )
    taken: list[bytes] = []
    size, last = 0, after
    for at, data in rows:
        if size + len(data) > MAX_PAYLOAD:
            break
        taken.append(data)
        size, last = size + len(data), Place(at)
    else:
        if len(taken) < MAX_SEQUENCE_ITEMS:
            last = until
    return Batch(payload=b"".join(taken), last=max(last, after), count=len(taken))


def newest(connection: sqlite3.Connection) -> Place:
    """Place of the last record, -1 in an empty store."""
    (last,) = connection.execute("SELECT coalesce(max(place), -1) FROM record").fetchone()
    return Place(last)


def last_light(connection: sqlite3.Connection, until: Place) -> Place:
    """Place of the last record up to `until` that is logged, -1 if there is none."""
    (last,) = connection.execute(
        "SELECT coalesce(max(place), -1) FROM record WHERE light_n IS NOT NULL AND place <= ?",
        (until,),
    ).fetchone()
    return Place(last)


def oldest_after(connection: sqlite3.Connection, at: Place) -> int | None:
    """Time of the first record behind `at`, in UTC milliseconds; None if there is none."""
    row = connection.execute(
        "SELECT time_ms FROM record WHERE place > ? ORDER BY place LIMIT 1", (at,)
    ).fetchone()
    return None if row is None else int(row[0])


def count(connection: sqlite3.Connection, until: Place) -> int:
    """Number of records up to and with `until`.

    Within an epoch numbers have no holes, so this is arithmetic over the epochs and not a scan.
    """
    total, at = 0, until
    while True:
        (last,) = connection.execute(
            "SELECT max(place) FROM record WHERE place <= ?", (at,)
        ).fetchone()
        if last is None:
            return total
        (first,) = connection.execute(
            "SELECT min(place) FROM record WHERE place >= ?", (last >> 40 << 40,)
        ).fetchone()
        total, at = total + last - first + 1, Place(first - 1)
