"""Execution with py-evm, London rules, over the state nodes that the store keeps.

Nothing here knows of blocks on disk: a transaction goes in with the context of its block, and what
it changed comes out as nodes to be committed. Calls run on the same state and are thrown away.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, cast

from eth.constants import CREATE_CONTRACT_ADDRESS
from eth.db.atomic import AtomicDB
from eth.db.backends.base import BaseDB
from eth.db.trie import make_trie_root_and_nodes
from eth.exceptions import Revert
from eth.vm.execution_context import ExecutionContext
from eth.vm.forks.london import LondonVM
from eth.vm.forks.london.blocks import LondonBlockHeader
from eth.vm.forks.london.state import LondonState
from eth.vm.forks.london.transactions import UnsignedDynamicFeeTransaction
from eth.vm.spoof import SpoofTransaction
from eth_typing import Address, BlockNumber, Hash32
from eth_utils.exceptions import ValidationError

from meterseal.ledger.header import MIX_HASH
from meterseal_simulator.ledger.admission import GAS_LIMIT, refuse_unpayable
from meterseal_simulator.ledger.errors import Refused, Reverted
from meterseal_simulator.ledger.seal import DIFFICULTY
from meterseal_simulator.ledger.trie import EMPTY_ROOT, StateReader

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from eth.abc import ComputationAPI, SignedTransactionAPI

_CALL_STIPEND: Final = 2_300
_ESTIMATE_TOLERANCE: Final = 64  # an estimate may be this much, 1/64, above the least


@dataclass(frozen=True, kw_only=True, slots=True)
class Context:
    """What a transaction sees of its block.

    Attributes:
        time_s: Block time, seconds since 1970.
        base_fee: Wei per gas; 0 makes calls free.
        state_root: The state that it starts from.
        parent_hashes: Block hashes before this block, newest first.
    """

    number: int
    time_s: int
    coinbase: bytes
    base_fee: int
    state_root: bytes
    parent_hashes: Iterable[bytes]


@dataclass(frozen=True, kw_only=True, slots=True)
class Call:
    """A message without signature, as eth_call and eth_estimateGas take it.

    Attributes:
        to: The contract, or None to create one.
        gas: Most gas that it may use.
    """

    sender: bytes
    to: bytes | None
    data: bytes
    value: int = 0
    gas: int = GAS_LIMIT


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """What a transaction did.

    Attributes:
        receipt: Consensus encoding of the receipt.
        transaction_root: Root of the trie of the block's one transaction.
        receipt_root: Root of the trie of its receipt.
        bloom: Bloom filter of the logs, as an integer.
        logs: (address, topics, data) of each log.
        nodes: State nodes and code that were made.
    """

    state_root: bytes
    gas_used: int
    receipt: bytes
    transaction_root: bytes
    receipt_root: bytes
    bloom: int
    logs: tuple[tuple[bytes, tuple[bytes, ...], bytes], ...]
    nodes: dict[bytes, bytes]


_GENESIS: Final = Context(
    number=0, time_s=0, coinbase=bytes(20), base_fee=0, state_root=EMPTY_ROOT, parent_hashes=()
)


class _Nodes(BaseDB):
    """The state on disk, with what is written held back until the block is committed."""

    def __init__(self, read: Callable[[bytes], bytes | None]) -> None:
        self._read = read
        self.written: dict[bytes, bytes] = {}

    def __getitem__(self, key: bytes) -> bytes:
        value = self.written.get(key)
        if value is None:
            value = self._read(key)
        if value is None:
            raise KeyError(key)
        return value

    def __setitem__(self, key: bytes, value: bytes) -> None:
        self.written[key] = value

    def __delitem__(self, key: bytes) -> None:
        self.written.pop(key, None)

    def _exists(self, key: bytes) -> bool:
        return key in self.written or self._read(key) is not None


class Machine:
    """Executes transactions and calls of one chain."""

    def __init__(self, read: Callable[[bytes], bytes | None], chain_id: int) -> None:
        """Work on the state that `read` returns node by node."""
        self._read = read
        self._chain_id = chain_id

    def genesis(self, balances: dict[bytes, int]) -> tuple[bytes, dict[bytes, bytes]]:
        """Make the first state: accounts with a balance in wei. Returns its root and nodes."""
        nodes = _Nodes(self._read)
        state = self._state(nodes, _GENESIS)
        for address, balance in balances.items():
            state.set_balance(Address(address), balance)
        state.persist()
        return state.state_root, nodes.written

    def apply(self, transaction: SignedTransactionAPI, context: Context) -> Outcome:
        """Execute a transaction as the only one of its block.

        Raises:
            Refused: It may not enter a block (nonce, balance, fee, gas).
        """
        nodes = _Nodes(self._read)
        state = self._state(nodes, context)
        refuse_unpayable(transaction, state)
        draft = LondonBlockHeader(
            difficulty=DIFFICULTY,
            block_number=BlockNumber(context.number),
            gas_limit=GAS_LIMIT,
            timestamp=context.time_s,
        )
        try:
            state.lock_changes()
            computation = state.apply_transaction(transaction)
        except ValidationError as error:
            raise Refused(f"transaction: {error}") from error
        receipt = LondonVM.make_receipt(draft, transaction, computation, state)
        state.persist()
        return Outcome(
            state_root=state.state_root,
            gas_used=receipt.gas_used,
            receipt=receipt.encode(),
            transaction_root=make_trie_root_and_nodes([transaction])[0],
            receipt_root=make_trie_root_and_nodes([receipt])[0],
            bloom=receipt.bloom,
            logs=tuple(
                (log.address, tuple(topic.to_bytes(32, "big") for topic in log.topics), log.data)
                for log in receipt.logs
            ),
            nodes=nodes.written,
        )

    def call(self, call: Call, context: Context) -> bytes:
        """Run a call for free and return its output.

        Raises:
            Refused: It ended in an error.
            Reverted: It reverted.
        """
        computation = self._run(call, context)
        if computation.is_error:
            raise _failure(computation)
        output: bytes = computation.output
        return output

    def estimate(self, call: Call, context: Context) -> int:
        """Return a gas limit with which the call succeeds, at most 1/64 above the least."""
        computation = self._run(call, context)
        if computation.is_error:
            raise _failure(computation)
        used = LondonVM.finalize_gas_used(self._transaction(call, context), computation)
        low, high = used - 1, call.gas
        # A call passes on 63/64 of its gas (EIP-150): usually this much more is enough.
        likely = (used + computation.get_gas_refund() + _CALL_STIPEND) * 64 // 63
        if likely < high and not self._fails(call, context, likely):
            high = likely
        while high - low > max(1, high // _ESTIMATE_TOLERANCE):
            middle = (low + high) // 2
            if self._fails(call, context, middle):
                low = middle
            else:
                high = middle
        return high

    def _fails(self, call: Call, context: Context, gas: int) -> bool:
        limited = Call(sender=call.sender, to=call.to, data=call.data, value=call.value, gas=gas)
        try:
            return bool(self._run(limited, context).is_error)
        except Refused:
            return True  # less than the intrinsic gas

    def _run(self, call: Call, context: Context) -> ComputationAPI:
        transaction = self._transaction(call, context)
        if transaction.intrinsic_gas > call.gas:
            raise Refused(f"call: needs {transaction.intrinsic_gas} gas, got {call.gas}")
        try:
            return self._state(_Nodes(self._read), context).apply_transaction(transaction)
        except ValidationError as error:
            raise Refused(f"call: {error}") from error

    def _transaction(self, call: Call, context: Context) -> SignedTransactionAPI:
        unsigned = UnsignedDynamicFeeTransaction(
            chain_id=self._chain_id,
            nonce=StateReader(self._read, context.state_root).account(call.sender).nonce,
            max_priority_fee_per_gas=0,
            max_fee_per_gas=0,
            gas=min(call.gas, GAS_LIMIT),
            to=CREATE_CONTRACT_ADDRESS if call.to is None else call.to,
            value=call.value,
            data=call.data,
            access_list=(),
        )
        # It stands in for a signed one wherever py-evm reads it, as its own chains use it.
        return cast("SignedTransactionAPI", SpoofTransaction(unsigned, from_=call.sender))

    def _state(self, nodes: _Nodes, context: Context) -> LondonState:
        execution = ExecutionContext(
            coinbase=Address(context.coinbase),
            timestamp=context.time_s,
            block_number=BlockNumber(context.number),
            difficulty=DIFFICULTY,
            mix_hash=Hash32(MIX_HASH),
            gas_limit=GAS_LIMIT,
            prev_hashes=(Hash32(each) for each in context.parent_hashes),
            chain_id=self._chain_id,
            base_fee_per_gas=context.base_fee,
        )
        return LondonState(AtomicDB(nodes), execution, Hash32(context.state_root))


def _failure(computation: ComputationAPI) -> Refused | Reverted:
    error = computation.error
    if isinstance(error, Revert):
        return Reverted(computation.output)
    return Refused(f"call failed: {type(error).__name__}: {error}")
