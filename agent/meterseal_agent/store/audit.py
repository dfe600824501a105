"""The check of everything that a store claims: `meterseal-agent fsck`, and after every test step.

It trusts nothing but the device id: every record's bytes, signature, place, link and light link,
every interval's leaves, root, manifest and telescoping, the head row, the recovered records, and
every path in `logged` against the root of its checkpoint. The log's signature on a checkpoint is
checked when it is accepted, under the policy; here its root must carry the paths.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from meterseal import chain
from meterseal.checkpoint import Checkpoint
from meterseal.errors import ChainError, ProtocolError
from meterseal.interval import check_telescopes
from meterseal.merkle import split_path, verify_inclusion
from meterseal.note import parse_note
from meterseal.records import (
    Interval,
    Light,
    Manifest,
    Record,
    Restore,
    decode_record,
    open_record,
    record_hash,
)
from meterseal.types import DeviceId, Hash, PublicKey, Seq
from meterseal_agent.store.load import base_of
from meterseal_agent.store.schema import Place, place, unplace
from meterseal_agent.tip import head_at

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator


@dataclass(frozen=True, kw_only=True, slots=True)
class Fault:
    """One thing that is not as it must be."""

    where: str
    message: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Report:
    """What the audit found.

    Attributes:
        faults: In the order of the chain; empty when all is well.
    """

    records: int
    intervals: int
    epochs: int
    logged: int
    anchored: int
    aside: int
    faults: tuple[Fault, ...]


@dataclass(kw_only=True, slots=True)
class _Walk:
    """Where the walk along the chain stands."""

    head: chain.Head | None = None
    keys: chain.KeyState | None = None
    tree_start: Seq | None = None
    leaves: list[Hash] = field(default_factory=list)
    interval: Interval | None = None
    records: int = 0
    intervals: int = 0
    epochs: int = 0


def audit(connection: sqlite3.Connection, public: PublicKey) -> Report:
    """Check the whole store of the device whose present key is `public`.

    A fault does not end the walk: what follows is checked against what stands there.
    """
    (device,) = connection.execute("SELECT device FROM device").fetchone()
    walk, faults = _Walk(), list[Fault]()
    rows = connection.execute(
        "SELECT place, hash, kind, light_n, time_ms, bytes FROM record ORDER BY place"
    )
    for row in rows:
        at = Place(row[0])
        try:
            _follow(connection, walk, DeviceId(device), public, row)
        except ProtocolError as error:
            faults.append(Fault(where=_named(at), message=str(error)))
            _resume(walk, row[5])
    faults += _head_faults(connection, walk)
    faults += _proof_faults(connection)
    counted = [
        connection.execute(query).fetchone()[0]
        for query in (
            "SELECT count(*) FROM logged",
            "SELECT count(*) FROM logged WHERE anchored_ms IS NOT NULL",
            "SELECT count(*) FROM aside",
        )
    ]
    return Report(
        records=walk.records,
        intervals=walk.intervals,
        epochs=walk.epochs,
        logged=counted[0],
        anchored=counted[1],
        aside=counted[2],
        faults=tuple(faults),
    )


def _follow(
    connection: sqlite3.Connection,
    walk: _Walk,
    device: DeviceId,
    public: PublicKey,
    row: tuple[int, bytes, int, int | None, int, bytes],
) -> None:
    at, hashed, kind, light_n, time_ms, data = row
    walk.records += 1
    record = decode_record(data)
    key = public if walk.keys is None else walk.keys.key_for(record)
    record = open_record(data, key)
    true_hash = record_hash(data)
    n = None if record.light is None else record.light.n
    says = (true_hash, place(record.epoch, record.seq), record.kind, n, record.time)
    if says != (hashed, at, kind, light_n, time_ms):
        raise ChainError(f"the columns beside it do not say what it says: {says[1:]}")
    if record.device != device:
        raise ChainError(f"it is a record of device {record.device.hex()}")
    before = walk.head
    if isinstance(record.body, Restore):
        before = _base(connection, record, key)
    if walk.head is None or walk.head.epoch != record.epoch:
        walk.epochs += 1
    walk.head = chain.advance(before, record, true_hash)
    _follow_keys(walk, record, true_hash)
    _follow_interval(walk, record, true_hash)


def _base(connection: sqlite3.Connection, restore: Record, public: PublicKey) -> chain.Head:
    base = base_of(connection, restore, public)
    if base is None:
        raise ChainError(f"it names record {restore.prev.hex()}, which is not here")
    known = connection.execute(
        "SELECT 1 FROM record WHERE light_n IS NOT NULL AND hash = ?1"
        " UNION ALL SELECT 1 FROM recovered WHERE hash = ?1",
        (base.light_hash,),
    ).fetchone()
    if known is None:
        raise ChainError(f"it links to logged record {base.light_hash.hex()}, which is not here")
    return base


def _follow_keys(walk: _Walk, record: Record, hashed: Hash) -> None:
    if walk.keys is not None:
        walk.keys = walk.keys.advance(record, hashed)
    elif isinstance(record.body, Manifest):
        walk.keys = chain.KeyState.genesis(record, hashed)


def _follow_interval(walk: _Walk, record: Record, hashed: Hash) -> None:
    if isinstance(record.body, Interval):
        body = chain.check_interval(
            record,
            first_seq=walk.tree_start,
            leaves=None if walk.tree_start is None else walk.leaves,
            manifest=None if walk.keys is None else walk.keys.manifest,
        )
        if walk.interval is not None:
            check_telescopes(walk.interval, body)
        walk.interval, walk.intervals = body, walk.intervals + 1
    start = chain.tree_start(record)
    if start is None:
        walk.leaves.append(hashed)
        return
    walk.tree_start = start
    walk.leaves = [] if isinstance(record.body, Interval) else [hashed]


def _resume(walk: _Walk, data: bytes) -> None:
    """Go on behind a record that is at fault, from what it says of itself."""
    walk.tree_start, walk.leaves, walk.interval = None, [], None
    try:
        record = decode_record(data)
    except ProtocolError:
        return
    light = None
    if walk.head is not None:
        light = Light(n=walk.head.light_n, hash=walk.head.light_hash)
    if record.light is not None or light is not None:
        walk.head = head_at(record, record_hash(data), light)
    if isinstance(record.body, Interval):
        walk.tree_start = chain.tree_start(record)


def _head_faults(connection: sqlite3.Connection, walk: _Walk) -> Iterator[Fault]:
    row = connection.execute("SELECT epoch, seq, hash, light_n, light_hash FROM head").fetchone()
    head = walk.head
    ours = (
        None if head is None else (head.epoch, head.seq, head.hash, head.light_n, head.light_hash)
    )
    if row != ours:
        says = "nothing" if row is None else f"{row[0]}/{row[1]} {row[2].hex()}"
        ends = "nothing" if head is None else f"{head.epoch}/{head.seq} {head.hash.hex()}"
        yield Fault(where="head", message=f"the head row says {says}, the chain ends with {ends}")


def _proof_faults(connection: sqlite3.Connection) -> Iterator[Fault]:
    """Every path in the store leads from its record to the root of its checkpoint."""
    rows = connection.execute(
        "SELECT place, hash, log_index, size, path, note FROM logged"
        " LEFT JOIN record USING (place) LEFT JOIN checkpoint USING (size) ORDER BY place"
    )
    for at, hashed, index, size, path, note in rows:
        try:
            if hashed is None or note is None:
                raise ChainError("a receipt without its record or its checkpoint")
            tree = Checkpoint.parse(parse_note(note)[0])
            if tree.size != size:
                raise ChainError(f"its checkpoint is of size {tree.size}, expected {size}")
            verify_inclusion(index, size, Hash(hashed), split_path(path), tree.root)
        except ProtocolError as error:
            yield Fault(where=f"receipt of {_named(at)}", message=str(error))


def _named(at: int) -> str:
    epoch, seq = unplace(Place(at))
    return f"record {epoch}/{seq}"
