"""Step (1): take an evidence file apart and read every part of it strictly.

Nothing is believed after this step and nothing is left unread: whatever a later step uses was
parsed here, so that a fault of form is always BAD INPUT and never another verdict.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, TypeAlias, TypeVar

from meterseal.bodies import Body, Interval, KeyChange, Manifest, Reading
from meterseal.chain import check_interval
from meterseal.checkpoint import Checkpoint
from meterseal.errors import ProtocolError
from meterseal.evidence import (
    ForkEvidence,
    IntervalEvidence,
    Logged,
    ReadingEvidence,
    SplitViewEvidence,
    decode_evidence,
)
from meterseal.ledger.proof import LedgerProof
from meterseal.note import NoteSignature, parse_note
from meterseal.records import Record, decode_record, record_hash
from meterseal.statements import Enrolment, decode_enrolment
from meterseal_verifier.text import device_name, safe, sentence_case, utc
from meterseal_verifier.verdict import Finding, bad_input

if TYPE_CHECKING:
    from meterseal.types import Hash

BodyT = TypeVar("BodyT", bound=Body)
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


Parts: TypeAlias = "ProofParts | ForkParts | SplitViewParts"


def read_parts(data: bytes) -> Parts:
    """Read a whole evidence file.

    Raises:
        Finding: BAD INPUT, with the part that is not what it must be.
    """
    try:
        evidence = decode_evidence(data)
    except ProtocolError as error:
        raise _malformed(error) from error
    match evidence:
        case ReadingEvidence():
            reading = _record(evidence.reading, Reading, "the reading")
            parts = _proof_parts(
                evidence.interval, ReadingPart(reading=reading, path=evidence.path)
            )
            _check_one_device(parts.interval, reading)
            return parts
        case IntervalEvidence():
            return _proof_parts(evidence, None)
        case ForkEvidence():
            fork = ForkParts(
                record=_any_record(evidence.record, "the record"),
                rival=_any_record(evidence.rival, "the rival"),
            )
            _check_one_device(fork.record, fork.rival)
            return fork
        case SplitViewEvidence():
            return SplitViewParts(
                note=_note(evidence.checkpoint, "the checkpoint"),
                rival=_note(evidence.rival, "the rival checkpoint"),
            )


def _proof_parts(evidence: IntervalEvidence, reading: ReadingPart | None) -> ProofParts:
    interval = _record(evidence.interval.data, Interval, "the interval")
    try:
        check_interval(interval.record)
    except ProtocolError as error:
        raise _malformed(error, "the interval") from error
    leaves = [_leaf(interval, evidence.interval)]
    manifest = None
    if evidence.manifest is not None:
        manifest = _record(evidence.manifest.data, Manifest, "the manifest")
        _check_one_device(interval, manifest)
        leaves.append(_leaf(manifest, evidence.manifest))
    enrolment = None
    if evidence.enrolment is not None:
        enrolment = _enrolment(evidence.enrolment)
        leaves.append(
            Leaf(
                what="the enrolment",
                hash=record_hash(enrolment.data),
                index=evidence.enrolment.index,
                path=evidence.enrolment.path,
            )
        )
    key_changes = []
    pairs = zip(evidence.key_changes[::2], evidence.key_changes[1::2], strict=True)
    for number, (change, completed) in enumerate(pairs, 1):
        part = KeyChangePart(
            change=_record(change.data, KeyChange, f"key change {number}"),
            manifest=_record(completed.data, Manifest, f"the manifest of key change {number}"),
        )
        _check_one_device(interval, part.change)
        _check_one_device(interval, part.manifest)
        leaves += [_leaf(part.change, change), _leaf(part.manifest, completed)]
        key_changes.append(part)
    return ProofParts(
        reading=reading,
        interval=interval,
        index=evidence.interval.index,
        note=_note(evidence.checkpoint, "the checkpoint"),
        leaves=tuple(leaves),
        manifest=manifest,
        enrolment=enrolment,
        key_changes=tuple(key_changes),
        ledger=_ledger(evidence.ledger),
    )


def _record(data: bytes, body: type[BodyT], what: str) -> Signed[BodyT]:
    part = _any_record(data, what)
    if not isinstance(part.body, body):
        raise bad_input(
            f"{sentence_case(what)} is a record of another kind.",
            expected=f"kind {body.kind.name.lower()}",
            got=f"kind {part.body.kind.name.lower()}",
        )
    return Signed(what=what, data=data, record=part.record, body=part.body, hash=part.hash)


def _any_record(data: bytes, what: str) -> Signed[Body]:
    try:
        record = decode_record(data)
    except ProtocolError as error:
        raise _malformed(error, what) from error
    return Signed(what=what, data=data, record=record, body=record.body, hash=record_hash(data))


def _check_one_device(first: Signed[Body], other: Signed[Body]) -> None:
    if first.record.device != other.record.device:
        raise bad_input(
            f"{sentence_case(other.what)} is of another device than {first.what}.",
            expected=device_name(first.record.device),
            got=device_name(other.record.device),
        )


def _leaf(part: Signed[Body], place: Logged) -> Leaf:
    return Leaf(what=part.what, hash=part.hash, index=place.index, path=place.path)


def _enrolment(place: Logged) -> EnrolmentPart:
    try:
        statement = decode_enrolment(place.data)
    except ProtocolError as error:
        raise _malformed(error, "the enrolment") from error
    return EnrolmentPart(data=place.data, statement=statement, index=place.index)


def _note(data: bytes, what: str) -> Note:
    try:
        text, lines = parse_note(data)
        checkpoint = Checkpoint.parse(text)
    except ProtocolError as error:
        raise _malformed(error, what) from error
    if checkpoint.extensions:
        raise bad_input(f"{sentence_case(what)} holds lines that no checkpoint of ours has.")
    signers = [(line.name, line.key_id) for line in lines]
    if len(set(signers)) != len(signers):
        raise bad_input(f"{sentence_case(what)} holds two signature lines of one key.")
    return Note(data=data, checkpoint=checkpoint, lines=lines)


def _ledger(data: bytes | None) -> LedgerProof | None:
    if data is None:
        return None
    try:
        return LedgerProof.parse(data)
    except ProtocolError as error:
        raise _malformed(error, "the ledger proof") from error


def _malformed(error: ProtocolError, what: str = "the file") -> Finding:
    return bad_input(f"{sentence_case(what)} cannot be read: {safe(str(error))}.")
