from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meterseal.encoding import decode, encode
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
    decode_evidence,
    encode_evidence,
)
from meterseal.types import Hash

if TYPE_CHECKING:
    from collections.abc import Callable

HASHES = tuple(Hash(bytes([n]) * 32) for n in range(3))


def leaf(data: bytes = b"record") -> Logged:
    return Logged(data=data, index=7, path=HASHES)


CORE = IntervalEvidence(interval=leaf(b"interval"), checkpoint=b"note")
FULL = replace(
    CORE, manifest=leaf(), enrolment=leaf(), key_changes=(leaf(), leaf()), ledger=b"ledger"
)
EVERY_CLAIM: list[Evidence] = [
    ReadingEvidence(reading=b"reading", path=HASHES, interval=CORE),
    ReadingEvidence(reading=b"reading", path=(), interval=FULL),
    CORE,
    FULL,
    ForkEvidence(record=b"one", rival=b"other"),
    SplitViewEvidence(checkpoint=b"one", rival=b"other"),
    RollbackEvidence(checkpoint=b"one", rival=b"other"),
    AnchorMismatchEvidence(checkpoint=b"one", ledger=b"ledger"),
]


@pytest.mark.parametrize("evidence", EVERY_CLAIM)
def test_what_is_written_is_read_back(evidence: Evidence) -> None:
    assert decode_evidence(encode_evidence(evidence)) == evidence


def test_the_bytes_of_the_smallest_file_are_fixed() -> None:
    data = encode_evidence(ForkEvidence(record=b"a", rival=b"b"))

    assert data == b"\xa4\x00\x74meterseal-evidence/1\x01\x03\x02\x41a\x0b\x41b"


@pytest.mark.parametrize("evidence", EVERY_CLAIM)
def test_a_file_is_read_whole_or_not_at_all(evidence: Evidence) -> None:
    data = encode_evidence(evidence)

    for cut in range(len(data)):
        with pytest.raises(EncodingError):
            decode_evidence(data[:cut])
    with pytest.raises(EncodingError):
        decode_evidence(data + b"\x00")


Damage = dict[int, object]


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda f: f | {13: b"surplus"}, "unexpected key 13"),
        (lambda f: f | {11: b"rival"}, r"unexpected key 11 \(rival record\)"),
        (lambda f: f | {0: "meterseal-evidence/2"}, "meterseal-evidence/1"),
        (lambda f: {key: f[key] for key in f if key != 0}, "meterseal-evidence/1"),
        (lambda f: f | {1: 7}, "expected a claim of 1, 2, 3, 4, 5, 6 at key 1, got 7"),
        (lambda f: f | {1: None}, "got no number"),
        (lambda f: {key: f[key] for key in f if key != 6}, r"key 6 \(checkpoint\) is missing"),
        (lambda f: {key: f[key] for key in f if key != 3}, r"key 3 \(interval path\) is missing"),
        (lambda f: f | {2: "text"}, r"key 2 \(record\)"),
        (lambda f: f | {3: bytes(33)}, r"key 3 \(interval path\): path"),
        (lambda f: f | {5: [-1, b""]}, r"key 5 \(place\): expected an integer"),
        (lambda f: f | {5: [2**63, b""]}, r"key 5 \(place\): expected an integer"),
        (lambda f: f | {5: [0]}, r"key 5 \(place\): expected an array of 2"),
        (lambda f: f | {7: [b"", 0]}, r"key 7 \(manifest\): expected an array of 3"),
        (lambda f: f | {9: []}, "with the manifest that completes it, got 0"),
        (lambda f: f | {9: [[b"", 0, b""]]}, "with the manifest that completes it, got 1"),
        (lambda f: f | {9: [[b"", 0, b""]] * 34}, "at most 32"),
    ],
)
def test_a_file_with_a_part_too_many_too_few_or_wrong_is_refused(
    damage: Callable[[Damage], Damage], words: str
) -> None:
    fields = decode(encode_evidence(EVERY_CLAIM[0]))
    assert isinstance(fields, dict)

    with pytest.raises(EncodingError, match=words):
        decode_evidence(encode(damage(fields)))


def test_an_optional_part_is_refused_where_the_claim_has_no_use_for_it() -> None:
    fields = decode(encode_evidence(ForkEvidence(record=b"one", rival=b"other")))
    assert isinstance(fields, dict)

    with pytest.raises(EncodingError, match=r"unexpected key 10 \(ledger\)"):
        decode_evidence(encode(fields | {10: b"ledger"}))


def test_an_empty_file_is_told_apart() -> None:
    with pytest.raises(EncodingError, match="empty"):
        decode_evidence(b"")


def test_a_file_over_64_kib_is_neither_written_nor_read() -> None:
    long = ForkEvidence(record=bytes(EVIDENCE_SIZE_MAX), rival=b"")

    with pytest.raises(EncodingError):
        encode_evidence(long)
    with pytest.raises(EncodingError, match="at most 65536 bytes"):
        decode_evidence(bytes(EVIDENCE_SIZE_MAX + 1))


@given(st.binary(max_size=200))
def test_any_bytes_are_evidence_or_our_error(data: bytes) -> None:
    try:
        evidence = decode_evidence(data)
    except EncodingError:
        return
    assert encode_evidence(evidence) == data


@given(st.dictionaries(st.integers(0, 14), st.none() | st.integers() | st.binary() | st.text()))
def test_any_map_is_evidence_or_our_error(fields: dict[int, object]) -> None:
    try:
        data = encode({0: "meterseal-evidence/1", **fields})
        decode_evidence(data)
    except EncodingError:
        pass
