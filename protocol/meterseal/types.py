"""Names for look-alike bytes and integers, so that a type checker tells a hash from a key."""

from __future__ import annotations

from typing import Final, NewType

Hash = NewType("Hash", bytes)
"""SHA-256 digest, 32 bytes."""

PublicKey = NewType("PublicKey", bytes)
"""Ed25519 public key, 32 bytes."""

Signature = NewType("Signature", bytes)
"""Ed25519 signature, 64 bytes."""

DeviceId = NewType("DeviceId", bytes)
"""First 16 bytes of SHA-256 of the genesis public key."""

Seq = NewType("Seq", int)
"""Number of a record in its device's chain, from 0."""

Epoch = NewType("Epoch", int)
"""Branch of a device's chain, from 0, one more after each restore."""

UnixMs = NewType("UnixMs", int)
"""UTC time in milliseconds since 1970-01-01."""

WattHours = NewType("WattHours", int)
"""Energy in watt-hours: an integer, never a float."""

ZERO_HASH: Final = Hash(bytes(32))
"""`prev` of a genesis record, and the light link of the first logged record."""
