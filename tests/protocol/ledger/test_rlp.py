"""RLP: one encoding for each item, against the public `rlp` package."""

from __future__ import annotations

from typing import Any

import pytest
import rlp as oracle  # type: ignore[import-untyped]
from hypothesis import given
from hypothesis import strategies as st

from meterseal.errors import EncodingError
from meterseal.ledger import rlp

ITEMS: st.SearchStrategy[Any] = st.recursive(
    st.binary(max_size=80), lambda inner: st.lists(inner, max_size=6), max_leaves=20
)


@given(ITEMS)
def test_the_encoding_is_that_of_the_rlp_package_and_reads_back(item: Any) -> None:  # noqa: ANN401
    data = rlp.encode(item)

    assert data == oracle.encode(item)
    assert rlp.decode(data) == item


@given(st.binary(max_size=120) | st.binary(max_size=12).map(lambda b: b"\xc8" + b))
def test_any_bytes_are_read_exactly_when_they_are_the_one_encoding(data: bytes) -> None:
    try:
        item = rlp.decode(data)
    except EncodingError:
        with pytest.raises(oracle.exceptions.DecodingError):
            oracle.decode(data, strict=True)
        return
    assert rlp.encode(item) == data


@given(ITEMS, st.data())
def test_a_changed_encoding_is_refused_or_is_another_item(item: Any, data: st.DataObject) -> None:  # noqa: ANN401
    encoded = bytearray(rlp.encode(item))
    at = data.draw(st.integers(0, len(encoded) - 1))
    encoded[at] ^= data.draw(st.integers(1, 255))
    try:
        other = rlp.decode(bytes(encoded))
    except EncodingError:
        return
    assert other != item


@pytest.mark.parametrize("length", [0, 1, 55, 56, 255, 256, 65536])
def test_lengths_at_the_borders_of_the_forms_read_back(length: int) -> None:
    string = b"\xff" * length

    items: list[rlp.Item] = [string, [string], [b""] * (length % 300)]
    for item in items:
        assert rlp.decode(rlp.encode(item)) == item


@pytest.mark.parametrize(
    ("what", "data"),
    [
        ("nothing", ""),
        ("a byte after the item", "80" + "00"),
        ("a small byte in the long form", "817f"),
        ("a long length for a short string", "b801ff"),
        ("a length with a leading zero", "b90038" + "ff" * 56),
        ("a length of zero bytes", "b800"),
        ("a string cut short", "83ffff"),
        ("a length cut short", "b9ff"),
        ("a list cut short", "c38080"),
        ("an item that leaves its list", "c281ff81"),
        ("an item beyond its list", "c1" + "83ffffff"),
        ("a long length for a short list", "f801" + "80"),
        ("a length of eight bytes", "bf" + "ff" * 8),
        ("a list of a length of eight bytes", "ff" + "ff" * 8),
    ],
)
def test_what_is_not_the_shortest_whole_item_is_refused(what: str, data: str) -> None:
    with pytest.raises(EncodingError):
        pytest.fail(f"{what}: accepted as {rlp.decode(bytes.fromhex(data))!r}")


def test_nesting_is_bounded() -> None:
    item: Any = []
    for _ in range(rlp.NESTING_MAX - 1):
        item = [item]

    assert rlp.decode(rlp.encode(item)) == item
    with pytest.raises(EncodingError, match="nested deeper"):
        rlp.decode(rlp.encode([item]))


@given(st.integers(0, 2**256 - 1))
def test_an_integer_survives_and_has_no_leading_zero(value: int) -> None:
    data = rlp.uint(value)

    assert rlp.as_uint(data, "value") == value
    assert data[:1] != b"\0"
    with pytest.raises(EncodingError, match="value"):
        rlp.as_uint(b"\0" + data, "value")


def test_an_item_of_another_shape_is_named() -> None:
    with pytest.raises(EncodingError, match="nonce: expected bytes, got a list of 1"):
        rlp.as_bytes([b""], "nonce")
    with pytest.raises(EncodingError, match="address: expected 20 bytes, got 2"):
        rlp.as_bytes(b"ab", "address", 20)
    with pytest.raises(EncodingError, match="seals: expected a list, got 1 bytes"):
        rlp.as_list(b"a", "seals")
    with pytest.raises(EncodingError, match="up to 32 bytes"):
        rlp.as_uint(b"\x01" * 33, "value")
