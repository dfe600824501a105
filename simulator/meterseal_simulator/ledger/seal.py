"""Headers as a QBFT consortium seals them: every validator signs, in round 0.

In round 0 the hash that is sealed and the block hash are one. (They differ as soon as a round
failed, which cannot happen here; the light client's own vectors cover it.)
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

from meterseal.ledger import header as bft
from meterseal.ledger import seals

if TYPE_CHECKING:
    from collections.abc import Sequence

    from coincurve import PrivateKey

DIFFICULTY: Final = 1
NONCE: Final = bytes(8)

_VANITY: Final = b"MeterSeal development ledger".ljust(32, b"\x00")


@dataclass(frozen=True, kw_only=True, slots=True)
class Validator:
    """One of the keys that seal."""

    key: PrivateKey = field(repr=False)

    @property
    def address(self) -> bytes:
        """The 20 bytes by which the header names this validator."""
        return address_of(self.key)


@dataclass(frozen=True, kw_only=True, slots=True)
class Sealed:
    """A header with its extra data.

    Attributes:
        hash: The block hash.
        header: RLP of the header.
    """

    hash: bytes
    header: bytes


def address_of(key: PrivateKey) -> bytes:
    """Return the 20-byte address of a key."""
    return seals.address(key.public_key.format(compressed=False))


def begin(draft: bytes, validators: Sequence[Validator]) -> Sealed:
    """Complete the header of the first block, which nobody seals."""
    return _sealed(draft, _extra(validators))


def seal(draft: bytes, validators: Sequence[Validator]) -> Sealed:
    """Have every validator sign a header.

    Args:
        draft: RLP of the header; its extra data is replaced.
        validators: Who seals, in order of address.
    """
    extra = _extra(validators)
    commit_hash = bft.commit_hash(bft.Header.parse(draft), extra)
    signatures = tuple(
        validator.key.sign_recoverable(commit_hash, hasher=None) for validator in validators
    )
    return _sealed(draft, replace(extra, seals=signatures))


def _extra(validators: Sequence[Validator]) -> bft.ExtraData:
    return bft.ExtraData(
        vanity=_VANITY, validators=tuple(validator.address for validator in validators)
    )


def _sealed(draft: bytes, extra: bft.ExtraData) -> Sealed:
    header = bft.Header.parse(draft)
    return Sealed(hash=bft.block_hash(header, extra), header=bft.seal(header, extra).encode())
