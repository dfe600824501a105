"""Accounts, slots and their proofs, against py-trie and the light client's own reader."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from trie.hexary import HexaryTrie

from meterseal.ledger.keccak import keccak256
from meterseal.ledger.trie import prove
from meterseal.types import Hash
from meterseal_simulator.ledger.trie import EMPTY_ROOT, StateReader

keys = st.binary(min_size=20, max_size=20)
values = st.binary(min_size=1, max_size=60)


def nothing(_key: bytes) -> None:
    """A store without nodes."""


@given(st.dictionaries(keys, values, max_size=24), st.lists(keys, max_size=4))
def test_every_key_is_proved_and_every_other_one_shown_to_be_absent(
    entries: dict[bytes, bytes], others: list[bytes]
) -> None:
    nodes: dict[bytes, bytes] = {}
    trie = HexaryTrie(nodes)
    for key, value in entries.items():
        trie[keccak256(key)] = value
    state = StateReader(nodes.get, trie.root_hash)

    for key in [*entries, *others]:
        proof = state.prove_account(key)

        assert proof.value == entries.get(key)
        assert prove(Hash(trie.root_hash), keccak256(key), proof.nodes) == entries.get(key)


def test_an_empty_state_proves_absence_with_nothing() -> None:
    proof = StateReader(nothing, EMPTY_ROOT).prove_account(bytes(20))

    assert (proof.value, proof.nodes) == (None, ())


def test_a_state_that_lost_a_node_says_so() -> None:
    with pytest.raises(KeyError, match="not in the store"):
        StateReader(nothing, b"\x01" * 32).account(bytes(20))
