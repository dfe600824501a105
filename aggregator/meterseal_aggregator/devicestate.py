"""A device as it is held in memory between its records, and a record while it is judged."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from meterseal.chain import Head
from meterseal.cose import RECORD, parse1
from meterseal.keys import verify
from meterseal.records import Kind, decode_record
from meterseal_aggregator.enrolment import newest
from meterseal_aggregator.errors import StoreError
from meterseal_aggregator.point import Point, Rules
from meterseal_aggregator.store import NewRecord, Status

if TYPE_CHECKING:
    from meterseal.records import Record
    from meterseal.types import DeviceId, Hash, PublicKey, UnixMs
    from meterseal_aggregator.store import Device, Store, StoredRecord


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrival:
    """A record that is being judged."""

    record: Record
    row: NewRecord
    now_ms: UnixMs

    @property
    def genesis(self) -> bool:
        """Whether it claims to begin a chain."""
        record = self.record
        return (record.kind, record.epoch, record.seq) == (Kind.MANIFEST, 0, 0)


@dataclass(slots=True)
class DeviceState:
    """A device as held in memory; owned by the one thread that writes the store."""

    device: Device
    point: Point | None
    waiting: int
    waiting_bytes: int
    rivals: int
    revoked_after: tuple[int, int] | None
    frozen: str | None = field(init=False)

    def __post_init__(self) -> None:
        """Begin as the row says; freezing is written to both."""
        self.frozen = self.device.frozen

    def known_keys(self) -> list[PublicKey]:
        """Keys by which the device may have signed what is ahead of us."""
        if self.point is None:
            return [self.device.public_key]
        keys = self.point.rules.keys
        return [k for k in (keys.current, keys.pending, self.device.public_key) if k is not None]

    def rules(self, key: PublicKey) -> bool:
        """Tell whether a key rules at the head, or will once its manifest has come."""
        if self.point is None:
            return key == self.device.public_key
        keys = self.point.rules.keys
        return key in {keys.current, keys.pending}

    def revokes(self, record: Record) -> bool:
        """Tell whether the device's keys were revoked before they signed a record (protocol 2a)."""
        last = self.revoked_after
        return last is not None and (record.epoch, record.seq) > last

    def continues(self, record: Record) -> bool:
        """Tell whether a record follows a head that nothing else is stored beyond.

        Then it is not known and has no rival: the store need not be asked.
        """
        clear = self.frozen is None and not self.waiting and not self.rivals
        point = self.point
        return (
            clear
            and point is not None
            and record.prev == point.head.hash
            and record.kind is not Kind.RESTORE
        )


def read_state(store: Store, device: DeviceId) -> DeviceState | None:
    """Read a device from the store, None when it is not enrolled."""
    row = store.devices.get(device)
    if row is None:
        return None
    point = None if row.head is None else read_point(store, store.records.by_id(row.head))
    waiting, size = store.records.load(device, Status.WAITING)
    rivals, _ = store.records.load(device, Status.RIVAL)
    void, _ = store.records.load(device, Status.VOID)
    stands = newest(store, device)
    revoked_after = None if stands is None else stands[1].revoked_after
    return DeviceState(row, point, waiting, size, rivals + void, revoked_after)


def read_point(store: Store, at: StoredRecord) -> Point:
    """Read a connected record as the point that others continue."""
    if at.branch is None:
        raise StoreError(f"store: connected record {at.id} has no branch. Run fsck.")
    light = at if at.branch == at.id else store.records.by_id(at.branch)
    record = decode_record(at.data)
    rules = Rules.parse(store.records.chain(light.id))
    head = Head(
        device=record.device,
        epoch=record.epoch,
        seq=record.seq,
        hash=at.hash,
        light_n=light.light_n or 0,
        light_hash=light.hash,
        time=record.time,
        up=record.up,
    )
    return Point(record=at.id, branch=light.id, head=head, rules=rules)


def signed(data: bytes, key: PublicKey) -> bool:
    """Tell whether a key signed the bytes of a record."""
    envelope = parse1(data, RECORD)
    return verify(key, envelope.to_be_signed, envelope.signature)


def row_of(record: Record, this: Hash, data: bytes) -> NewRecord:
    """Write a record as the row that it becomes."""
    return NewRecord(
        hash=this,
        device=record.device,
        epoch=record.epoch,
        seq=record.seq,
        kind=int(record.kind),
        prev=record.prev,
        light_n=None if record.light is None else record.light.n,
        light_prev=None if record.light is None else record.light.hash,
        data=data,
    )
