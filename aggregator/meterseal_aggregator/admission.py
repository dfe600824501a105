"""Admission: which of five outcomes a record has (protocol 5), and what the store makes of it.

    KNOWN        the same bytes are stored: answered again, nothing changes
    EXTENDS      its predecessors are connected: stored, the head moves, light records are queued
    AHEAD        a predecessor is missing: stored, not in the head, not in the log; it is asked for
    CONTRADICTS  with another record signed by the same key it cannot follow the rules: both are
                 kept, the device is frozen
    INVALID      rubbish, foreign, beyond its key's revocation, or not signed by the key that rules:
                 dropped

* A light record connects when its light predecessor is connected and so is the record that `prev`
  names, or the manifest in force says that readings stay at home. A reading connects when `prev`
  is connected.
* Nothing is concluded from silence, order or repetition: a contradiction takes two records, and
  one key that signed both.
* A signature is checked before a body is read, where a key is known that may have made it.
* Bounds, for each device: 4096 records and 8 MiB waiting, 64 rivals. Beyond them a record is not
  stored and is told so (5, too far ahead): the device still has it and is asked for it again.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final

from meterseal.errors import ChainError, EncodingError
from meterseal.messages import RejectCode
from meterseal.records import Kind, decode_record, record_hash
from meterseal.types import ZERO_HASH
from meterseal_aggregator.connecting import RIVALS_MAX, Chains
from meterseal_aggregator.devicestate import Arrival, read_state, row_of, signed
from meterseal_aggregator.rivals import rivals_of
from meterseal_aggregator.store import Status
from meterseal_aggregator.verdict import Outcome, Verdict, invalid, known

if TYPE_CHECKING:
    from meterseal.types import DeviceId, Hash, PublicKey, UnixMs
    from meterseal_aggregator.devicestate import DeviceState
    from meterseal_aggregator.point import Point
    from meterseal_aggregator.store import Store, StoredRecord

WAITING_MAX: Final = 4096
WAITING_BYTES_MAX: Final = 8 * 1024 * 1024
UNSIGNED_MAX: Final = 64
"""Records of a device in one batch that no known key signed and that are read all the same."""
UNSIGNED: Final = "no key known so far signed it"
DEVICES_HELD_MAX: Final = 65_536
"""Devices whose head is held in memory; the least recently used one is read again when needed."""


class Admission:
    """Judges records inside a transaction of the caller's.

    After a transaction that failed the caller calls `forget`: memory is ahead of the disk then.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._chains = Chains(store)
        self._states: dict[DeviceId, DeviceState] = {}
        self._unsigned: Counter[DeviceId] = Counter()
        self._enrolled = store.enrolled_when()

    def begin(self) -> None:
        """Begin a batch: what another process enrolled or revoked since counts from now on."""
        self._unsigned.clear()
        enrolled = self._store.enrolled_when()
        if enrolled != self._enrolled:
            self._enrolled = enrolled
            self.forget()

    def forget(self) -> None:
        """Drop what is held in memory; the store is read again."""
        self._states.clear()

    def admit(self, device: DeviceId, data: bytes, now_ms: UnixMs) -> Verdict:
        """Judge one record that came on a device's topic, and store what it comes to."""
        this = record_hash(data)
        state = self._state(device)
        if state is None:
            return invalid(this, "the device is not enrolled", RejectCode.NOT_ENROLLED)
        try:
            key = next((one for one in state.known_keys() if signed(data, one)), None)
            dropped = self._unread(state, this) if key is None else None
            if dropped is not None:
                return dropped
            record = decode_record(data)
        except EncodingError as error:
            return invalid(this, str(error))
        if record.device != device:
            return invalid(this, f"it is device {record.device.hex()}'s")
        new = Arrival(record=record, row=row_of(record, this, data), now_ms=now_ms)
        if state.revokes(record) and self._store.records.by_hash(this) is None:
            return invalid(this, "the device's key was revoked", RejectCode.NOT_ENROLLED)
        return self._judge(state, new, key)

    def _unread(self, state: DeviceState, this: Hash) -> Verdict | None:
        """Answer for a record that no known key signed, if its body need not be read.

        A key that is not known yet may have signed it, so what it says of its place is read. That
        costs its sender nothing, so it is read only so often.
        """
        device = state.device.id
        stored = self._store.records.by_hash(this)
        if stored is not None and stored.device == device:
            return known(stored, frozen=state.frozen is not None)
        self._unsigned[device] += 1
        if self._unsigned[device] > UNSIGNED_MAX:
            return invalid(this, UNSIGNED, RejectCode.TOO_FAR_AHEAD)
        return None

    def _judge(self, state: DeviceState, new: Arrival, key: PublicKey | None) -> Verdict:
        record, this = new.record, new.row.hash
        plain = state.continues(record)
        stored = None if plain else self._store.records.by_hash(this)
        if stored is not None:
            return known(stored, frozen=state.frozen is not None)
        base, whole = (None, True) if new.genesis else self._chains.base(state, record)
        key = self._signer(state, new, base, key)
        if key is None:
            return _unsigned(new, base)
        # Ahead of what is known a replaced key may sign what it likes: it convicts nobody.
        vague = base is None and not new.genesis and not state.rules(key)
        found = None if plain or vague else self._rival(state, new, base, key)
        if found is not None:
            return self._contradicts(state, new, *found)
        if state.frozen is not None:
            return self._wait(state, new, RejectCode.FROZEN)
        if base is None and not new.genesis:
            return self._wait(state, new, None)
        return self._extend(state, new, base, whole=whole)

    def _extend(
        self, state: DeviceState, new: Arrival, base: Point | None, *, whole: bool
    ) -> Verdict:
        """Connect a record, and what waited for it, if it keeps the rules of its chain."""
        this = new.row.hash
        if new.genesis and new.record.prev not in (ZERO_HASH, state.device.replaces):
            return invalid(this, "its genesis names a predecessor that no enrolment names")
        try:
            self._chains.connect(state, base, new.record, new.row, whole=whole, number=None)
        except ChainError as broken:
            if base is None:
                return invalid(this, str(broken))
            against = self._store.records.by_id(base.record)
            return self._contradicts(state, new, against, str(broken))
        self._chains.connect_waiting(state, this, new.now_ms)
        # It was not frozen before; what waited for this record may have been found to break a rule.
        return Verdict(outcome=Outcome.EXTENDS, hash=this, fork=state.frozen or "")

    def _signer(
        self, state: DeviceState, new: Arrival, base: Point | None, key: PublicKey | None
    ) -> PublicKey | None:
        """Name the key that signed a record and was to sign it; None if there is no such key."""
        if new.genesis:
            due = state.device.public_key
        elif base is None:
            return key  # which key rules there is not known yet; when it connects it will be
        else:
            due = base.rules.keys.key_for(new.record)
        if due != key and not signed(new.row.data, due):
            return None
        # protocol 2: after a key change the old key opens no epoch either
        newest = state.point
        if newest is not None and new.record.kind is Kind.RESTORE:
            return due if due == newest.rules.keys.current else None
        return due

    def _rival(
        self, state: DeviceState, new: Arrival, base: Point | None, key: PublicKey
    ) -> tuple[StoredRecord, str] | None:
        """Find a record that contradicts the new one and was signed by the same key."""
        for rival, rule in rivals_of(self._store.records, new.record, new.row.hash):
            if signed(rival.data, key):
                return rival, rule
            if rival.status is Status.WAITING and base is not None:
                self._chains.void(state, rival)  # signed by a key that does not rule here
        return None

    def _wait(self, state: DeviceState, new: Arrival, reject: RejectCode | None) -> Verdict:
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

    def _contradicts(
        self, state: DeviceState, new: Arrival, rival: StoredRecord, rule: str
    ) -> Verdict:
        news = state.rivals < RIVALS_MAX or state.frozen is None
        if state.rivals < RIVALS_MAX:
            number = self._store.records.add(new.row, Status.RIVAL)
            state.rivals += 1
            self._chains.accuse(state, number, rival.id, rule, new.now_ms)
        else:
            self._chains.freeze(state, rule)
        return Verdict(
            outcome=Outcome.CONTRADICTS,
            hash=new.row.hash,
            reject=RejectCode.CONTRADICTS,
            reason=rule,
            fork=rule if news else "",
        )

    def _state(self, device: DeviceId) -> DeviceState | None:
        state = self._states.pop(device, None) or read_state(self._store, device)
        if state is None:
            return None
        self._states[device] = state  # the newest last: the first is the least recently used
        if len(self._states) > DEVICES_HELD_MAX:
            self._states.pop(next(iter(self._states)))
        return state


def _unsigned(new: Arrival, base: Point | None) -> Verdict:
    """Refuse a record that no key signed which may rule where it stands."""
    if base is not None or new.genesis:
        return invalid(new.row.hash, "SIGNATURE INVALID: the key that rules did not sign it")
    return Verdict(
        outcome=Outcome.INVALID,
        hash=new.row.hash,
        reject=RejectCode.TOO_FAR_AHEAD,
        reason=UNSIGNED,
        beyond=(new.record.epoch, new.record.seq),
    )
