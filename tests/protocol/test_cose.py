"""The COSE_Sign1 envelope: against RFC 9052's words, the working group's examples and `cwt`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import cbor2
import pytest
from cwt import COSE, COSEKey, VerifyError
from hypothesis import given
from hypothesis import strategies as st

from meterseal.cose import ENROL, HEAD, RECORD, bstr_head, open1, parse1, protected_header, sign1
from meterseal.encoding import MAX_PAYLOAD
from meterseal.errors import EncodingError, SignatureInvalid
from meterseal.keys import verify
from support.records import KEY, OTHER_KEY, outcome

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from cwt.cose_key_interface import COSEKeyInterface

TYPS = (RECORD, ENROL, HEAD)


def folder_cases(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(path.read_text()) for path in sorted(folder.glob("*.json"))]


@pytest.mark.parametrize("typ", TYPS)
@given(payload=st.binary(max_size=300))
def test_what_is_signed_opens_under_the_same_key_and_typ_only(typ: str, payload: bytes) -> None:
    data = sign1(KEY, typ, payload)

    assert open1(data, typ, KEY.public) == payload
    with pytest.raises(SignatureInvalid):
        open1(data, typ, OTHER_KEY.public)
    for other in TYPS:
        if other != typ:
            with pytest.raises(EncodingError):
                open1(data, other, KEY.public)


@pytest.mark.parametrize("size", [0, 1, 23, 24, 255, 256, 65_535])
def test_heads_of_byte_strings_are_those_of_cbor(size: int) -> None:
    assert bstr_head(size) + bytes(size) == cbor2.dumps(bytes(size))


@pytest.mark.parametrize("typ", TYPS)
def test_the_constant_bytes_are_deterministic_cbor(typ: str) -> None:
    header = protected_header(typ)
    data = sign1(KEY, typ, b"payload")

    assert header == cbor2.dumps({1: -19, 16: typ})
    assert data == cbor2.dumps(
        cbor2.CBORTag(18, [header, {}, b"payload", parse1(data, typ).signature])
    )


@pytest.mark.parametrize("typ", TYPS)
def test_what_is_signed_is_the_sig_structure_of_rfc_9052(typ: str) -> None:
    envelope = parse1(sign1(KEY, typ, b"payload"), typ)

    assert envelope.to_be_signed == cbor2.dumps(
        ["Signature1", protected_header(typ), b"", b"payload"]
    )


@pytest.mark.parametrize("size", [0, 23, 24, 200, 300])
def test_every_changed_byte_is_refused_under_the_same_key(size: int) -> None:
    data = sign1(KEY, RECORD, bytes(size))

    for at in range(len(data)):
        for bit in range(8):
            bent = bytearray(data)
            bent[at] ^= 1 << bit

            with pytest.raises((EncodingError, SignatureInvalid)):
                open1(bytes(bent), RECORD, KEY.public)


def test_every_prefix_and_every_longer_form_is_refused() -> None:
    data = sign1(KEY, RECORD, b"payload")

    for size in range(len(data)):
        with pytest.raises(EncodingError):
            open1(data[:size], RECORD, KEY.public)
    for tail in (b"\0", b"\xf6", data):
        with pytest.raises((EncodingError, SignatureInvalid)):
            open1(data + tail, RECORD, KEY.public)


@given(st.binary(max_size=200))
def test_any_bytes_are_accepted_or_refused_as_our_error(data: bytes) -> None:
    assert isinstance(outcome(lambda d: parse1(d, RECORD), data), EncodingError)

    begun = sign1(KEY, RECORD, b"")[:-67] + data
    parsed = outcome(lambda d: parse1(d, RECORD), begun)
    assert isinstance(parsed, EncodingError) or parsed[0] in data  # type: ignore[index]


@pytest.mark.parametrize(
    ("name", "header", "unprotected"),
    [
        ("EdDSA instead of Ed25519", {1: -8, 16: RECORD}, {}),
        ("no typ", {1: -19}, {}),
        ("a key id, protected", {1: -19, 4: b"11", 16: RECORD}, {}),
        ("a key id, not protected", {1: -19, 16: RECORD}, {4: b"11"}),
        ("the algorithm not protected", {16: RECORD}, {1: -19}),
        ("typ in front", {16: RECORD, 1: -19}, {}),
        ("crit", {1: -19, 2: [16], 16: RECORD}, {}),
    ],
)
def test_another_header_is_refused_though_its_signature_is_right(
    name: str, header: dict[int, object], unprotected: dict[int, object]
) -> None:
    protected = cbor2.dumps(header)
    signature = KEY.sign(cbor2.dumps(["Signature1", protected, b"", b"payload"]))
    data = cbor2.dumps(cbor2.CBORTag(18, [protected, unprotected, b"payload", signature]))

    with pytest.raises(EncodingError):
        open1(data, RECORD, KEY.public)
    assert name


@pytest.mark.parametrize(
    "bent",
    [
        lambda data: data[1:],  # no tag
        lambda data: b"\xd1" + data[1:],  # COSE_Mac0
        lambda data: b"\xd8\x12" + data[1:],  # tag 18 in two bytes
        lambda data: b"\xd2" + data,  # tag 18 twice
        lambda data: b"\xd2\x9f" + data[2:] + b"\xff",  # array of indefinite length
        lambda data: data.replace(b"\xa0\x47payload", b"\xa0\x58\x07payload"),
        lambda data: data.replace(b"\xa0\x47payload", b"\xa0\x5f\x47payload\xff"),
        lambda data: data.replace(b"\xa0\x47payload", b"\xa0\x67payload"),  # text
        lambda data: data.replace(b"\xa0\x47payload", b"\xa0\xf6"),  # detached
        lambda data: data.replace(b"\xa0\x47payload", b"\xbf\xff\x47payload"),
    ],
)
def test_another_form_of_the_same_content_is_refused(bent: Callable[[bytes], bytes]) -> None:
    data = bent(sign1(KEY, RECORD, b"payload"))

    with pytest.raises(EncodingError):
        open1(data, RECORD, KEY.public)


def test_a_payload_above_the_limit_is_neither_signed_nor_read() -> None:
    longest = sign1(KEY, HEAD, bytes(MAX_PAYLOAD))
    assert len(open1(longest, HEAD, KEY.public)) == MAX_PAYLOAD

    with pytest.raises(EncodingError, match="at most"):
        sign1(KEY, HEAD, bytes(MAX_PAYLOAD + 1))
    for size in (MAX_PAYLOAD + 1, 0x10000, 0x10000 + 8):
        start = longest[: -66 - MAX_PAYLOAD - 3]
        grown = start + bstr_head(size & 0xFFFF) + bytes(size) + longest[-66:]
        with pytest.raises(EncodingError):
            parse1(grown, HEAD)


def cwt_key(*, private: bool) -> COSEKeyInterface:
    parameters: dict[int, Any] = {1: 1, -1: 6, 3: -19, -2: bytes(KEY.public)}
    return COSEKey.new(parameters | ({-4: KEY.seed()} if private else {}))


@pytest.mark.parametrize("typ", TYPS)
@given(payload=st.binary(max_size=300))
def test_cwt_signs_and_verifies_the_same_bytes(typ: str, payload: bytes) -> None:
    """An implementation of RFC 9052 and RFC 9864 that shares no code with ours."""
    ours = sign1(KEY, typ, payload)
    theirs = COSE.new().encode_and_sign(
        payload, cwt_key(private=True), protected={1: -19, 16: typ}, unprotected={}
    )

    protected, unprotected, opened = COSE.new().decode_with_headers(ours, cwt_key(private=False))

    assert (protected, unprotected, opened) == ({1: -19, 16: typ}, {}, payload)
    assert theirs == ours
    assert open1(theirs, typ, KEY.public) == payload


def test_cwt_refuses_our_changed_payload_too() -> None:
    data = sign1(KEY, RECORD, b"payload").replace(b"payload", b"Payload")

    with pytest.raises(VerifyError):
        COSE.new().decode(data, cwt_key(private=False))
    with pytest.raises(SignatureInvalid):
        open1(data, RECORD, KEY.public)


def test_the_working_groups_ed25519_example_is_signed_alike(vectors: Callable[[str], Path]) -> None:
    """The example's header is another one, so it is refused as ours; its mathematics is shared."""
    case = json.loads(
        vectors("vectors/cose-wg-examples/eddsa-examples/eddsa-sig-01.json").read_text()
    )
    data = bytes.fromhex(case["output"]["cbor"])
    public = bytes.fromhex(case["input"]["sign0"]["key"]["x_hex"])
    signed = bytes.fromhex(case["intermediates"]["ToBeSign_hex"])
    protected, _, payload, signature = cbor2.loads(data).value

    assert signed == cbor2.dumps(["Signature1", protected, b"", payload])
    assert verify(public, signed, signature)
    assert isinstance(outcome(lambda d: parse1(d, RECORD), data), EncodingError)


@pytest.mark.parametrize("folder", ["eddsa-examples", "sign1-tests"])
def test_no_example_of_the_working_group_passes_for_a_record(
    vectors: Callable[[str], Path], folder: str
) -> None:
    cases = folder_cases(vectors(f"vectors/cose-wg-examples/{folder}"))
    assert len(cases) == {"eddsa-examples": 4, "sign1-tests": 9}[folder]

    for case in cases:
        data = bytes.fromhex(case["output"]["cbor"])
        for typ in TYPS:
            assert isinstance(outcome(lambda d, t=typ: parse1(d, t), data), EncodingError)  # type: ignore[misc]


def test_no_cose_receipt_of_another_kind_passes_for_a_record(
    vectors: Callable[[str], Path],
) -> None:
    for path in sorted(vectors("vectors/cose-receipts/examples").glob("*.cbor")):
        assert isinstance(outcome(lambda d: parse1(d, RECORD), path.read_bytes()), EncodingError)
