"""The rules of a device's chain: which record may follow which (protocol 4).

Pure: a caller holds the heads, in a store or in memory, and asks. Rules:

1. Genesis is a manifest, epoch 0, seq 0, light 0, and its public key makes the device id.
2. A record continues the head: same device and epoch, seq + 1, prev = the head's hash.
3. Time never runs backwards; only a restore with reason 3 (clock) may lower it.
4. A restore opens epoch + 1 and may continue any connected record: the caller passes the head that
   was valid at the record it names.
5. Every kind but readings moves the light chain: n + 1, and the hash of the logged record before.
6. A key-change is followed by a manifest by the new key. Until that one is accepted the old key
   rules; after it the old key signs nothing more.
7. An interval counts all records since the last kind 2 or 5, and names the manifest in force.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from meterseal import merkle
from meterseal.bodies import Interval, KeyChange, Kind, Manifest, Restore, RestoreReason
from meterseal.errors import ChainError
from meterseal.keys import device_id, fingerprint
from meterseal.types import ZERO_HASH, DeviceId, Epoch, Hash, PublicKey, Seq, UnixMs

if TYPE_CHECKING:
    from collections.abc import Sequence

    from meterseal.records import Record


@dataclass(frozen=True, kw_only=True, slots=True)
class Head:
    """What the next record must fit.

    Attributes:
        device: Whose chain.
        epoch: Epoch of the last record.
        seq: Sequence number of the last record.
        hash: Hash of the last record.
        light_n: Number of the last logged record.
        light_hash: Hash of the last logged record.
        time: Time of the last record: the floor of the next.
        up: Milliseconds since boot of the last record; no rule reads it.
    """

    device: DeviceId
    epoch: Epoch
    seq: Seq
    hash: Hash
    light_n: int
    light_hash: Hash
    time: UnixMs
    up: int = 0


def genesis_head(record: Record, record_hash: Hash) -> Head:
    """Begin a chain.

    `prev` is not judged here: anything but 32 zero bytes says that the device replaces another one,
    and whoever admits it asks for the enrolment that says so too.

    Raises:
        ChainError: If `record` is no genesis record.
    """
    # protocol 4 rule 1
    if (record.kind, record.epoch, record.seq) != (Kind.MANIFEST, 0, 0):
        raise _broken(record, "a chain begins with a manifest of epoch 0, seq 0")
    if not isinstance(record.body, Manifest) or device_id(record.body.public_key) != record.device:
        raise _broken(record, "the device id is not made from the manifest's public key")
    if record.light is None or record.light.n != 0 or record.light.hash != ZERO_HASH:
        raise _broken(record, "the light chain begins with n 0 and a hash of zeros")
    return _head(record, record_hash, light_n=0, light_hash=record_hash)


def advance(head: Head | None, record: Record, record_hash: Hash) -> Head:
    """Check that `record` continues `head`, with every record in between known.

    Args:
        head: State at the record that `prev` names: for all kinds but restore the chain's head; for
            a restore any connected record's; None for a genesis record.
        record: The next record, its signature already checked.
        record_hash: Its hash.

    Returns:
        The state after `record`.

    Raises:
        ChainError: If a rule is broken; the message names it.
    """
    if head is None:
        return genesis_head(record, record_hash)
    _check_branch(head, record)
    # protocol 4 rule 2
    if record.seq != head.seq + 1:
        raise _broken(record, f"expected seq {head.seq + 1}")
    if record.prev != head.hash:
        raise _broken(record, f"prev is {record.prev.hex()}, the chain's head is {head.hash.hex()}")
    return _linked(head, record, record_hash)


def advance_light(head: Head | None, record: Record, record_hash: Hash) -> Head:
    """Check that `record` continues the light chain, where readings in between are not here.

    No check of `prev`: it may name a reading that stayed at the device. The light link names the
    logged record before, which covers every reading by the intervals' roots.

    Raises:
        ChainError: If a rule is broken; the message names it.
    """
    if head is None:
        return genesis_head(record, record_hash)
    if record.light is None:
        raise _broken(record, "a reading is no part of the light chain")
    _check_branch(head, record)
    if record.seq <= head.seq:
        raise _broken(record, f"expected a seq above {head.seq}")
    return _linked(head, record, record_hash)


def _check_branch(head: Head, record: Record) -> None:
    """Hold device, epoch and time against the head: protocol 4 rules 2 to 4."""
    if record.device != head.device:
        raise _broken(record, f"the chain is that of device {head.device.hex()}")
    if isinstance(record.body, Restore):
        if record.epoch != head.epoch + 1:
            raise _broken(record, f"a restore of epoch {head.epoch} opens epoch {head.epoch + 1}")
        lowers = record.body.reason is RestoreReason.CLOCK
    else:
        if record.epoch != head.epoch:
            raise _broken(record, f"expected epoch {head.epoch}: only a restore opens another one")
        lowers = False
    if record.time < head.time and not lowers:
        raise _broken(record, f"time {record.time} is before {head.time} of the record before")


def _linked(head: Head, record: Record, record_hash: Hash) -> Head:
    """Move the light chain: protocol 4 rule 5."""
    light = record.light
    if light is None:
        return _head(record, record_hash, light_n=head.light_n, light_hash=head.light_hash)
    if light.n != head.light_n + 1:
        raise _broken(record, f"light number {light.n}, expected {head.light_n + 1}")
    if light.hash != head.light_hash:
        raise _broken(
            record, f"light link {light.hash.hex()}, the last logged is {head.light_hash.hex()}"
        )
    return _head(record, record_hash, light_n=light.n, light_hash=record_hash)


def _head(record: Record, record_hash: Hash, *, light_n: int, light_hash: Hash) -> Head:
    return Head(
        device=record.device,
        epoch=record.epoch,
        seq=record.seq,
        hash=record_hash,
        light_n=light_n,
        light_hash=light_hash,
        time=record.time,
        up=record.up,
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class KeyState:
    """Which key rules a device's chain, and which manifest is in force, after a certain record.

    The key in force is the device's and not a branch's: whoever admits a restore compares the
    `current` of the record it names with that of the newest record, and refuses if they differ.

    Attributes:
        current: The key whose signature counts.
        pending: The key that a key-change named, until its manifest is accepted.
        manifest: Hash of the manifest record in force.
    """

    current: PublicKey
    pending: PublicKey | None
    manifest: Hash

    @classmethod
    def genesis(cls, record: Record, record_hash: Hash) -> KeyState:
        """Begin with the key of the genesis manifest, which `genesis_head` has checked."""
        if not isinstance(record.body, Manifest):
            raise _broken(record, "a chain begins with a manifest")
        return cls(current=record.body.public_key, pending=None, manifest=record_hash)

    def key_for(self, record: Record) -> PublicKey:
        """Name the key that must have signed `record`: a manifest of the pending key by itself."""
        if self.pending is not None and isinstance(record.body, Manifest):
            return self.pending
        return self.current

    def advance(self, record: Record, record_hash: Hash) -> KeyState:
        """Follow a record whose signature by `key_for` and whose place in the chain are checked.

        Raises:
            ChainError: If a manifest names another key than the one that rules, or something else
                than the new key's manifest follows a key-change.
        """
        # protocol 4 rule 6
        if isinstance(record.body, Manifest):
            key = self.pending or self.current
            if record.body.public_key != key:
                raise _broken(record, f"the manifest's key is not the expected {fingerprint(key)}")
            return KeyState(current=key, pending=None, manifest=record_hash)
        if self.pending is not None:
            raise _broken(record, "after a key-change comes a manifest by the new key")
        if isinstance(record.body, KeyChange):
            return replace(self, pending=record.body.public_key)
        return self


def check_interval(
    record: Record,
    *,
    first_seq: Seq | None = None,
    leaves: Sequence[Hash] | None = None,
    manifest: Hash | None = None,
) -> Interval:
    """Hold an interval record against what is known of the records it covers.

    Args:
        record: A record of kind 2.
        first_seq: Where its tree begins, if known: `tree_start` of the last kind 2 or 5.
        leaves: Hashes of the records from first_seq up to the one before, if all are here.
        manifest: Hash of the manifest in force, if known.

    Raises:
        ChainError: If count, root or manifest are not those of the chain.
    """
    # protocol 4 rule 7
    body = record.body
    if not isinstance(body, Interval):
        raise _broken(record, "expected an interval")
    if body.first_seq + body.count != record.seq:
        raise _broken(record, f"{body.count} leaves from seq {body.first_seq} do not end before it")
    if first_seq is not None and body.first_seq != first_seq:
        raise _broken(record, f"its tree begins at {body.first_seq}, expected {first_seq}")
    if manifest is not None and body.manifest_hash != manifest:
        raise _broken(record, f"the manifest in force is {manifest.hex()}")
    if leaves is not None and (len(leaves), merkle.root(leaves)) != (body.count, body.root):
        raise _broken(record, f"its root is not that of the {len(leaves)} records it covers")
    return body


def tree_start(record: Record) -> Seq | None:
    """Tell where the next interval's tree begins after `record`; None: where it began before.

    Behind a genesis record and in a new epoch the record itself is the first leaf.
    """
    match record.kind:
        case Kind.INTERVAL:
            return Seq(record.seq + 1)
        case Kind.RESTORE:
            return record.seq
        case Kind.MANIFEST if record.seq == 0:
            return record.seq
        case _:
            return None


def _broken(record: Record, rule: str) -> ChainError:
    return ChainError(
        f"{record.kind.name.lower()} {record.epoch}/{record.seq} of device "
        f"{record.device.hex()}: {rule}"
    )
