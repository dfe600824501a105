"""Auditing one device's records: fsck's second and third step."""

from __future__ import annotations

from typing import TYPE_CHECKING

from meterseal.errors import ChainError, EncodingError, SignatureInvalid
from meterseal.records import Kind, Publishes, decode_record, open_record, record_hash
from meterseal.types import ZERO_HASH, Hash
from meterseal_aggregator.point import Point, Rules, follow
from meterseal_aggregator.store import Status

if TYPE_CHECKING:
    from collections.abc import Iterator

    from meterseal.records import Record
    from meterseal_aggregator.store import Device, Store, StoredRecord


def check_device(store: Store, device: Device) -> Iterator[str]:
    """Audit the records of one device, in order of place."""
    name = device.id.hex()
    points: dict[Hash, Point] = {}
    last: StoredRecord | None = None
    seen: set[int] = set()
    for stored in store.records.of_device(device.id):
        seen.add(stored.id)
        where = f"record {stored.epoch}/{stored.seq} of device {name}"
        for fault in _check_record(store, device, points, stored):
            yield f"{where}: {fault}"
        if stored.status is Status.CONNECTED:
            if last is not None and (last.epoch, last.seq) == (stored.epoch, stored.seq):
                yield f"{where}: two connected records stand at this place"
            last = stored
    if device.head != (last and last.id):
        yield f"device {name}: its head is not its last connected record"
    found = store.records.contradictions(device.id)
    if not {number for one in found for number in (one.record, one.rival)} <= seen:
        yield f"device {name}: a contradiction names a record that is not its own"
    if found and device.frozen is None:
        yield f"device {name}: its records contradict each other and it is not frozen"


def _check_record(
    store: Store, device: Device, points: dict[Hash, Point], stored: StoredRecord
) -> Iterator[str]:
    """Audit one record; a connected one becomes a point that others may continue."""
    record = _read(stored)
    if record is None:
        yield "its bytes are not what its row says"
        return
    if stored.status is not Status.CONNECTED:
        return
    try:
        points[stored.hash] = _advance(store, device, points, stored, record)
    except (ChainError, EncodingError, SignatureInvalid) as error:
        yield str(error)
        return
    if record.light is not None and record.light.n > 0:
        index = store.tree.index_of(stored.hash)
        before = store.tree.index_of(record.light.hash)
        if index is not None and (before is None or before > index):
            yield f"logged at {index}, before the light record that it names"


def _read(stored: StoredRecord) -> Record | None:
    try:
        record = decode_record(stored.data)
    except EncodingError:
        return None
    light = (None, None) if record.light is None else (record.light.n, record.light.hash)
    says = (record.device, record.epoch, record.seq, int(record.kind), record.prev, *light)
    row = (
        stored.device,
        stored.epoch,
        stored.seq,
        stored.kind,
        stored.prev,
        stored.light_n,
        stored.light_prev,
    )
    return record if says == row and record_hash(stored.data) == stored.hash else None


def _advance(
    store: Store,
    device: Device,
    points: dict[Hash, Point],
    stored: StoredRecord,
    record: Record,
) -> Point:
    """Follow the chain by one record, as admission did.

    Raises:
        ChainError: A rule is broken, or a predecessor is missing.
        SignatureInvalid: The key that rules did not sign it.
    """
    whole = True
    base = points.get(record.prev)
    if base is None and record.light is not None and record.light.hash in points:
        base, whole = points[record.light.hash], False
        if base.rules.publishes is not Publishes.INTERVALS:
            raise ChainError("its predecessor is missing, and readings are published")
    genesis = (record.kind, record.epoch, record.seq) == (Kind.MANIFEST, 0, 0)
    if base is None and not (genesis and record.prev in (ZERO_HASH, device.replaces)):
        raise ChainError("connected, and its predecessor is not")
    key = device.public_key if base is None else base.rules.keys.key_for(record)
    open_record(stored.data, key)
    head, rules = follow(base, record, stored.hash, whole=whole)
    branch = stored.id if record.light is not None else base and base.branch
    if stored.branch != branch:
        raise ChainError(f"its row names light record {stored.branch}, expected {branch}")
    if record.light is not None and Rules.parse(store.records.chain(stored.id)) != rules:
        raise ChainError("what its row says to rule after it is not what follows from it")
    return Point(record=stored.id, branch=branch or stored.id, head=head, rules=rules)
