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
from enum import Enum
from typing import TYPE_CHECKING

from meterseal.errors import ProtocolError
from meterseal.ledger.header import ExtraData, Header
from meterseal.ledger.proof import LedgerPolicy, anchored_root
from meterseal.merkle import consistency_path_from, root_from
from meterseal_aggregator.errors import LedgerMismatch, LedgerRefused, LedgerUnavailable
from meterseal_aggregator.ledger import contract as calls
from meterseal_aggregator.ledger.sender import Sender
from meterseal_aggregator.ledger.site import Site, Survey
from meterseal_aggregator.store import Anchored

if TYPE_CHECKING:
    from collections.abc import Callable

    from meterseal.ledger.proof import LedgerProof
    from meterseal.types import Hash, UnixMs
    from meterseal_aggregator.config import Ledger
    from meterseal_aggregator.ledger.contract import Artifact
    from meterseal_aggregator.ledger.node import Node
    from meterseal_aggregator.store import InStore, Store

log = logging.getLogger(__name__)


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
        self._sender = Sender(chain_id=config.chain_id, node=node, in_store=in_store, now_ms=now_ms)
        self._survey = Survey(
            origin=origin,
            config=config,
            artifact=artifact,
            node=node,
            sender=self._sender,
            in_store=in_store,
        )
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
        try:
            if self._site is None:
                self._site = await self._survey.find()
                return Progress.WAIT if self._site is None else Progress.MORE
            return await self._advance(self._site)
        except LedgerRefused as refusal:
            # A rate limit, a block pruned or not there yet, a node that is starting: whatever a
            # node refuses and nobody below understood, it may grant later.
            raise LedgerUnavailable(f"ledger {self._config.url}: {refusal}") from refusal

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
            await self._sender.settle_open()
            found = 0 if confirmed is None else confirmed.size
            return Progress.DONE if found >= size else Progress.WAIT

        def path(store: Store) -> tuple[Hash, ...]:
            return consistency_path_from(size, newest.size, store.tree.read)

        payload = calls.anchor(
            site.log_id, size, newest.size, newest.root, await self._in_store(path)
        )
        await self._sender.transact("anchor", site.contract, payload, size=newest.size)
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
            proof = self._check_proof(site, fetched, size, root)
        anchored = Anchored(size=size, root=root, block=block, proof=proof)
        await self._in_store(lambda store: _keep(store, anchored, self._now_ms()))
        log.info("ledger: size %d is anchored, seen at block %d", size, block)

    def _check_proof(self, site: Site, proof: LedgerProof, size: int, root: Hash) -> bytes:
        """Hold a proof against what the node said, with the code that the devices run.

        Returns:
            Its bytes.
        """
        try:
            extra = ExtraData.parse(Header.parse(proof.header).extra_data, self._config.consensus)
            policy = LedgerPolicy(
                chain_id=self._config.chain_id,
                contract=site.contract,
                code_hash=self._artifact.code_hash,
                registrant=site.registrant,
                # no check of the set here: the operator believes its own node about them,
                # and what the devices pin is theirs
                validators=frozenset(extra.validators),
                consensus=self._config.consensus,
            )
            fact = anchored_root(proof, policy, self._origin, size)
            written = proof.encode()
        except ProtocolError as error:
            raise LedgerUnavailable(
                f"ledger {self._config.url}: its proof of size {size} does not hold: {error}"
            ) from error
        if fact.root != root:
            raise LedgerUnavailable(
                f"ledger {self._config.url}: says root {root.hex()} at size {size} and proves "
                f"{fact.root.hex() if fact.root else 'none'}"
            )
        return written


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


def _keep(store: Store, anchored: Anchored, now_ms: UnixMs) -> None:
    with store.write():
        store.journal.add_anchored(anchored, now_ms)
