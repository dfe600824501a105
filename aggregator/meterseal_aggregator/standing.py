"""Whether this store may speak for its log, as the newest that ever did (protocol 6).

A store put back from a copy knows less than was signed. Let to sign, it would give a second root
to a size that has one. So nothing that this process signs leaves it before

1. the marker of this boot, if there is one, names no checkpoint that the store does not have;
2. the checkpoint that the broker retains was held against the store, in this run and after SUBACK;
   where none comes although the log signed before, the marker or the operator has to vouch;
3. the contract's head was held against the store, if a ledger is configured (checkpoints only).

What vouches: the marker; a retained checkpoint no older than the newest that the broker ever took
from us; the log's never having signed. What does not: silence, and the store's own word.
"""

from __future__ import annotations

import asyncio
import logging
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from meterseal.checkpoint import open_checkpoint
from meterseal.errors import ProtocolError
from meterseal.merkle import EMPTY_ROOT, root_from
from meterseal_aggregator.errors import ConfigError, StoreError
from meterseal_aggregator.marker import Mark

if TYPE_CHECKING:
    from pathlib import Path

    from meterseal.note import Verifier
    from meterseal.types import UnixMs
    from meterseal_aggregator.marker import Marker
    from meterseal_aggregator.store import Store

log = logging.getLogger(__name__)

QUIET_S: Final = 2.0
"""The broker's silence after which no retained checkpoint is expected any more."""
QUIET_S_MAX: Final = 30.0
"""So long at most, however much else it delivers."""
PUBLISHED: Final = "published"
"""Fact of the store: size of the newest checkpoint that a broker took."""
CONFIRMED: Final = "confirmed newest"
"""Facts of the store, each with the time: the operator vouched for it at this size."""
SIGNED_BEFORE: Final = "signed-before"
"""File beside the store: this log signed something, whatever a store says that is put there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Past:
    """What the store and its surroundings say at the start.

    Attributes:
        size: Of the newest checkpoint in the store, 0 if there is none.
        published: Of the newest checkpoint that a broker took.
        signed: Whether the log ever signed.
        marked: Whether the marker of this boot vouches for the store.
    """

    size: int
    published: int
    signed: bool
    marked: bool


def read_past(store: Store, marker: Marker, folder: Path) -> Past:
    """Look at store, marker and folder.

    Raises:
        StoreError: The marker names a checkpoint that the store does not have.
    """
    newest = store.tree.checkpoint()
    size = 0 if newest is None else newest.size
    published = store.fact(PUBLISHED)
    mark = marker.read()
    if mark is not None:
        check_stated(store, mark.size, mark.root, f"the marker {marker.path} names a checkpoint")
    return Past(
        size=size,
        published=size if published is None else int.from_bytes(published, "big"),
        signed=newest is not None or (folder / SIGNED_BEFORE).exists(),
        marked=mark is not None,
    )


def check_stated(store: Store, size: int, root: bytes, who: str) -> None:
    """Hold a checkpoint that our log key signed against the store.

    Raises:
        StoreError: The store does not know it: it was put back from a copy.
    """
    ours = store.tree.size()
    if size > ours or root_from(size, store.tree.read) != root:
        raise StoreError(
            f"store: {who} of size {size} signed by our log key, and our log of {ours} leaves does "
            "not begin like it. This store is older than what was signed. Nothing more will be "
            "signed; put the newest store back."
        )


def check_note(store: Store, note: bytes, verifier: Verifier) -> int | None:
    """Hold a note from our topic against the store.

    Returns:
        Its size; None if our log key did not sign it: anybody may write to a topic.

    Raises:
        StoreError: As `check_stated`.
    """
    try:
        stated = open_checkpoint(note, verifier).checkpoint
    except ProtocolError:
        return None
    check_stated(store, stated.size, stated.root, "the broker keeps a checkpoint")
    return stated.size


def remember_signing(folder: Path) -> None:
    """Say beside the store that this log signs, before it does so for the first time.

    Raises:
        StoreError: The folder cannot be written.
    """
    path = folder / SIGNED_BEFORE
    if path.exists():
        return
    try:
        with path.open("x", encoding="ascii") as file:
            file.write("This log has signed checkpoints. An empty store here is not a new log.\n")
            file.flush()
            os.fsync(file.fileno())
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise StoreError(f"data_dir {folder}: cannot be written ({error.strerror}).") from error


def mark_newest(store: Store, marker: Marker) -> bool:
    """Let the marker name the store's newest checkpoint, or that there is none yet."""
    newest = store.tree.checkpoint()
    if newest is None:
        return marker.write(Mark(size=0, root=EMPTY_ROOT))
    return marker.write(Mark(size=newest.size, root=newest.root))


def confirm(store: Store, marker: Marker, folder: Path, size: int, now_ms: UnixMs) -> None:
    """Let the operator vouch for a store, for this boot; that he did is kept for ever.

    The word lies in the marker, which no copy of the store carries along: a copy of a store that
    was confirmed is not confirmed.

    Raises:
        ConfigError: It is not the size of the newest checkpoint: another store is meant.
        StoreError: The marker names a checkpoint that the store does not have, or it cannot be
            written.
    """
    past = read_past(store, marker, folder)
    if size != past.size:
        raise ConfigError(
            f"--size {size}: the newest checkpoint of this store has size {past.size}. Another "
            "store is meant, or `meterseal-aggregator log` was not read."
        )
    with store.write():
        store.pin(f"{CONFIRMED} {now_ms}", size.to_bytes(8, "big"))
    # Killed here, it is on record and not yet in force: the operator says it again.
    if not mark_newest(store, marker):
        raise StoreError(f"marker {marker.path}: cannot be written. Set [aggregator] marker_dir.")


class Standing:
    """Lets the outbox and the sequencer wait until the store may speak; owned by the event loop."""

    def __init__(
        self, past: Past, *, ledger: bool, quiet_s: float = QUIET_S, longest_s: float = QUIET_S_MAX
    ) -> None:
        self._past = past
        self._quiet_s = quiet_s
        self._longest_s = longest_s
        self._stirred = asyncio.Event()
        self._compared = asyncio.Event()
        self._contract = asyncio.Event()
        if not ledger:
            self._contract.set()

    def contract_seen(self) -> None:
        """Say that the contract's head is known to our log."""
        self._contract.set()

    def note_seen(self, size: int) -> None:
        """Say that our log begins like a note that the broker brought.

        An older note than the broker once took proves nothing: a broker that forgot shows it.
        """
        if size >= self._past.published:
            self._compared.set()
        self._stirred.set()

    def stirred(self) -> None:
        """Say that the broker delivered something: what it retains may be behind it."""
        self._stirred.set()

    async def may_speak(self) -> None:
        """Wait for the retained checkpoint; call it on every new connection after SUBACK.

        Raises:
            StoreError: None came, the log signed before, and nothing else vouches for the store.
        """
        loop = asyncio.get_running_loop()
        until = loop.time() + self._longest_s
        while not self._compared.is_set() and loop.time() < until:
            self._stirred.clear()
            try:
                async with asyncio.timeout(self._quiet_s):
                    await self._stirred.wait()
            except TimeoutError:
                break
        if not self._compared.is_set():
            self._go_on_alone()

    def _go_on_alone(self) -> None:
        if self._past.signed and not self._past.marked:
            raise StoreError(
                f"store: it signed up to size {self._past.size}; whether that was all, neither the "
                "broker shows (it keeps none as new as it took) nor a marker of this boot. "
                "If this is the newest store and not a copy, say so with `meterseal-aggregator "
                f"confirm --size {self._past.size}`. Nothing is signed before."
            )
        if self._past.signed:
            log.info("the broker forgot our newest checkpoint; the marker of this boot vouches")
        self._compared.set()

    async def may_sign(self) -> None:
        """Wait until broker and contract have been held against the store, in whatever order."""
        await self._compared.wait()
        await self._contract.wait()
