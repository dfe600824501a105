"""Records: every kind there and back, and nothing else in."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import Any

import cbor2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from meterseal import cose
from meterseal.bodies import Clock, Event, EventCode, Kind, MeterReading, MeterState, Reading
from meterseal.errors import EncodingError, ProtocolError, SignatureInvalid
from meterseal.records import (
    MAX_RECORD,
    Light,
    Record,
    decode_record,
    encode_record,
    open_record,
    record_hash,
)
from support.records import (
    BODIES,
    H1,
    KEY,
    MANIFEST,
    OTHER_KEY,
    READING,
    outcome,
    record_of,
    records,
    signed,
)

EXAMPLES = [pytest.param(record_of(body), id=body.kind.name.lower()) for body in BODIES]


def resigned(content: object) -> bytes:
    """Sign any payload with the right key: what an attacker with a device key can send."""
    return cose.sign1(KEY, cose.RECORD, cbor2.dumps(content))


def content_of(record: Record) -> dict[int, Any]:
    content: dict[int, Any] = cbor2.loads(cose.parse1(signed(record)[0], cose.RECORD).payload)
    return content


def test_there_is_an_example_of_each_kind() -> None:
    assert [body.kind for body in BODIES] == list(Kind)


@given(records())
def test_every_record_is_read_back_the_same(record: Record) -> None:
    data, _ = signed(record)

    assert decode_record(data) == record
    assert open_record(data, KEY.public) == record
    assert encode_record(decode_record(data), KEY) == data


@given(records())
def test_a_record_read_back_has_the_exact_types(record: Record) -> None:
    back = decode_record(signed(record)[0])

    assert (type(back.kind), type(back.clock)) == (Kind, Clock)
    assert repr(back) == repr(record)


@pytest.mark.parametrize("record", EXAMPLES)
def test_a_record_opens_under_no_other_key(record: Record) -> None:
    data, _ = signed(record)

    with pytest.raises(SignatureInvalid, match="not by key"):
        open_record(data, OTHER_KEY.public)


@pytest.mark.parametrize("record", EXAMPLES)
def test_nothing_with_a_changed_byte_opens_under_the_same_key(record: Record) -> None:
    data, _ = signed(record)

    for at in range(len(data)):
        bent = bytearray(data)
        bent[at] ^= 1 << at % 8

        assert isinstance(outcome(lambda d: open_record(d, KEY.public), bytes(bent)), ProtocolError)
        kept = outcome(decode_record, bytes(bent))
        assert isinstance(kept, EncodingError | Record)


@pytest.mark.parametrize("record", EXAMPLES)
def test_no_prefix_and_nothing_with_rubbish_behind_is_read(record: Record) -> None:
    data, _ = signed(record)

    for size in range(len(data)):
        assert isinstance(outcome(decode_record, data[:size]), EncodingError)
    for rubbish in (b"\0", b"\xf6", data[-66:], data):
        assert isinstance(outcome(decode_record, data + rubbish), EncodingError)


@given(st.binary(max_size=300))
def test_any_signed_payload_is_read_or_refused_as_encoding_error(payload: bytes) -> None:
    got = outcome(lambda d: open_record(d, KEY.public), cose.sign1(KEY, cose.RECORD, payload))

    assert isinstance(got, EncodingError)


@pytest.mark.parametrize("record", EXAMPLES)
@given(at=st.integers(0), byte=st.integers(0, 255))
def test_a_bent_payload_signed_again_is_read_as_what_it_says_or_refused(
    record: Record, at: int, byte: int
) -> None:
    """The device key itself may be hostile: whatever is read encodes to exactly these bytes."""
    payload = bytearray(cose.parse1(signed(record)[0], cose.RECORD).payload)
    payload[at % len(payload)] = byte
    data = cose.sign1(KEY, cose.RECORD, bytes(payload))

    got = outcome(lambda d: open_record(d, KEY.public), data)

    assert isinstance(got, EncodingError) or encode_record(got, KEY) == data  # type: ignore[arg-type]


@pytest.mark.parametrize("record", EXAMPLES)
@given(data=st.data())
def test_any_value_in_any_place_is_read_or_refused(record: Record, data: st.DataObject) -> None:
    content = content_of(record)
    key = data.draw(st.sampled_from(sorted(content)))
    content[key] = data.draw(
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.floats() | st.binary() | st.text(),
            lambda inner: (
                st.lists(inner, max_size=5) | st.dictionaries(st.integers(0, 99), inner, max_size=3)
            ),
            max_leaves=8,
        )
    )

    got = outcome(decode_record, resigned(content))

    assert isinstance(got, EncodingError) or encode_record(got, KEY) == resigned(content)  # type: ignore[arg-type]


def test_the_hash_is_the_rfc_9162_leaf_hash_of_all_bytes() -> None:
    data, digest = signed(record_of(READING))

    assert digest == hashlib.sha256(b"\0" + data).digest() == record_hash(data)


@pytest.mark.parametrize("key", [1, 2, 3, 4, 5, 6, 7, 8, 9, 10])
def test_a_missing_field_is_refused(key: int) -> None:
    content = content_of(record_of(MANIFEST))
    del content[key]

    assert isinstance(outcome(decode_record, resigned(content)), EncodingError)


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("an unknown field", {11: 0}),
        ("a short device id", {1: bytes(15)}),
        ("a negative epoch", {2: -1}),
        ("a seq that is a boolean", {3: True}),
        ("a time beyond a database's integers", {4: 2**63}),
        ("a time that is a float", {4: 1.78e12}),
        ("a time that is a date", {4: cbor2.CBORTag(1, 1_780_056_000)}),
        ("a time that is a big integer", {4: cbor2.CBORTag(2, b"\x05")}),
        ("an integer of 100,000 digits", {4: 1 << 60_000}),
        ("an integer of 100,000 digits as kind", {7: 1 << 60_000}),
        ("an integer of 100,000 digits in an unknown tag", {5: cbor2.CBORTag(99, 1 << 60_000)}),
        ("an unknown clock", {5: 4}),
        ("a long prev", {6: bytes(33)}),
        ("a prev that is text", {6: "x" * 32}),
        ("an unknown kind", {7: 7}),
        ("a kind that is true", {7: True}),
        ("no body", {8: None}),
        ("a negative up", {9: -1}),
        ("no light", {10: None}),
        ("a light of three", {10: [1, bytes(32), 0]}),
        ("a light that is a map", {10: {0: 1, 1: bytes(32)}}),
        ("a light with a short hash", {10: [1, bytes(31)]}),
    ],
)
def test_a_signed_record_is_refused_for(name: str, change: dict[int, object]) -> None:
    data = resigned(content_of(record_of(MANIFEST)) | change)

    assert isinstance(outcome(decode_record, data), EncodingError), name


@pytest.mark.parametrize("equal", [True, 1.0])
def test_a_key_that_only_equals_one_is_refused(equal: object) -> None:
    """`{True: x} == {1: x}` in Python, and both would encode to the bytes they came from."""
    content: dict[object, object] = {}
    for key, value in content_of(record_of(READING)).items():
        content[equal if key == 1 else key] = value

    assert isinstance(outcome(decode_record, resigned(content)), EncodingError)


def test_keys_in_another_order_are_refused() -> None:
    content = content_of(record_of(READING))

    assert isinstance(
        outcome(decode_record, resigned(dict(reversed(content.items())))), EncodingError
    )


def test_a_duplicate_key_is_refused() -> None:
    payload = cose.parse1(signed(record_of(READING))[0], cose.RECORD).payload
    assert payload[:2] == b"\xa9\x01"
    twice = b"\xaa" + payload[1:18] + payload[1:]

    assert isinstance(outcome(decode_record, cose.sign1(KEY, cose.RECORD, twice)), EncodingError)


def test_light_stands_in_every_kind_but_readings() -> None:
    reading, event = record_of(READING), record_of(Event(code=EventCode.BOOT))

    for record in (replace(reading, light=Light(n=0, hash=H1)), replace(event, light=None)):
        with pytest.raises(EncodingError):
            encode_record(record, KEY)
    bent = content_of(event)
    del bent[10]
    assert isinstance(outcome(decode_record, resigned(bent)), EncodingError)
    grown = content_of(reading) | {10: [0, bytes(32)]}
    assert isinstance(outcome(decode_record, resigned(grown)), EncodingError)


@pytest.mark.parametrize(
    "change",
    [
        {"kind": Kind.GAP},
        {"device": bytes(15)},
        {"seq": -1},
        {"seq": True},
        {"time": 1.5},
        {"prev": bytes(31)},
        {"up": None},
    ],
)
def test_what_no_reader_would_accept_is_never_signed(change: dict[str, Any]) -> None:
    with pytest.raises(EncodingError):
        encode_record(record_of(READING, **change), KEY)


def test_a_record_above_16_kib_is_neither_written_nor_read() -> None:
    values = dict.fromkeys(range(1, 129), 2**62)
    meters = tuple(
        MeterReading(meter=n, state=MeterState.GOOD, offset_ms=0, values=values, raw={})
        for n in range(12)
    )
    with pytest.raises(EncodingError, match="at most 16384"):
        encode_record(record_of(Reading(meters=meters)), KEY)

    content = content_of(record_of(READING))
    content[8] = [[m.meter, "G", 0, m.values, {}] for m in meters]
    data = resigned(content)
    assert len(data) > MAX_RECORD
    with pytest.raises(EncodingError, match="at most 16384"):
        decode_record(data)


def test_sixty_four_meters_fit() -> None:
    meter = READING.meters[0]
    reading = Reading(meters=tuple(replace(meter, meter=n) for n in range(64)))

    data, _ = signed(record_of(reading))

    assert len(data) < MAX_RECORD
    assert decode_record(data).body == reading


@pytest.mark.parametrize(("meters", "most"), [(1, 240), (3, 400)])
def test_a_reading_is_small(meters: int, most: int) -> None:
    meter = replace(READING.meters[0], raw={1: bytes(4), 2: bytes(4)})
    reading = Reading(meters=tuple(replace(meter, meter=n) for n in range(meters)))

    assert len(signed(record_of(reading))[0]) <= most
