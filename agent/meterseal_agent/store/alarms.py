"""Offences that this device found, kept with what convicts: to be shown, and to be handed out.

A peer that keeps offending does not fill the card: of each verdict the first few are kept, and
more of them would convict nobody twice.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import sqlite3

    from meterseal_agent.store.store import Store

SPLIT_VIEW: Final = "AGGREGATOR SPLIT VIEW"
ROLLBACK: Final = "AGGREGATOR ROLLBACK"
MISMATCH: Final = "ANCHOR MISMATCH"
KEPT_MAX: Final = 16
"""How many are kept of each verdict."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Alarm:
    """One offence.

    Attributes:
        number: What `meterseal-agent export --alarm` calls it.
        at_ms: UTC milliseconds at which it was found.
        ours: What this device held: a note.
        theirs: What came: a note, or the ledger proof of an anchor.
    """

    number: int
    at_ms: int
    verdict: str
    detail: str
    ours: bytes
    theirs: bytes


def keep(store: Store, verdict: str, detail: str, notes: tuple[bytes, bytes], now_ms: int) -> None:
    """Keep what convicts, once, and at most `KEPT_MAX` of a verdict."""
    with store.transaction("keeping an alarm"):
        store.connection.execute(
            "INSERT INTO alarm (at_ms, verdict, detail, ours, theirs) SELECT ?1, ?2, ?3, ?4, ?5"
            " WHERE NOT EXISTS (SELECT 1 FROM alarm WHERE verdict = ?2 AND theirs = ?5)"
            " AND (SELECT count(*) FROM alarm WHERE verdict = ?2) < ?6",
            (now_ms, verdict, detail, *notes, KEPT_MAX),
        )


def stored(connection: sqlite3.Connection) -> tuple[Alarm, ...]:
    """All that are kept, in the order in which they were found."""
    rows = connection.execute(
        "SELECT id, at_ms, verdict, detail, ours, theirs FROM alarm ORDER BY id"
    )
    return tuple(
        Alarm(number=number, at_ms=at_ms, verdict=verdict, detail=detail, ours=ours, theirs=theirs)
        for number, at_ms, verdict, detail, ours, theirs in rows
    )
