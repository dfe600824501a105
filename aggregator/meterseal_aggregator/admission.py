"""Admission: which of five outcomes a record has (protocol 5), and what the store makes of it.

    KNOWN        the same bytes are stored: answered again, nothing changes
    EXTENDS      its predecessors are connected: stored, the head moves, light records are queued
    AHEAD        a predecessor is missing: stored, not in the head, not in the log; it is asked for
    CONTRADICTS  with another record signed by the same key it cannot follow the rules: both are
                 kept, the device is frozen
    INVALID      rubbish, foreign, or not signed by the key that rules: dropped

* A light record connects when its light predecessor is connected and so is the record that `prev`
  names, or the manifest in force says that readings stay at home. A reading connects when `prev`
  is connected.
* Nothing is concluded from silence, order or repetition: a contradiction takes two records, and
  one key that signed both.
* Bounds, for each device: 4096 records and 8 MiB waiting, 64 rivals. Beyond them a record is not
  stored and is told so (5, too far ahead): the device still has it and is asked for it again.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Final

from meterseal.chain import Head, check_interval
from meterseal.cose import RECORD, parse1
from meterseal.errors import ChainError, EncodingError, SignatureInvalid
from meterseal.keys import verify
from meterseal.messages import RejectCode
from meterseal.records import Kind, Publishes, decode_record, open_record, record_hash
from meterseal.types import ZERO_HASH
from meterseal_aggregator.errors import StoreError
from meterseal_aggregator.point import Point, Rules, follow
from meterseal_aggregator.rivals import rivals_of
from meterseal_aggregator.store import Contradiction, NewRecord, Status

if TYPE_CHECKING:
    from meterseal.records import Record
    from meterseal.types import DeviceId, Hash, PublicKey, UnixMs
    from meterseal_aggregator.store import Device, Store, StoredRecord

WAITING_MAX: Final = 4096
WAITING_BYTES_MAX: Final = 8 * 1024 * 1024
RIVALS_MAX: Final = 64
DEVICES_HELD_MAX: Final = 65_536
"""Devices whose head is held in memory; the least recently used one is read again when needed."""


class Outcome(Enum):
    """What a record came to."""

    KNOWN = "known"
    EXTENDS = "extends"
    AHEAD = "ahead"
    CONTRADICTS = "contradicts"
    INVALID = "invalid"


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """An outcome, and why if the record was not taken.

    Attributes:
        outcome: One of the five.
        hash: Hash of the bytes.
        reject: What the device is told, None if it was taken.
        reason: The same as a sentence.
        beyond: (epoch, seq) of a record that cannot be judged before what leads to it is here.
    """

    outcome: Outcome
    hash: Hash
    reject: RejectCode | None = None
    reason: str = ""
    beyond: tuple[int, int] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Arrival:
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
class _State:
    """A device as held in memory; owned by the one thread that writes the store."""

    device: Device
    point: Point | None
    waiting: int
    waiting_bytes: int
    rivals: int
    frozen: str | None = field(init=False)

    def __post_init__(self) -> None:
        self.frozen = self.device.frozen

    def known_keys(self) -> list[PublicKey]:
        """Keys by which the device may have signed what is ahead of us."""
        if self.point is None:
            return [self.device.public_key]
        keys = self.point.rules.keys
        return [k for k in (keys.current, keys.pending, self.device.public_key) if k is not None]

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


class Admission:
    """Judges records inside a transaction of the caller's.

    After a transaction that failed the caller calls `forget`: memory is ahead of the disk then.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._states: dict[DeviceId, _State] = {}

    def forget(self) -> None:
        """Drop what is held in memory; the store is read again."""
        self._states.clear()

    def admit(self, device: DeviceId, data: bytes, now_ms: UnixMs) -> Verdict:
        """Judge one record that came on a device's topic, and store what it comes to."""
        this = record_hash(data)
        state = self._state(device)
        if state is None:
            return _invalid(this, "the device is not enrolled", RejectCode.NOT_ENROLLED)
        likely, *others = state.known_keys()
        key: PublicKey | None = likely
        try:
            record = open_record(data, likely)
        except EncodingError as error:
            return _invalid(this, str(error))
        except SignatureInvalid:
            key = next((other for other in others if _signed(data, other)), None)
            record = decode_record(data)
        if record.device != device:
            return _invalid(this, f"it is device {record.device.hex()}'s")
        new = _Arrival(record=record, row=_new(record, this, data), now_ms=now_ms)
        return self._judge(state, new, key)

    def _judge(self, state: _State, new: _Arrival, key: PublicKey | None) -> Verdict:
        record, this = new.record, new.row.hash
        plain = state.continues(record)
        stored = None if plain else self._store.records.by_hash(this)
        if stored is not None:
            return _known(stored, state)
        base, whole = (None, True) if new.genesis else self._base(state, record)
        key = self._signer(state, new, base, key)
        if key is None:
            return _unsigned(new, base)
        found = None if plain else self._rival(state, new, base, key)
        if found is not None:
            return self._contradicts(state, new, *found)
        if state.frozen is not None:
            return self._wait(state, new, RejectCode.FROZEN)
        if base is None and not new.genesis:
            return self._wait(state, new, None)
        return self._extend(state, new, base, whole=whole)

    def _extend(self, state: _State, new: _Arrival, base: Point | None, *, whole: bool) -> Verdict:
        """Connect a record, and what waited for it, if it keeps the rules of its chain."""
        this = new.row.hash
        if new.genesis and new.record.prev not in (ZERO_HASH, state.device.replaces):
            return _invalid(this, "its genesis names a predecessor that no enrolment names")
        try:
            self._connect(state, base, new.record, new.row, whole=whole, number=None)
        except ChainError as broken:
            if base is None:
                return _invalid(this, str(broken))
            against = self._store.records.by_id(base.record)
            return self._contradicts(state, new, against, str(broken))
        self._connect_waiting(state, this, new.now_ms)
        return Verdict(outcome=Outcome.EXTENDS, hash=this)

    def _signer(
        self, state: _State, new: _Arrival, base: Point | None, key: PublicKey | None
    ) -> PublicKey | None:
        """Name the key that signed a record and was to sign it; None if there is no such key."""
        if new.genesis:
            due = state.device.public_key
        elif base is None:
            return key  # which key rules there is not known yet; when it connects it will be
        else:
            due = base.rules.keys.key_for(new.record)
        if due != key and not _signed(new.row.data, due):
            return None
        # protocol 2: after a key change the old key opens no epoch either
        newest = state.point
        if newest is not None and new.record.kind is Kind.RESTORE:
            return due if due == newest.rules.keys.current else None
        return due

    def _rival(
        self, state: _State, new: _Arrival, base: Point | None, key: PublicKey
    ) -> tuple[StoredRecord, str] | None:
        """Find a record that contradicts the new one and was signed by the same key."""
        for rival, rule in rivals_of(self._store.records, new.record, new.row.hash):
            if _signed(rival.data, key):
                return rival, rule
            if rival.status is Status.WAITING and base is not None:
                self._void(state, rival)  # signed by a key that does not rule here
        return None

    # -- where a record continues ----------------------------------------------------------------

    def _base(self, state: _State, record: Record) -> tuple[Point | None, bool]:
        """Find the point that a record continues, and whether it is the one that `prev` names."""
        point = state.point
        if point is not None and record.prev == point.head.hash:
            return point, True
        before = self._connected(record.prev, record.device)
        if record.light is None:
            return (None if before is None else self._point(before)), True
        light = self._connected(record.light.hash, record.device)
        if light is None:
            return None, True
        if before is not None:
            return self._point(before), True
        base = self._point(light)
        return (base, False) if base.rules.publishes is Publishes.INTERVALS else (None, True)

    def _connected(self, predecessor: Hash, device: DeviceId) -> StoredRecord | None:
        found = self._store.records.by_hash(predecessor)
        right = found is not None and found.status is Status.CONNECTED and found.device == device
        return found if right else None

    def _point(self, at: StoredRecord) -> Point:
        return read_point(self._store, at)

    # -- what becomes of it ----------------------------------------------------------------------

    def _connect(  # noqa: PLR0913 -- one step of the chain in all its aspects
        self,
        state: _State,
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

    def _connect_waiting(self, state: _State, start: Hash, now_ms: UnixMs) -> None:
        """Connect what waited for a record, and what waited for that."""
        ready = [start]
        while ready and state.waiting and state.frozen is None:
            predecessor = ready.pop(0)
            for waiting in self._store.records.waiting_on(state.device.id, predecessor):
                record = decode_record(waiting.data)
                base, whole = self._base(state, record)
                if base is None:
                    continue
                if not _signed(waiting.data, base.rules.keys.key_for(record)):
                    self._void(state, waiting)
                    continue
                try:
                    self._connect(state, base, record, waiting, whole=whole, number=waiting.id)
                except ChainError as broken:
                    self._convict(state, waiting, base.record, str(broken), now_ms)
                    return
                ready.append(waiting.hash)

    def _wait(self, state: _State, new: _Arrival, reject: RejectCode | None) -> Verdict:
        this, size = new.row.hash, state.waiting_bytes + len(new.row.data)
        if state.waiting >= WAITING_MAX or size > WAITING_BYTES_MAX:
            return Verdict(
                outcome=Outcome.AHEAD,
                hash=this,
                reject=reject or RejectCode.TOO_FAR_AHEAD,
                reason="not stored: too many wait",
            )
        self._store.records.add(new.row, Status.WAITING)
        state.waiting += 1
        state.waiting_bytes = size
        return Verdict(outcome=Outcome.AHEAD, hash=this, reject=reject)

    def _contradicts(self, state: _State, new: _Arrival, rival: StoredRecord, rule: str) -> Verdict:
        if state.rivals < RIVALS_MAX:
            number = self._store.records.add(new.row, Status.RIVAL)
            state.rivals += 1
            self._keep_contradiction(state, number, rival.id, rule, new.now_ms)
        self._freeze(state, rule)
        return Verdict(
            outcome=Outcome.CONTRADICTS,
            hash=new.row.hash,
            reject=RejectCode.CONTRADICTS,
            reason=rule,
        )

    def _convict(
        self, state: _State, waiting: StoredRecord, rival: int, rule: str, now_ms: UnixMs
    ) -> None:
        """Find a waiting record to break a rule where it connects."""
        self._store.records.move(waiting.id, Status.RIVAL)
        state.waiting -= 1
        state.waiting_bytes -= len(waiting.data)
        state.rivals += 1
        self._keep_contradiction(state, waiting.id, rival, rule, now_ms)
        self._freeze(state, rule)

    def _keep_contradiction(
        self, state: _State, record: int, rival: int, rule: str, now_ms: UnixMs
    ) -> None:
        self._store.records.add_contradiction(
            Contradiction(
                device=state.device.id, record=record, rival=rival, rule=rule, found_ms=now_ms
            )
        )

    def _freeze(self, state: _State, rule: str) -> None:
        if state.frozen is None:
            self._store.devices.freeze(state.device.id, rule)
            state.frozen = rule

    def _void(self, state: _State, waiting: StoredRecord) -> None:
        self._store.records.move(waiting.id, Status.VOID)
        state.waiting -= 1
        state.rivals += 1
        state.waiting_bytes -= len(waiting.data)

    # -- memory ----------------------------------------------------------------------------------

    def _state(self, device: DeviceId) -> _State | None:
        state = self._states.pop(device, None) or self._read_state(device)
        if state is None:
            return None
        self._states[device] = state  # the newest last: the first is the least recently used
        if len(self._states) > DEVICES_HELD_MAX:
            self._states.pop(next(iter(self._states)))
        return state

    def _read_state(self, device: DeviceId) -> _State | None:
        row = self._store.devices.get(device)
        if row is None:
            return None
        records = self._store.records
        point = None if row.head is None else self._point(records.by_id(row.head))
        waiting, size = records.load(device, Status.WAITING)
        rivals, _ = records.load(device, Status.RIVAL)
        void, _ = records.load(device, Status.VOID)
        return _State(row, point, waiting, size, rivals + void)


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


def _signed(data: bytes, key: PublicKey) -> bool:
    envelope = parse1(data, RECORD)
    return verify(key, envelope.to_be_signed, envelope.signature)


def _new(record: Record, this: Hash, data: bytes) -> NewRecord:
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


def _known(stored: StoredRecord, state: _State) -> Verdict:
    """Answer again as it was answered before."""
    reject = None
    if stored.status is Status.RIVAL:
        reject = RejectCode.CONTRADICTS
    elif stored.status is Status.VOID:
        reject = RejectCode.INVALID
    elif stored.status is Status.WAITING and state.frozen is not None:
        reject = RejectCode.FROZEN
    return Verdict(outcome=Outcome.KNOWN, hash=stored.hash, reject=reject)


def _unsigned(new: _Arrival, base: Point | None) -> Verdict:
    """Refuse a record that no key signed which may rule where it stands."""
    if base is not None or new.genesis:
        return _invalid(new.row.hash, "SIGNATURE INVALID: the key that rules did not sign it")
    return Verdict(
        outcome=Outcome.INVALID,
        hash=new.row.hash,
        reject=RejectCode.TOO_FAR_AHEAD,
        reason="no key known so far signed it",
        beyond=(new.record.epoch, new.record.seq),
    )


def _invalid(this: Hash, reason: str, code: RejectCode = RejectCode.INVALID) -> Verdict:
    return Verdict(outcome=Outcome.INVALID, hash=this, reject=code, reason=reason)
