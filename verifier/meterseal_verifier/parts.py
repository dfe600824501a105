"""The parts of an evidence file as bytes and as read; nothing in them is believed yet."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, TypeAlias, TypeVar

from meterseal.bodies import Body, Interval, KeyChange, Manifest, Reading
from meterseal_verifier.text import device_name, safe, utc

if TYPE_CHECKING:
    from meterseal.checkpoint import Checkpoint
    from meterseal.ledger.proof import LedgerProof
    from meterseal.note import NoteSignature
    from meterseal.records import Record
    from meterseal.statements import Enrolment
    from meterseal.types import Hash

BodyT_co = TypeVar("BodyT_co", bound=Body, covariant=True)


@dataclass(frozen=True, kw_only=True, slots=True)
class Signed(Generic[BodyT_co]):
    """A record as bytes and as read; its signature is not checked yet.

    Attributes:
        what: What it is in this file, such as `the reading`.
        data: The record's bytes.
        record: The same, read.
        body: The record's body, of the kind that its place in the file asks for.
        hash: The record hash: leaf hash in the log and in its interval.
    """

    what: str
    data: bytes
    record: Record
    body: BodyT_co
    hash: Hash


@dataclass(frozen=True, kw_only=True, slots=True)
class Leaf:
    """A place in the log that the file claims for one of its parts."""

    what: str
    hash: Hash
    index: int
    path: tuple[Hash, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Note:
    """A checkpoint as bytes and as read; its signatures are not checked yet."""

    data: bytes
    checkpoint: Checkpoint
    lines: tuple[NoteSignature, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class EnrolmentPart:
    """An enrolment statement as bytes and as read, and its index in the log."""

    data: bytes
    statement: Enrolment
    index: int


@dataclass(frozen=True, kw_only=True, slots=True)
class KeyChangePart:
    """One change of key: the old key's statement and the new key's proof of possession."""

    change: Signed[KeyChange]
    manifest: Signed[Manifest]


@dataclass(frozen=True, kw_only=True, slots=True)
class ReadingPart:
    """The reading and its path in the interval's tree."""

    reading: Signed[Reading]
    path: tuple[Hash, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class ProofParts:
    """The parts of a file that claims a reading or an interval.

    Attributes:
        reading: The reading, or None where the file claims an interval only.
        interval: The interval record.
        note: The checkpoint.
        leaves: Every part that must be in the log, the interval first.
        index: Index of the interval in the log.
    """

    reading: ReadingPart | None
    interval: Signed[Interval]
    index: int
    note: Note
    leaves: tuple[Leaf, ...]
    manifest: Signed[Manifest] | None
    enrolment: EnrolmentPart | None
    key_changes: tuple[KeyChangePart, ...]
    ledger: LedgerProof | None

    @property
    def claim(self) -> str:
        """The claim in one word."""
        return "interval" if self.reading is None else "reading"

    @property
    def summary(self) -> str:
        """The claim in words; nothing of it is proved yet."""
        device = device_name(self.interval.record.device)
        if self.reading is None:
            body = self.interval.body
            return f"the interval from {utc(body.start)} to {utc(body.end)} of device {device}"
        record = self.reading.reading.record
        return (
            f"reading {record.seq} of epoch {record.epoch} of device {device}, "
            f"taken {utc(record.time)}"
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class ForkParts:
    """Two records that are said to contradict each other."""

    record: Signed[Body]
    rival: Signed[Body]

    @property
    def claim(self) -> str:
        """The claim in one word."""
        return "fork"

    @property
    def summary(self) -> str:
        """The claim in words; nothing of it is proved yet."""
        device = device_name(self.record.record.device)
        return f"that device {device} signed two records that contradict each other"


@dataclass(frozen=True, kw_only=True, slots=True)
class SplitViewParts:
    """Two checkpoints that are said to contradict each other."""

    note: Note
    rival: Note

    @property
    def claim(self) -> str:
        """The claim in one word, or two."""
        return "split view"

    @property
    def summary(self) -> str:
        """The claim in words; nothing of it is proved yet."""
        return f"that log “{safe(self.note.checkpoint.origin)}” signed two histories of one size"


@dataclass(frozen=True, kw_only=True, slots=True)
class RollbackParts:
    """Two checkpoints, of which the operator is said to have cosigned the smaller one later."""

    note: Note
    rival: Note

    @property
    def claim(self) -> str:
        """The claim in one word."""
        return "rollback"

    @property
    def summary(self) -> str:
        """The claim in words; nothing of it is proved yet."""
        origin = safe(self.note.checkpoint.origin)
        return f"that the operator of log “{origin}” went back to a smaller tree"


@dataclass(frozen=True, kw_only=True, slots=True)
class MismatchParts:
    """A checkpoint and a ledger that are said to contradict each other."""

    note: Note
    ledger: LedgerProof

    @property
    def claim(self) -> str:
        """The claim in one word, or two."""
        return "anchor mismatch"

    @property
    def summary(self) -> str:
        """The claim in words; nothing of it is proved yet."""
        origin = safe(self.note.checkpoint.origin)
        return f"that log “{origin}” signed another root than it put on the ledger"


Parts: TypeAlias = "ProofParts | ForkParts | SplitViewParts | RollbackParts | MismatchParts"
