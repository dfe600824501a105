"""Receipts, derived from the store: what a device is owed, page by page.

A device is owed an inclusion path for each of its leaves twice: under a signed checkpoint, and
under an anchored one. `device.logged_to` and `device.anchored_to` say how far it was served; they
move after the broker took the page, so that a page is sent twice rather than never.

An anchor is found after later checkpoints were sent. Its receipt then shows the anchored, smaller
tree, and its consistency proof leads from there to the tree that the device holds.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from meterseal.ledger.proof import LedgerProof
from meterseal.merkle import consistency_path_from, inclusion_path_from
from meterseal.receiptformat import INCLUSIONS_MAX, Consistency, Inclusion, Receipt

if TYPE_CHECKING:
    from meterseal.types import DeviceId
    from meterseal_aggregator.store import Anchored, Device, SignedCheckpoint, Store

PAGE_SIZE_MAX: Final = 56 * 1024
"""Bytes of the paths, note and proofs of one page: a receipt is read up to 60 KiB."""
_ENTRY_OVERHEAD: Final = 32 + 9 + 9
_HASH_SIZE: Final = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """One receipt to be sent, and how far the device is served once it was taken.

    Attributes:
        device: To whom.
        receipt: The payload.
        known_size: Size of its checkpoint.
        logged_to: New value.
        anchored_to: New value.
    """

    device: DeviceId
    receipt: bytes
    known_size: int
    logged_to: int
    anchored_to: int


def logged_page(store: Store, device: Device, checkpoint: SignedCheckpoint) -> Page:
    """Build the next page of what a device is owed under the newest checkpoint."""
    room = PAGE_SIZE_MAX - len(checkpoint.note)
    inclusions, end = _inclusions(store, device.id, device.logged_to, checkpoint.size, room)
    receipt = Receipt(
        checkpoint=checkpoint.note,
        consistency=_consistency(store, device.known_size, checkpoint.size),
        inclusions=inclusions,
    )
    return Page(
        device=device.id,
        receipt=receipt.encode(),
        known_size=max(device.known_size, checkpoint.size),
        logged_to=max(device.logged_to, end),
        anchored_to=device.anchored_to,
    )


def anchored_page(
    store: Store, device: Device, anchored: Anchored, checkpoint: SignedCheckpoint
) -> Page:
    """Build the next page of what a device is owed under an anchored checkpoint."""
    proof = None if anchored.proof is None else LedgerProof.parse(anchored.proof)
    room = PAGE_SIZE_MAX - len(checkpoint.note) - len(anchored.proof or b"")
    inclusions, end = _inclusions(store, device.id, device.anchored_to, checkpoint.size, room)
    receipt = Receipt(
        checkpoint=checkpoint.note,
        consistency=_consistency(store, device.known_size, checkpoint.size),
        inclusions=inclusions,
        ledger=proof,
    )
    return Page(
        device=device.id,
        receipt=receipt.encode(),
        known_size=max(device.known_size, checkpoint.size),
        logged_to=max(device.logged_to, end),
        anchored_to=max(device.anchored_to, end),
    )


def asked(store: Store, device: Device, size: int) -> tuple[int, int, int]:
    """Take a device back to the checkpoint that it says it holds.

    Its word moves only its own receipts. One page of older ones is sent again, for a receipt that
    a broker forgot is missed by nobody else.

    Returns:
        (known size, logged to, anchored to) from which it is to be served.
    """
    known = min(size, store.tree.size())
    again = store.tree.last_leaves_start(device.id, device.logged_to, INCLUSIONS_MAX)
    anchored = store.journal.anchored()
    end = device.anchored_to if anchored is None else min(device.anchored_to, anchored.size)
    return (
        known,
        min(device.logged_to, known, again),
        min(device.anchored_to, store.tree.last_leaves_start(device.id, end, INCLUSIONS_MAX)),
    )


def _consistency(store: Store, known: int, shown: int) -> Consistency | None:
    """Lead from the smaller of two trees to the larger; None for a device that holds nothing."""
    if known == 0:
        return None
    old, new = sorted((known, shown))
    return Consistency(old_size=old, path=consistency_path_from(old, new, store.tree.read))


def _inclusions(
    store: Store, device: DeviceId, start: int, size: int, room: int
) -> tuple[tuple[Inclusion, ...], int]:
    """Take a device's leaves from `start` up to `size`, as many as one page holds.

    Returns:
        The inclusions, and the index up to which the device is then served.
    """
    room -= 2 * _HASH_SIZE * size.bit_length()  # the consistency path
    found: list[Inclusion] = []
    for index, leaf in store.tree.leaves_of(device, start, size, INCLUSIONS_MAX):
        path = inclusion_path_from(index, size, store.tree.read)
        room -= len(path) * _HASH_SIZE + _ENTRY_OVERHEAD
        if room < 0:
            return tuple(found), index
        found.append(Inclusion(record=leaf, index=index, path=path))
    if len(found) == INCLUSIONS_MAX:
        return tuple(found), found[-1].index + 1
    return tuple(found), size
