"""Typed fields and strict text: Python's lenient readings, each refused by name."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING

import pytest
from cbor2 import CBORTag
from hypothesis import given
from hypothesis import strategies as st

from meterseal.errors import EncodingError
from meterseal.fields import (
    array,
    blob,
    bstr,
    decimal,
    items,
    keyed,
    sint,
    text,
    uint,
    unbase64,
    unhex,
)

if TYPE_CHECKING:
    from collections.abc import Callable


@given(st.integers(0, 2**63 - 1))
def test_a_decimal_number_is_read_back(number: int) -> None:
    assert decimal(str(number)) == number


@pytest.mark.parametrize(
    "value",
    [
        *("", "-1", "+5", " 5", "5 ", "5\n", "05", "00", "1_000", "1,0", "1e3", "0x10"),
        *("\u0663", "\uff15", "\u00b2", str(2**63), "9" * 19, "9" * 5000),
    ],
)
def test_a_decimal_number_is_refused(value: str) -> None:
    with pytest.raises(EncodingError):
        decimal(value)


@given(st.binary(max_size=40))
def test_hex_and_base64_are_read_back(data: bytes) -> None:
    assert unhex(data.hex()) == data
    assert unbase64(base64.b64encode(data).decode()) == data


@pytest.mark.parametrize("value", ["d", "DE", "de ad", "0x00", "de\n", "gg", " de", "٣٣"])
def test_hex_is_refused(value: str) -> None:
    with pytest.raises(EncodingError):
        unhex(value)


@pytest.mark.parametrize(
    "value",
    [
        "QR==",
        "QQ",
        "QQ=",
        "QQ==\n",
        "Q Q==",
        "QQ==QQ==",
        "QQ===",
        "-_-_",
        "QQ==!",
        "\u0661Q==",
        "é",
    ],
)
def test_base64_is_refused(value: str) -> None:
    with pytest.raises(EncodingError):
        unbase64(value)


@given(st.text(max_size=12))
def test_text_readers_accept_or_refuse_and_nothing_else(value: str) -> None:
    for reader in (decimal, unhex, unbase64):
        try:
            reader(value)
        except EncodingError:
            continue


@pytest.mark.parametrize(
    ("reader", "value"),
    [
        (lambda v: uint(v, "f"), True),
        (lambda v: uint(v, "f"), 1.0),
        (lambda v: uint(v, "f"), -1),
        (lambda v: uint(v, "f"), 2**63),
        (lambda v: uint(v, "f"), "1"),
        (lambda v: uint(v, "f", 3), 4),
        (lambda v: sint(v, "f"), True),
        (lambda v: sint(v, "f"), 2**63),
        (lambda v: sint(v, "f"), -(2**63) - 1),
        (lambda v: bstr(v, "f", 2), b"x"),
        (lambda v: bstr(v, "f", 2), "xx"),
        (lambda v: bstr(v, "f", 2), bytearray(2)),
        (lambda v: blob(v, "f", 2), b"xxx"),
        (lambda v: array(v, "f", 1), [1, 2]),
        (lambda v: array(v, "f", 1), (1,)),
        (lambda v: array(v, "f", 1), {0: 1}),
        (lambda v: items(v, "f", 1), [1, 2]),
        (lambda v: keyed(v, "f", (1, 2)), {1: 0}),
        (lambda v: keyed(v, "f", (1, 2)), {2: 0, 1: 0}),
        (lambda v: keyed(v, "f", (1, 2)), {1: 0, 2: 0, 3: 0}),
        (lambda v: keyed(v, "f", (1,)), {True: 0}),
        (lambda v: keyed(v, "f", (1,)), {1.0: 0}),
        (lambda v: keyed(v, "f", (1,)), [0]),
        (lambda v: text(v, "f"), "x" * 65),
        (lambda v: text(v, "f"), "é" * 33),
        (lambda v: text(v, "f"), b"x"),
        (lambda v: text(v, "f"), "\ud800"),
    ],
)
def test_a_field_is_refused_by_its_name(reader: Callable[[object], object], value: object) -> None:
    with pytest.raises(EncodingError, match=r"^f: expected"):
        reader(value)


@pytest.mark.parametrize(
    "mark", ["\n", "\0", "\x1f", "\x7f", "\x85", "\u2028", "\u2029", "\u202e", "\u2066"]
)
def test_text_holds_no_control_characters(mark: str) -> None:
    with pytest.raises(EncodingError):
        text(f"a{mark}b", "f")


@pytest.mark.parametrize("value", ["", "x" * 64, "é" * 32, "Zähler Süd", "電力計", "a b"])
def test_text_of_any_language_is_read(value: str) -> None:
    assert text(value, "f") == value


@pytest.mark.parametrize(
    "value",
    [1 << 20_000, "x" * 10_000, [1 << 20_000], {1 << 20_000: 0}, None, CBORTag(99, 1 << 20_000)],
    ids=["int", "text", "list", "dict", "null", "tag"],
)
def test_an_error_shows_a_bounded_part_of_what_came(value: object) -> None:
    with pytest.raises(EncodingError) as caught:
        bstr(value, "f", 3)

    assert len(str(caught.value)) < 300
