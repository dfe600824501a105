"""Evidence of one reading or one interval, put together from the store alone.

What is not logged yet is a state and not a failure, and the message says what is missing. Where
the interval is logged and not anchored, the file goes without the ledger's part, and a checker
says PENDING. The manifest goes along when it was proved in the same tree as the interval.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from meterseal.evidence import IntervalEvidence, Logged, ReadingEvidence
from meterseal.merkle import inclusion_path, split_path
from meterseal.records import Interval, Kind, Record, decode_record
from meterseal.types import Hash
from meterseal_agent.errors import AgentError
from meterseal_agent.store.schema import Place, place, unplace

if TYPE_CHECKING:
    import sqlite3


class NotProvable(AgentError):  # noqa: N818 -- a state of the record, not a fault
    """What was asked for cannot be proved, or not yet; the message says why and what follows."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Stored:
    place: Place
    record: Record
    data: bytes
    hash: Hash


def reading_evidence(
    connection: sqlite3.Connection, seq: int, epoch: int | None
) -> ReadingEvidence:
    """Evidence of the reading `seq` of `epoch` (None: the newest epoch that has it).

    Raises:
        NotProvable: There is no such reading, or its interval is not logged yet.
    """
    reading = _reading(connection, seq, epoch)
    interval = _covering(connection, reading)
    body = interval.record.body
    if not isinstance(body, Interval):
        raise NotProvable(f"{_name(interval)}: it is no interval; run `meterseal-agent fsck`")
    index = reading.record.seq - body.first_seq
    first = place(interval.record.epoch, body.first_seq)
    rows = connection.execute(
        "SELECT hash FROM record WHERE place >= ? AND place < ? ORDER BY place",
        (first, interval.place),
    )
    leaves = [Hash(hashed) for (hashed,) in rows]
    if len(leaves) != body.count or not 0 <= index < body.count:
        raise NotProvable(
            f"{_name(reading)}: its interval covers {body.count} records, {len(leaves)} are here; "
            "the rest was pruned, so only the interval can be proved"
        )
    return ReadingEvidence(
        reading=reading.data,
        path=inclusion_path(index, leaves),
        interval=_interval_evidence(connection, interval, body),
    )


def interval_evidence(
    connection: sqlite3.Connection, start_ms: int, epoch: int | None
) -> IntervalEvidence:
    """Evidence of the interval that starts at `start_ms`; of several, the first not partial.

    Raises:
        NotProvable: There is no such interval, or it is not logged yet.
    """
    found: list[tuple[_Stored, Interval]] = []
    rows = connection.execute(
        "SELECT place, hash, bytes FROM record"
        " WHERE light_n IS NOT NULL AND kind = ? AND time_ms >= ? ORDER BY place",
        (Kind.INTERVAL, start_ms),
    )
    for row in rows:
        stored = _stored(row)
        body = stored.record.body
        if isinstance(body, Interval) and body.start == start_ms:
            if epoch is None or stored.record.epoch == epoch:
                found.append((stored, body))
        elif isinstance(body, Interval) and body.start > start_ms and found:
            break
    if not found:
        raise NotProvable(
            f"interval {start_ms}: none starts then; `meterseal-agent show` lists what there is"
        )
    stored, body = min(found, key=lambda each: each[1].flags & Interval.PARTIAL)
    return _interval_evidence(connection, stored, body)


def _interval_evidence(
    connection: sqlite3.Connection, interval: _Stored, body: Interval
) -> IntervalEvidence:
    row = connection.execute(
        "SELECT log_index, size, path, note FROM logged JOIN checkpoint USING (size)"
        " WHERE place = ?",
        (interval.place,),
    ).fetchone()
    if row is None:
        raise NotProvable(
            f"{_name(interval)}: signed and kept here, and not logged yet; try again when the "
            "status page shows it as logged"
        )
    index, size, path, note = row
    proof = connection.execute("SELECT proof FROM anchor WHERE size = ?", (size,)).fetchone()
    return IntervalEvidence(
        interval=Logged(data=interval.data, index=index, path=split_path(path)),
        checkpoint=note,
        manifest=_manifest(connection, body.manifest_hash, size),
        ledger=None if proof is None else proof[0],
    )


def _manifest(connection: sqlite3.Connection, hashed: Hash, size: int) -> Logged | None:
    row = connection.execute(
        "SELECT bytes, log_index, path FROM record JOIN logged USING (place)"
        " WHERE light_n IS NOT NULL AND hash = ? AND size = ?",
        (hashed, size),
    ).fetchone()
    return None if row is None else Logged(data=row[0], index=row[1], path=split_path(row[2]))


def _reading(connection: sqlite3.Connection, seq: int, epoch: int | None) -> _Stored:
    (newest,) = connection.execute("SELECT coalesce(max(place), -1) FROM record").fetchone()
    top = unplace(newest)[0] if newest >= 0 else -1
    for one in range(top, -1, -1) if epoch is None else (epoch,):
        row = connection.execute(
            "SELECT place, hash, bytes FROM record WHERE place = ?", (place(one, seq),)
        ).fetchone()
        if row is not None:
            found = _stored(row)
            if found.record.kind is not Kind.READING:
                raise NotProvable(
                    f"{_name(found)}: expected a reading, it is a record of kind "
                    f"{found.record.kind.name.lower()}; --interval proves an interval"
                )
            return found
    where = "any epoch" if epoch is None else f"epoch {epoch}"
    raise NotProvable(f"reading {seq}: not in this store in {where}")


def _covering(connection: sqlite3.Connection, reading: _Stored) -> _Stored:
    """The interval record behind a reading, in the same epoch."""
    epoch = reading.record.epoch
    row = connection.execute(
        "SELECT place, hash, bytes FROM record WHERE light_n IS NOT NULL AND kind = ?"
        " AND place > ? AND place < ? ORDER BY place LIMIT 1",
        (Kind.INTERVAL, reading.place, place(epoch + 1, 0)),
    ).fetchone()
    if row is not None:
        return _stored(row)
    later = connection.execute(
        "SELECT 1 FROM record WHERE place >= ?", (place(epoch + 1, 0),)
    ).fetchone()
    if later is not None:
        raise NotProvable(
            f"{_name(reading)}: a new epoch began before its interval was closed, so no interval "
            "covers it; the chain of records does"
        )
    raise NotProvable(f"{_name(reading)}: its interval is still open; try again after it ended")


def _stored(row: tuple[int, bytes, bytes]) -> _Stored:
    return _Stored(
        place=Place(row[0]), hash=Hash(row[1]), data=row[2], record=decode_record(row[2])
    )


def _name(stored: _Stored) -> str:
    epoch, seq = unplace(stored.place)
    return f"{stored.record.kind.name.lower()} {epoch}/{seq}"
