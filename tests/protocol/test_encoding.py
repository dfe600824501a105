"""Deterministic CBOR: what is written, what is read, and everything that is not."""

from __future__ import annotations

from typing import Any

import cbor2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from meterseal import encoding
from meterseal.encoding import (
    MAX_NESTING,
    MAX_PAYLOAD,
    MAX_SEQUENCE_ITEMS,
    decode,
    decode_sequence,
    encode,
    item_end,
)
from meterseal.errors import EncodingError
from support.records import BODIES, outcome, record_of, signed

LEAF = (
    st.none()
    | st.integers(-(2**63), 2**64 - 1)
    | st.binary(max_size=40)
    | st.text(st.characters(codec="utf-8"), max_size=20)
)
KEYS = st.integers(0, 2**64 - 1)


def trees(depth: int) -> st.SearchStrategy[Any]:
    if depth == 0:
        return LEAF
    inner = trees(depth - 1)
    return LEAF | st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=4)


@given(trees(MAX_NESTING))
def test_what_is_written_is_read_back_the_same(value: object) -> None:
    assert decode(encode(value)) == value


@given(st.dictionaries(KEYS, LEAF, max_size=40))
def test_keys_ascend_as_encoded_bytes_and_so_as_numbers(value: dict[int, object]) -> None:
    keys = list(decode(encode(value)))  # type: ignore[call-overload]

    assert keys == sorted(value)
    assert keys == sorted(value, key=cbor2.dumps)


@given(st.dictionaries(KEYS, LEAF, max_size=40))
def test_old_and_new_canonical_order_agree_on_unsigned_keys(value: dict[int, object]) -> None:
    assert encode(value) == cbor2.dumps(value, canonical=True)


@given(st.binary(max_size=64))
def test_any_bytes_are_accepted_or_refused_as_encoding_error(data: bytes) -> None:
    value = outcome(decode, data)

    assert isinstance(value, EncodingError) or encode(value) == data


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("nothing", ""),
        ("a second item", "0000"),
        ("an integer longer than needed", "1800"),
        ("a length longer than needed", "580100"),
        ("an array of indefinite length", "9f01ff"),
        ("a byte string in chunks", "5f4100ff"),
        ("a break alone", "ff"),
        ("a duplicate key", "a201000100"),
        ("keys in descending order", "a202000100"),
        ("a negative key", "a12000"),
        ("a text key", "a1616100"),
        ("a boolean key that equals 1", "a1f500"),
        ("an array as key", "a18000"),
        ("false", "f4"),
        ("true", "f5"),
        ("undefined", "f7"),
        ("a simple value", "e0"),
        ("a simple value in two bytes", "f820"),
        ("a half float", "f90000"),
        ("a float NaN", "fb7ff8000000000000"),
        ("a tag", "c100"),
        ("a big integer that fits", "c24101"),
        ("a big integer that does not fit", "c249010000000000000000"),
        ("a decimal that overflows", "c5821b7fffffffffffffff01"),
        ("a rational with zero below", "d81e820100"),
        ("a pattern", "d82361" + "5b"),
        ("a broken pattern", "d8236428612b29"),
        ("a shared reference to itself", "d81c81d81d00"),
        ("a string reference", "d9010081d81900"),
        ("a set of maps", "d9010281a0"),
        ("text that is not UTF-8", "61ff"),
        ("text that is a surrogate in UTF-8", "63eda080"),
        ("a byte string cut off", "44010203"),
        ("an array of 2^63 items", "9b7fffffffffffffff"),
        ("a byte string of 2^63 bytes", "5b7fffffffffffffff"),
        ("500 arrays in each other", "81" * 500 + "00"),
        ("one array too deep", "81" * (MAX_NESTING + 1) + "00"),
        ("one map too deep", "a100" * (MAX_NESTING + 1) + "00"),
    ],
)
def test_the_reader_refuses(name: str, data: str) -> None:
    assert isinstance(outcome(decode, bytes.fromhex(data)), EncodingError), name


@pytest.mark.parametrize(
    "value",
    [
        *(True, 1.0, float("nan"), 2**64, -(2**63) - 1, "\ud800", bytearray(b"x"), {1, 2}),
        *({True: 0}, {-1: 0}, {"a": 0}, {1: 0, "a": 0}, [[[[[]]]]], iter(b"x")),
    ],
)
def test_the_writer_refuses_what_the_reader_would(value: object) -> None:
    with pytest.raises(EncodingError):
        encode(value)


def test_nesting_is_counted_from_one_at_the_outermost_container() -> None:
    deepest = [[[[0]]]]

    assert decode(encode(deepest)) == deepest
    with pytest.raises(EncodingError, match="nested"):
        encode([deepest])


def test_an_item_longer_than_its_limit_is_refused_before_it_is_read() -> None:
    data = encode(bytes(100))

    assert decode(data, limit=len(data)) == bytes(100)
    with pytest.raises(EncodingError, match="at most 101"):
        decode(data, limit=len(data) - 1)


def test_after_an_error_the_next_item_is_read_as_ever() -> None:
    for bad in ("81" * 500, "9901", "d81c8101", "d81d00"):
        assert isinstance(outcome(decode, bytes.fromhex(bad)), EncodingError)

        assert decode(b"\x81\x01") == [1]


RECORDS = [signed(record_of(body))[0] for body in BODIES]


def test_a_sequence_is_cut_into_its_items() -> None:
    assert decode_sequence(b"".join(RECORDS)) == (RECORDS, None)
    assert decode_sequence(b"") == ([], None)


def test_a_sequence_cut_anywhere_gives_the_whole_items_before() -> None:
    data = b"".join(RECORDS[:3])
    ends = [sum(map(len, RECORDS[:n])) for n in range(4)]

    for size in range(len(data)):
        items, fault = decode_sequence(data[:size])

        assert items == RECORDS[: sum(end <= size for end in ends) - 1]
        assert (fault is None) == (size in ends)


@given(st.binary(max_size=80))
def test_rubbish_behind_an_item_costs_no_item_in_front(rubbish: bytes) -> None:
    items, fault = decode_sequence(RECORDS[1] + rubbish)

    assert items[0] == RECORDS[1]
    assert b"".join(items) == RECORDS[1] + rubbish or fault is not None


@given(trees(3))
def test_the_end_of_an_item_is_found_without_building_it(value: object) -> None:
    data = encode(value)

    assert item_end(data + b"\xff", 0) == len(data)


def test_a_sequence_has_bounds() -> None:
    items, fault = decode_sequence(bytes(MAX_SEQUENCE_ITEMS + 1))
    assert (len(items), fault is None) == (MAX_SEQUENCE_ITEMS, False)

    items, fault = decode_sequence(b"\x59\xff\xff" + bytes(MAX_PAYLOAD))
    assert (items, fault is None) == ([], False)


def test_a_head_that_promises_more_than_is_there_is_refused_at_once() -> None:
    with pytest.raises(EncodingError, match="cut off"):
        item_end(bytes.fromhex("9b7fffffffffffffff"), 0)


def test_an_item_that_begins_behind_the_end_is_refused() -> None:
    with pytest.raises(EncodingError, match="the data end there"):
        item_end(b"\x00", 1)


COSTLY = {
    "a pattern": b"\xd8\x23",
    "a pattern, in two bytes": b"\xd9\x00\x23",
    "a pattern, in four bytes": b"\xda\x00\x00\x00\x23",
    "a pattern, in eight bytes": b"\xdb" + bytes(7) + b"\x23",
    "a message": b"\xd8\x24",
    "a shared value": b"\xd8\x1c",
    "a reference": b"\xd8\x1d",
    "a fraction": b"\xd8\x1e",
    "a reference to text": b"\xd8\x19",
    "a place for text": b"\xd9\x01\x00",
    "a set": b"\xd9\x01\x02",
    "a network": b"\xd9\x01\x05",
}


@pytest.mark.parametrize("head", COSTLY.values(), ids=COSTLY.keys())
def test_a_tag_that_costs_is_refused_before_anything_reads_it(
    monkeypatch: pytest.MonkeyPatch, head: bytes
) -> None:
    """Goal: no byte of a stranger makes cbor2 compile patterns or parse messages.

    Method: put a decoder that fails the test in cbor2's place.
    """
    item = b"\x82" + head + b"\x61a" + b"\x00"
    monkeypatch.setattr(encoding._CODEC, "read", lambda _: pytest.fail("it was read"))

    with pytest.raises(EncodingError):
        decode(item, limit=100)


def test_bytes_that_look_like_a_tag_are_bytes() -> None:
    value = [b"".join(COSTLY.values()), "\u0d23"]

    assert decode(encode(value), limit=200) == value
