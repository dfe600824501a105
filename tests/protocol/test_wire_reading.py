"""The body of a reading: rules that a value must keep before it is signed and when it is read."""

from __future__ import annotations

from types import MappingProxyType
from typing import Any

import pytest

from meterseal.bodies import MeterReading, MeterState, Reading
from meterseal.errors import EncodingError
from meterseal.wire_reading import check_reading, plain_reading, read_reading

GOOD: list[Any] = [0, "G", 0, {1: 5, 16: -7, 24: None}, {1: b"\0\1\0\2", 24: None}]


def with_item(at: int, value: object) -> list[Any]:
    return [*GOOD[:at], value, *GOOD[at + 1 :]]


@pytest.mark.parametrize(
    ("name", "meters"),
    [
        ("no meter", []),
        ("65 meters", [[n, "T", 0, {}, {}] for n in range(65)]),
        ("meter 64", [with_item(0, 64)]),
        ("a meter twice", [GOOD, GOOD]),
        ("meters in descending order", [with_item(0, 2), with_item(0, 1)]),
        ("a meter that is a boolean", [[True, *GOOD[1:]]]),
        ("a meter with four fields", [GOOD[:4]]),
        ("a meter that is a map", [dict(enumerate(GOOD))]),
        ("an unknown state", [with_item(1, "Q")]),
        ("a lower-case state", [with_item(1, "g")]),
        ("a state of two letters", [with_item(1, "GG")]),
        ("an offset that is a float", [with_item(2, 0.0)]),
        ("an offset of 2^31", [with_item(2, 2**31)]),
        ("values that are a list", [with_item(3, [1])]),
        ("a value that is true", [with_item(3, {1: True, 24: None})]),
        ("a value that is a float", [with_item(3, {1: 5.0, 24: None})]),
        ("a value that is not a number", [with_item(3, {1: float("nan"), 24: None})]),
        ("a value that is text", [with_item(3, {1: "5", 24: None})]),
        ("a value of 64 bits without sign", [with_item(3, {1: 2**63, 24: None})]),
        ("a negative counter", [with_item(3, {1: -1, 24: None})]),
        ("a code of zero", [with_item(3, {0: 1, 1: 1, 24: None})]),
        ("a code that is a boolean", [with_item(3, {True: 1, 24: None})]),
        ("a code beyond 16 bits", [with_item(3, {1: 1, 24: 1, 65536: 1})]),
        ("codes in descending order", [with_item(3, {24: 1, 1: 1})]),
        ("129 values", [[0, "G", 0, dict.fromkeys(range(1, 130), 1), {}]]),
        ("raw words without a value", [with_item(4, {2: b"\0\1"})]),
        ("raw words in descending order", [with_item(4, {24: None, 1: b"\0\1"})]),
        ("raw words of three bytes", [with_item(4, {1: b"\0\1\2"})]),
        ("raw words of no bytes", [with_item(4, {1: b""})]),
        ("17 raw words", [with_item(4, {1: bytes(34)})]),
        ("raw words that are text", [with_item(4, {1: "ab"})]),
        ("a value in a timeout", [with_item(1, "T")]),
        ("raw words in a timeout", [[0, "T", 0, {}, {1: b"\0\1"}]]),
    ],
)
def test_a_reading_is_refused_for(name: str, meters: list[Any]) -> None:
    with pytest.raises(EncodingError):
        read_reading(meters)
    with pytest.raises(EncodingError):
        check_reading(meters)
    assert name


def test_no_answer_is_no_value_and_never_zero() -> None:
    for state in set(MeterState) - {MeterState.GOOD}:
        silent = MeterReading(meter=0, state=state, offset_ms=0, values={}, raw={})
        zero = MeterReading(meter=0, state=state, offset_ms=0, values={1: 0}, raw={})

        assert read_reading(plain_reading(Reading(meters=(silent,)))).meters == (silent,)
        with pytest.raises(EncodingError):
            check_reading(plain_reading(Reading(meters=(zero,))))


def test_a_poller_may_fill_its_maps_in_any_order() -> None:
    values = MappingProxyType({24: 230_000, 1: 5})
    meter = MeterReading(meter=0, state=MeterState.GOOD, offset_ms=0, values=values, raw={})

    plain = plain_reading(Reading(meters=(meter,)))

    assert plain == [[0, "G", 0, {1: 5, 24: 230_000}, {}]]
    assert list(plain[0][3]) == [1, 24]  # type: ignore[index]
    assert read_reading(plain).meters[0].values == dict(values)


def test_an_unknown_quantity_is_carried() -> None:
    assert read_reading([[0, "G", 0, {40_000: -1}, {}]]).meters[0].values == {40_000: -1}
