"""From the records on disk to the tip: read back, check, and keep the longest valid prefix.

Every start reads the open interval's records again, with signatures and links. A record that does
not fit ends the prefix. What is behind it is set aside by the caller, never deleted: a chain that
lost its end may have been released further than it knows, so its next record opens an epoch.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from meterseal.errors import ChainError, ProtocolError
from meterseal.records import Kind, Light, Manifest, Record, Restore, open_record, record_hash
from meterseal.types import ZERO_HASH, DeviceId, Hash, PublicKey
from meterseal_agent.errors import StoreError
from meterseal_agent.store.schema import NOWHERE, Place, place
from meterseal_agent.tip import Tip, head_at

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator

    from meterseal.chain import Head


@dataclass(frozen=True, kw_only=True, slots=True)
class Loaded:
    """What a store holds.

    Attributes:
        tip: The tip behind the last record that fits.
        last: Where that is; `NOWHERE` in an empty store.
        fault: What was wrong behind it, or None when the store ends as its head row says.
    """

    tip: Tip
    last: Place
    fault: str | None


def load(connection: sqlite3.Connection, device: DeviceId, public: PublicKey) -> Loaded:
    """Rebuild the tip.

    Raises:
        StoreError: If there are records and not even a first one is valid.
    """
    fault: str | None = None
    for at in _starts(connection):
        try:
            tip = _begin(connection, at, device, public)
        except ProtocolError as error:
            fault = fault or f"{_named(at)}: {error}"
            continue
        tip, last, broken = _roll(connection, tip, at, public)
        fault = fault or broken or _unlike_head(connection, tip)
        return Loaded(tip=tip, last=last, fault=fault)
    if fault is not None or connection.execute("SELECT 1 FROM head").fetchone() is not None:
        message = (
            f"store: no valid first record ({fault or 'the head names one, none is there'}); "
            "move store.sqlite3 aside to start again from what the aggregator holds"
        )
        raise StoreError(message)
    return Loaded(tip=Tip(device=device), last=NOWHERE, fault=None)


def read_record(
    connection: sqlite3.Connection, at: Place, public: PublicKey
) -> tuple[Record, Hash] | None:
    """Read one record and check it: signature, hash column, place.

    Raises:
        ProtocolError: If the bytes are not what was signed.
    """
    row = connection.execute("SELECT hash, bytes FROM record WHERE place = ?", (at,)).fetchone()
    return None if row is None else check_row(at, row[0], row[1], public)


def check_row(at: Place, hashed: bytes, data: bytes, public: PublicKey) -> tuple[Record, Hash]:
    """Hold a row of the table against the signature in it.

    Raises:
        ProtocolError: If it is not the record that was signed for this place.
    """
    record = open_record(data, public)
    true_hash = record_hash(data)
    if true_hash != hashed:
        raise ChainError(f"its hash is {true_hash.hex()}, the store says {hashed.hex()}")
    if place(record.epoch, record.seq) != at:
        raise ChainError(f"it says of itself that it is {record.epoch}/{record.seq}")
    return record, true_hash


def base_of(connection: sqlite3.Connection, restore: Record, public: PublicKey) -> Head | None:
    """The head at the record that a restore names: one of the chain, or one that was recovered.

    The light chain's state there is what the restore, signed by the same key, links to.

    Raises:
        ProtocolError: If the named record's bytes are not what was signed.
    """
    row = connection.execute(
        "SELECT bytes FROM record WHERE place = ? AND hash = ?"
        " UNION ALL SELECT bytes FROM recovered WHERE hash = ?",
        (place(restore.epoch - 1, restore.seq - 1), restore.prev, restore.prev),
    ).fetchone()
    if row is None or restore.light is None:
        return None
    light = Light(n=restore.light.n - 1, hash=restore.light.hash)
    return head_at(open_record(row[0], public), record_hash(row[0]), light)


def _starts(connection: sqlite3.Connection) -> Iterator[Place]:
    """Places from which the open interval can be rebuilt, newest first."""
    rows = connection.execute(
        "SELECT place FROM record WHERE light_n IS NOT NULL AND (kind IN (?, ?) OR place = 0)"
        " ORDER BY place DESC",
        (Kind.INTERVAL, Kind.RESTORE),
    )
    for (at,) in rows:
        yield Place(at)


def _begin(connection: sqlite3.Connection, at: Place, device: DeviceId, public: PublicKey) -> Tip:
    """The tip behind the record at `at`, which begins an interval's tree."""
    found = read_record(connection, at, public)
    if found is None:
        raise ChainError("it vanished while it was read")
    record, hashed = found
    if at == 0:
        return Tip(device=device).follow(record, hashed)
    before = None
    if record.kind is Kind.INTERVAL:
        earlier = read_record(connection, Place(at - 1), public)
        before = None if earlier is None else earlier[0]
    manifest, manifest_hash = _manifest_before(connection, at, public)
    return Tip.behind(record, hashed, before=before, manifest=manifest, manifest_hash=manifest_hash)


def _manifest_before(
    connection: sqlite3.Connection, at: Place, public: PublicKey
) -> tuple[Manifest | None, Hash]:
    row = connection.execute(
        "SELECT place, hash, bytes FROM record"
        " WHERE light_n IS NOT NULL AND kind = ? AND place < ? ORDER BY place DESC LIMIT 1",
        (Kind.MANIFEST, at),
    ).fetchone()
    if row is None:
        return None, ZERO_HASH
    record, hashed = check_row(Place(row[0]), row[1], row[2], public)
    return (record.body, hashed) if isinstance(record.body, Manifest) else (None, ZERO_HASH)


def _roll(
    connection: sqlite3.Connection, tip: Tip, at: Place, public: PublicKey
) -> tuple[Tip, Place, str | None]:
    """Follow the records behind `at`; stop in front of the first that does not fit."""
    rows = connection.execute(
        "SELECT place, hash, bytes FROM record WHERE place > ? ORDER BY place", (at,)
    )
    for here, hashed, data in rows:
        try:
            record, true_hash = check_row(Place(here), hashed, data, public)
            base = None
            if isinstance(record.body, Restore):
                base = base_of(connection, record, public)
            tip = tip.follow(record, true_hash, base=base)
        except ProtocolError as error:
            return tip, at, f"{_named(here)}: {error}"
        at = Place(here)
    return tip, at, None


def _unlike_head(connection: sqlite3.Connection, tip: Tip) -> str | None:
    row = connection.execute("SELECT epoch, seq, hash FROM head").fetchone()
    head = tip.head
    if row is None or head is None:
        return "there are records and no head row"
    if row != (head.epoch, head.seq, head.hash):
        return f"the head row names {row[0]}/{row[1]}, the records end at {head.epoch}/{head.seq}"
    return None


def _named(at: int) -> str:
    return f"record {at >> 40}/{at & ((1 << 40) - 1)}"
