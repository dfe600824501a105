"""Say what a file holds, for people: an evidence file, a record, a statement or a note.

Nothing is judged here, and every output says so: no signature is checked, and a forged file is
shown as readily as an honest one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from meterseal import cose
from meterseal.checkpoint import Checkpoint
from meterseal.errors import EncodingError
from meterseal.evidence import (
    EVIDENCE_SIZE_MAX,
    AnchorMismatchEvidence,
    Evidence,
    ForkEvidence,
    IntervalEvidence,
    Logged,
    ReadingEvidence,
    RollbackEvidence,
    SplitViewEvidence,
    claim_of,
    decode_evidence,
)
from meterseal.keys import fingerprint
from meterseal.ledger.header import Header
from meterseal.ledger.proof import LedgerProof
from meterseal.note import SignatureType, parse_note
from meterseal.records import decode_record, record_hash
from meterseal.statements import decode_enrolment, decode_head
from meterseal_verifier.content import (
    Group,
    Section,
    bytes_fact,
    number_fact,
    section,
    text_fact,
    time_fact,
)
from meterseal_verifier.records import record_section
from meterseal_verifier.text import utc

if TYPE_CHECKING:
    from meterseal.note import NoteSignature

NOT_JUDGED: Final = "Shown, not judged: no signature or proof was checked. `meterseal verify` does."
_COSE: Final = b"\xd2\x84"
_CBOR_MAP: Final = range(0xA0, 0xC0)
_COSIGNATURE_SIZE: Final = 72


def describe(data: bytes) -> Section:
    """Describe a file by what its first bytes say that it is.

    Raises:
        ProtocolError: It is nothing that this project writes, or is not written strictly.
    """
    if not data:
        raise EncodingError("the file is empty")
    if len(data) > EVIDENCE_SIZE_MAX:
        raise EncodingError(f"expected at most {EVIDENCE_SIZE_MAX} bytes, got {len(data)}")
    if data[0] in _CBOR_MAP:
        return describe_evidence(decode_evidence(data))
    if data.startswith(_COSE):
        return _statement(data)
    if b"\n\n" in data:
        return _note(data, "checkpoint", "a checkpoint")
    raise EncodingError("expected an evidence file, a record, a statement or a signed note")


def describe_evidence(evidence: Evidence) -> Section:
    """Describe a whole evidence file."""
    claim = claim_of(evidence).name.lower().replace("_", " ")
    title = f"Evidence of {'an' if claim[0] in 'aeiou' else 'a'} {claim}"
    match evidence:
        case ReadingEvidence():
            interval = describe_evidence(evidence.interval)
            return section(
                "evidence",
                title,
                text_fact("claim", claim),
                _record("reading", "The reading", evidence.reading),
                [each for each in interval.entries if each.key != "claim"],
            )
        case IntervalEvidence():
            return section("evidence", title, text_fact("claim", claim), *_interval(evidence))
        case ForkEvidence():
            return section(
                "evidence",
                title,
                text_fact("claim", claim),
                _record("record", "One record", evidence.record),
                _record("rival", "And another one", evidence.rival),
            )
        case SplitViewEvidence() | RollbackEvidence():
            return section(
                "evidence",
                title,
                text_fact("claim", claim),
                _note(evidence.checkpoint, "checkpoint", "One checkpoint"),
                _note(evidence.rival, "rival", "And another one"),
            )
        case AnchorMismatchEvidence():
            return section(
                "evidence",
                title,
                text_fact("claim", claim),
                _note(evidence.checkpoint, "checkpoint", "The log's checkpoint"),
                _ledger(evidence.ledger),
            )


def _interval(evidence: IntervalEvidence) -> list[Section | Group]:
    parts: list[Section | Group] = [
        _logged_record("interval", "The interval", evidence.interval),
        _note(evidence.checkpoint, "checkpoint", "The log's checkpoint"),
    ]
    if evidence.manifest is not None:
        parts.append(_logged_record("manifest", "The manifest in force", evidence.manifest))
    if evidence.enrolment is not None:
        parts.append(
            section(
                "enrolment",
                "The enrolment",
                number_fact("log_index", evidence.enrolment.index),
                _enrolment(evidence.enrolment.data).entries,
            )
        )
    if evidence.key_changes:
        sections = (
            _logged_record("key_change", "Change of key", each) for each in evidence.key_changes
        )
        parts.append(Group(key="key_changes", sections=tuple(sections)))
    if evidence.ledger is not None:
        parts.append(_ledger(evidence.ledger))
    return parts


def _record(key: str, title: str, data: bytes) -> Section:
    return section(
        key, title, bytes_fact("hash", record_hash(data)), record_section(decode_record(data))
    )


def _logged_record(key: str, title: str, leaf: Logged) -> Section:
    shown = _record(key, title, leaf.data)
    return section(key, title, number_fact("log_index", leaf.index), shown.entries)


def _statement(data: bytes) -> Section:
    if cose.protected_header(cose.ENROL) in data[:64]:
        return _enrolment(data)
    if cose.protected_header(cose.HEAD) in data[:64]:
        return _head(data)
    return _record("record", "A record", data)


def _enrolment(data: bytes) -> Section:
    enrolment = decode_enrolment(data)
    return section(
        "enrolment",
        "An enrolment",
        bytes_fact("device", enrolment.device),
        text_fact("key_fingerprint", fingerprint(enrolment.public_key)),
        text_fact("metering_point", enrolment.metering_point),
        text_fact("serials", ", ".join(enrolment.serials)),
        text_fact("role", enrolment.role),
        time_fact("valid_from", enrolment.valid_from),
        bytes_fact("replaces", enrolment.replaces and enrolment.replaces[0]),
        text_fact(
            "revoked_after",
            enrolment.revoked_after
            and f"epoch {enrolment.revoked_after[0]}, number {enrolment.revoked_after[1]}",
        ),
    )


def _head(data: bytes) -> Section:
    head = decode_head(data)
    parts = [
        _record(key, title, record)
        for key, title, record in (
            ("last_record", "The last record", head.last_record),
            ("last_light", "The last logged record", head.last_light),
        )
        if record is not None
    ]
    return section(
        "head",
        "An acknowledgement head",
        bytes_fact("device", head.device),
        bytes_fact("nonce", head.nonce),
        time_fact("time", head.time),
        number_fact("longest_delay_ms", head.longest_delay_ms, "ms"),
        parts,
    )


def _note(data: bytes, key: str, title: str) -> Section:
    text, lines = parse_note(data)
    checkpoint = Checkpoint.parse(text)
    return section(
        key,
        title,
        text_fact("origin", checkpoint.origin),
        number_fact("size", checkpoint.size, "leaves"),
        bytes_fact("root", checkpoint.root),
        Group(key="signatures", sections=tuple(_line(each) for each in lines)),
    )


def _line(line: NoteSignature) -> Section:
    timed = len(line.signature) == _COSIGNATURE_SIZE
    seconds = int.from_bytes(line.signature[:8], "big")
    return section(
        "signature",
        "Signature line",
        text_fact("name", line.name),
        bytes_fact("key_id", line.key_id),
        text_fact("type", (SignatureType.COSIGNATURE if timed else SignatureType.ED25519).name),
        text_fact("time", utc(seconds * 1000) if timed else None),
    )


def _ledger(data: bytes) -> Section:
    proof = LedgerProof.parse(data)
    header = Header.parse(proof.header)
    return section(
        "ledger",
        "The ledger proof",
        number_fact("chain_id", proof.chain_id),
        bytes_fact("contract", proof.contract),
        number_fact("block", header.number),
        time_fact("block_time", header.time_s * 1000),
        bytes_fact("state_root", header.state_root),
        number_fact("account_nodes", len(proof.account)),
        number_fact("storage_nodes", len(proof.storage)),
    )
