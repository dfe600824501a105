"""Headers as a QBFT consortium seals them.

`extraData` is RLP[vanity 32, [validator 20, …], vote, round, [seal 65, …]] with no vote. Every
validator seals in round 0, so the hash that is sealed and the block hash are one: Keccak-256 of
the header without its seals. (They differ as soon as a round failed, which cannot happen here.)
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import rlp
from Crypto.Hash import keccak

if TYPE_CHECKING:
    from collections.abc import Sequence

    from coincurve import PrivateKey
    from eth.vm.forks.london.blocks import LondonBlockHeader

MIX_HASH: Final = bytes.fromhex("63746963616c2062797a616e74696e65206661756c7420746f6c6572616e6365")
"""Marks a header as sealed by a Byzantine fault tolerant protocol."""
DIFFICULTY: Final = 1
NONCE: Final = bytes(8)

_VANITY: Final = b"MeterSeal development ledger".ljust(32, b"\x00")
_ROUND: Final = b""  # 0 as a minimal RLP scalar


@dataclass(frozen=True, kw_only=True, slots=True)
class Validator:
    """One of the keys that seal."""

    key: PrivateKey = field(repr=False)

    @property
    def address(self) -> bytes:
        """The 20 bytes by which the header names this validator."""
        return address_of(self.key)


def keccak256(data: bytes) -> bytes:
    """Hash with Keccak-256, Ethereum's padding."""
    return keccak.new(digest_bits=256, data=data).digest()


def address_of(key: PrivateKey) -> bytes:
    """Return the 20-byte address of a key."""
    return keccak256(key.public_key.format(compressed=False)[1:])[-20:]


def unsealed_extra(validators: Sequence[Validator]) -> bytes:
    """Return the extra data that is hashed: all of it but the seals."""
    return _extra([validator.address for validator in validators], [])


def seal(draft: LondonBlockHeader, validators: Sequence[Validator]) -> LondonBlockHeader:
    """Have every validator sign a header.

    Args:
        draft: The header with `unsealed_extra` of the same validators in it.
        validators: Who seals, in order of address.
    """
    commit_hash = keccak256(rlp.encode(draft))
    seals = [validator.key.sign_recoverable(commit_hash, hasher=None) for validator in validators]
    return draft.copy(extra_data=_extra([validator.address for validator in validators], seals))


def _extra(addresses: list[bytes], seals: list[bytes]) -> bytes:
    encoded: bytes = rlp.encode([_VANITY, addresses, [], _ROUND, seals])
    return encoded
