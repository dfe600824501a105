"""Anchoring, step by step, each step safe to repeat.

`Anchor.step` looks at the ledger first and at the journal second; from these two it knows what to
do, whatever was cut off before:

1. The chain id, the contract's code and the log's anchorer are the expected ones; what is missing
   is deployed or registered, if the configuration allows.
2. The contract's head is compared with our log. A head beyond our log, or another root at its size,
   ends all signing: our store is older than what we said, or somebody else has our key.
3. A head without a proof in the store gets one, checked with the code that the devices run.
4. A transaction in the journal whose end is open is looked up, sent again, or given up as replaced.
5. Otherwise the newest checkpoint is anchored: signed, journaled, sent.

A transaction is durable before it is sent. Killed between the two, step 4 sends it; killed after
sending, step 4 finds it mined or the contract already ahead. The nonce makes sure that of two
transactions of one step only one is ever executed.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Final

from meterseal.errors import ProtocolError
from meterseal.ledger.header import Consensus, ExtraData, Header
from meterseal.ledger.keccak import keccak256
from meterseal.ledger.proof import LedgerPolicy, anchored_root
from meterseal.ledger.slot import log_id
from meterseal.merkle import consistency_path_from, root_from
from meterseal_aggregator.errors import LedgerMismatch, LedgerRefused, LedgerUnavailable
from meterseal_aggregator.ledger import contract as calls
from meterseal_aggregator.store import Anchored, Journaled, Sent

if TYPE_CHECKING:
    from collections.abc import Callable

    from meterseal.ledger.proof import LedgerProof
    from meterseal.types import Hash, UnixMs
    from meterseal_aggregator.config import Ledger
    from meterseal_aggregator.ledger.contract import Artifact
    from meterseal_aggregator.ledger.node import Node
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


class Progress(Enum):
    """What a step leaves to be done."""

    MORE = "more"
    WAIT = "wait"
    """A transaction is under way."""
    DONE = "done"


class Anchor:
    """One log on one contract on one chain.

    Attributes:
        head_seen: Whether the contract's head was held against our log in this run.
    """

    def __init__(  # noqa: PLR0913 -- each is a thing of its own that a test replaces
        self,
        *,
        origin: str,
        config: Ledger,
        artifact: Artifact,
        node: Node,
        in_store: InStore,
        now_ms: Callable[[], UnixMs],
    ) -> None:
        self._origin = origin
        self._config = config
        self._artifact = artifact
        self._node = node
        self._in_store = in_store
        self._now_ms = now_ms
        self._site: Site | None = None  # owned by the anchor task
        self.head_seen = False

    async def step(self) -> Progress:
        """Do the next thing.

        Returns:
            What is left.

        Raises:
            LedgerUnavailable: The node is away, refuses, or is too dear; try again later.
            LedgerMismatch: This is not our ledger or not our log; nobody may sign any more.
        """
        if self._site is None:
            self._site = await self._find_site()
            return Progress.WAIT if self._site is None else Progress.MORE
        return await self._advance(self._site)

    # -- step 1: chain, contract, registration ---------------------------------------------------

    async def _find_site(self) -> Site | None:
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
            await self._transact("register", contract, calls.register(self._origin), size=0)
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
        header = await self._node.header(await self._node.height())
        try:
            extra = ExtraData.parse(Header.parse(header).extra_data, self._consensus)
        except ProtocolError as error:
            raise LedgerMismatch(
                f"ledger {self._config.url}: expected blocks sealed as {self._consensus.value} "
                f"writes them: {error}. On a chain without seals set [ledger] finality = "
                '"blocks".'
            ) from error
        return b"".join(sorted(extra.validators))

    @property
    def _consensus(self) -> Consensus:
        return Consensus(self._config.finality)

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
            await self._transact("deploy", None, self._artifact.bytecode, size=0)
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
            if entry.purpose == "deploy" and entry.state in {Sent.OPEN, Sent.MINED}:
                receipt = await self._node.receipt(entry.hash)
                if receipt is not None and receipt.succeeded:
                    await self._settle(entry, Sent.MINED, f"block {receipt.block}")
                    return calls.deployed_address(self._node.sender, entry.nonce)
        return None

    # -- steps 2 to 5 ----------------------------------------------------------------------------

    async def _advance(self, site: Site) -> Progress:
        tip = await self._node.height()
        await self._confirm(site, max(0, tip - self._config.confirmations))
        size, root = await self._node.latest(site.contract, site.log_id, tip)
        await self._in_store(lambda store: check_head(store, size, root))
        self.head_seen = True
        newest = await self._in_store(lambda store: store.tree.checkpoint())
        confirmed = await self._in_store(lambda store: store.journal.anchored())
        if newest is None or newest.size <= size:
            await self._close_journal()
            found = 0 if confirmed is None else confirmed.size
            return Progress.DONE if found >= size else Progress.WAIT

        def path(store: Store) -> tuple[Hash, ...]:
            return consistency_path_from(size, newest.size, store.tree.read)

        payload = calls.anchor(
            site.log_id, size, newest.size, newest.root, await self._in_store(path)
        )
        await self._transact("anchor", site.contract, payload, size=newest.size)
        return Progress.WAIT

    async def _confirm(self, site: Site, block: int) -> None:
        """Keep the head of a confirmed block with its proof (step 3)."""
        size, root = await self._node.latest(site.contract, site.log_id, block)
        await self._in_store(lambda store: check_head(store, size, root))
        known = await self._in_store(lambda store: store.journal.anchored())
        if size == 0 or (known is not None and known.size >= size):
            return
        proof = None
        if self._config.finality != "blocks":
            fetched = await self._node.proof(
                self._config.chain_id, site.contract, site.log_id, size, block
            )
            self._check_proof(site, fetched, size, root)
            proof = fetched.encode()
        anchored = Anchored(size=size, root=root, block=block, proof=proof)
        await self._in_store(lambda store: _keep(store, anchored, self._now_ms()))
        log.info("ledger: size %d is anchored, seen at block %d", size, block)

    def _check_proof(self, site: Site, proof: LedgerProof, size: int, root: Hash) -> None:
        """Hold a proof against what the node said, with the code that the devices run."""
        try:
            extra = ExtraData.parse(Header.parse(proof.header).extra_data, self._consensus)
            policy = LedgerPolicy(
                chain_id=self._config.chain_id,
                contract=site.contract,
                code_hash=self._artifact.code_hash,
                registrant=site.registrant,
                # no check of the set here: the operator believes its own node about them,
                # and what the devices pin is theirs
                validators=frozenset(extra.validators),
                consensus=self._consensus,
            )
            fact = anchored_root(proof, policy, self._origin, size)
        except ProtocolError as error:
            raise LedgerUnavailable(
                f"ledger {self._config.url}: its proof of size {size} does not hold: {error}"
            ) from error
        if fact.root != root:
            raise LedgerUnavailable(
                f"ledger {self._config.url}: says root {root.hex()} at size {size} and proves "
                f"{fact.root.hex() if fact.root else 'none'}"
            )

    # -- transactions ----------------------------------------------------------------------------

    async def _transact(self, purpose: str, to: bytes | None, payload: bytes, *, size: int) -> None:
        """Send a transaction unless one is under way (steps 4 and 5)."""
        mined = await self._node.nonce()
        for entry in await self._in_store(lambda store: store.journal.open()):
            if not await self._resolve(entry, mined):
                return
        try:
            signed = await self._node.sign(
                chain_id=self._config.chain_id, to=to, payload=payload, nonce=mined
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
            await self._settle(entry, state, f"block {receipt.block}, gas {receipt.gas_used}")
            return True
        if entry.nonce < mined:
            await self._settle(entry, Sent.REPLACED, "another transaction took the nonce")
            return True
        await self._send(entry)
        return False

    async def _send(self, entry: Journaled) -> None:
        try:
            await self._node.send(entry.raw)
        except LedgerRefused as refusal:
            await self._settle(entry, Sent.FAILED, refusal.message[:200])
            raise LedgerUnavailable(f"ledger: {entry.purpose} was refused: {refusal}") from refusal

    async def _close_journal(self) -> None:
        """Settle what is still open once the contract has all that we know (step 4)."""
        entries = await self._in_store(lambda store: store.journal.open())
        if entries:
            mined = await self._node.nonce()
            for entry in entries:
                await self._resolve(entry, mined)

    async def _settle(self, entry: Journaled, state: Sent, note: str) -> None:
        if state is not entry.state:
            await self._in_store(lambda store: _settle(store, entry.hash, state, note))
            level = logging.WARNING if state is Sent.FAILED else logging.INFO
            log.log(level, "ledger: %s of size %d: %s, %s", entry.purpose, entry.size, state, note)


def check_head(store: Store, size: int, root: Hash) -> None:
    """Hold the contract's head against our own log (step 2).

    Raises:
        LedgerMismatch: The contract knows more than our store, or something else.
    """
    ours = store.tree.size()
    if size > ours:
        raise LedgerMismatch(
            f"the contract holds size {size}, our log has {ours} leaves: this store is older than "
            "what was anchored. Nothing will be signed; put the newest store back."
        )
    if size and root_from(size, store.tree.read) != root:
        raise LedgerMismatch(
            f"ANCHOR MISMATCH: at size {size} the contract holds root {root.hex()}, our log has "
            f"{root_from(size, store.tree.read).hex()}. Nothing will be signed; run fsck."
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


def _keep(store: Store, anchored: Anchored, now_ms: UnixMs) -> None:
    with store.write():
        store.journal.add_anchored(anchored, now_ms)


def _journal(store: Store, entry: Journaled, now_ms: UnixMs) -> None:
    with store.write():
        store.journal.add(entry, now_ms)


def _settle(store: Store, transaction: Hash, state: Sent, note: str) -> None:
    with store.write():
        store.journal.settle(transaction, state, note)
