"""The log: queued leaves get their index, and a grown tree gets a signed checkpoint.

Killed before a transaction ends, leaves are still queued and no checkpoint exists. Killed after it,
the checkpoint is in the store and unpublished: the next start publishes the newest one again, the
same bytes. A size is never signed twice with two roots, because its row is written before the note
leaves and is never written again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from meterseal.checkpoint import Checkpoint, sign_checkpoint
from meterseal.merkle import CompactRange
from meterseal.note import Cosigner, Signer
from meterseal_aggregator.errors import StoreError
from meterseal_aggregator.store import SignedCheckpoint

if TYPE_CHECKING:
    from meterseal_aggregator.keyfiles import Keys
    from meterseal_aggregator.store import Store

LEAVES_MAX: Final = 4096
"""Leaves of one transaction: a bound on its time, not on the log's rate."""


def log_signer(origin: str, keys: Keys) -> Signer:
    """Name the log key by the log's origin, as C2SP recommends."""
    return Signer(name=origin, key=keys.log)


def operator_witness(origin: str, keys: Keys) -> Cosigner:
    """Name the operator's own witness."""
    return Cosigner(name=f"{origin}/operator", key=keys.operator_witness)


def sequence(store: Store) -> int:
    """Give queued leaves their place in the tree, in the order of the queue.

    Returns:
        How many; call again while it is `LEAVES_MAX`.
    """
    with store.write():
        queued = store.tree.queued(LEAVES_MAX)
        if not queued:
            return 0
        tree = CompactRange.from_nodes(store.tree.size(), store.tree.read)
        for position, leaf, device in queued:
            store.tree.append(position, device, tree.append(leaf))
    return len(queued)


def grew(store: Store) -> bool:
    """Tell whether the tree grew since the last checkpoint."""
    last = store.tree.checkpoint()
    return store.tree.size() > (0 if last is None else last.size)


def checkpoint(store: Store, origin: str, keys: Keys, now_s: int) -> SignedCheckpoint | None:
    """Sign the tree as it stands, if it grew since the last checkpoint.

    Returns:
        The checkpoint, durable: only now may it leave. None if nothing grew.
    """
    with store.write():
        size = store.tree.size()
        last = store.tree.checkpoint()
        if not grew(store):
            return None
        tree = CompactRange.from_nodes(size, store.tree.read)
        # The operator's times never fall, whatever the clock does: a smaller tree that was
        # cosigned later would convict us of a rollback (protocol 6 step 3).
        time_s = now_s if last is None else max(now_s, last.time_s)
        stated = Checkpoint(origin=origin, size=size, root=tree.root())
        note = sign_checkpoint(
            stated, log_signer(origin, keys), (operator_witness(origin, keys), time_s)
        )
        signed = SignedCheckpoint(size=size, root=stated.root, time_s=time_s, note=note)
        if not store.tree.add_checkpoint(signed):
            raise StoreError(
                f"store: the log has {size} leaves and a checkpoint beyond them. Run fsck."
            )
    return signed


def check_newest(store: Store) -> None:
    """Hold the newest checkpoint against the tree, as each start does before anything is signed.

    Raises:
        StoreError: The tree is not the one that was signed.
    """
    last = store.tree.checkpoint()
    if last is None:
        return
    if store.tree.size() < last.size:
        raise StoreError(
            f"store: a checkpoint of size {last.size} was signed, the log has "
            f"{store.tree.size()} leaves. Put the newest store back."
        )
    root = CompactRange.from_nodes(last.size, store.tree.read).root()
    if root != last.root:
        raise StoreError(
            f"store: at size {last.size} root {last.root.hex()} was signed, the log has "
            f"{root.hex()}. Run fsck; nothing is signed any more."
        )
