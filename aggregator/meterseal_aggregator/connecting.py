"""Connecting: a record becomes part of its device's chain, or is found to break it.

A connected light record is queued for the log in the same transaction, so that the order of the
queue is the order of connecting: in light order for each device.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from meterseal.chain import check_interval
from meterseal.errors import ChainError
from meterseal.records import Kind, Publishes, decode_record
from meterseal_aggregator.devicestate import read_point, signed
from meterseal_aggregator.errors import StoreError
from meterseal_aggregator.point import Point, follow
from meterseal_aggregator.store import Contradiction, Status

if TYPE_CHECKING:
    from meterseal.records import Record
    from meterseal.types import DeviceId, Hash, UnixMs
    from meterseal_aggregator.devicestate import DeviceState
    from meterseal_aggregator.store import NewRecord, Store, StoredRecord


RIVALS_MAX: Final = 64
"""Records of a device that are kept although they are not, and will never be, in its chain."""


class Chains:
    """The chains of all devices, as they stand in the store."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def base(self, state: DeviceState, record: Record) -> tuple[Point | None, bool]:
        """Find the point that a record continues, and whether it is the one that `prev` names."""
        point = state.point
        if point is not None and record.prev == point.head.hash:
            return point, True
        before = self._connected(record.prev, record.device)
        if record.light is None:
            return (None if before is None else read_point(self._store, before)), True
        light = self._connected(record.light.hash, record.device)
        if light is None:
            return None, True
        if before is not None:
            return read_point(self._store, before), True
        base = read_point(self._store, light)
        return (base, False) if base.rules.publishes is Publishes.INTERVALS else (None, True)

    def _connected(self, predecessor: Hash, device: DeviceId) -> StoredRecord | None:
        found = self._store.records.by_hash(predecessor)
        right = found is not None and found.status is Status.CONNECTED and found.device == device
        return found if right else None

    def connect(  # noqa: PLR0913 -- one step of the chain in all its aspects
        self,
        state: DeviceState,
        base: Point | None,
        record: Record,
        new: NewRecord,
        *,
        whole: bool,
        number: int | None,
    ) -> None:
        """Make a record part of the chain: `number` is its own if it was waiting."""
        head, rules = follow(base, record, new.hash, whole=whole)
        if base is not None and record.kind is Kind.INTERVAL:
            self._check_interval(base, record, whole=whole)
        branch = base.branch if base is not None else None
        if number is None:
            number = self._store.records.add(new, Status.CONNECTED, branch)
        else:
            self._store.records.move(number, Status.CONNECTED, branch)
            state.waiting -= 1
            state.waiting_bytes -= len(new.data)
        if record.light is not None:
            branch = number
            self._store.records.move(number, Status.CONNECTED, branch)
            self._store.records.set_chain(number, rules.encode())
            self._store.tree.enqueue(new.hash, new.device)
        point = Point(record=number, branch=branch or number, head=head, rules=rules)
        was = state.point
        if was is None or (head.epoch, head.seq) > (was.head.epoch, was.head.seq):
            before = None if was is None else was.record
            if not self._store.devices.move_head(new.device, before, number):
                raise StoreError(
                    f"head of device {new.device.hex()} was moved by another writer: "
                    "one data_dir belongs to one aggregator."
                )
            state.point = point

    def _check_interval(self, base: Point, record: Record, *, whole: bool) -> None:
        """Hold an interval's root against its records, where all of them are here."""
        start = base.rules.tree_start
        leaves = None
        if whole and base.rules.publishes is Publishes.READINGS:
            hashes = self._store.records.hashes(record.device, record.epoch, start, record.seq)
            leaves = hashes if len(hashes) == record.seq - start else None
        check_interval(record, first_seq=start, leaves=leaves, manifest=base.rules.keys.manifest)

    def connect_waiting(self, state: DeviceState, start: Hash, now_ms: UnixMs) -> None:
        """Connect what waited for a record, and what waited for that."""
        ready = [start]
        while ready and state.waiting and state.frozen is None:
            predecessor = ready.pop(0)
            for waiting in self._store.records.waiting_on(state.device.id, predecessor):
                record = decode_record(waiting.data)
                base, whole = self.base(state, record)
                if base is None:
                    continue
                if not signed(waiting.data, base.rules.keys.key_for(record)):
                    self.void(state, waiting)
                    continue
                try:
                    self.connect(state, base, record, waiting, whole=whole, number=waiting.id)
                except ChainError as broken:
                    self.convict(state, waiting, base.record, str(broken), now_ms)
                    return
                ready.append(waiting.hash)

    def convict(
        self, state: DeviceState, waiting: StoredRecord, rival: int, rule: str, now_ms: UnixMs
    ) -> None:
        """Find a waiting record to break a rule where it connects."""
        self._store.records.move(waiting.id, Status.RIVAL)
        state.waiting -= 1
        state.waiting_bytes -= len(waiting.data)
        state.rivals += 1
        self.accuse(state, waiting.id, rival, rule, now_ms)

    def accuse(
        self, state: DeviceState, record: int, rival: int, rule: str, now_ms: UnixMs
    ) -> None:
        """Keep that two stored records contradict each other, and freeze their device."""
        self._store.records.add_contradiction(
            Contradiction(
                device=state.device.id, record=record, rival=rival, rule=rule, found_ms=now_ms
            )
        )
        self.freeze(state, rule)

    def freeze(self, state: DeviceState, rule: str) -> None:
        """Let nothing more connect; the first reason stays."""
        if state.frozen is None:
            self._store.devices.freeze(state.device.id, rule)
            state.frozen = rule

    def void(self, state: DeviceState, waiting: StoredRecord) -> None:
        """Set a waiting record aside that the ruling key did not sign; beyond a bound, drop it."""
        state.waiting -= 1
        state.waiting_bytes -= len(waiting.data)
        if state.rivals < RIVALS_MAX:
            self._store.records.move(waiting.id, Status.VOID)
            state.rivals += 1
        else:
            self._store.records.drop(waiting.id)
