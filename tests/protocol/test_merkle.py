"""The RFC 9162 tree: against the RFC's own recursive definitions, and public and own vectors."""

from __future__ import annotations

import json
from base64 import b64decode
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meterseal.errors import ProofError
from meterseal.merkle import (
    EMPTY_ROOT,
    CompactRange,
    Node,
    consistency_path,
    consistency_path_from,
    inclusion_path,
    inclusion_path_from,
    join_path,
    leaf_hash,
    node_hash,
    root,
    root_from,
    split_path,
    verify_consistency,
    verify_inclusion,
)
from meterseal.types import Hash

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

LEAVES_MAX = 33
LEAVES = [leaf_hash(n.to_bytes(2, "big")) for n in range(LEAVES_MAX + 1)]


# The definitions of RFC 9162, 2.1.1, 2.1.3.1 and 2.1.4.1, word for word and without a shortcut.


def split(n: int) -> int:
    k = 1
    while k * 2 < n:
        k *= 2
    return k


def mth(leaves: Sequence[Hash]) -> Hash:
    if not leaves:
        return EMPTY_ROOT
    if len(leaves) == 1:
        return leaves[0]
    k = split(len(leaves))
    return node_hash(mth(leaves[:k]), mth(leaves[k:]))


def rfc_path(m: int, leaves: Sequence[Hash]) -> list[Hash]:
    if len(leaves) == 1:
        return []
    k = split(len(leaves))
    if m < k:
        return [*rfc_path(m, leaves[:k]), mth(leaves[k:])]
    return [*rfc_path(m - k, leaves[k:]), mth(leaves[:k])]


def rfc_subproof(m: int, leaves: Sequence[Hash], *, whole: bool) -> list[Hash]:
    if m == len(leaves):
        return [] if whole else [mth(leaves)]
    k = split(len(leaves))
    if m <= k:
        return [*rfc_subproof(m, leaves[:k], whole=whole), mth(leaves[k:])]
    return [*rfc_subproof(m - k, leaves[k:], whole=False), mth(leaves[:k])]


ROOTS = [mth(LEAVES[:n]) for n in range(LEAVES_MAX + 1)]
SIZES = range(1, LEAVES_MAX + 1)


def included(index: int, size: int, leaf: Hash, path: Sequence[Hash], tree_root: Hash) -> bool:
    try:
        verify_inclusion(index, size, leaf, path, tree_root)
    except ProofError:
        return False
    return True


def consistent(old: int, new: int, root1: Hash, root2: Hash, path: Sequence[Hash]) -> bool:
    try:
        verify_consistency(old, new, root1, root2, path)
    except ProofError:
        return False
    return True


def flipped(value: Hash, bit: int) -> Hash:
    return Hash((int.from_bytes(value, "big") ^ (1 << bit)).to_bytes(32, "big"))


class Nodes:
    """A store of complete nodes, as a log keeps them: it has no others to give."""

    def __init__(self, leaves: Sequence[Hash]) -> None:
        tree = CompactRange()
        completed = [node for leaf in leaves for node in tree.append(leaf)]
        self.by_place = {(node.level, node.index): node.hash for node in completed}

    def read(self, level: int, index: int) -> Hash:
        return self.by_place[level, index]


@pytest.mark.parametrize("size", range(LEAVES_MAX + 1))
def test_the_root_is_that_of_the_recursive_definition(size: int) -> None:
    assert root(LEAVES[:size]) == ROOTS[size]


@pytest.mark.parametrize("size", SIZES)
def test_every_inclusion_path_is_that_of_the_rfc_and_verifies(size: int) -> None:
    leaves = LEAVES[:size]

    for index in range(size):
        path = inclusion_path(index, leaves)
        assert list(path) == rfc_path(index, leaves)
        verify_inclusion(index, size, leaves[index], path, ROOTS[size])


@pytest.mark.parametrize("size", SIZES)
def test_every_consistency_path_is_that_of_the_rfc_and_verifies(size: int) -> None:
    leaves = LEAVES[:size]

    for old in range(1, size + 1):
        path = consistency_path(old, leaves)
        assert list(path) == rfc_subproof(old, leaves, whole=True)
        verify_consistency(old, size, ROOTS[old], ROOTS[size], path)


@pytest.mark.parametrize("size", SIZES)
def test_a_leaf_verifies_at_no_other_index_and_no_other_leaf_at_its(size: int) -> None:
    leaves = LEAVES[:size]

    for index in range(size):
        path = inclusion_path(index, leaves)
        places = [i for i in range(size) if included(i, size, leaves[index], path, ROOTS[size])]
        others = [leaf for leaf in LEAVES if included(index, size, leaf, path, ROOTS[size])]
        assert places == [index]
        assert others == [leaves[index]]


@pytest.mark.parametrize("size", SIZES)
def test_a_consistency_path_proves_no_other_roots(size: int) -> None:
    for old in range(1, size):
        path = consistency_path(old, LEAVES[:size])
        for rival in range(LEAVES_MAX + 1):
            if rival != old:
                assert not consistent(old, size, ROOTS[rival], ROOTS[size], path)
            if rival != size:
                assert not consistent(old, size, ROOTS[old], ROOTS[rival], path)


@pytest.mark.parametrize("size", [1, 2, 3, 5, 8, 13, 16, 21, 32, 33])
def test_a_path_shortened_lengthened_or_flipped_anywhere_is_refused(size: int) -> None:
    for index in range(size):
        path = list(inclusion_path(index, LEAVES[:size]))
        bad = [[*path, LEAVES[0]], [LEAVES[0], *path], *([*path[:-1]], path[1:]) * bool(path)]
        bad += [
            [*path[:at], flipped(each, bit), *path[at + 1 :]]
            for at, each in enumerate(path)
            for bit in (0, 128, 255)
        ]
        for other in bad:
            assert not included(index, size, LEAVES[index], other, ROOTS[size])
    for old in range(1, size):
        path = list(consistency_path(old, LEAVES[:size]))
        bad = [[*path, LEAVES[0]], [LEAVES[0], *path], path[:-1], path[1:], []]
        bad += [[*path[:at], flipped(each, 7), *path[at + 1 :]] for at, each in enumerate(path)]
        for other in bad:
            assert not consistent(old, size, ROOTS[old], ROOTS[size], other)


@pytest.mark.parametrize("size", [0, 1, 2, 7, 8, 9, 31, 32, 33])
def test_paths_and_roots_of_every_earlier_size_come_from_complete_nodes_alone(size: int) -> None:
    nodes = Nodes(LEAVES[:LEAVES_MAX])

    assert root_from(size, nodes.read) == ROOTS[size]
    for index in range(size):
        path = inclusion_path_from(index, size, nodes.read)
        assert list(path) == rfc_path(index, LEAVES[:size])
    for old in range(1, size + 1):
        path = consistency_path_from(old, size, nodes.read)
        assert list(path) == rfc_subproof(old, LEAVES[:size], whole=True)


def test_appending_tells_each_complete_node_once() -> None:
    tree = CompactRange()

    told = [node for leaf in LEAVES[:8] for node in tree.append(leaf)]

    assert len({(node.level, node.index) for node in told}) == len(told) == 15
    assert told[-1] == Node(level=3, index=0, hash=ROOTS[8])


@pytest.mark.parametrize("size", range(LEAVES_MAX))
def test_a_tree_continues_from_its_state_and_from_its_nodes(size: int) -> None:
    tree = CompactRange()
    for leaf in LEAVES[:size]:
        tree.append(leaf)
    states = [
        CompactRange.from_state(tree.size, tree.hashes),
        CompactRange.from_nodes(size, Nodes(LEAVES[:LEAVES_MAX]).read),
    ]

    for state in states:
        state.append(LEAVES[size])
        assert (state.size, state.root()) == (size + 1, ROOTS[size + 1])


def test_a_state_that_does_not_fit_its_size_is_refused() -> None:
    with pytest.raises(ProofError, match="expected 2 hashes, got 1"):
        CompactRange.from_state(3, [LEAVES[0]])
    with pytest.raises(ProofError, match="expected 0 hashes"):
        CompactRange.from_state(-1, [LEAVES[0]])
    with pytest.raises(ProofError, match="32 bytes, got 31"):
        CompactRange.from_state(1, [Hash(LEAVES[0][:31])])


def test_no_path_is_built_for_what_is_not_in_the_tree() -> None:
    with pytest.raises(ProofError, match="index 3 is outside the tree of size 3"):
        inclusion_path(3, LEAVES[:3])
    with pytest.raises(ProofError, match="index -1"):
        inclusion_path(-1, LEAVES[:3])
    with pytest.raises(ProofError, match="old size 4"):
        consistency_path(4, LEAVES[:3])


@pytest.mark.parametrize("size", [31, 33, 0])
def test_a_hash_of_another_length_is_refused_wherever_it_stands(size: int) -> None:
    odd = Hash(bytes(size))
    path = inclusion_path(1, LEAVES[:3])

    assert not included(1, 3, odd, path, ROOTS[3])
    assert not included(1, 3, LEAVES[1], path, odd)
    assert not included(1, 3, LEAVES[1], (odd, path[1]), ROOTS[3])
    assert not consistent(2, 3, odd, ROOTS[3], [LEAVES[2]])
    assert not consistent(2, 3, ROOTS[2], odd, [LEAVES[2]])
    assert not consistent(2, 3, ROOTS[2], ROOTS[3], [odd])
    with pytest.raises(ProofError):
        CompactRange().append(odd)


def test_a_root_that_hashes_to_itself_below_32_bytes_is_no_tree_of_one_leaf() -> None:
    """The case that a literal reading of the RFC accepts: an empty leaf hash is an empty root."""
    assert not included(0, 1, Hash(b""), [], Hash(b""))


def test_from_size_zero_nothing_is_proved() -> None:
    assert consistency_path(0, LEAVES[:5]) == ()
    assert not consistent(0, 5, EMPTY_ROOT, ROOTS[5], [])
    assert not consistent(0, 0, EMPTY_ROOT, EMPTY_ROOT, [])


@given(st.lists(st.binary(min_size=32, max_size=32), max_size=64))
def test_a_path_survives_its_bytes(hashes: list[bytes]) -> None:
    path = tuple(Hash(each) for each in hashes)

    assert split_path(join_path(path)) == path


@pytest.mark.parametrize("length", [1, 31, 33, 65 * 32])
def test_bytes_that_are_no_path_are_refused(length: int) -> None:
    with pytest.raises(ProofError, match="up to 64 hashes"):
        split_path(bytes(length))


@given(
    st.integers(-2, 70),
    st.integers(-2, 70),
    st.lists(st.sampled_from([*LEAVES, *ROOTS, Hash(b"")])),
)
def test_any_path_is_accepted_or_refused_by_a_proof_error(a: int, b: int, path: list[Hash]) -> None:
    included(a, b, LEAVES[0], path, ROOTS[5])
    consistent(a, b, ROOTS[3], ROOTS[5], path)


def test_the_public_cases_of_transparency_dev_hold(vectors: Callable[[str], Path]) -> None:
    cases = json.loads(vectors("vectors/transparency-dev-merkle/cases.json").read_text())
    wrong = []
    for case in cases:
        path = [Hash(b64decode(each)) for each in case["proof"] or []]
        if case["kind"] == "inclusion":
            numbers = (case["leafIdx"], case["treeSize"])
            hashes = (b64decode(case["leafHash"]), b64decode(case["root"]))
            accepted = included(*numbers, Hash(hashes[0]), path, Hash(hashes[1]))
        else:
            numbers = (case["size1"], case["size2"])
            hashes = (b64decode(case["root1"]), b64decode(case["root2"]))
            accepted = consistent(*numbers, Hash(hashes[0]), Hash(hashes[1]), path)
        if accepted == case["wantErr"]:
            wrong.append(case["name"])

    assert len(cases) == 108
    assert wrong == []


@pytest.fixture(scope="module")
def known(repository: Path) -> Any:  # noqa: ANN401 -- JSON
    return json.loads((repository / "protocol/vectors/merkle.json").read_text())


def test_the_known_answers_are_those_of_the_recursive_definitions(known: Any) -> None:  # noqa: ANN401
    leaves = [leaf_hash(bytes.fromhex(record)) for record in known["records"]]

    assert [bytes.fromhex(each) for each in known["roots"]] == [
        mth(leaves[:n]) for n in range(len(leaves) + 1)
    ]
    for case in known["consistency"]:
        root1, root2 = Hash(bytes.fromhex(case["root1"])), Hash(bytes.fromhex(case["root2"]))
        path = [Hash(bytes.fromhex(each)) for each in case["proof"]]
        accepted = consistent(case["size1"], case["size2"], root1, root2, path)
        assert accepted is case["valid"], case["name"]
    for case in known["inclusion"]:
        leaf, tree_root = Hash(bytes.fromhex(case["leaf"])), Hash(bytes.fromhex(case["root"]))
        path = [Hash(bytes.fromhex(each)) for each in case["path"]]
        assert leaf == leaf_hash(bytes.fromhex(case["record"]))
        accepted = included(case["index"], case["size"], leaf, path, tree_root)
        assert accepted is case["valid"], case["name"]


def test_a_size_is_not_fixed_by_root_and_path() -> None:
    """Why sizes come from signed checkpoints only: these are true and look false."""
    path = inclusion_path(0, LEAVES[:8])
    growth = consistency_path(4, LEAVES[:8])

    assert [n for n in SIZES if included(0, n, LEAVES[0], path, ROOTS[8])] == [5, 6, 7, 8]
    assert [n for n in SIZES if consistent(4, n, ROOTS[4], ROOTS[8], growth)] == [5, 6, 7, 8]
