"""Step (1): take an evidence file apart and read every part of it strictly.

Nothing is believed after this step and nothing is left unread: whatever a later step uses was
parsed here, so that a fault of form is always BAD INPUT and never another verdict.
"""

from __future__ import annotations

from typing import TypeVar

from meterseal.bodies import Body, Interval, KeyChange, Manifest, Reading
from meterseal.chain import check_interval
from meterseal.checkpoint import Checkpoint
from meterseal.errors import ProtocolError
from meterseal.evidence import (
    AnchorMismatchEvidence,
    ForkEvidence,
    IntervalEvidence,
    Logged,
    ReadingEvidence,
    RollbackEvidence,
    SplitViewEvidence,
    decode_evidence,
)
from meterseal.ledger.proof import LedgerProof
from meterseal.note import parse_note
from meterseal.records import decode_record, record_hash
from meterseal.statements import decode_enrolment
from meterseal_verifier.parts import (
    EnrolmentPart,
    ForkParts,
    KeyChangePart,
    Leaf,
    MismatchParts,
    Note,
    Parts,
    ProofParts,
    ReadingPart,
    RollbackParts,
    Signed,
    SplitViewParts,
)
from meterseal_verifier.text import device_name, safe, sentence_case
from meterseal_verifier.verdict import Finding, bad_input

BodyT = TypeVar("BodyT", bound=Body)


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
        case RollbackEvidence():
            return RollbackParts(
                note=_note(evidence.checkpoint, "the checkpoint"),
                rival=_note(evidence.rival, "the rival checkpoint"),
            )
        case AnchorMismatchEvidence():
            return MismatchParts(
                note=_note(evidence.checkpoint, "the checkpoint"), ledger=_ledger(evidence.ledger)
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
        ledger=None if evidence.ledger is None else _ledger(evidence.ledger),
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


def _ledger(data: bytes) -> LedgerProof:
    try:
        return LedgerProof.parse(data)
    except ProtocolError as error:
        raise _malformed(error, "the ledger proof") from error


def _malformed(error: ProtocolError, what: str = "the file") -> Finding:
    return bad_input(f"{sentence_case(what)} cannot be read: {safe(str(error))}.")
