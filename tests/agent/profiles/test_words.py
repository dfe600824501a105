"""Words become exact numbers, or nothing."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meterseal_agent.errors import MeterError
from meterseal_agent.profiles.words import (
    REGISTERS,
    SUNSPEC_ABSENT,
    WordType,
    number,
    power_of_ten,
)


def test_words_decode_in_both_orders() -> None:
    assert number(bytes.fromhex("44BB8000"), "f32", "big") == 1500
    assert number(bytes.fromhex("800044BB"), "f32", "little") == 1500
    assert number(bytes.fromhex("0001 0002 0003 0004"), "u64", "little") == 0x0004000300020001


def test_signed_words_are_signed_and_unsigned_are_not() -> None:
    assert number(b"\xff\xff", "i16", "big") == -1
    assert number(b"\xff\xff", "u16", "big") == 65535


def test_a_float_is_taken_exactly() -> None:
    # 0.1 as single precision is 13421773 / 2^27.
    assert number(bytes.fromhex("3DCCCCCD"), "f32", "big") == Fraction(13421773, 2**27)


@pytest.mark.parametrize("words", ["7FC00000", "FFC00000", "7F800001"])
def test_not_a_number_is_no_value(words: str) -> None:
    assert number(bytes.fromhex(words), "f32", "big") is None


@pytest.mark.parametrize("words", ["7F800000", "FF800000"])
def test_an_infinite_number_is_refused(words: str) -> None:
    with pytest.raises(MeterError, match="infinite"):
        number(bytes.fromhex(words), "f32", "big")


def test_a_scale_factor_beyond_ten_is_refused_and_none_is_none() -> None:
    assert power_of_ten(b"\xff\xfe") == Fraction(1, 100)
    assert power_of_ten(b"\x80\x00") is None
    with pytest.raises(MeterError, match="scale factor"):
        power_of_ten(b"\x00\x0b")


@given(st.sampled_from(sorted(SUNSPEC_ABSENT)))
def test_what_sunspec_marks_as_absent_is_none(word_type: WordType) -> None:
    for words in SUNSPEC_ABSENT[word_type]:
        assert number(words, word_type, "big", SUNSPEC_ABSENT[word_type]) is None


@given(st.data())
def test_any_words_are_a_number_none_or_the_meters_error(data: st.DataObject) -> None:
    word_type = data.draw(st.sampled_from(sorted(REGISTERS)))
    size = 2 * REGISTERS[word_type]
    words = data.draw(st.binary(min_size=size, max_size=size))
    try:
        value = number(words, word_type, "big")
    except MeterError:
        return
    assert value is None or isinstance(value, Fraction)
