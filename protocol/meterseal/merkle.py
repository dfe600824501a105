"""The RFC 9162 SHA-256 tree: roots, paths, and the two checks everything else rests on.

Rules:

* A leaf is SHA-256(0x00 ‖ data), a node SHA-256(0x01 ‖ left ‖ right), the empty tree SHA-256("");
  a tree of n leaves splits at the largest power of two below n (RFC 9162, 2.1.1).
* Every hash that enters a check is 32 bytes long; this is checked, not assumed.
* Root and path fix content and not (index, size): the path of leaf 0 of 8 also verifies for the
  sizes 5, 6 and 7. A size is believed only from a signed checkpoint.
* Only complete subtrees are stored. `Node` addresses one: level 0 are the leaves, and the node
  (level, index) covers the leaves from index·2^level up to (index + 1)·2^level.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from hashlib import sha256
from typing import TYPE_CHECKING, Final, TypeAlias

from meterseal.errors import ProofError
from meterseal.types import Hash

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

HASH_SIZE: Final = 32
PATH_LENGTH_MAX: Final = 64
"""Longest path that any tree below 2^63 leaves can need, with one to spare."""

EMPTY_ROOT: Final = Hash(sha256(b"").digest())

NodeReader: TypeAlias = "Callable[[int, int], Hash]"
"""Reads the stored hash of the complete node (level, index)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Node:
    """The hash of a complete subtree and its place in the tree."""

    level: int
    index: int
    hash: Hash


def leaf_hash(data: bytes) -> Hash:
    """Hash the bytes of a leaf; for a record these are its whole COSE_Sign1 bytes."""
    return Hash(sha256(b"\x00" + data).digest())


def node_hash(left: Hash, right: Hash) -> Hash:
    """Hash two children into their parent."""
    return Hash(sha256(b"\x01" + left + right).digest())


@dataclass(slots=True)
class CompactRange:
    """The roots of the complete subtrees that make up a tree: all that appending needs.

    Attributes:
        size: Number of leaves.
        hashes: One root for each bit set in `size`, the largest subtree first.
    """

    size: int = 0
    hashes: list[Hash] = field(default_factory=list)

    @classmethod
    def from_state(cls, size: int, hashes: Iterable[Hash]) -> CompactRange:
        """Continue from a stored state.

        Raises:
            ProofError: The number or length of the hashes does not fit the size.
        """
        state = cls(size, list(hashes))
        if size < 0 or len(state.hashes) != size.bit_count():
            raise ProofError(
                f"compact range of size {size}: expected {max(size, 0).bit_count()} hashes, "
                f"got {len(state.hashes)}"
            )
        for each in state.hashes:
            _check_hash("compact range", each)
        return state

    @classmethod
    def from_nodes(cls, size: int, read: NodeReader) -> CompactRange:
        """Continue from stored nodes: the tree of `size` leaves, whatever was stored beyond it."""
        return cls(size, [read(level, index) for level, index in _peaks(0, size)])

    def append(self, leaf: Hash) -> list[Node]:
        """Append a leaf.

        Returns:
            The nodes that this leaf completes, the leaf itself first. They never change again.
        """
        _check_hash("leaf", leaf)
        completed = [Node(level=0, index=self.size, hash=leaf)]
        index = self.size
        while index & 1:
            last = completed[-1]
            index >>= 1
            parent = node_hash(self.hashes.pop(), last.hash)
            completed.append(Node(level=last.level + 1, index=index, hash=parent))
        self.hashes.append(completed[-1].hash)
        self.size += 1
        return completed

    def root(self) -> Hash:
        """Compute the root of the tree as it stands."""
        if not self.hashes:
            return EMPTY_ROOT
        *rest, result = self.hashes
        for left in reversed(rest):
            result = node_hash(left, result)
        return result


def root(leaf_hashes: Iterable[Hash]) -> Hash:
    """Compute the root over leaf hashes in order.

    Raises:
        ProofError: A leaf hash is not 32 bytes long.
    """
    level = list(leaf_hashes)
    for leaf in level:
        _check_hash("leaf", leaf)
    while len(level) > 1:
        # A node without a neighbour rises as it is: that is the split of RFC 9162, from below.
        single = level[len(level) & ~1 :]
        level = [node_hash(a, b) for a, b in zip(level[::2], level[1::2], strict=False)] + single
    return level[0] if level else EMPTY_ROOT


def root_from(size: int, read: NodeReader) -> Hash:
    """Compute the root of the first `size` leaves from stored nodes."""
    return CompactRange.from_nodes(size, read).root()


def inclusion_path_from(index: int, size: int, read: NodeReader) -> tuple[Hash, ...]:
    """Build the path of leaf `index` in the tree of `size` leaves (RFC 9162, 2.1.3.1).

    Args:
        index: Index of the leaf, from 0.
        size: Number of leaves of the tree.
        read: Gives the hash of a complete node.

    Returns:
        Sibling hashes, from the leaf's neighbour upwards.

    Raises:
        ProofError: The leaf is not in the tree.
    """
    if not 0 <= index < size:
        raise ProofError(f"inclusion path: index {index} is outside the tree of size {size}")
    path: list[Hash] = []
    start, end = 0, size
    while end - start > 1:
        middle = start + _split(end - start)
        if index < middle:
            path.append(_subtree(middle, end, read))
            end = middle
        else:
            path.append(_subtree(start, middle, read))
            start = middle
    return tuple(reversed(path))


def consistency_path_from(old: int, new: int, read: NodeReader) -> tuple[Hash, ...]:
    """Build the proof that the tree of `new` leaves begins with the tree of `old` leaves.

    The order is that of RFC 9162, 2.1.4.1. From size 0 there is nothing to prove, and the path
    is empty.

    Raises:
        ProofError: `old` is greater than `new`, or negative.
    """
    if not 0 <= old <= new:
        raise ProofError(f"consistency path: old size {old} is not within 0 and {new}")
    if old in (0, new):
        return ()
    path: list[Hash] = []
    start, end = 0, new
    while end != old:
        middle = start + _split(end - start)
        if old <= middle:
            path.append(_subtree(middle, end, read))
            end = middle
        else:
            path.append(_subtree(start, middle, read))
            start = middle
    if start != 0:  # otherwise this node is the old root, which the checker has
        path.append(_subtree(start, end, read))
    return tuple(reversed(path))


def inclusion_path(index: int, leaf_hashes: Sequence[Hash]) -> tuple[Hash, ...]:
    """Build the path of one leaf from all leaf hashes."""
    return inclusion_path_from(index, len(leaf_hashes), _reader(leaf_hashes))


def consistency_path(old: int, leaf_hashes: Sequence[Hash]) -> tuple[Hash, ...]:
    """Build the proof from the first `old` leaves to all of them."""
    return consistency_path_from(old, len(leaf_hashes), _reader(leaf_hashes))


def verify_inclusion(
    index: int, size: int, leaf: Hash, path: Sequence[Hash], tree_root: Hash
) -> None:
    """Check that `leaf` is leaf `index` of the tree (RFC 9162, 2.1.3.2).

    Raises:
        ProofError: It is not, or the path is not one for this index and size.
    """
    _check_hash("leaf", leaf)
    _check_hash("root", tree_root)
    if not 0 <= index < size:
        raise ProofError(f"inclusion: index {index} is outside the tree of size {size}")
    r = leaf
    for left, p in _sides(index, size - 1, path, f"inclusion of leaf {index} in size {size}"):
        r = node_hash(p, r) if left else node_hash(r, p)
    if r != tree_root:
        raise ProofError(
            f"inclusion of leaf {index} in size {size}: the path leads to {r.hex()}, "
            f"the root is {tree_root.hex()}"
        )


def verify_consistency(
    old: int, new: int, old_root: Hash, new_root: Hash, path: Sequence[Hash]
) -> None:
    """Check that the new tree begins with the old one (RFC 9162, 2.1.4.2).

    Raises:
        ProofError: It does not, or the path is not one for these sizes. From size 0 nothing can
            be proved: whoever holds nothing starts from nothing, without this check.
    """
    what = f"consistency {old} to {new}"
    if not 0 < old <= new:
        raise ProofError(f"{what}: the old size is not within 1 and the new one")
    if old == new:
        if path or old_root != new_root:
            raise ProofError(f"{what}: expected an empty path and equal roots")
        return
    if not path:
        raise ProofError(f"{what}: the path is empty")
    _check_hash("new root", new_root)
    start, *rest = (old_root, *path) if old & (old - 1) == 0 else path
    _check_hash(what, start)
    fn, sn = old - 1, new - 1
    while fn & 1:
        fn >>= 1
        sn >>= 1
    fr = sr = start
    for left, c in _sides(fn, sn, rest, what):
        if left:
            fr, sr = node_hash(c, fr), node_hash(c, sr)
        else:
            sr = node_hash(sr, c)
    for name, got, expected in (("old", fr, old_root), ("new", sr, new_root)):
        if got != expected:
            raise ProofError(
                f"{what}: the path leads to the {name} root {got.hex()}, expected {expected.hex()}"
            )


def join_path(path: Iterable[Hash]) -> bytes:
    """Write a path as one byte string, 32 bytes a hash."""
    return b"".join(path)


def split_path(data: bytes) -> tuple[Hash, ...]:
    """Read a path from one byte string.

    Raises:
        ProofError: The length is not a multiple of 32 or more than 64 hashes.
    """
    if len(data) % HASH_SIZE or len(data) > HASH_SIZE * PATH_LENGTH_MAX:
        raise ProofError(
            f"path: expected up to {PATH_LENGTH_MAX} hashes of {HASH_SIZE} bytes, "
            f"got {len(data)} bytes"
        )
    return tuple(Hash(data[at : at + HASH_SIZE]) for at in range(0, len(data), HASH_SIZE))


def _sides(fn: int, sn: int, path: Sequence[Hash], what: str) -> Iterator[tuple[bool, Hash]]:
    """Climb from node `fn` of a level whose last node is `sn`: the loop of both checks.

    Yields:
        Each hash of the path, and whether it stands to the left.
    """
    for p in path:
        _check_hash(what, p)
        if sn == 0:
            raise ProofError(f"{what}: the path is too long")
        left = bool(fn & 1) or fn == sn
        yield left, p
        while left and not fn & 1 and fn:
            fn >>= 1
            sn >>= 1
        fn >>= 1
        sn >>= 1
    if sn != 0:
        raise ProofError(f"{what}: the path is too short")


def _check_hash(what: str, value: bytes) -> None:
    if len(value) != HASH_SIZE:
        raise ProofError(f"{what}: expected a hash of {HASH_SIZE} bytes, got {len(value)}")


def _split(width: int) -> int:
    """Find the largest power of two below `width`, which is at least 2."""
    return 1 << ((width - 1).bit_length() - 1)


def _peaks(start: int, end: int) -> list[tuple[int, int]]:
    """List the complete nodes (level, index) that cover [start, end), the largest first.

    `start` is a multiple of the largest of them: so it is for every subtree that a split makes.
    """
    peaks = []
    while start < end:
        level = (end - start).bit_length() - 1
        peaks.append((level, start >> level))
        start += 1 << level
    return peaks


def _subtree(start: int, end: int, read: NodeReader) -> Hash:
    *rest, (level, index) = _peaks(start, end)
    result = read(level, index)
    for left_level, left_index in reversed(rest):
        result = node_hash(read(left_level, left_index), result)
    return result


def _reader(leaf_hashes: Sequence[Hash]) -> NodeReader:
    """Serve complete nodes from all leaves, each computed once."""
    tree = CompactRange()
    nodes = {(n.level, n.index): n.hash for leaf in leaf_hashes for n in tree.append(leaf)}
    return lambda level, index: nodes[level, index]
