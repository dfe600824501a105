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
    from meterseal.types import DeviceId, UnixMs
    from meterseal_aggregator.store import Anchored, Device, SignedCheckpoint, Store

PAGE_SIZE_MAX: Final = 56 * 1024
"""Bytes of the paths, note and proofs of one page: a receipt is read up to 60 KiB."""
TAKE_BACK_EVERY_MS: Final = 60_000
"""A device is sent its old receipts again at most this often, however often it says hello."""
_ENTRY_OVERHEAD: Final = 32 + 9 + 9
_HASH_SIZE: Final = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """One receipt to be sent, and how far the device is served once it was taken.

    Attributes:
        device: To whom, and what it was owed when the page was built.
        receipt: The payload.
        known_size: Size of its checkpoint.
        logged_to: New value.
        anchored_to: New value.
    """

    device: Device
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
        device=device,
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
        device=device,
        receipt=receipt.encode(),
        known_size=max(device.known_size, checkpoint.size),
        logged_to=max(device.logged_to, end),
        anchored_to=max(device.anchored_to, end),
    )


def greeted(store: Store, device: Device, size: int, now_ms: UnixMs) -> None:
    """Take a device back to the checkpoint that its hello says it holds, inside `write`."""
    known = min(size, store.tree.size())
    _claim(store, device, known, known, known, now_ms)


def asked(store: Store, device: Device, size: int, now_ms: UnixMs) -> None:
    """Take a device back to the checkpoint from which it asks for a receipt, inside `write`.

    One page of older receipts is sent again with it, for a receipt that a broker forgot is missed
    by nobody else.
    """
    known = min(size, store.tree.size())
    again = store.tree.last_leaves_start(device.id, device.logged_to, INCLUSIONS_MAX)
    anchored = store.journal.anchored()
    end = device.anchored_to if anchored is None else min(device.anchored_to, anchored.size)
    anchored_again = store.tree.last_leaves_start(device.id, end, INCLUSIONS_MAX)
    _claim(store, device, known, min(known, again), anchored_again, now_ms)


def _claim(  # noqa: PLR0913, PLR0917 -- what a device says, in full
    store: Store, device: Device, known: int, logged_to: int, anchored_to: int, now_ms: UnixMs
) -> None:
    """Believe an unsigned word as far as it costs a bounded amount.

    The size that it holds is believed at once, for the next proof of consistency. What was sent
    already is sent again at most once in `TAKE_BACK_EVERY_MS`: the first time at once, as an honest
    restart needs it; what comes too early is served when its time has come.
    """
    store.devices.set_known(device.id, known)
    if logged_to < device.logged_to or anchored_to < device.anchored_to:
        store.greetings.claim(device.id, logged_to, anchored_to)
        take_back_due(store, now_ms, device.id)


def take_back_due(store: Store, now_ms: UnixMs, device: DeviceId | None = None) -> bool:
    """Serve the claims whose time has come, of one device or of all, inside `write`.

    Returns:
        Whether there were any.
    """
    due = store.greetings.due(now_ms, TAKE_BACK_EVERY_MS, device)
    for one, logged_to, anchored_to in due:
        store.devices.take_back(one, logged_to, anchored_to)
        store.greetings.served(one, now_ms)
    return bool(due)


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
