"""Accounts and storage slots read out of the state, with the nodes that prove what was read.

The state is a hexary Merkle-Patricia trie, keyed by the Keccak-256 of address or slot; a node of
32 bytes or more is referred to by its hash, a smaller one lies inside its parent.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from meterseal.ledger import rlp
from meterseal.ledger.keccak import keccak256

if TYPE_CHECKING:
    from collections.abc import Callable

    from meterseal.ledger.rlp import Item

EMPTY_ROOT: Final = keccak256(b"\x80")
EMPTY_CODE_HASH: Final = keccak256(b"")

_BRANCH_ITEMS: Final = 17


@dataclass(frozen=True, kw_only=True, slots=True)
class Proof:
    """What the trie holds under a key.

    Attributes:
        value: The value, or None when there is none.
        nodes: Encoded nodes from the root down; without a value they show its absence.
    """

    value: bytes | None
    nodes: tuple[bytes, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Account:
    """An account; one that is not there has zero nonce and balance, no storage and no code."""

    nonce: int = 0
    balance: int = 0
    storage_root: bytes = EMPTY_ROOT
    code_hash: bytes = EMPTY_CODE_HASH


class StateReader:
    """Reads one state: the accounts and slots below one state root."""

    def __init__(self, read: Callable[[bytes], bytes | None], state_root: bytes) -> None:
        """Read nodes by their hash with `read`."""
        self._read = read
        self._root = state_root

    def account(self, address: bytes) -> Account:
        """Read an account."""
        value = self.prove_account(address).value
        if value is None:
            return Account()
        nonce, balance, storage_root, code_hash = rlp.decode_list(value)
        return Account(
            nonce=rlp.as_uint(nonce, "nonce"),
            balance=rlp.as_uint(balance, "balance"),
            storage_root=rlp.as_bytes(storage_root, "storage root", 32),
            code_hash=rlp.as_bytes(code_hash, "code hash", 32),
        )

    def code(self, address: bytes) -> bytes:
        """Read a contract's code; an account without code has none."""
        return self._read(self.account(address).code_hash) or b""

    def slot(self, address: bytes, slot: int) -> int:
        """Read a storage slot; one that was never written is 0."""
        value = self.prove_slot(address, slot).value
        return 0 if value is None else rlp.as_uint(rlp.decode(value), "slot")

    def prove_account(self, address: bytes) -> Proof:
        """Prove an account, or that there is none."""
        return self._prove(self._root, keccak256(address))

    def prove_slot(self, address: bytes, slot: int) -> Proof:
        """Prove a storage slot against the storage root of its account."""
        key = keccak256(slot.to_bytes(32, "big"))
        return self._prove(self.account(address).storage_root, key)

    def _prove(self, root: bytes, key: bytes) -> Proof:
        path = key.hex()
        nodes: list[bytes] = []
        reference: Item = root
        while reference not in (b"", EMPTY_ROOT):
            node = self._node(reference, nodes)
            if len(node) == _BRANCH_ITEMS:
                reference, path = node[int(path[0], 16)], path[1:]
                continue
            prefix, leaf = _hex_prefix(rlp.as_bytes(node[0], "path"))
            if leaf:
                value = rlp.as_bytes(node[1], "value") if path == prefix else None
                return Proof(value=value, nodes=tuple(nodes))
            if not path.startswith(prefix):
                break
            reference, path = node[1], path[len(prefix) :]
        return Proof(value=None, nodes=tuple(nodes))

    def _node(self, reference: Item, nodes: list[bytes]) -> list[Item]:
        """Follow a reference, adding the node to the proof unless it lies inside its parent."""
        if isinstance(reference, list):
            return reference
        encoded = self._read(reference)
        if encoded is None:
            raise KeyError(f"state node {reference.hex()}: not in the store")
        nodes.append(encoded)
        return rlp.decode_list(encoded)


def _hex_prefix(packed: bytes) -> tuple[str, bool]:
    """Unpack a node's part of the path: its nibbles, and whether the node is a leaf."""
    digits = packed.hex()
    flags = int(digits[0], 16)
    odd, leaf = flags & 1, bool(flags & 2)
    return digits[1 if odd else 2 :], leaf
