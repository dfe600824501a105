"""The bodies of the seven kinds of record, as frozen values. How they are written: wire.py.

Energy is in watt-hours, time in UTC milliseconds, durations as named; all are integers.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum, StrEnum
from typing import TYPE_CHECKING, ClassVar, Final, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Mapping

    from meterseal.rows import Row
    from meterseal.types import Hash, PublicKey, Seq, UnixMs

MAX_METERS: Final = 64
MAX_QUANTITIES: Final = 128
MAX_EVENT_DETAILS: Final = 16


class Kind(IntEnum):
    """What a record says. All kinds but READING are logged and form the light chain."""

    MANIFEST = 0
    READING = 1
    INTERVAL = 2
    GAP = 3
    EVENT = 4
    RESTORE = 5
    KEY_CHANGE = 6


class Clock(IntEnum):
    """Quality of the clock, as OCMF's U, I, S and R. Only SYNCHRONISED is billed by default."""

    UNSYNCHRONISED = 0
    INFORMATIVE = 1
    SYNCHRONISED = 2
    RELATIVE = 3


class MeterState(StrEnum):
    """State of one meter in one snapshot, as OCMF's ST. Billing refuses anything but GOOD."""

    GOOD = "G"
    TIMEOUT = "T"
    DISCONNECTED = "D"
    READ_ERROR = "F"
    EXCHANGED = "X"
    OUT_OF_RANGE = "O"
    SUBSTITUTE = "S"
    NOT_PRESENT = "N"


class RestoreReason(IntEnum):
    """Why an epoch began."""

    OFFLINE_START = 1
    AGGREGATOR_AHEAD = 2
    CLOCK = 3
    OPERATOR = 4


class EventCode(IntEnum):
    """What happened."""

    BOOT = 1
    TAMPER_CONTACT = 2
    BUTTON = 3
    CLOCK_STEP = 4
    CONFIGURATION = 5
    UPDATE = 6
    ALARM = 7
    PRUNED_RANGE = 8


class GapReason(IntEnum):
    """Why a stretch of time was not measured."""

    NO_METER_ANSWERED = 1
    POWER_OFF = 2
    AGENT_STOPPED = 3
    DISK_FULL = 4
    METER_REFUSED = 5


class Publishes(IntEnum):
    """What leaves the device: light records only, or readings too."""

    INTERVALS = 0
    READINGS = 1


@dataclass(frozen=True, kw_only=True, slots=True)
class MeterIdentity:
    """One meter as it answered when the agent asked who it is.

    Attributes:
        make: Maker's name.
        model: Model as the meter or its profile says.
        serial: Serial number as text, "" if the meter has none.
        firmware: Firmware version as text, "" if the meter tells none.
        profile: Id of the register map.
        profile_hash: SHA-256 of the register map's file.
        bus: Name of the bus in the configuration.
        address: Modbus unit id.
    """

    make: str
    model: str
    serial: str
    firmware: str
    profile: str
    profile_hash: Hash
    bus: str
    address: int


@dataclass(frozen=True, kw_only=True, slots=True)
class S0Input:
    """A pulse input. Its index in readings continues behind the last meter's."""

    name: str
    pulses_per_kwh: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Manifest:
    """What the device is and how it measures; written again whenever any of it changes.

    Attributes:
        public_key: The record key that signs from this record on.
        witness_key: Key of the device's cosignatures over checkpoints, if it makes any.
        evidence_key: Reserved: a key that a contract can check, 33 bytes compressed.
        software: Name and version of the agent.
        meters: A meter's place is its index in readings and rows.
        s0: Pulse inputs.
        interval_s: Length of an interval; it divides a day.
        tolerance_ms: How long after a boundary a reading still counts as the boundary's.
        publishes: Whether readings leave the device.
    """

    kind: ClassVar[Kind] = Kind.MANIFEST

    public_key: PublicKey
    witness_key: PublicKey | None = None
    evidence_key: bytes | None = None
    software: str
    meters: tuple[MeterIdentity, ...]
    s0: tuple[S0Input, ...] = ()
    interval_s: int
    tolerance_ms: int
    publishes: Publishes


@dataclass(frozen=True, kw_only=True, slots=True)
class MeterReading:
    """One meter in one snapshot.

    Attributes:
        meter: Index in the manifest.
        state: Anything but GOOD means that both maps are empty: there is no substitute for a value.
        offset_ms: When the meter answered, after the record's time; negative if before.
        values: Value by quantity code; None where the meter says that it has no value.
        raw: Register words by quantity code as sent, two bytes each, big-endian.
    """

    meter: int
    state: MeterState
    offset_ms: int
    values: Mapping[int, int | None]
    raw: Mapping[int, bytes | None]


@dataclass(frozen=True, kw_only=True, slots=True)
class Reading:
    """One snapshot of all meters, by ascending index."""

    kind: ClassVar[Kind] = Kind.READING

    meters: tuple[MeterReading, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class CheckpointPointer:
    """The last checkpoint that the device verified. A pointer: it convicts nobody."""

    size: int
    root: Hash


@dataclass(frozen=True, kw_only=True, slots=True)
class Interval:
    """A quarter-hour closed: what it measured, and the tree over its records.

    Attributes:
        start: Beginning in UTC milliseconds.
        end: End in UTC milliseconds.
        first_seq: Sequence number of the tree's first leaf.
        count: Number of leaves; the interval's own sequence number is first_seq + count.
        root: RFC 9162 root over the record hashes.
        manifest_hash: Hash of the manifest record in force.
        checkpoint: Last verified checkpoint, if there is one.
        flags: Bit 0: partial.
        evidence_signature: Reserved: 64 bytes by the manifest's evidence key.
        rows: Opening and closing registers, one row a meter.
    """

    kind: ClassVar[Kind] = Kind.INTERVAL
    PARTIAL: ClassVar[int] = 1

    start: UnixMs
    end: UnixMs
    first_seq: Seq
    count: int
    root: Hash
    manifest_hash: Hash
    checkpoint: CheckpointPointer | None
    flags: int
    evidence_signature: bytes | None = None
    rows: tuple[Row, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Gap:
    """Time that was not measured, by one meter or by all (None)."""

    kind: ClassVar[Kind] = Kind.GAP

    start: UnixMs
    end: UnixMs
    reason: GapReason
    meter: int | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Event:
    """Something that happened, with details that its code explains."""

    kind: ClassVar[Kind] = Kind.EVENT

    code: EventCode
    detail: tuple[int | bytes | str | None, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Restore:
    """The first record of a new epoch.

    Attributes:
        reason: Why the chain could not simply go on.
        nonce: 16 random bytes: two restores of one epoch with two nonces are two cards.
        missing: First and last sequence number that this device does not hold, if it knows.
    """

    kind: ClassVar[Kind] = Kind.RESTORE

    reason: RestoreReason
    nonce: bytes
    missing: tuple[Seq, Seq] | None


@dataclass(frozen=True, kw_only=True, slots=True)
class KeyChange:
    """The next record key, named by the old one. A manifest signed by the new key follows."""

    kind: ClassVar[Kind] = Kind.KEY_CHANGE

    public_key: PublicKey


Body: TypeAlias = Manifest | Reading | Interval | Gap | Event | Restore | KeyChange
