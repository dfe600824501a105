"""Enrolments and head statements."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import cbor2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from meterseal import cose
from meterseal.errors import EncodingError, ProtocolError, SignatureInvalid
from meterseal.records import MAX_RECORD
from meterseal.statements import (
    Enrolment,
    HeadStatement,
    decode_enrolment,
    decode_head,
    encode_enrolment,
    encode_head,
    open_enrolment,
    open_head,
)
from meterseal.types import DeviceId, Epoch, Seq, UnixMs
from support.records import (
    DEVICE,
    H1,
    HASH,
    KEY,
    NOON,
    OTHER_KEY,
    READING,
    TEXT,
    UINT,
    genesis,
    outcome,
    record_of,
    signed,
)

if TYPE_CHECKING:
    from collections.abc import Callable

ENROLMENT = Enrolment(
    device=DEVICE,
    public_key=KEY.public,
    metering_point="DE0001234567890123456789012345678",
    serials=("19340712",),
    role="grid",
    valid_from=NOON,
    replaces=(DeviceId(bytes(16)), H1),
    revoked_after=(Epoch(1), Seq(99)),
)
HEAD = HeadStatement(
    device=DEVICE,
    nonce=bytes(range(16)),
    time=NOON,
    last_record=signed(record_of(READING))[0],
    last_light=signed(genesis())[0],
    longest_delay_ms=120_000,
)
DEVICES = st.binary(min_size=16, max_size=16).map(DeviceId)
ENROLMENTS = st.builds(
    Enrolment,
    device=DEVICES,
    public_key=HASH,
    metering_point=TEXT,
    serials=st.lists(TEXT, max_size=4).map(tuple),
    role=TEXT,
    valid_from=UINT,
    replaces=st.none() | st.tuples(DEVICES, HASH),
    revoked_after=st.none() | st.tuples(UINT, UINT),
)
HEADS = st.builds(
    HeadStatement,
    device=DEVICES,
    nonce=st.none() | st.binary(min_size=16, max_size=16),
    time=UINT,
    last_record=st.none() | st.binary(max_size=300),
    last_light=st.none() | st.binary(max_size=300),
    longest_delay_ms=UINT,
)


@given(ENROLMENTS)
def test_an_enrolment_is_read_back_the_same(enrolment: Enrolment) -> None:
    data = encode_enrolment(enrolment, OTHER_KEY)

    assert open_enrolment(data, OTHER_KEY.public) == decode_enrolment(data) == enrolment


@given(HEADS)
def test_a_head_is_read_back_the_same(head: HeadStatement) -> None:
    data = encode_head(head, OTHER_KEY)

    assert open_head(data, OTHER_KEY.public) == decode_head(data) == head


def test_one_key_one_purpose_one_typ() -> None:
    """A signature for one purpose never passes for another, even by the same key."""
    enrolment, head = encode_enrolment(ENROLMENT, KEY), encode_head(HEAD, KEY)
    record, _ = signed(genesis())

    for data in (head, record):
        assert isinstance(outcome(lambda d: open_enrolment(d, KEY.public), data), EncodingError)
    for data in (enrolment, record):
        assert isinstance(outcome(lambda d: open_head(d, KEY.public), data), EncodingError)


@pytest.mark.parametrize(
    ("data", "parser"),
    [
        (encode_enrolment(ENROLMENT, KEY), lambda d: open_enrolment(d, KEY.public)),
        (encode_head(HEAD, KEY), lambda d: open_head(d, KEY.public)),
    ],
    ids=["enrolment", "head"],
)
def test_no_other_byte_prefix_or_tail_opens(data: bytes, parser: Callable[[bytes], object]) -> None:
    for at in range(len(data)):
        bent = bytearray(data)
        bent[at] ^= 1 << at % 8

        assert isinstance(outcome(parser, bytes(bent)), ProtocolError)
        assert isinstance(outcome(parser, data[:at]), ProtocolError)
    assert isinstance(outcome(parser, data + b"\0"), ProtocolError)


def test_another_key_is_signature_invalid() -> None:
    with pytest.raises(SignatureInvalid):
        open_enrolment(encode_enrolment(ENROLMENT, KEY), OTHER_KEY.public)
    with pytest.raises(SignatureInvalid):
        open_head(encode_head(HEAD, KEY), OTHER_KEY.public)


@pytest.mark.parametrize(
    ("typ", "decode", "data"),
    [
        (cose.ENROL, decode_enrolment, encode_enrolment(ENROLMENT, KEY)),
        (cose.HEAD, decode_head, encode_head(HEAD, KEY)),
    ],
)
@given(draw=st.data())
def test_any_value_in_any_place_is_read_or_refused(
    typ: str, decode: Callable[[bytes], object], data: bytes, draw: st.DataObject
) -> None:
    content: dict[int, Any] = cbor2.loads(cose.parse1(data, typ).payload)
    content[draw.draw(st.integers(1, 9))] = draw.draw(
        st.none() | st.integers() | st.binary(max_size=40) | st.text() | st.lists(st.integers())
    )
    bent = cose.sign1(KEY, typ, cbor2.dumps(content))

    got = outcome(decode, bent)

    assert isinstance(got, EncodingError | Enrolment | HeadStatement)


@pytest.mark.parametrize(
    "change",
    [
        {"device": bytes(15)},
        {"public_key": bytes(33)},
        {"metering_point": "a\nb"},
        {"serials": ("x",) * 65},
        {"valid_from": UnixMs(-1)},
        {"replaces": (bytes(16), bytes(31))},
        {"revoked_after": (0, -1)},
    ],
)
def test_an_enrolment_that_nobody_would_read_is_never_signed(change: dict[str, Any]) -> None:
    with pytest.raises(EncodingError):
        encode_enrolment(replace(ENROLMENT, **change), KEY)


@pytest.mark.parametrize(
    "change",
    [{"nonce": bytes(15)}, {"last_record": bytes(MAX_RECORD + 1)}, {"longest_delay_ms": -1}],
)
def test_a_head_that_nobody_would_read_is_never_signed(change: dict[str, Any]) -> None:
    with pytest.raises(EncodingError):
        encode_head(replace(HEAD, **change), KEY)
