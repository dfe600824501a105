from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meterseal_verifier.text import safe, scaled, utc


@given(st.integers(0, 253_402_300_799_999))
def test_times_are_those_of_the_standard_library(time_ms: int) -> None:
    expected = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=time_ms)

    assert utc(time_ms) == f"{expected:%Y-%m-%d %H:%M:%S}.{time_ms % 1000:03} UTC"


def test_a_time_past_the_calendar_stays_a_number() -> None:
    assert utc(2**63) == f"{2**63} ms after 1970"


@pytest.mark.parametrize(
    "text", ["\x1b[2J", "\r", "\n", "\x9b", "\u202e", "\u2028", "\udc80", "\0"]
)
def test_what_a_terminal_would_obey_is_escaped(text: str) -> None:
    assert safe(f"a{text}b").isprintable()
    assert safe(f"a{text}b") != f"a{text}b"


def test_letters_of_all_scripts_stay() -> None:
    assert safe("Zähler №1 名前") == "Zähler №1 名前"


@pytest.mark.parametrize(
    ("value", "decimals", "words"),
    [(1234, 3, "1.234"), (-5, 3, "-0.005"), (0, 3, "0.000"), (7, 0, "7"), (987, 1, "98.7")],
)
def test_numbers_are_scaled_without_floats(value: int, decimals: int, words: str) -> None:
    assert scaled(value, decimals) == words
