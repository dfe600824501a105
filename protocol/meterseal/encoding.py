"""Deterministic CBOR, and the strict reader that accepts nothing else.

The writer follows RFC 8949, section 4.2.1. The reader decodes, checks every item, encodes again and
compares (protocol 2.3), because cbor2 alone accepts duplicate keys, longer integers than needed,
unsorted maps, indefinite lengths and trailing bytes.

- Items: integers of 64 bits, byte strings, text, arrays, maps with unsigned integer keys, null.
  No floats, booleans, undefined or simple values, and no tag in a payload.
- Keys ascend. For unsigned keys below 2^64 the order by number is the order by encoded bytes, so
  there is no need for cbor2's `canonical=True`, which is the old, length-first order of RFC 7049.
- Nesting counts containers: the outermost map or array is 1.
- `load`, `dump` and `check_dump` are the same in parts, for records: their typed reader looks at
  every item by itself, and records are what is read all day.
"""

from __future__ import annotations

import io
import re
import threading
from typing import Final

import cbor2

from meterseal.errors import EncodingError
from meterseal.fields import (
    MAX_UINT,
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

__all__ = [
    "MAX_NESTING",
    "MAX_PAYLOAD",
    "MAX_SEQUENCE_ITEMS",
    "MAX_UINT",
    "array",
    "blob",
    "bstr",
    "decimal",
    "decode",
    "decode_sequence",
    "encode",
    "item_end",
    "items",
    "keyed",
    "sint",
    "text",
    "uint",
    "unbase64",
    "unhex",
]

MAX_NESTING: Final = 4
MAX_PAYLOAD: Final = 60 * 1024
"""Bytes of one MQTT payload or CBOR sequence."""
MAX_SEQUENCE_ITEMS: Final = 1024


_COSTLY_TAG: Final = re.compile(
    rb"\xd8[\x19\x1c-\x1e\x23-\x25]|\xd9[\x00\x01]|\xda\x00\x00|\xdb\x00\x00", re.DOTALL
)
"""What the head of a tag looks like that makes cbor2 work: a pattern to compile, a message to
parse, a reference to share. In 200 random bytes it stands by chance once in thirty."""


class _Codec(threading.local):
    """One cbor2 encoder and decoder a thread: to make them costs as much as a reading does.

    A decoder that failed keeps what it was in the middle of, so it is replaced after an error.
    """

    def __init__(self) -> None:
        self.write = cbor2.CBOREncoder(io.BytesIO()).encode_to_bytes
        self.forget()

    def forget(self) -> None:
        """Begin with a decoder that has read nothing."""
        self.read = cbor2.CBORDecoder(io.BytesIO()).decode_from_bytes


_CODEC: Final = _Codec()

_MIN_INT: Final = -(2**63)
_MAX_INT: Final = 2**64 - 1
_UINT, _BSTR, _TSTR, _ARRAY, _MAP, _TAG, _SIMPLE = 0, 2, 3, 4, 5, 6, 7
_NULL: Final = 0xF6


def encode(value: object) -> bytes:
    """Write `value` as deterministic CBOR.

    Args:
        value: Integers, bytes, text, lists, tuples, dicts with unsigned keys (any order) and None.

    Raises:
        EncodingError: If `value` holds anything that the strict reader would refuse.
    """
    ordered = _ordered(value)
    _check(ordered, MAX_NESTING)
    return dump(ordered)


def decode(data: bytes, *, limit: int = MAX_PAYLOAD) -> object:
    """Read exactly one deterministic CBOR item.

    Args:
        data: The item and nothing behind it.
        limit: Most bytes that are accepted.

    Raises:
        EncodingError: If `data` is anything but what `encode` would have written.
    """
    if len(data) > limit:
        raise EncodingError(f"CBOR item of {len(data)} bytes: at most {limit} are accepted")
    value = load(data)
    _check(value, MAX_NESTING)
    check_dump(value, data)
    return value


def load(data: bytes) -> object:
    """Read an item leniently. The caller checks every type and key order, then `check_dump`.

    Raises:
        EncodingError: If cbor2 cannot read it, or should not: a tag can cost seconds.
    """
    if _COSTLY_TAG.search(data):
        item_end(data, 0, refused=_TAG)
    try:
        return _CODEC.read(data)
    except Exception as error:  # cbor2's readers of tags raise TypeError, decimal.Overflow, ...
        _CODEC.forget()
        raise EncodingError(f"CBOR item: {type(error).__name__}: {error}") from error


def dump(value: object) -> bytes:
    """Write a value whose types and key order are checked already."""
    return _CODEC.write(value)


def check_dump(value: object, data: bytes) -> None:
    """Compare a checked value, encoded again, with the bytes that it was read from.

    Raises:
        EncodingError: If they differ: duplicate keys, longer heads, indefinite lengths, more bytes.
    """
    if _CODEC.write(value) != data:
        raise EncodingError(
            "CBOR item: expected the deterministic encoding of RFC 8949 4.2.1 and no more bytes"
        )


def decode_sequence(data: bytes) -> tuple[list[bytes], EncodingError | None]:
    """Cut a CBOR sequence (RFC 8742) into its items.

    The valid prefix counts and the first bad item ends it. Items are cut, not understood: each one
    still needs its own strict reader.

    Args:
        data: Items one behind the other, at most `MAX_PAYLOAD` bytes.

    Returns:
        The items in front of the first fault, and the fault, or None if there is none.
    """
    found: list[bytes] = []
    if len(data) > MAX_PAYLOAD:
        return found, EncodingError(f"sequence of {len(data)} bytes: at most {MAX_PAYLOAD}")
    start = 0
    while start < len(data):
        if len(found) == MAX_SEQUENCE_ITEMS:
            return found, EncodingError(f"sequence: more than {MAX_SEQUENCE_ITEMS} items")
        try:
            end = item_end(data, start)
        except EncodingError as fault:
            return found, EncodingError(f"item {len(found)} of a sequence: {fault}")
        found.append(data[start:end])
        start = end
    return found, None


def item_end(data: bytes, start: int, refused: int | None = None) -> int:
    """Find where the CBOR item at `start` ends, without building it.

    Args:
        data: The item, and perhaps more behind it.
        start: Where it begins.
        refused: A major type that may not occur.

    Raises:
        EncodingError: If the item is cut off, or uses a length that is indefinite or too long.
    """
    at, wanted = start, 1
    while wanted:
        major, argument, at = _head(data, at)
        wanted -= 1
        if major == refused:
            raise EncodingError(f"CBOR item: major type {major} ({argument}) has no place here")
        if major in (_BSTR, _TSTR):
            at += argument
        elif major == _ARRAY:
            wanted += argument
        elif major == _MAP:
            wanted += 2 * argument
        elif major == _TAG:
            wanted += 1
        # Every wanted item has at least one byte: a head cannot promise more than is there.
        if at + wanted > len(data):
            raise EncodingError(f"CBOR item at byte {start}: cut off after {len(data) - start}")
    return at


def _head(data: bytes, at: int) -> tuple[int, int, int]:
    """Read an item's first bytes: major type, argument, where its content begins."""
    if at >= len(data):
        raise EncodingError(f"CBOR item: expected a head at byte {at}, the data end there")
    major, info = divmod(data[at], 32)
    if info < 24:  # noqa: PLR2004 - RFC 8949, table 1
        if major == _SIMPLE and data[at] != _NULL:
            raise EncodingError(f"CBOR head at byte {at}: expected null, got 0x{data[at]:02x}")
        return major, info, at + 1
    if info > 27 or major == _SIMPLE:  # noqa: PLR2004 - reserved, indefinite; floats
        raise EncodingError(f"CBOR head at byte {at}: 0x{data[at]:02x} is not deterministic CBOR")
    size = 1 << (info - 24)
    end = at + 1 + size
    argument = int.from_bytes(data[at + 1 : end], "big")
    least = 24 if size == 1 else 1 << (4 * size)
    if end > len(data) or argument < least:
        raise EncodingError(f"CBOR head at byte {at}: cut off or longer than needed")
    return major, argument, end


def _ordered(value: object) -> object:
    """Copy `value` with the keys of every map ascending."""
    if isinstance(value, dict):
        try:
            return {key: _ordered(value[key]) for key in sorted(value)}
        except TypeError as error:
            raise EncodingError("CBOR map: expected unsigned integers as keys") from error
    if isinstance(value, list | tuple):
        return [_ordered(item) for item in value]
    return value


def _check(value: object, depth: int) -> None:
    """Refuse what deterministic CBOR could carry but this protocol does not.

    Exact types only: `bool` is an `int` for `isinstance`, and cbor2 reads tagged items as dates,
    decimals, patterns and sets.
    """
    kind = type(value)
    if isinstance(value, dict) and kind is dict:
        _check_map(value, depth)
    elif isinstance(value, list) and kind is list:
        if depth == 0:
            raise EncodingError(f"CBOR array: nested deeper than {MAX_NESTING}")
        for item in value:
            _check(item, depth - 1)
    elif isinstance(value, int) and kind is int:
        if not _MIN_INT <= value <= _MAX_INT:
            raise EncodingError("CBOR integer: expected 64 bits")
    elif isinstance(value, str) and kind is str:
        _check_utf8(value)
    elif kind is not bytes and value is not None:
        raise EncodingError(
            f"CBOR item: expected an integer, bytes, text, array, map or null, got {kind.__name__}"
        )


def _check_map(value: dict[object, object], depth: int) -> None:
    if depth == 0:
        raise EncodingError(f"CBOR map: nested deeper than {MAX_NESTING}")
    last = -1
    for key, item in value.items():
        if type(key) is not int or not last < key <= _MAX_INT:
            raise EncodingError("CBOR map: expected ascending unsigned integers as keys")
        last = key
        _check(item, depth - 1)


def _check_utf8(value: str) -> None:
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise EncodingError("CBOR text: expected UTF-8, got a lone surrogate") from error
