"""What was promised and has not come: a record that is not logged, a log that is not anchored.

Every signed head promises that the records up to the one it names are logged within a time that
it states. The oldest promise that is not kept yet stays in the store, so that a restart does not
forgive it. Anchors are promised by nobody: their period is a key of the configuration. (protocol 5)
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from meterseal_agent.store import outbox, receipts
from meterseal_agent.store.schema import Place

if TYPE_CHECKING:
    import sqlite3

    from meterseal_agent.store.store import Store

_PROMISED: Final = "promised"
_ANCHOR_PERIODS: Final = 3
_NOT_LOGGED: Final = (
    "Not logged as promised since {}: the aggregator holds records of this device and does not "
    "show them in the public log. They are kept here; ask your aggregator."
)
_NOT_ANCHORED: Final = (
    "Anchor overdue since {}: records are in the log and not on the ledger, three anchor periods "
    "later. They are kept here; ask your aggregator."
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Overdue:
    """Since when something is overdue, in UTC milliseconds; None while it is not.

    Attributes:
        log_ms: Records that the aggregator holds are not shown to be in the log.
        anchor_ms: Records that are in the log are not shown to be on the ledger.
    """

    log_ms: int | None = None
    anchor_ms: int | None = None

    @property
    def notices(self) -> tuple[tuple[int, str], ...]:
        """Since when, and what a person should know."""
        found = ((self.log_ms, _NOT_LOGGED), (self.anchor_ms, _NOT_ANCHORED))
        return tuple(
            (since_ms, text.format(_utc(since_ms)))
            for since_ms, text in found
            if since_ms is not None
        )


def note_promise(store: Store, at: Place, due_ms: int) -> None:
    """Keep what a head promises, unless an older promise is open or nothing is left to log.

    Args:
        store: The store.
        at: The record up to which all is to be logged.
        due_ms: Until when, in UTC milliseconds.
    """
    connection = store.connection
    logged = receipts.frontier(connection).logged
    known = _promise(connection)
    light = outbox.last_light(connection, at)
    if light <= logged or (known is not None and known[0] > logged):
        return
    with store.transaction("keeping a promise"):
        connection.execute(
            "INSERT OR REPLACE INTO frontier VALUES (?, ?, ?)", (_PROMISED, light, due_ms)
        )


def overdue(
    connection: sqlite3.Connection, now_ms: int, anchor_every_s: int | None = None
) -> Overdue:
    """Tell what is overdue now.

    Args:
        connection: The store.
        now_ms: UTC milliseconds.
        anchor_every_s: How often the log is anchored; None where no ledger is pinned.
    """
    at = receipts.frontier(connection)
    known = _promise(connection)
    log_ms = None if known is None or known[0] <= at.logged else known[1]
    anchor_ms = None
    if anchor_every_s is not None:
        row = connection.execute(
            "SELECT logged_ms FROM logged WHERE place > ? AND anchored_ms IS NULL"
            " ORDER BY place LIMIT 1",
            (at.anchored,),
        ).fetchone()
        anchor_ms = None if row is None else row[0] + _ANCHOR_PERIODS * 1000 * anchor_every_s
    return Overdue(log_ms=_past(log_ms, now_ms), anchor_ms=_past(anchor_ms, now_ms))


def _promise(connection: sqlite3.Connection) -> tuple[Place, int] | None:
    row = connection.execute(
        "SELECT place, at_ms FROM frontier WHERE state = ?", (_PROMISED,)
    ).fetchone()
    return None if row is None else (Place(row[0]), row[1])


def _utc(time_ms: int) -> str:
    return datetime.fromtimestamp(time_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M UTC")


def _past(due_ms: int | None, now_ms: int) -> int | None:
    return due_ms if due_ms is not None and due_ms < now_ms else None
