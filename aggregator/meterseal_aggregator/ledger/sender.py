"""Sending transactions: journaled before they are sent, and found again whatever was cut off.

A transaction is durable before it is sent. Killed between the two, the next step sends it; killed
after sending, the next step finds it mined or its nonce used.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from meterseal_aggregator.errors import LedgerRefused, LedgerUnavailable
from meterseal_aggregator.store import Journaled, Sent

if TYPE_CHECKING:
    from collections.abc import Callable

    from meterseal.types import Hash, UnixMs
    from meterseal_aggregator.ledger.node import Node
    from meterseal_aggregator.store import InStore, Store

log = logging.getLogger(__name__)

RECEIPT_WITHIN_MS: Final = 120_000
"""A used nonce without a receipt is another transaction's after this time, and not before."""


class Sender:
    """The journal and the node, kept in step."""

    def __init__(
        self, *, chain_id: int, node: Node, in_store: InStore, now_ms: Callable[[], UnixMs]
    ) -> None:
        self._chain_id = chain_id
        self._node = node
        self._in_store = in_store
        self._now_ms = now_ms
        self._unaccounted: dict[Hash, UnixMs] = {}  # since when; owned by the anchor task

    async def transact(self, purpose: str, to: bytes | None, payload: bytes, *, size: int) -> None:
        """Send a transaction unless one is under way (steps 4 and 5)."""
        mined = await self._node.nonce()
        for entry in await self._in_store(lambda store: store.journal.open()):
            if not await self._resolve(entry, mined):
                return
        try:
            signed = await self._node.sign(
                chain_id=self._chain_id, to=to, payload=payload, nonce=mined
            )
        except LedgerRefused as refusal:
            raise LedgerUnavailable(f"ledger: {purpose} would fail: {refusal}") from refusal
        entry = Journaled(
            purpose=purpose,
            size=size,
            nonce=signed.nonce,
            hash=signed.hash,
            raw=signed.raw,
            state=Sent.OPEN,
        )
        await self._in_store(lambda store: _journal(store, entry, self._now_ms()))
        # Killed here, the transaction is durable and unsent: `_resolve` will send it.
        await self._send(entry)

    async def _resolve(self, entry: Journaled, mined: int) -> bool:
        """Find out what became of an open transaction.

        Returns:
            True once it is settled, False while it waits to be mined.
        """
        receipt = await self._node.receipt(entry.hash)
        if receipt is not None:
            state = Sent.MINED if receipt.succeeded else Sent.FAILED
            await self.settle(entry, state, f"block {receipt.block}, gas {receipt.gas_used}")
            return True
        if entry.nonce >= mined:
            await self._send(entry)
            return False
        # The nonce is used, and perhaps by this very transaction: a node counts it before it has
        # its receipt, and the nodes behind one URL are not equally far.
        since = self._unaccounted.setdefault(entry.hash, self._now_ms())
        if self._now_ms() - since < RECEIPT_WITHIN_MS:
            return False
        await self.settle(entry, Sent.REPLACED, "another transaction took the nonce")
        return True

    async def _send(self, entry: Journaled) -> None:
        try:
            await self._node.send(entry.raw)
        except LedgerRefused as refusal:
            await self.settle(entry, Sent.FAILED, refusal.message[:200])
            raise LedgerUnavailable(f"ledger: {entry.purpose} was refused: {refusal}") from refusal

    async def settle_open(self) -> None:
        """Settle what is still open once the contract has all that we know (step 4)."""
        entries = await self._in_store(lambda store: store.journal.open())
        if entries:
            mined = await self._node.nonce()
            for entry in entries:
                await self._resolve(entry, mined)

    async def settle(self, entry: Journaled, state: Sent, note: str) -> None:
        """Say what became of a transaction, once."""
        self._unaccounted.pop(entry.hash, None)
        if state is not entry.state:
            await self._in_store(lambda store: _settle(store, entry.hash, state, note))
            level = logging.WARNING if state is Sent.FAILED else logging.INFO
            log.log(level, "ledger: %s of size %d: %s, %s", entry.purpose, entry.size, state, note)


def _journal(store: Store, entry: Journaled, now_ms: UnixMs) -> None:
    with store.write():
        store.journal.add(entry, now_ms)


def _settle(store: Store, transaction: Hash, state: Sent, note: str) -> None:
    with store.write():
        store.journal.settle(transaction, state, note)
