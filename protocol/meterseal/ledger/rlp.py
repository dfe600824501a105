"""RLP, the encoding of Ethereum, read strictly: every item has one encoding and no other is taken.

Refused: a single byte below 0x80 in a long form, a length with a leading zero or in the long form
where the short one would do, a length beyond the data, bytes after the item, deep nesting
(Ethereum Yellow Paper, appendix B).
"""

from __future__ import annotations

from typing import Final, TypeAlias

from meterseal.errors import EncodingError

Item: TypeAlias = "bytes | list[Item]"

NESTING_MAX: Final = 16
"""A trie node with inline children nests no deeper: each level costs bytes of a 32-byte limit."""

_SHORT: Final = 55
_STRING: Final = 0x80
_LIST: Final = 0xC0


def encode(item: Item | tuple[Item, ...]) -> bytes:
    """Encode bytes or a list of items."""
    if isinstance(item, bytes):
        if len(item) == 1 and item[0] < _STRING:
            return item
        return _prefix(_STRING, len(item)) + item
    body = b"".join(encode(each) for each in item)
    return _prefix(_LIST, len(body)) + body


def decode(data: bytes) -> Item:
    """Decode exactly one item.

    Raises:
        EncodingError: The bytes are not the encoding of one item.
    """
    item, end = _item(data, 0, len(data), NESTING_MAX)
    if end != len(data):
        raise EncodingError(f"RLP: {len(data) - end} bytes after the item")
    return item


def decode_list(data: bytes) -> list[Item]:
    """Decode a list.

    Raises:
        EncodingError: The bytes are not the encoding of one list.
    """
    return as_list(decode(data), "item")


def as_list(item: Item, what: str) -> list[Item]:
    """Take an item as a list.

    Raises:
        EncodingError: It is a string of bytes.
    """
    if isinstance(item, bytes):
        raise EncodingError(f"RLP: {what}: expected a list, got {len(item)} bytes")
    return item


def as_bytes(item: Item, what: str, size: int | None = None) -> bytes:
    """Take an item as bytes, of exactly `size` bytes where that is given.

    Raises:
        EncodingError: It is a list or has another length.
    """
    if not isinstance(item, bytes):
        raise EncodingError(f"RLP: {what}: expected bytes, got a list of {len(item)}")
    if size is not None and len(item) != size:
        raise EncodingError(f"RLP: {what}: expected {size} bytes, got {len(item)}")
    return item


def as_uint(item: Item, what: str, size_max: int = 32) -> int:
    """Take an item as an unsigned integer: big-endian, without leading zeros, zero is empty.

    Raises:
        EncodingError: It is a list, too long or begins with a zero byte.
    """
    data = as_bytes(item, what)
    if len(data) > size_max or data[:1] == b"\0":
        raise EncodingError(f"RLP: {what}: expected an integer of up to {size_max} bytes")
    return int.from_bytes(data, "big")


def uint(value: int) -> bytes:
    """Write an unsigned integer as the bytes of an item."""
    return value.to_bytes((value.bit_length() + 7) // 8, "big")


def _prefix(offset: int, length: int) -> bytes:
    if length <= _SHORT:
        return bytes([offset + length])
    size = uint(length)
    return bytes([offset + _SHORT + len(size)]) + size


def _item(data: bytes, at: int, limit: int, nesting: int) -> tuple[Item, int]:
    if at >= limit:
        raise EncodingError(f"RLP: the data ends at byte {at}, an item was expected")
    first = data[at]
    if first < _STRING:
        return data[at : at + 1], at + 1
    if first < _LIST:
        start, end = _extent(data, at, limit, _STRING)
        if end - start == 1 and data[start] < _STRING:
            raise EncodingError(f"RLP: byte {at}: a single small byte is written as itself")
        return data[start:end], end
    if nesting == 0:
        raise EncodingError(f"RLP: lists nested deeper than {NESTING_MAX}")
    start, end = _extent(data, at, limit, _LIST)
    items: list[Item] = []
    while start < end:
        item, start = _item(data, start, end, nesting - 1)
        items.append(item)
    return items, end


def _extent(data: bytes, at: int, limit: int, offset: int) -> tuple[int, int]:
    """Find where the content of the item at `at` starts and ends."""
    length = data[at] - offset
    start = at + 1
    if length > _SHORT:
        start += length - _SHORT
        size = data[at + 1 : start]
        if start > limit:
            raise EncodingError(f"RLP: byte {at}: the length lies beyond the data")
        length = int.from_bytes(size, "big")
        if size[0] == 0 or length <= _SHORT:
            raise EncodingError(f"RLP: byte {at}: the length is not in its shortest form")
    if start + length > limit:
        raise EncodingError(f"RLP: byte {at}: {length} bytes announced, {limit - start} left")
    return start, start + length
