"""Accounts and storage slots read out of the state, with the nodes that prove what was read.

The state is a hexary Merkle-Patricia trie, keyed by the Keccak-256 of address or slot; a node of
32 bytes or more is referred to by its hash, a smaller one lies inside its parent.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import rlp

from meterseal_simulator.ledger.seal import keccak256

if TYPE_CHECKING:
    from collections.abc import Callable

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
        nonce, balance, storage_root, code_hash = rlp.decode(value)
        return Account(
            nonce=int.from_bytes(nonce, "big"),
            balance=int.from_bytes(balance, "big"),
            storage_root=storage_root,
            code_hash=code_hash,
        )

    def code(self, address: bytes) -> bytes:
        """Read a contract's code; an account without code has none."""
        return self._read(self.account(address).code_hash) or b""

    def slot(self, address: bytes, slot: int) -> int:
        """Read a storage slot; one that was never written is 0."""
        value = self.prove_slot(address, slot).value
        return 0 if value is None else int.from_bytes(rlp.decode(value), "big")

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
        reference: bytes | list[object] = root
        while reference not in (b"", EMPTY_ROOT):
            if isinstance(reference, bytes):
                encoded = self._read(reference)
                if encoded is None:
                    raise KeyError(f"state node {reference.hex()}: not in the store")
                nodes.append(encoded)
                node = rlp.decode(encoded)
            else:
                node = reference  # inside its parent, which is in the proof already
            if len(node) == _BRANCH_ITEMS:
                reference, path = node[int(path[0], 16)], path[1:]
                continue
            prefix, leaf = _hex_prefix(node[0])
            if leaf:
                return Proof(value=node[1] if path == prefix else None, nodes=tuple(nodes))
            if not path.startswith(prefix):
                break
            reference, path = node[1], path[len(prefix) :]
        return Proof(value=None, nodes=tuple(nodes))


def _hex_prefix(packed: bytes) -> tuple[str, bool]:
    """Unpack a node's part of the path: its nibbles, and whether the node is a leaf."""
    digits = packed.hex()
    flags = int(digits[0], 16)
    odd, leaf = flags & 1, bool(flags & 2)
    return digits[1 if odd else 2 :], leaf
