"""The trie walk: against py-trie, and against every way to say less or more than the truth."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from trie.hexary import HexaryTrie

from meterseal.errors import ProofError
from meterseal.ledger import rlp
from meterseal.ledger.keccak import keccak256
from meterseal.ledger.trie import EMPTY_TRIE_ROOT, prove
from meterseal.types import Hash
from support.sealedledger import proof_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from meterseal.ledger.rlp import Item


def build(entries: Mapping[bytes, bytes]) -> HexaryTrie:
    result = HexaryTrie({})
    for key, value in entries.items():
        result[key] = value
    return result


def refused(root: bytes, key: bytes, nodes: Sequence[bytes]) -> bool:
    try:
        prove(Hash(root), key, nodes)
    except ProofError:
        return True
    return False


# Short keys of few nibbles make branches with values, extensions and inline nodes; long values and
# keys make hashed ones.
KEYS = st.binary(min_size=1, max_size=4).map(lambda b: bytes(x & 0x33 for x in b)) | st.binary(
    min_size=32, max_size=32
)
ENTRIES = st.dictionaries(KEYS, st.binary(min_size=1, max_size=40), min_size=1, max_size=40)


@settings(max_examples=200)
@given(ENTRIES, KEYS)
def test_every_value_and_every_absence_is_proved_as_py_trie_has_it(
    entries: dict[bytes, bytes], stranger: bytes
) -> None:
    trie = build(entries)

    for key in [*entries, stranger]:
        assert prove(Hash(trie.root_hash), key, proof_of(trie, key)) == entries.get(key)


@settings(max_examples=100)
@given(ENTRIES, st.data())
def test_a_proof_with_a_byte_changed_a_node_missing_or_one_too_many_is_refused(
    entries: dict[bytes, bytes], data: st.DataObject
) -> None:
    trie = build(entries)
    key = data.draw(st.sampled_from(sorted(entries)))
    nodes = list(proof_of(trie, key))
    at = data.draw(st.integers(0, len(nodes) - 1))
    byte = data.draw(st.integers(0, len(nodes[at]) - 1))
    changed = bytearray(nodes[at])
    changed[byte] ^= data.draw(st.integers(1, 255))

    assert refused(trie.root_hash, key, [*nodes[:at], bytes(changed), *nodes[at + 1 :]])
    assert refused(trie.root_hash, key, nodes[:at] + nodes[at + 1 :])
    assert refused(trie.root_hash, key, [*nodes, nodes[at]])
    assert refused(trie.root_hash, key, [nodes[at], *nodes])
    assert refused(trie.root_hash, key, [*nodes[:at], nodes[at] + b"\0", *nodes[at + 1 :]])
    assert refused(bytes(32), key, nodes)


@given(st.lists(st.binary(max_size=60), max_size=4), st.binary(max_size=4))
def test_any_nodes_are_a_proof_or_a_proof_error(nodes: list[bytes], key: bytes) -> None:
    for root in (keccak256(nodes[0]) if nodes else EMPTY_TRIE_ROOT, EMPTY_TRIE_ROOT, Hash(b"")):
        refused(root, key, nodes)


ROOT_ITEMS: st.SearchStrategy[Item] = st.lists(
    st.recursive(st.binary(max_size=8), lambda i: st.lists(i, max_size=3), max_leaves=6),
    min_size=2,
    max_size=2,
) | st.lists(st.binary(max_size=2) | st.lists(st.binary(max_size=3)), min_size=17, max_size=17)


@given(ROOT_ITEMS, st.binary(max_size=3))
def test_any_node_under_its_own_hash_is_a_proof_or_a_proof_error(node: Item, key: bytes) -> None:
    data = rlp.encode(node)

    refused(keccak256(data), key, [data])


def test_the_empty_trie_holds_nothing_and_needs_no_node() -> None:
    assert bytes(EMPTY_TRIE_ROOT) == HexaryTrie({}).root_hash
    assert prove(EMPTY_TRIE_ROOT, b"key", []) is None
    assert prove(EMPTY_TRIE_ROOT, b"key", [b"\x80"]) is None
    assert refused(EMPTY_TRIE_ROOT, b"key", [b"\xc0"])
    assert refused(EMPTY_TRIE_ROOT, b"key", [b"\x80", b"\x80"])


def test_silence_is_no_proof_of_absence() -> None:
    trie = build({bytes([n]) * 32: b"value" * 8 for n in range(30)})

    assert refused(trie.root_hash, b"\x99" * 32, [])
    assert refused(trie.root_hash, b"\x05" * 32, proof_of(trie, b"\x05" * 32)[:1])


def test_the_proof_of_one_key_is_none_for_another() -> None:
    trie = build({bytes([n]) * 32: b"value" * 8 for n in range(30)})

    assert refused(trie.root_hash, b"\x06" * 32, proof_of(trie, b"\x05" * 32))


def leaf(path: bytes, value: Item = b"v" * 40) -> bytes:
    return rlp.encode([path, value])


BRANCH: list[Item] = [b""] * 16
LONG_LEAF = leaf(b"\x20" + b"\x11" * 3)


@pytest.mark.parametrize(
    ("what", "nodes"),
    [
        ("a leaf without a value", [leaf(b"\x20" + b"\x11" * 4, b"")]),
        ("a leaf with a list for a value", [leaf(b"\x20" + b"\x11" * 4, [b"v"])]),
        ("a path flag above 3", [leaf(b"\x40" + b"\x11" * 4)]),
        ("an even path with a nibble in its flag byte", [leaf(b"\x21" + b"\x11" * 4)]),
        ("no path at all", [leaf(b"")]),
        ("a list for a path", [rlp.encode([[b"\x20"], b"v" * 40])]),
        ("an extension without a path", [rlp.encode([b"\x00", keccak256(LONG_LEAF)]), LONG_LEAF]),
        (
            "an extension above a leaf",
            [rlp.encode([b"\x00\x11", keccak256(LONG_LEAF)]), LONG_LEAF],
        ),
        ("an extension that names nothing", [rlp.encode([b"\x00\x11", b""])]),
        ("three items", [rlp.encode([b"\x20", b"v" * 40, b""])]),
        ("bytes for a node", [rlp.encode(b"v" * 40)]),
        (
            "a short node outside its parent",
            [
                rlp.encode([b"\x00\x11", keccak256(rlp.encode([*BRANCH, b"v"]))]),
                rlp.encode([*BRANCH, b"v"]),
            ],
        ),
        (
            "a long node inside its parent",
            [rlp.encode([b"\x00\x11", [*BRANCH, b"v" * 40]])],
        ),
    ],
)
def test_a_node_that_no_honest_trie_holds_is_refused(what: str, nodes: list[bytes]) -> None:
    root = keccak256(nodes[0])

    for key in (b"\x11" * 4, b"\x11"):
        assert refused(root, key, nodes), what


def test_an_inline_child_is_followed_without_a_node_of_its_own() -> None:
    trie = build({b"\x10": b"a", b"\x11": b"b"})

    nodes = proof_of(trie, b"\x11")

    assert len(nodes) == 1
    assert prove(Hash(trie.root_hash), b"\x11", nodes) == b"b"
    assert prove(Hash(trie.root_hash), b"\x12", nodes) is None
