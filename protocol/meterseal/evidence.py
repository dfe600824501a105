"""The evidence file: one claim and all that a stranger needs to check it, offline (protocol 8).

Rules:

- A file is one deterministic CBOR map with small unsigned keys; key 1, the claim, decides which
  other keys must, may and must not be there. Nothing in a file is ignored.
- Reading a file believes nothing in it: records, notes and the ledger proof stay bytes here, and
  are judged by `meterseal_verifier` against the checker's own policy.
- Every path is for the tree of the file's one checkpoint.

A claim to come takes the next free claim number and the next free keys; no key changes its meaning.
"""

from __future__ import annotations

from enum import IntEnum
from typing import TYPE_CHECKING, Final

from meterseal.claims import (
    AnchorMismatchEvidence,
    Claim,
    Evidence,
    ForkEvidence,
    IntervalEvidence,
    Logged,
    ReadingEvidence,
    RollbackEvidence,
    SplitViewEvidence,
    claim_of,
)
from meterseal.encoding import decode, encode
from meterseal.errors import EncodingError, ProofError
from meterseal.fields import array, blob, items, uint
from meterseal.merkle import join_path, split_path

if TYPE_CHECKING:
    from meterseal.types import Hash

__all__ = [
    "EVIDENCE_FORMAT",
    "EVIDENCE_SIZE_MAX",
    "KEY_CHANGES_MAX",
    "AnchorMismatchEvidence",
    "Claim",
    "Evidence",
    "ForkEvidence",
    "IntervalEvidence",
    "Key",
    "Logged",
    "ReadingEvidence",
    "RollbackEvidence",
    "SplitViewEvidence",
    "claim_of",
    "decode_evidence",
    "encode_evidence",
]

EVIDENCE_FORMAT: Final = "meterseal-evidence/1"
EVIDENCE_SIZE_MAX: Final = 64 * 1024
"""Longest evidence file, in bytes."""

KEY_CHANGES_MAX: Final = 32
"""Most records in the list of key changes: 16 changes, each with its manifest."""


class Key(IntEnum):
    """The keys of the map."""

    FORMAT = 0
    CLAIM = 1
    RECORD = 2
    INTERVAL_PATH = 3
    INTERVAL = 4
    PLACE = 5
    CHECKPOINT = 6
    MANIFEST = 7
    ENROLMENT = 8
    KEY_CHANGES = 9
    LEDGER = 10
    RIVAL_RECORD = 11
    RIVAL_CHECKPOINT = 12


_LOGGED: Final = frozenset({Key.INTERVAL, Key.PLACE, Key.CHECKPOINT})
_HEAD: Final = frozenset({Key.FORMAT, Key.CLAIM})
_MUST: Final = {
    Claim.READING: _HEAD | _LOGGED | {Key.RECORD, Key.INTERVAL_PATH},
    Claim.INTERVAL: _HEAD | _LOGGED,
    Claim.FORK: _HEAD | {Key.RECORD, Key.RIVAL_RECORD},
    Claim.SPLIT_VIEW: _HEAD | {Key.CHECKPOINT, Key.RIVAL_CHECKPOINT},
    Claim.ROLLBACK: _HEAD | {Key.CHECKPOINT, Key.RIVAL_CHECKPOINT},
    Claim.ANCHOR_MISMATCH: _HEAD | {Key.CHECKPOINT, Key.LEDGER},
}
_OPTIONAL_PARTS: Final = frozenset({Key.MANIFEST, Key.ENROLMENT, Key.KEY_CHANGES, Key.LEDGER})
_MAY: Final = dict.fromkeys(Claim, frozenset[Key]()) | {
    Claim.READING: _OPTIONAL_PARTS,
    Claim.INTERVAL: _OPTIONAL_PARTS,
}


def encode_evidence(evidence: Evidence) -> bytes:
    """Write an evidence file.

    Raises:
        EncodingError: The file would be longer than 64 KiB, or a list longer than its bound.
    """
    head: dict[int, object] = {Key.FORMAT: EVIDENCE_FORMAT, Key.CLAIM: int(claim_of(evidence))}
    data = encode({int(key): value for key, value in (head | _body(evidence)).items()})
    decode_evidence(data)  # what leaves us is what a checker will accept
    return data


def decode_evidence(data: bytes) -> Evidence:
    """Read an evidence file strictly; nothing in it is believed yet.

    Raises:
        EncodingError: It is not exactly one evidence file: what was expected and what was found.
    """
    if not data:
        raise EncodingError("evidence file: the file is empty")
    if len(data) > EVIDENCE_SIZE_MAX:
        raise EncodingError(
            f"evidence file: expected at most {EVIDENCE_SIZE_MAX} bytes, got {len(data)}"
        )
    fields = decode(data, limit=EVIDENCE_SIZE_MAX)
    if not isinstance(fields, dict):
        raise EncodingError("evidence file: expected a CBOR map, got another CBOR item")
    if fields.get(Key.FORMAT) != EVIDENCE_FORMAT:
        raise EncodingError(
            f'evidence file: expected "{EVIDENCE_FORMAT}" at key {int(Key.FORMAT)}, '
            "got something else"
        )
    claim = _claim(fields.get(Key.CLAIM))
    _check_keys(claim, fields)
    return _by_claim(claim, fields)


def _by_claim(claim: Claim, fields: dict[object, object]) -> Evidence:
    match claim:
        case Claim.READING:
            return ReadingEvidence(
                reading=_bytes(fields, Key.RECORD),
                path=_path(fields[Key.INTERVAL_PATH], Key.INTERVAL_PATH),
                interval=_interval(fields),
            )
        case Claim.INTERVAL:
            return _interval(fields)
        case Claim.FORK:
            return ForkEvidence(
                record=_bytes(fields, Key.RECORD), rival=_bytes(fields, Key.RIVAL_RECORD)
            )
        case Claim.SPLIT_VIEW:
            return SplitViewEvidence(
                checkpoint=_bytes(fields, Key.CHECKPOINT),
                rival=_bytes(fields, Key.RIVAL_CHECKPOINT),
            )
        case Claim.ROLLBACK:
            return RollbackEvidence(
                checkpoint=_bytes(fields, Key.CHECKPOINT),
                rival=_bytes(fields, Key.RIVAL_CHECKPOINT),
            )
        case Claim.ANCHOR_MISMATCH:
            return AnchorMismatchEvidence(
                checkpoint=_bytes(fields, Key.CHECKPOINT), ledger=_bytes(fields, Key.LEDGER)
            )


def _body(evidence: Evidence) -> dict[int, object]:
    match evidence:
        case ReadingEvidence():
            return _body(evidence.interval) | {
                Key.RECORD: evidence.reading,
                Key.INTERVAL_PATH: join_path(evidence.path),
            }
        case IntervalEvidence():
            return _interval_body(evidence)
        case ForkEvidence():
            return {Key.RECORD: evidence.record, Key.RIVAL_RECORD: evidence.rival}
        case SplitViewEvidence() | RollbackEvidence():
            return {Key.CHECKPOINT: evidence.checkpoint, Key.RIVAL_CHECKPOINT: evidence.rival}
        case AnchorMismatchEvidence():
            return {Key.CHECKPOINT: evidence.checkpoint, Key.LEDGER: evidence.ledger}


def _interval_body(evidence: IntervalEvidence) -> dict[int, object]:
    body: dict[int, object] = {
        Key.INTERVAL: evidence.interval.data,
        Key.PLACE: [evidence.interval.index, join_path(evidence.interval.path)],
        Key.CHECKPOINT: evidence.checkpoint,
    }
    if evidence.manifest is not None:
        body[Key.MANIFEST] = _listed(evidence.manifest)
    if evidence.enrolment is not None:
        body[Key.ENROLMENT] = _listed(evidence.enrolment)
    if evidence.key_changes:
        body[Key.KEY_CHANGES] = [_listed(each) for each in evidence.key_changes]
    if evidence.ledger is not None:
        body[Key.LEDGER] = evidence.ledger
    return body


def _listed(leaf: Logged) -> list[object]:
    return [leaf.data, leaf.index, join_path(leaf.path)]


def _claim(value: object) -> Claim:
    known = ", ".join(str(int(claim)) for claim in Claim)
    if not isinstance(value, int) or value not in set(Claim):
        got = str(value) if isinstance(value, int) else "no number"
        raise EncodingError(f"evidence file: expected a claim of {known} at key 1, got {got}")
    return Claim(value)


def _check_keys(claim: Claim, fields: dict[object, object]) -> None:
    name = _name(claim)
    for key in sorted(_MUST[claim]):
        if key not in fields:
            raise EncodingError(f"evidence of a {name}: key {int(key)} ({_name(key)}) is missing")
    for found in fields:
        # protocol 8: nothing is ignored, so a part that this claim does not ask for is refused.
        if found not in _MUST[claim] | _MAY[claim]:
            raise EncodingError(f"evidence of a {name}: unexpected key {_shown(found)}")


def _interval(fields: dict[object, object]) -> IntervalEvidence:
    index, path = array(fields[Key.PLACE], _where(Key.PLACE), 2)
    return IntervalEvidence(
        interval=Logged(
            data=_bytes(fields, Key.INTERVAL),
            index=uint(index, _where(Key.PLACE)),
            path=_path(path, Key.PLACE),
        ),
        checkpoint=_bytes(fields, Key.CHECKPOINT),
        manifest=_optional_logged(fields, Key.MANIFEST),
        enrolment=_optional_logged(fields, Key.ENROLMENT),
        key_changes=_key_changes(fields),
        ledger=_bytes(fields, Key.LEDGER) if Key.LEDGER in fields else None,
    )


def _key_changes(fields: dict[object, object]) -> tuple[Logged, ...]:
    if Key.KEY_CHANGES not in fields:
        return ()
    listed = items(fields[Key.KEY_CHANGES], _where(Key.KEY_CHANGES), KEY_CHANGES_MAX)
    if not listed or len(listed) % 2:
        raise EncodingError(
            f"{_where(Key.KEY_CHANGES)}: expected each key-change with the manifest that "
            f"completes it, got {len(listed)} records"
        )
    return tuple(_logged(each, Key.KEY_CHANGES) for each in listed)


def _optional_logged(fields: dict[object, object], key: Key) -> Logged | None:
    return _logged(fields[key], key) if key in fields else None


def _logged(value: object, key: Key) -> Logged:
    where = _where(key)
    data, index, path = array(value, where, 3)
    return Logged(
        data=blob(data, where, EVIDENCE_SIZE_MAX), index=uint(index, where), path=_path(path, key)
    )


def _path(value: object, key: Key) -> tuple[Hash, ...]:
    try:
        return split_path(blob(value, _where(key), EVIDENCE_SIZE_MAX))
    except ProofError as error:
        raise EncodingError(f"{_where(key)}: {error}") from error


def _bytes(fields: dict[object, object], key: Key) -> bytes:
    return blob(fields[key], _where(key), EVIDENCE_SIZE_MAX)


def _where(key: Key) -> str:
    return f"evidence file, key {int(key)} ({_name(key)})"


def _name(key: Key | Claim) -> str:
    return key.name.lower().replace("_", " ")


def _shown(key: object) -> str:
    if isinstance(key, int):
        return f"{key} ({_name(Key(key))})" if key in set(Key) else str(key)
    return "that is not a number"
