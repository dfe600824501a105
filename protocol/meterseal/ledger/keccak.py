"""Keccak-256, the hash of Ethereum: the padding before FIPS 202, so not hashlib's sha3_256."""

from __future__ import annotations

from Crypto.Hash import keccak

from meterseal.types import Hash


def keccak256(data: bytes) -> Hash:
    """Hash bytes."""
    return Hash(keccak.new(digest_bits=256, data=data).digest())
