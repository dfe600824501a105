"""Who sealed a block: commit seals recovered to addresses, and counted.

A block is final when at least two thirds, rounded up, of the validators that its own header lists
sealed it. Every seal must be by one of them and no two by the same. GoQuorum 21.7 itself takes
fewer (F + 1); that count is not copied.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from coincurve import PublicKey

from meterseal.errors import LedgerError
from meterseal.ledger.header import commit_hash
from meterseal.ledger.keccak import keccak256

if TYPE_CHECKING:
    from meterseal.ledger.header import ExtraData, Header
    from meterseal.types import Hash

STEP: Final = "seals"
_SEAL: Final = 65


def quorum(validators: int) -> int:
    """Compute how many of `validators` must seal: two thirds, rounded up."""
    return -(-2 * validators // 3)


def address(public_key: bytes) -> bytes:
    """Compute the address of an uncompressed secp256k1 key of 65 bytes."""
    return keccak256(public_key[1:])[12:]


def recover(message_hash: Hash, seal: bytes) -> bytes:
    """Recover who made a seal.

    Args:
        message_hash: The hash that was signed, without any prefix.
        seal: r, s and v, 65 bytes; v is 0 or 1.

    Returns:
        The address, 20 bytes.

    Raises:
        LedgerError: No key can have made this seal.
    """
    if len(seal) != _SEAL or seal[-1] not in (0, 1):
        raise LedgerError(f"seal {seal.hex()}: expected 65 bytes ending in 0 or 1", step=STEP)
    try:
        key = PublicKey.from_signature_and_message(seal, message_hash, hasher=None)
    except Exception as error:  # coincurve raises bare Exception and ValueError
        raise LedgerError(f"seal {seal.hex()}: no key can have made it", step=STEP) from error
    return address(key.format(compressed=False))


def sealers(header: Header, extra: ExtraData) -> frozenset[bytes]:
    """Recover who sealed a block, and count.

    Returns:
        The distinct validators whose seal stands.

    Raises:
        LedgerError: A seal is not by a validator of the header, or is doubled, or there are too
            few.
    """
    signed = commit_hash(header, extra)
    found: set[bytes] = set()
    for seal in extra.seals:
        who = recover(signed, seal)
        if who not in extra.validators:
            raise LedgerError(
                f"block {header.number}: sealed by 0x{who.hex()}, which its header does not list",
                step=STEP,
            )
        if who in found:
            raise LedgerError(f"block {header.number}: sealed twice by 0x{who.hex()}", step=STEP)
        found.add(who)
    needed = quorum(len(extra.validators))
    if len(found) < needed or not found:
        raise LedgerError(
            f"block {header.number}: {len(found)} seals, expected {needed} of "
            f"{len(extra.validators)} validators",
            step=STEP,
        )
    return frozenset(found)
