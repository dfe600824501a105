"""What came back: the trusted checkpoint, receipts and anchors, each committed with its proof.

- A receipt is checked by `meterseal.receipt.check_receipt` against the pinned policy; state and
  receipt are one transaction (protocol 6 step 6). Killed before it, the aggregator is asked again.
- A checkpoint without its quorum moves nothing but "logged": neither the trusted checkpoint, nor
  a path that is under a quorum already, nor an anchor, whose evidence would be without witnesses.
- A path is kept for the size at which it was shown; once that size is anchored it stays.
- A frontier is how far all records have reached a state without a hole. A reading's state is that
  of the interval behind it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from meterseal.checkpoint import QuorumMissing
from meterseal.merkle import join_path
from meterseal.receipt import Accepted, Receipt, check_receipt
from meterseal_agent.store import outbox, trusted
from meterseal_agent.store.schema import NOWHERE, Place

if TYPE_CHECKING:
    import sqlite3

    from meterseal.ledger.proof import LedgerPolicy
    from meterseal.receipt import LogPolicy
    from meterseal_agent.store.store import Store

RETURNED: Final = ("logged", "witnessed", "anchored")
STATES: Final = ("signed", "sent", "stored", *RETURNED)


@dataclass(frozen=True, kw_only=True, slots=True)
class Frontier:
    """How far records have come.

    Attributes:
        stored: All up to here are durable at the aggregator.
        logged: All up to here are in the log.
        witnessed: All up to here are under a checkpoint with the policy's quorum.
        anchored: All up to here are under a size that the ledger holds.
    """

    stored: Place = NOWHERE
    logged: Place = NOWHERE
    witnessed: Place = NOWHERE
    anchored: Place = NOWHERE


@dataclass(frozen=True, kw_only=True, slots=True)
class Count:
    """How many records have reached `state` and no further; `since_ms`: time of the oldest."""

    state: str
    count: int
    since_ms: int | None


def accept(
    store: Store, receipt: Receipt, policy: LogPolicy, ledger: LedgerPolicy | None, now_ms: int
) -> Accepted:
    """Check a receipt and commit what it shows.

    Raises:
        ProtocolError: The receipt fails at a step; nothing was written.
        StoreError: It could not be written.
    """
    held = trusted.load_trusted(store.connection, policy)
    witnessed = True
    try:
        accepted = check_receipt(receipt, held, policy, ledger)
    except QuorumMissing:
        # Signed by the log and by too few witnesses: logged, and no reason to trust its size.
        accepted = check_receipt(receipt, held, replace(policy, quorum=0), ledger)
        accepted, witnessed = replace(accepted, state=held, anchored=None), False
    with store.transaction("committing a receipt"):
        _keep_notes(store.connection, accepted, policy)
        _keep_paths(store.connection, receipt, accepted, now_ms, witnessed=witnessed)
        _advance(store.connection, now_ms)
    return accepted


def compare(store: Store, note: bytes, policy: LogPolicy) -> None:
    """Hold a public checkpoint against the trusted one; nothing is committed.

    Raises:
        ProtocolError: As `check_receipt`: a split view, a rollback, or nothing that can be told.
    """
    held = trusted.load_trusted(store.connection, policy)
    if held.checkpoint is not None:
        check_receipt(Receipt(checkpoint=note), held, replace(policy, quorum=0))


def note_stored(store: Store, at: Place, now_ms: int) -> None:
    """Keep how far the aggregator has promised to have stored; goes back when it says so."""
    with store.transaction("keeping the aggregator's head"):
        _set_frontier(store.connection, "stored", at, now_ms)


def frontier(connection: sqlite3.Connection) -> Frontier:
    """How far records have come; each state includes the ones before it."""
    at = {name: Place(p) for name, p in connection.execute("SELECT state, place FROM frontier")}
    anchored = at.get("anchored", NOWHERE)
    witnessed = max(at.get("witnessed", NOWHERE), anchored)
    logged = max(at.get("logged", NOWHERE), witnessed)
    stored = max(at.get("stored", NOWHERE), logged)
    return Frontier(stored=stored, logged=logged, witnessed=witnessed, anchored=anchored)


def counts(connection: sqlite3.Connection, sent: Place) -> tuple[Count, ...]:
    """How many records are in each state, farthest last, and since when the oldest waits there."""
    at = frontier(connection)
    last = outbox.newest(connection)
    ends = (last, max(sent, at.stored), at.stored, at.logged, at.witnessed, at.anchored)
    reached = [outbox.count(connection, end) for end in ends]
    result = []
    for index, state in enumerate(STATES):
        beyond = ends[index + 1] if index + 1 < len(ends) else NOWHERE
        here = reached[index] - (reached[index + 1] if index + 1 < len(ends) else 0)
        since = outbox.oldest_after(connection, beyond) if here else None
        result.append(Count(state=state, count=here, since_ms=since))
    return tuple(result)


def _keep_notes(connection: sqlite3.Connection, accepted: Accepted, policy: LogPolicy) -> None:
    """Keep the trusted checkpoint and the receipt's own, with every cosignature seen so far."""
    held = accepted.state.checkpoint
    if held is not None:
        tree = held.checkpoint
        row = connection.execute("SELECT note FROM trusted WHERE size = ?", (tree.size,)).fetchone()
        note = trusted.merged(held.note, None if row is None else row[0], policy)
        connection.execute(
            "INSERT OR REPLACE INTO trusted VALUES (1, ?, ?, ?)", (tree.size, tree.root, note)
        )
    size = accepted.checkpoint.checkpoint.size
    row = connection.execute("SELECT note FROM checkpoint WHERE size = ?", (size,)).fetchone()
    note = trusted.merged(accepted.checkpoint.note, None if row is None else row[0], policy)
    connection.execute(
        "INSERT INTO checkpoint VALUES (?, ?)"
        " ON CONFLICT (size) DO UPDATE SET note = excluded.note",
        (size, note),
    )


def _keep_paths(
    connection: sqlite3.Connection,
    receipt: Receipt,
    accepted: Accepted,
    now_ms: int,
    *,
    witnessed: bool,
) -> None:
    size = accepted.checkpoint.checkpoint.size
    if accepted.anchored is not None and receipt.ledger is not None:
        connection.execute(
            "INSERT OR IGNORE INTO anchor VALUES (?, ?, ?, ?)",
            (
                size,
                receipt.ledger.encode(),
                accepted.anchored.block_number,
                accepted.anchored.block_time_s * 1000,
            ),
        )
    for inclusion in receipt.inclusions:
        connection.execute(
            "INSERT INTO logged"
            " SELECT place, ?2, ?3, ?4, ?5, ?6, ?7 FROM record"
            " WHERE hash = ?1 AND light_n IS NOT NULL"
            " ON CONFLICT (place) DO UPDATE SET"
            " size = excluded.size, path = excluded.path,"
            " witnessed_ms = coalesce(witnessed_ms, excluded.witnessed_ms),"
            " anchored_ms = excluded.anchored_ms"
            " WHERE anchored_ms IS NULL AND"
            " (excluded.anchored_ms IS NOT NULL OR excluded.witnessed_ms IS NOT NULL)",
            (
                inclusion.record,
                inclusion.index,
                size,
                join_path(inclusion.path),
                now_ms,
                now_ms if witnessed else None,
                now_ms if accepted.anchored is not None else None,
            ),
        )
    _thin(connection)


def _thin(connection: sqlite3.Connection) -> None:
    """Drop the anchors and checkpoints that no path needs, but for the newest anchor (ADR 0038)."""
    connection.execute(
        "DELETE FROM anchor WHERE size NOT IN (SELECT size FROM logged)"
        " AND size < (SELECT max(size) FROM anchor)"
    )
    connection.execute(
        "DELETE FROM checkpoint WHERE size NOT IN (SELECT size FROM logged)"
        " AND size NOT IN (SELECT size FROM anchor)"
    )


def _advance(connection: sqlite3.Connection, now_ms: int) -> None:
    """Move each frontier to the last logged record in front of the first that lacks the state."""
    for state in RETURNED:
        row = connection.execute("SELECT place FROM frontier WHERE state = ?", (state,)).fetchone()
        here = NOWHERE if row is None else Place(row[0])
        (hole,) = connection.execute(
            "SELECT min(record.place) FROM record LEFT JOIN logged USING (place)"  # noqa: S608 -- one of RETURNED
            f" WHERE record.light_n IS NOT NULL AND record.place > ? AND {state}_ms IS NULL",
            (here,),
        ).fetchone()
        until = outbox.newest(connection) if hole is None else Place(hole - 1)
        there = outbox.last_light(connection, until)
        if there > here:
            _set_frontier(connection, state, there, now_ms)


def _set_frontier(connection: sqlite3.Connection, state: str, at: Place, now_ms: int) -> None:
    connection.execute("INSERT OR REPLACE INTO frontier VALUES (?, ?, ?)", (state, at, now_ms))
