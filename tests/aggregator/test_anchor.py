"""Anchoring: every step may be cut off before and after, and is then done once."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, TypeVar

import pytest

from meterseal.merkle import root_from
from meterseal.types import Hash, UnixMs
from meterseal_aggregator.config import Ledger
from meterseal_aggregator.errors import LedgerMismatch, LedgerUnavailable
from meterseal_aggregator.identity import BORN
from meterseal_aggregator.keyfiles import LEDGER, read_account
from meterseal_aggregator.ledger.anchor import Anchor, Progress
from meterseal_aggregator.ledger.contract import load_artifact
from meterseal_aggregator.ledger.node import Limits, Node
from meterseal_aggregator.ledger.rpc import Rpc
from meterseal_aggregator.ledger.sender import RECEIPT_WITHIN_MS
from meterseal_aggregator.store import Sent
from support.aggregator_stage import NOW_MS, ORIGIN, Stage
from support.gateway import Gateway
from support.ledger import CHAIN_ID, SimulatedLedger, our_log

if TYPE_CHECKING:
    from collections.abc import Callable

    from meterseal_aggregator.store import Store

T = TypeVar("T")


class Anchoring:
    """One aggregator's anchor over the simulated ledger; `restart` is kill -9 and a new start."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self.now_ms = int(NOW_MS)
        self.account = read_account(stage.folder / "keys" / LEDGER)
        self.ledger = SimulatedLedger(sender=bytes.fromhex(self.account.address[2:]))
        self.config = Ledger(
            url="http://ledger.test",
            chain_id=CHAIN_ID,
            contract=None,
            deploy=True,
            key_file=stage.folder / "keys" / LEDGER,
            finality="blocks",
            confirmations=0,
            gas_limit_max=3_000_000,
            fee_per_gas_max_wei=1000,
        )
        self.restart()

    def restart(self) -> None:
        self.stage.reopen()
        limits = Limits(
            gas=self.config.gas_limit_max, fee_per_gas_wei=self.config.fee_per_gas_max_wei
        )
        self.anchor = Anchor(
            origin=ORIGIN,
            config=self.config,
            artifact=load_artifact(),
            node=Node(Rpc(self.config.url, transport=self.ledger), self.account, limits),
            in_store=self.in_store,
            now_ms=lambda: UnixMs(self.now_ms),
        )

    async def in_store(self, work: Callable[[Store], T]) -> T:
        return work(self.stage.store)

    async def settle(self, steps: int = 30) -> None:
        """Step until all is anchored, over every outage."""
        for _ in range(steps):
            try:
                if await self.anchor.step() is Progress.DONE:
                    return
            except LedgerUnavailable:
                continue
        raise AssertionError("never done")

    def anchored(self) -> tuple[int, bytes]:
        return self.ledger.head(our_log(self.ledger, ORIGIN))


@pytest.fixture
def anchoring(stage: Stage) -> Anchoring:
    gateway = Gateway()
    stage.enrol(gateway)
    stage.send(gateway, *gateway.chain(9))
    stage.checkpoint()
    return Anchoring(stage)


async def test_contract_registration_and_checkpoint_reach_the_ledger(
    anchoring: Anchoring,
) -> None:
    await anchoring.settle()

    size = anchoring.stage.store.tree.size()
    assert anchoring.anchored() == (size, root_from(size, anchoring.stage.store.tree.read))
    found = anchoring.stage.store.journal.anchored()
    assert found is not None
    assert found.size == size
    assert [entry.state for entry in anchoring.stage.store.journal.entries()] == [Sent.MINED] * 3


async def test_a_grown_log_is_anchored_with_its_consistency_proof(anchoring: Anchoring) -> None:
    await anchoring.settle()
    gateway = Gateway("second")
    anchoring.stage.enrol(gateway)
    anchoring.stage.send(gateway, *gateway.chain(4, every=1))
    anchoring.stage.checkpoint()

    await anchoring.settle()

    assert anchoring.anchored()[0] == anchoring.stage.store.tree.size()


METHODS = [
    "eth_chainId",
    "eth_getCode",
    "eth_call",
    "eth_getTransactionCount",
    "eth_estimateGas",
    "eth_getBlockByNumber",
    "eth_sendRawTransaction",
    "eth_getTransactionReceipt",
    "eth_blockNumber",
]


@pytest.mark.parametrize("fault", ["fail_before", "fail_after"])
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("then", ["goes on", "restarts"])
async def test_a_call_lost_on_either_way_is_made_good_and_nothing_is_done_twice(
    anchoring: Anchoring, fault: str, method: str, then: str
) -> None:
    """Goal: outage and kill -9 at every call to the node. Method: fail the first, second and third
    call of one kind, with or without a restart after each failure; count what was executed."""
    for times in (1, 2, 1):
        getattr(anchoring.ledger, fault)(method, times)
        for _ in range(4):
            try:
                await anchoring.anchor.step()
            except LedgerUnavailable:
                if then == "restarts":
                    anchoring.restart()

    await anchoring.settle()

    assert anchoring.ledger.executed() == 3  # deploy, register, anchor
    assert anchoring.anchored()[0] == anchoring.stage.store.tree.size()
    assert anchoring.stage.store.journal.open() == []


@pytest.mark.parametrize("code", [-32005, -32601, -32000, 3])
@pytest.mark.parametrize("method", [*METHODS, "eth_maxPriorityFeePerGas"])
async def test_a_refused_call_is_an_outage_and_nothing_ends_or_is_done_twice(
    anchoring: Anchoring, method: str, code: int
) -> None:
    """Rate limits, pruned blocks, nodes that start: refused anywhere, the next step goes on."""
    for times in (1, 2, 1):
        anchoring.ledger.refuse(method, code, "limit \ud800 exceeded\n", times)
        for _ in range(4):
            with suppress(LedgerUnavailable):
                await anchoring.anchor.step()

    await anchoring.settle()

    assert anchoring.ledger.executed() == 3
    assert anchoring.anchored()[0] == anchoring.stage.store.tree.size()


@pytest.mark.parametrize(
    "answer",
    [
        b"[" * 100_000,
        b'{"jsonrpc":"2.0","id":ID,"result":' + b"[" * 100_000,
        b'{"jsonrpc":"2.0","id":ID,"result":"0x' + b"f" * 64 + b'"}',
        b'{"jsonrpc":"2.0","id":ID,"result":"0x"}',
        b'{"jsonrpc":"2.0","id":ID,"result":{}}',
        b'{"jsonrpc":"2.0","id":ID,"error":"overloaded"}',
        b'{"jsonrpc":"2.0","id":null,"error":{"code":-32005}}',
        b"\xff",
        b"",
    ],
    ids=range(9),
)
@pytest.mark.parametrize("method", METHODS)
async def test_a_nonsensical_answer_is_an_outage_and_nothing_ends(
    anchoring: Anchoring, method: str, answer: bytes
) -> None:
    await anchoring.settle()
    other = Gateway("second")
    anchoring.stage.enrol(other)
    anchoring.stage.checkpoint()
    anchoring.restart()
    anchoring.ledger.garble(method, answer, times=2)

    for _ in range(8):
        # A chain, a contract or an anchorer that is none is another ledger: that one says so.
        with suppress(LedgerUnavailable, LedgerMismatch):
            await anchoring.anchor.step()
    await anchoring.settle()

    assert anchoring.anchored()[0] == anchoring.stage.store.tree.size()


async def test_a_storage_proof_of_another_length_is_an_outage(anchoring: Anchoring) -> None:
    node = anchoring.anchor._node
    for slots in ("[]", "[{},{}]", "[null]"):
        answer = f'{{"jsonrpc":"2.0","id":ID,"result":{{"storageProof":{slots}}}}}'
        anchoring.ledger.garble("eth_getProof", answer.encode())
        with pytest.raises(LedgerUnavailable, match="storage proof"):
            await node.proof(CHAIN_ID, bytes(20), Hash(bytes(32)), 1, 1)


async def test_a_pending_transaction_is_found_again_and_not_sent_anew(
    anchoring: Anchoring,
) -> None:
    await anchoring.settle()
    anchoring.ledger.mining = False
    gateway = Gateway("second")
    anchoring.stage.enrol(gateway)
    anchoring.stage.checkpoint()
    for _ in range(3):
        assert await anchoring.anchor.step() is Progress.WAIT
        anchoring.restart()
        await anchoring.anchor.step()

    anchoring.ledger.mine()
    await anchoring.settle()

    assert anchoring.ledger.executed() == 4
    assert len(anchoring.stage.store.journal.entries()) == 4


@pytest.mark.parametrize("restarted", [False, True])
async def test_a_nonce_that_is_reported_before_its_receipt_replaces_nothing(
    anchoring: Anchoring, *, restarted: bool
) -> None:
    """Goal: nodes behind one URL that are not equally far. Method: each transaction is mined and
    its nonce counted, and its receipt is withheld for some calls."""
    for _ in range(30):
        anchoring.ledger.late_receipts = 4
        for _ in range(6):
            await anchoring.anchor.step()
            if restarted:
                anchoring.restart()
    anchoring.ledger.late_receipts = 0
    await anchoring.settle()

    entries = anchoring.stage.store.journal.entries()
    assert [entry.state for entry in entries] == [Sent.MINED] * 3
    assert anchoring.ledger.executed() == 3


async def test_a_nonce_that_another_transaction_took_is_given_up_after_a_while(
    anchoring: Anchoring,
) -> None:
    anchoring.ledger.mining = False
    await anchoring.anchor.step()
    anchoring.ledger.pool.clear()
    anchoring.ledger.nonce += 1
    anchoring.ledger.mining = True
    for _ in range(5):
        await anchoring.anchor.step()
    assert len(anchoring.stage.store.journal.open()) == 1

    anchoring.now_ms += RECEIPT_WITHIN_MS
    await anchoring.settle()

    states = [entry.state for entry in anchoring.stage.store.journal.entries()]
    assert states == [Sent.REPLACED, *[Sent.MINED] * 3]


async def test_a_transaction_is_journaled_before_it_is_sent(anchoring: Anchoring) -> None:
    anchoring.ledger.fail_before("eth_sendRawTransaction")

    with pytest.raises(LedgerUnavailable):
        await anchoring.anchor.step()

    (entry,) = anchoring.stage.store.journal.open()
    assert entry.purpose == "deploy"
    assert anchoring.ledger.executed() == 0


async def test_another_chain_id_ends_the_aggregator_with_a_clear_sentence(
    anchoring: Anchoring,
) -> None:
    anchoring.ledger.chain_id = 5

    with pytest.raises(LedgerMismatch, match="expected chain id 31337, got 5"):
        await anchoring.anchor.step()


async def test_other_code_at_the_contract_is_not_our_contract(anchoring: Anchoring) -> None:
    await anchoring.settle()
    anchoring.ledger.code = b"\x60\x00"
    anchoring.restart()

    with pytest.raises(LedgerMismatch, match="expected code hash"):
        await anchoring.anchor.step()


async def test_a_chain_that_was_reset_is_not_taken_for_ours(anchoring: Anchoring) -> None:
    await anchoring.settle()
    anchoring.ledger.contract = None
    anchoring.restart()

    with pytest.raises(LedgerMismatch, match="no code there"):
        await anchoring.anchor.step()


async def test_a_contract_ahead_of_the_store_stops_all_signing(anchoring: Anchoring) -> None:
    """An aggregator put back from a copy: the ledger knows more than its store."""
    await anchoring.settle()
    anchoring.ledger.roots[our_log(anchoring.ledger, ORIGIN)][1000] = b"r" * 32
    anchoring.restart()
    await anchoring.anchor.step()

    with pytest.raises(LedgerMismatch, match="older than"):
        await anchoring.anchor.step()
    assert not anchoring.anchor.head_seen


async def test_another_root_on_the_ledger_is_an_anchor_mismatch(anchoring: Anchoring) -> None:
    await anchoring.settle()
    size = anchoring.stage.store.tree.size()
    anchoring.ledger.roots[our_log(anchoring.ledger, ORIGIN)][size] = b"r" * 32

    with pytest.raises(LedgerMismatch, match="ANCHOR MISMATCH"):
        await anchoring.anchor.step()


async def test_gas_above_the_cap_waits_and_is_said(anchoring: Anchoring) -> None:
    anchoring.ledger.base_fee = 5000

    with pytest.raises(LedgerUnavailable, match="fee_per_gas_max_wei"):
        await anchoring.anchor.step()
    anchoring.ledger.base_fee = 7
    await anchoring.settle()


async def test_an_anchor_is_believed_after_its_confirmations(anchoring: Anchoring) -> None:
    anchoring.config = replace(anchoring.config, confirmations=3)
    anchoring.restart()
    for _ in range(10):
        await anchoring.anchor.step()
    unconfirmed = anchoring.stage.store.journal.anchored()

    anchoring.ledger.height += 3
    await anchoring.settle()

    assert unconfirmed is None
    assert anchoring.stage.store.journal.anchored() is not None
    assert anchoring.ledger.executed() == 3


async def test_a_store_that_is_younger_than_its_log_key_deploys_no_contract(
    anchoring: Anchoring,
) -> None:
    """Goal: a log that lost its store gets no second contract. Method: take its birth from it."""
    anchoring.stage.store._connection.execute("DELETE FROM meta WHERE name = ?", (BORN,))

    with pytest.raises(LedgerMismatch, match=r"Name it in \[ledger\] contract"):
        await anchoring.settle()

    assert anchoring.ledger.executed() == 0
