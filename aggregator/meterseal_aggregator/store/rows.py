"""What the store gives and takes, as frozen values."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum, StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from meterseal.types import DeviceId, Hash, PublicKey


class Status(IntEnum):
    """Where a stored record stands."""

    WAITING = 0
    """Valid, predecessor missing: not in the head, not in the log."""
    CONNECTED = 1
    RIVAL = 2
    """Contradicts another record of its device, or hangs on one that does."""
    VOID = 3
    """Was waiting; its signature is not by the key that rules where it connects."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NewRecord:
    """A record as it is inserted; `data` is the whole COSE_Sign1."""

    hash: Hash
    device: DeviceId
    epoch: int
    seq: int
    kind: int
    prev: Hash
    light_n: int | None
    light_prev: Hash | None
    data: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredRecord(NewRecord):
    """A record in the store.

    Attributes:
        id: Its number in this store.
        status: Where it stands.
        branch: Number of the last light record up to it, itself included; None until connected.
    """

    id: int
    status: Status
    branch: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Device:
    """An enrolled device.

    Attributes:
        id: Device id.
        public_key: The genesis key it is enrolled with.
        replaces: What its genesis may name as `prev` instead of zeros.
        head: Number of its head record.
        told: Number of the head record last told, 0 when told that nothing is stored.
        frozen: The rule that its records break, None while it is not frozen.
        clone_ms: When two boots were seen alternating, UTC milliseconds.
        known_size: Size of the checkpoint that it holds, as far as known.
        logged_to: Its leaves with a smaller index have had their receipt.
        anchored_to: Its leaves with a smaller index have had their receipt as anchored.
    """

    id: DeviceId
    public_key: PublicKey
    replaces: Hash | None
    head: int | None
    told: int | None
    frozen: str | None
    clone_ms: int | None
    known_size: int
    logged_to: int
    anchored_to: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Contradiction:
    """Two records of one device that cannot both follow the rules."""

    device: DeviceId
    record: int
    rival: int
    rule: str
    found_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedCheckpoint:
    """A checkpoint that was signed, or may have been: durable before the note leaves."""

    size: int
    root: Hash
    time_s: int
    note: bytes


class Sent(StrEnum):
    """State of a journaled transaction."""

    OPEN = "open"
    """May have been sent; whether it was is asked of the ledger."""
    MINED = "mined"
    FAILED = "failed"
    REPLACED = "replaced"


@dataclass(frozen=True, slots=True, kw_only=True)
class Journaled:
    """A signed ledger transaction, durable before it is sent."""

    purpose: str
    size: int
    nonce: int
    hash: Hash
    raw: bytes
    state: Sent
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Anchored:
    """A root found in the contract's storage, with the proof of it."""

    size: int
    root: Hash
    block: int
    proof: bytes | None
