"""Where our log stands on the ledger: chain, contract, registration, each checked or made.

What was found once is pinned in the store: a log keeps its chain, its contract and its registrant.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from meterseal.errors import ProtocolError
from meterseal.ledger.header import ExtraData, Header
from meterseal.ledger.keccak import keccak256
from meterseal.ledger.slot import log_id
from meterseal_aggregator.errors import LedgerMismatch, LedgerUnavailable
from meterseal_aggregator.identity import BORN
from meterseal_aggregator.ledger import contract as calls
from meterseal_aggregator.store import Sent

if TYPE_CHECKING:
    from meterseal.types import Hash
    from meterseal_aggregator.config import Ledger
    from meterseal_aggregator.ledger.contract import Artifact
    from meterseal_aggregator.ledger.node import Node
    from meterseal_aggregator.ledger.sender import Sender
    from meterseal_aggregator.store import InStore, Store

log = logging.getLogger(__name__)

CONTRACT: Final = "ledger contract"
CHAIN_ID: Final = "ledger chain id"
REGISTRANT: Final = "ledger registrant"
VALIDATORS: Final = "ledger validators"
_NOBODY: Final = bytes(20)


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """Where our log stands on the ledger.

    Attributes:
        contract: Address of the log contract.
        registrant: Who registered the log: part of its id.
        log_id: The log's name in the contract.
    """

    contract: bytes
    registrant: bytes
    log_id: Hash


class Survey:
    """Finds the site of one log, and makes what is missing if the configuration allows."""

    def __init__(  # noqa: PLR0913 -- each is a thing of its own that a test replaces
        self,
        *,
        origin: str,
        config: Ledger,
        artifact: Artifact,
        node: Node,
        sender: Sender,
        in_store: InStore,
    ) -> None:
        self._origin = origin
        self._config = config
        self._artifact = artifact
        self._node = node
        self._sender = sender
        self._in_store = in_store

    async def find(self) -> Site | None:
        """Find the log on the ledger, or do the next thing towards its being there.

        Raises:
            LedgerMismatch: This is another ledger, contract or log than ours.
        """
        chain_id = await self._node.chain_id()
        if chain_id != self._config.chain_id:
            raise LedgerMismatch(
                f"ledger {self._config.url}: expected chain id {self._config.chain_id}, got "
                f"{chain_id}. Correct [ledger] url or chain_id."
            )
        contract = await self._contract()
        if contract is None:
            return None
        registrant = await self._in_store(lambda store: store.fact(REGISTRANT)) or self._node.sender
        identity = log_id(
            chain_id=chain_id, contract=contract, registrant=registrant, origin=self._origin
        )
        anchorer = await self._node.anchorer(contract, identity)
        if anchorer == _NOBODY and registrant == self._node.sender:
            await self._sender.transact("register", contract, calls.register(self._origin), size=0)
            return None
        if anchorer != self._node.sender:
            raise LedgerMismatch(
                f"contract 0x{contract.hex()}: expected 0x{self._node.sender.hex()} to anchor "
                f"{self._origin}, got 0x{anchorer.hex()}. Check ledger.key, or hand the log over."
            )
        validators = await self._validators()
        await self._in_store(
            lambda store: _pin_site(store, chain_id, contract, registrant, validators)
        )
        log.info("ledger: log %s is registered at contract 0x%s", self._origin, contract.hex())
        return Site(contract=contract, registrant=registrant, log_id=identity)

    async def _validators(self) -> bytes:
        """Read who seals blocks now, for the trust file; joined addresses, empty without seals."""
        if self._config.finality == "blocks":
            return b""
        raw = await self._node.header(await self._node.height())
        try:
            header = Header.parse(raw)
        except ProtocolError as error:
            raise LedgerUnavailable(f"ledger {self._config.url}: no header: {error}") from error
        try:
            extra = ExtraData.parse(header.extra_data, self._config.consensus)
        except ProtocolError as error:
            raise LedgerMismatch(
                f"ledger {self._config.url}: expected blocks sealed as "
                f"{self._config.finality} writes them: {error}. On a chain without seals set "
                '[ledger] finality = "blocks".'
            ) from error
        return b"".join(sorted(extra.validators))

    async def _contract(self) -> bytes | None:
        """Find the contract, or deploy it and come back."""
        pinned = await self._in_store(lambda store: store.fact(CONTRACT))
        named = self._config.contract and bytes.fromhex(self._config.contract[2:])
        if pinned and named and pinned != named:
            raise LedgerMismatch(
                f"[ledger] contract: this log is anchored at 0x{pinned.hex()}, the configuration "
                f"names 0x{named.hex()}. A log keeps its contract; correct the configuration."
            )
        contract = pinned or named or await self._deployed()
        if contract is None:
            await self._in_store(_check_may_deploy)
            await self._sender.transact("deploy", None, self._artifact.bytecode, size=0)
            return None
        code = await self._node.code(contract)
        expected, got = self._artifact.code_hash, keccak256(code)
        if got != expected:
            found = f"0x{got.hex()}" if code else "no code there: another chain, or one reset"
            raise LedgerMismatch(
                f"contract 0x{contract.hex()}: expected code hash 0x{expected.hex()}, got {found}. "
                "Correct [ledger] url or contract."
            )
        return contract

    async def _deployed(self) -> bytes | None:
        """Find a deployment of ours that was mined, perhaps after we were killed."""
        entries = await self._in_store(lambda store: store.journal.entries())
        for entry in entries:
            # One that was given up as replaced is asked for too: its receipt may have come late.
            if entry.purpose == "deploy" and entry.state is not Sent.FAILED:
                receipt = await self._node.receipt(entry.hash)
                if receipt is not None and receipt.succeeded:
                    await self._sender.settle(entry, Sent.MINED, f"block {receipt.block}")
                    return calls.deployed_address(self._node.sender, entry.nonce)
        return None


def _check_may_deploy(store: Store) -> None:
    """A log key that is older than its store may have a contract that the store has lost.

    Raises:
        LedgerMismatch: The store was not there before its keys.
    """
    if store.fact(BORN) is None:
        raise LedgerMismatch(
            "ledger: the log key may be older than this store, so this log may have a contract "
            "already, and no other is deployed. Name it in [ledger] contract."
        )


def _pin_site(
    store: Store, chain_id: int, contract: bytes, registrant: bytes, validators: bytes
) -> None:
    with store.write():
        if validators:
            store.pin(VALIDATORS, validators)
        store.pin(CHAIN_ID, chain_id.to_bytes(8, "big"))
        store.pin(CONTRACT, contract)
        store.pin(REGISTRANT, registrant)
