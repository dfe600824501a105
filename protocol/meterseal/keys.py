"""Ed25519 keys, signatures and the names made from them.

One acceptance rule everywhere, libsodium's (protocol 2.4): S < L; A canonical and not of small
order; R not of small order; cofactorless. Libraries differ here: of the 914 edge cases of CCTV this
rule accepts 43, OpenSSL's 208.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Final

from nacl.bindings import crypto_sign, crypto_sign_open, crypto_sign_seed_keypair
from nacl.exceptions import BadSignatureError

from meterseal.errors import EncodingError
from meterseal.types import DeviceId, PublicKey, Signature

if TYPE_CHECKING:
    from collections.abc import Callable

SEED_BYTES: Final = 32
PUBLIC_KEY_BYTES: Final = 32
SIGNATURE_BYTES: Final = 64


class SigningKey:
    """An Ed25519 private key that never shows itself: its repr is its fingerprint.

    Attributes:
        public: The public key that goes with it.
    """

    __slots__ = ("_secret", "public")

    public: PublicKey

    def __init__(self, secret: bytes) -> None:
        """Take libsodium's form of the key; use `from_seed` or `generate` instead."""
        self._secret = secret
        self.public = PublicKey(secret[SEED_BYTES:])

    @classmethod
    def from_seed(cls, seed: bytes) -> SigningKey:
        """Build the key of a 32-byte seed (RFC 8032, 5.1.5).

        Raises:
            EncodingError: If the seed has another length.
        """
        if len(seed) != SEED_BYTES:
            raise EncodingError(f"key seed: expected {SEED_BYTES} bytes, got {len(seed)}")
        return cls(crypto_sign_seed_keypair(seed)[1])

    @classmethod
    def generate(cls, randomness: Callable[[int], bytes]) -> SigningKey:
        """Make a new key.

        Args:
            randomness: Returns that many unpredictable bytes, e.g. `secrets.token_bytes`.
        """
        return cls.from_seed(randomness(SEED_BYTES))

    def seed(self) -> bytes:
        """Return the 32-byte seed, for the one place that stores the key."""
        return self._secret[:SEED_BYTES]

    def sign(self, message: bytes) -> Signature:
        """Sign `message` (64 bytes, deterministic)."""
        return Signature(crypto_sign(message, self._secret)[:SIGNATURE_BYTES])

    def __repr__(self) -> str:
        """Show which key this is, never the key."""
        return f"SigningKey({fingerprint(self.public)})"


def verify(public: bytes, message: bytes, signature: bytes) -> bool:
    """Tell whether `signature` over `message` is by `public`, under the rule above."""
    if len(public) != PUBLIC_KEY_BYTES or len(signature) != SIGNATURE_BYTES:
        return False
    try:
        crypto_sign_open(signature + message, public)
    except BadSignatureError:
        return False
    return True


def device_id(genesis_public: PublicKey) -> DeviceId:
    """Name a device by its first public key: 16 bytes that never change."""
    return DeviceId(hashlib.sha256(genesis_public).digest()[:16])


def fingerprint(public: PublicKey) -> str:
    """Show a public key for people: 16 bytes of its SHA-256 as eight groups of four hex digits."""
    return hashlib.sha256(public).digest()[:16].hex(" ", 2)
