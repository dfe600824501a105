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
    text,
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


def test_iskra_types_carry_their_power_of_ten_and_their_signs() -> None:
    # The worked examples of Iskra's MC7x0 manual: 123456 * 10^-3, its negative, 0.9876 capacitive.
    assert number(bytes.fromhex("FD01 E240"), "iskra_t5", "big") == Fraction(123456, 1000)
    assert number(bytes.fromhex("FDFE 1DC0"), "iskra_t6", "big") == Fraction(-123456, 1000)
    assert number(bytes.fromhex("00FF 2694"), "iskra_t7", "big") == Fraction(9876, 10000)
    assert number(bytes.fromhex("FF00 2694"), "iskra_t7", "big") == Fraction(-9876, 10000)


@pytest.mark.parametrize(
    ("words", "word_type"),
    [("0B00 0001", "iskra_t5"), ("F5FF FFFF", "iskra_t6"), ("0100 2694", "iskra_t7")],
)
def test_iskra_words_that_cannot_be_are_refused(words: str, word_type: WordType) -> None:
    with pytest.raises(MeterError):
        number(bytes.fromhex(words), word_type, "big")


def test_digits_to_the_base_ten_thousand_are_joined_and_checked() -> None:
    assert number(bytes.fromhex("0001 0002 0003"), "m10k3", "big") == 1_0002_0003
    assert number(bytes.fromhex("0003 0002 0001"), "m10k3", "little") == 1_0002_0003
    with pytest.raises(MeterError, match="0 to 9999"):
        number(bytes.fromhex("0001 2710"), "m10k2", "big")


def test_three_words_are_one_number() -> None:
    assert number(bytes.fromhex("0001 0000 0002"), "u48", "big") == (1 << 32) + 2


def test_characters_end_at_the_first_nul_and_lose_their_blanks() -> None:
    assert text(b"SDM72 \0rest") == "SDM72"
    assert text(b"\xff\x01AB ") == "AB"


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
