"""From register words to numbers, exactly: integers and fractions, never a rounded float.

- Words arrive in wire order, two bytes each, high byte first. `order` says which *word* comes
  first: "big" the most significant, "little" the least.
- Each type has words that mean "not available"; they become None, never zero.
- An infinite or out-of-range number is the meter's fault and is refused.

Types beyond the plain ones:

- `acc16`, `acc32`, `acc64`: SunSpec accumulators, unsigned.
- `m10k2`, `m10k3`, `m10k4`: as many registers of 0 to 9999 each, digits to the base 10,000.
- `iskra_t5`, `iskra_t6`: a power of ten in the highest byte, then 24 bits, unsigned or signed.
- `iskra_t7`: power factor: a byte for the direction (FF: export), one for the load (FF:
  capacitive), then 16 bits of 0.0001. The sign of the number is the direction's.
"""

from __future__ import annotations

import math
import struct
from fractions import Fraction
from typing import Final, Literal

from meterseal_agent.errors import MeterError

Order = Literal["big", "little"]
WordType = Literal[
    "u16", "i16", "acc16", "sf",
    "u32", "i32", "acc32", "f32", "m10k2", "iskra_t5", "iskra_t6", "iskra_t7",
    "u48", "m10k3",
    "u64", "i64", "acc64", "f64", "m10k4",
]  # fmt: skip

REGISTERS: Final[dict[WordType, int]] = {
    "u16": 1,
    "i16": 1,
    "acc16": 1,
    "sf": 1,
    "u32": 2,
    "i32": 2,
    "acc32": 2,
    "f32": 2,
    "m10k2": 2,
    "iskra_t5": 2,
    "iskra_t6": 2,
    "iskra_t7": 2,
    "u48": 3,
    "m10k3": 3,
    "u64": 4,
    "i64": 4,
    "acc64": 4,
    "f64": 4,
    "m10k4": 4,
}
"""Registers that a value of each type takes."""

# SunSpec Information Model Specification, "not implemented" values; in an accumulator it is 0,
# so a counter that truly stands at 0 is shown as absent until it moves.
SUNSPEC_ABSENT: Final[dict[WordType, frozenset[bytes]]] = {
    "u16": frozenset({b"\xff\xff"}),
    "i16": frozenset({b"\x80\x00"}),
    "sf": frozenset({b"\x80\x00"}),
    "u32": frozenset({b"\xff" * 4}),
    "i32": frozenset({b"\x80" + b"\0" * 3}),
    "u64": frozenset({b"\xff" * 8}),
    "i64": frozenset({b"\x80" + b"\0" * 7}),
    "acc16": frozenset({b"\0" * 2}),
    "acc32": frozenset({b"\0" * 4}),
    "acc64": frozenset({b"\0" * 8}),
}

SCALE_MAX: Final = 10
"""Largest power of ten of a SunSpec scale factor, either way."""

_FLOATS: Final[dict[str, str]] = {"f32": ">f", "f64": ">d"}
_SIGNED: Final = frozenset({"i16", "i32", "i64", "sf"})
_DIGIT: Final = 10_000
_MINUS: Final = 0xFF

SIGNED_TYPES: Final[frozenset[WordType]] = frozenset(
    {"i16", "i32", "i64", "f32", "f64", "iskra_t6", "iskra_t7"}
)
"""Types that can be negative."""


def arrange(words: bytes, order: Order) -> bytes:
    """Bring words into most-significant-first order."""
    if order == "big":
        return words
    pairs = [words[at : at + 2] for at in range(0, len(words), 2)]
    return b"".join(reversed(pairs))


def number(
    words: bytes,
    word_type: WordType,
    order: Order,
    absent: frozenset[bytes] = frozenset(),
) -> Fraction | None:
    """Decode one value.

    Args:
        words: Its registers in wire order.
        word_type: How to read them.
        order: Which word comes first.
        absent: Words, most significant first, that mean "not available" besides a float's NaN.

    Returns:
        The exact value, or None where the meter says that it has none.

    Raises:
        MeterError: The words are no number of that type.
    """
    if len(words) != 2 * REGISTERS[word_type]:
        raise ValueError(f"{word_type}: {len(words)} bytes")
    data = arrange(words, order)
    if data in absent:
        return None
    if word_type in _FLOATS:
        return _floating(data, _FLOATS[word_type])
    if word_type.startswith("m10k"):
        return _by_ten_thousands(data)
    if word_type.startswith("iskra"):
        return _iskra(data, word_type)
    return Fraction(int.from_bytes(data, "big", signed=word_type in _SIGNED))


def text(words: bytes) -> str:
    """Decode characters: up to the first NUL, printable ASCII only, no blanks around."""
    clean = words.split(b"\0", 1)[0].decode("ascii", errors="replace")
    return "".join(char for char in clean if char.isascii() and char.isprintable()).strip()


def power_of_ten(words: bytes) -> Fraction | None:
    """Decode a SunSpec scale factor; None means that its values are not available.

    Raises:
        MeterError: It is outside -10 to 10.
    """
    exponent = number(words, "sf", "big", SUNSPEC_ABSENT["sf"])
    if exponent is None:
        return None
    if abs(exponent) > SCALE_MAX:
        raise MeterError(
            f"expected a scale factor from -{SCALE_MAX} to {SCALE_MAX}, got {exponent}"
        )
    return Fraction(10) ** int(exponent)


def _floating(data: bytes, layout: str) -> Fraction | None:
    (value,) = struct.unpack(layout, data)
    if math.isnan(value):
        return None
    if math.isinf(value):
        raise MeterError(f"expected a finite number, got the words {data.hex(' ', 2)} (infinite)")
    return Fraction(value)


def _by_ten_thousands(data: bytes) -> Fraction:
    value = 0
    for at in range(0, len(data), 2):
        digit = int.from_bytes(data[at : at + 2], "big")
        if digit >= _DIGIT:
            raise MeterError(f"expected registers of 0 to 9999, got the words {data.hex(' ', 2)}")
        value = value * _DIGIT + digit
    return Fraction(value)


def _iskra(data: bytes, word_type: WordType) -> Fraction:
    """Decode a measurement of Iskra's types T5 to T7 (Finder 7M documents them too)."""
    if word_type == "iskra_t7":
        if data[0] not in (0, _MINUS) or data[1] not in (0, _MINUS):
            raise MeterError(f"expected 00 or ff in both high bytes, got {data.hex(' ', 2)}")
        value = Fraction(int.from_bytes(data[2:], "big"), _DIGIT)
        return -value if data[0] == _MINUS else value
    exponent = int.from_bytes(data[:1], "big", signed=True)
    if abs(exponent) > SCALE_MAX:
        raise MeterError(f"expected a power of ten from -10 to 10, got {data.hex(' ', 2)}")
    mantissa = int.from_bytes(data[1:], "big", signed=word_type == "iskra_t6")
    return mantissa * Fraction(10) ** exponent
