"""Typed field readers and strict text: the door through which foreign values come in.

Each reader takes the decoded value and the field's name, and returns the value or raises an
`EncodingError` that names the field, what was expected and what came.

Text readers exist because Python's own are lenient: `int("1_000")`, `int("٣")`, `int(" +5")`,
`bytes.fromhex("de ad")` and `b64decode("QR==")` all succeed, `$` matches in front of a final
newline, and `str.splitlines` splits at U+2028.
"""

from __future__ import annotations

import base64
import binascii
import re
from typing import TYPE_CHECKING, Any, Final, TypeVar

from meterseal.errors import EncodingError

if TYPE_CHECKING:
    from enum import IntEnum

    Choice = TypeVar("Choice", bound=IntEnum)

MAX_UINT: Final = 2**63 - 1
"""Largest unsigned field: what a signed 64-bit database column holds."""
MAX_TEXT: Final = 64
"""Bytes of UTF-8 in one text field."""

# C0, DEL, C1, line and paragraph separators, and the marks that turn the direction of text. The
# list is written out, for Python's tables of characters change from version to version.
_CONTROL: Final = re.compile("[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]")
_DECIMAL: Final = re.compile(r"(?:0|[1-9][0-9]{0,18})\Z", re.ASCII)
_HEX: Final = re.compile(r"(?:[0-9a-f]{2})*\Z")


def uint(value: object, name: str, maximum: int = MAX_UINT) -> int:
    """Read an unsigned integer of at most `maximum`."""
    if type(value) is int and 0 <= value <= maximum:
        return value
    raise EncodingError(f"{name}: expected an integer from 0 to {maximum}, got {shown(value)}")


def sint(value: object, name: str) -> int:
    """Read a signed integer of 64 bits."""
    if type(value) is int and -MAX_UINT - 1 <= value <= MAX_UINT:
        return value
    raise EncodingError(f"{name}: expected a signed integer of 64 bits, got {shown(value)}")


def bstr(value: object, name: str, size: int) -> bytes:
    """Read a byte string of exactly `size` bytes."""
    if type(value) is bytes and len(value) == size:
        return value
    raise EncodingError(f"{name}: expected {size} bytes, got {shown(value)}")


def blob(value: object, name: str, maximum: int) -> bytes:
    """Read a byte string of at most `maximum` bytes."""
    if type(value) is bytes and len(value) <= maximum:
        return value
    raise EncodingError(f"{name}: expected at most {maximum} bytes, got {shown(value)}")


def text(value: object, name: str) -> str:
    """Read text of at most 64 bytes of UTF-8 without control characters."""
    if type(value) is str and not _CONTROL.search(value):
        try:
            if len(value.encode()) <= MAX_TEXT:
                return value
        except UnicodeEncodeError:
            pass
    raise EncodingError(
        f"{name}: expected text of at most {MAX_TEXT} bytes without control characters, "
        f"got {shown(value)}"
    )


def array(value: object, name: str, size: int) -> list[object]:
    """Read an array of exactly `size` items."""
    if type(value) is list and len(value) == size:
        return value
    raise EncodingError(f"{name}: expected an array of {size}, got {shown(value)}")


def items(value: object, name: str, maximum: int) -> list[object]:
    """Read an array of at most `maximum` items."""
    if type(value) is list and len(value) <= maximum:
        return value
    raise EncodingError(f"{name}: expected an array of at most {maximum}, got {shown(value)}")


def keyed(value: object, name: str, keys: tuple[int, ...]) -> list[object]:
    """Read a map that has exactly `keys`, and return its values in their order."""
    return [*check_keys(value, name, keys).values()]


def check_keys(value: object, name: str, keys: tuple[int, ...]) -> dict[int, Any]:
    """Check that a value is a map with exactly `keys` in that order, and return it."""
    # True == 1 and 1.0 == 1, so a map may seem to have a key that it lacks: types count too.
    if type(value) is dict and (*value,) == keys and {*map(type, value)} == {int}:
        return value
    raise EncodingError(f"{name}: expected a map with exactly the keys {keys}, got {shown(value)}")


def one_of(value: object, name: str, choices: type[Choice]) -> Choice:
    """Read a member of an enumeration by its number."""
    for choice in choices:
        if type(value) is int and value == choice:
            return choice
    raise EncodingError(
        f"{name}: expected one of {[int(choice) for choice in choices]}, got {shown(value)}"
    )


def decimal(value: str) -> int:
    """Read a decimal number: ASCII digits, no sign, no leading zero, below 2^63."""
    if _DECIMAL.match(value) and (number := int(value)) <= MAX_UINT:
        return number
    raise EncodingError(
        f"decimal number: expected 0 to 2^63-1 without sign or leading zeros, got {shown(value)}"
    )


def unhex(value: str) -> bytes:
    """Read lower-case hex without spaces or prefix."""
    if _HEX.match(value):
        return bytes.fromhex(value)
    raise EncodingError(f"hex: expected pairs of 0-9a-f, got {shown(value)}")


def unbase64(value: str) -> bytes:
    """Read standard base64 (RFC 4648, section 4), padded, canonical, on one line."""
    try:
        data = base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError) as error:
        raise EncodingError(f"base64: {error}, got {shown(value)}") from error
    # "QR==" and "QQ==" both decode to b"A": only what we would write ourselves is read.
    if base64.b64encode(data).decode() != value:
        raise EncodingError(f"base64: expected the canonical form, got {shown(value)}")
    return data


def shown(value: object) -> str:
    """Show a foreign value in an error: its type and a bounded part of it.

    Only what is known to be short is printed: the text of an integer of many digits is an error of
    its own, and so is that of anything which holds one.
    """
    match value:
        case bytes():
            return f"{len(value)} bytes"
        case dict() | list() | tuple():
            return f"a {type(value).__name__} of {len(value)}"
        case str():
            return f"text {value[:80]!r}"
        case bool() | None:
            return f"{value}"
        case int() if value.bit_length() <= 64:  # noqa: PLR2004 - what CBOR calls an integer
            return f"{value}"
    return f"a value of type {type(value).__name__}"
