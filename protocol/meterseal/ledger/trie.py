"""A walk through a Merkle-Patricia trie, from its root to a value or to the proof of its absence.

The walk takes the nodes in the order of `eth_getProof`, from the root down, and refuses

* a node whose Keccak-256 is not the one that its parent names,
* a node that the walk does not use, and a walk that lacks one: absence is proved, never assumed,
* a node that no honest trie holds: one shorter than 32 bytes that is not inside its parent, a
  longer one that is, an extension without a path or above anything but a branch, a leaf without
  a value, a path with a wrong flag (Ethereum Yellow Paper, appendices C and D).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from meterseal.errors import EncodingError, ProofError
from meterseal.ledger import rlp
from meterseal.ledger.keccak import keccak256

if TYPE_CHECKING:
    from collections.abc import Sequence

    from meterseal.ledger.rlp import Item
    from meterseal.types import Hash

EMPTY_TRIE_ROOT: Final = keccak256(b"\x80")

_BRANCH: Final = 17
_PAIR: Final = 2
_INLINE_MAX: Final = 31
_LEAF_FLAG: Final = 2
_ODD_FLAG: Final = 1


@dataclass(slots=True)
class _Walk:
    """A position in a trie: what is left of the path and of the proof."""

    path: list[int]
    nodes: list[bytes]
    below_extension: bool = False

    def fetch(self, reference: Item) -> list[Item]:
        """Follow a reference: to a node inside its parent, or to the next node of the proof."""
        if not isinstance(reference, bytes):
            if len(rlp.encode(reference)) > _INLINE_MAX:
                raise ProofError("trie: a node of 32 bytes or more lies inside its parent")
            return reference
        if not self.nodes:
            raise ProofError("trie: the proof ends before the path does")
        node = self.nodes.pop(0)
        if keccak256(node) != reference:
            raise ProofError(
                f"trie: node {node[:8].hex()}.. does not hash to {reference.hex()}, "
                "which its parent names"
            )
        if len(node) <= _INLINE_MAX:
            raise ProofError("trie: a node shorter than 32 bytes lies outside its parent")
        return rlp.decode_list(node)

    def step(self, node: list[Item]) -> list[Item] | bytes | None:
        """Go one node down.

        Returns:
            The next node, the value at the end of the path, or None where the path is absent.
        """
        if len(node) == _BRANCH:
            self.below_extension = False
            if not self.path:
                return rlp.as_bytes(node[-1], "branch value") or None
            child = node[self.path.pop(0)]
            return None if child == b"" else self.fetch(child)
        if len(node) != _PAIR or self.below_extension:
            raise ProofError("trie: a node is neither branch, extension above a branch, nor leaf")
        return self._pair(*node)

    def _pair(self, prefix: Item, target: Item) -> list[Item] | bytes | None:
        leaf, path = _hex_prefix(rlp.as_bytes(prefix, "path"))
        if leaf:
            value = rlp.as_bytes(target, "leaf value")
            if not value:
                raise ProofError("trie: a leaf holds no value")
            return value if path == self.path else None
        if not path:
            raise ProofError("trie: an extension has no path")
        if self.path[: len(path)] != path:
            return None
        del self.path[: len(path)]
        self.below_extension = True
        return self.fetch(target)


def prove(root: Hash, key: bytes, nodes: Sequence[bytes]) -> bytes | None:
    """Walk a trie.

    Args:
        root: Root hash of the trie.
        key: The path, in bytes. State and storage tries are walked by the Keccak-256 of what they
            hold: the caller hashes.
        nodes: The proof, from the root down.

    Returns:
        The value at the key, None if the nodes prove that there is none.

    Raises:
        ProofError: The nodes prove neither.
    """
    if root == EMPTY_TRIE_ROOT:
        # Nodes differ in how they show an empty trie: by no node, or by the empty one.
        if list(nodes) not in ([], [b"\x80"]):
            raise ProofError("trie: nodes are given for a trie that is empty")
        return None
    path = [nibble for byte in key for nibble in (byte >> 4, byte & 15)]
    walk = _Walk(path=path, nodes=list(nodes))
    try:
        place: list[Item] | bytes | None = _root_node(walk, root)
        while isinstance(place, list):
            place = walk.step(place)
    except EncodingError as error:
        raise ProofError(f"trie: {error}") from error
    if walk.nodes:
        raise ProofError(f"trie: {len(walk.nodes)} nodes of the proof are not on the path")
    return place


def _root_node(walk: _Walk, root: Hash) -> list[Item]:
    """Fetch the root, the only node that may be short outside a parent."""
    if not walk.nodes:
        raise ProofError("trie: the proof is empty, the trie is not")
    if len(walk.nodes[0]) > _INLINE_MAX:
        return walk.fetch(root)
    node = walk.nodes.pop(0)
    if keccak256(node) != root:
        raise ProofError(f"trie: node {node.hex()} does not hash to the root {root.hex()}")
    return rlp.decode_list(node)


def _hex_prefix(data: bytes) -> tuple[bool, list[int]]:
    """Read a compact path: is it a leaf's, and which nibbles."""
    if not data:
        raise ProofError("trie: a path is empty")
    flag, first = data[0] >> 4, data[0] & 15
    if flag > (_LEAF_FLAG | _ODD_FLAG) or (not flag & _ODD_FLAG and first):
        raise ProofError(f"trie: a path begins with {data[0]:#04x}")
    path = [first] if flag & _ODD_FLAG else []
    path += [nibble for byte in data[1:] for nibble in (byte >> 4, byte & 15)]
    return bool(flag & _LEAF_FLAG), path
