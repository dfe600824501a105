"""Where the log contract keeps what: the part of its storage that is specified.

    slot 0   mapping(bytes32 log id => Log), Log {address anchorer; uint64 size; address pending}
    slot 1   mapping(bytes32 log id => mapping(uint64 size => bytes32 root))

A mapping's value lies at keccak256(key ‖ slot), both padded to 32 bytes.
"""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING, Final

from meterseal.ledger.keccak import keccak256

if TYPE_CHECKING:
    from meterseal.types import Hash

LOGS_SLOT: Final = 0
ROOTS_SLOT: Final = 1

_WORD: Final = 32
_ADDRESS_BITS: Final = 160


def log_id(*, chain_id: int, contract: bytes, registrant: bytes, origin: str) -> Hash:
    """Compute the id of a log.

    It is keccak256(abi.encode(chain id, contract, registrant, SHA-256(origin))).

    Args:
        chain_id: Chain id of the ledger.
        contract: Address of the log contract, 20 bytes.
        registrant: Address that registered the log, 20 bytes.
        origin: Origin line of the log's checkpoints, without newline.
    """
    return keccak256(
        _number(chain_id) + _left(contract) + _left(registrant) + sha256(origin.encode()).digest()
    )


def root_slot(identity: Hash, size: int) -> Hash:
    """Compute the slot of roots[log id][size]."""
    return _mapping(_number(size), _mapping(identity, _number(ROOTS_SLOT)))


def head_slot(identity: Hash) -> Hash:
    """Compute the first slot of logs[log id]: the anchorer, and above it the size."""
    return _mapping(identity, _number(LOGS_SLOT))


def head_size(value: bytes) -> int:
    """Read the size out of the value of `head_slot`, 32 bytes."""
    return int.from_bytes(value, "big") >> _ADDRESS_BITS


def _mapping(key: bytes, slot: bytes) -> Hash:
    return keccak256(key + slot)


def _number(value: int) -> bytes:
    return value.to_bytes(_WORD, "big")


def _left(value: bytes) -> bytes:
    return value.rjust(_WORD, b"\0")
