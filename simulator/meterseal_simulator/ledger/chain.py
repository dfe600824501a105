"""The chain: one transaction makes one block, sealed and committed before its hash is returned.

Base fee follows London; it starts at 1 gwei and sinks, as blocks are nearly empty. Blocks appear
only with transactions. Block times are wall-clock seconds, strictly growing, so a burst of more
than one block a second runs ahead of the clock by the length of the burst.
"""

from __future__ import annotations

import time
from threading import RLock
from typing import TYPE_CHECKING, Final

from eth.vm.forks.london.blocks import LondonBlockHeader
from eth.vm.forks.london.headers import calculate_expected_base_fee_per_gas
from eth_typing import Address, BlockNumber, Hash32

from meterseal.ledger.header import MIX_HASH, Header
from meterseal_simulator.ledger.admission import GAS_LIMIT, decode
from meterseal_simulator.ledger.errors import Refused
from meterseal_simulator.ledger.evm import Call, Context, Machine
from meterseal_simulator.ledger.seal import DIFFICULTY, NONCE, begin, seal
from meterseal_simulator.ledger.store import Block, Log
from meterseal_simulator.ledger.trie import StateReader

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from eth.abc import BlockHeaderAPI

    from meterseal_simulator.ledger.evm import Outcome
    from meterseal_simulator.ledger.seal import Validator
    from meterseal_simulator.ledger.store import Store

FUNDS_WEI: Final = 10**24
GENESIS_BASE_FEE_WEI: Final = 10**9


class Chain:
    """The embedded chain over a store. Calls from several threads are put in a row."""

    def __init__(
        self,
        store: Store,
        validators: Sequence[Validator],
        chain_id: int,
        *,
        funded: bytes,
        now_s: Callable[[], float] = time.time,
    ) -> None:
        """Continue the chain that the store holds, or begin one.

        Args:
            store: Where blocks and state are kept; it has one owner, this chain.
            validators: Who seals, in order of address.
            chain_id: The id that transactions must be signed for.
            funded: Address of the one account that has funds at genesis.
            now_s: The wall clock, in seconds since 1970.
        """
        self.chain_id = chain_id
        self.validators = tuple(validators)
        self._store = store
        self._now_s = now_s
        self._machine = Machine(store.get, chain_id)
        self._lock = RLock()  # guards the store and the machine
        if store.head() is None:
            self._begin(funded)

    def close(self) -> None:
        """Finish the block that is being made, if any, and release the store."""
        with self._lock:
            self._store.close()

    def head(self) -> Block:
        """Return the newest block."""
        with self._lock:
            block = self._store.head()
        if block is None:
            raise RuntimeError("the chain has no genesis block")
        return block

    def block(self, number: int) -> Block | None:
        """Return a block by its height."""
        with self._lock:
            return self._store.by_number(number)

    def block_by_hash(self, block_hash: bytes) -> Block | None:
        """Return a block by its block hash."""
        with self._lock:
            return self._store.by_hash(block_hash)

    def block_of(self, tx_hash: bytes) -> Block | None:
        """Return the block that a transaction is in."""
        with self._lock:
            return self._store.by_transaction(tx_hash)

    def logs(self, first: int, last: int, limit: int) -> list[Log]:
        """Return the logs of a range of blocks, at most `limit`."""
        with self._lock:
            return self._store.logs(first, last, limit)

    def state(self, block: Block) -> StateReader:
        """Return a reader of the state after a block."""
        return StateReader(self._read, header_of(block).state_root)

    def next_base_fee(self) -> int:
        """Return the base fee of the next block, in wei per gas."""
        fee: int = calculate_expected_base_fee_per_gas(header_of(self.head()))
        return fee

    def call(self, call: Call, block: Block) -> bytes:
        """Run a call on the state after a block."""
        with self._lock:
            return self._machine.call(call, self._after(block))

    def estimate(self, call: Call, block: Block) -> int:
        """Estimate the gas of a call on the state after a block."""
        with self._lock:
            return self._machine.estimate(call, self._after(block))

    def submit(self, raw: bytes) -> bytes:
        """Execute a signed transaction in a block of its own.

        Killed before the commit, the transaction never happened; killed after it and before the
        answer, the sender finds it by its hash.

        Returns:
            The hash of the transaction, whose block is durable.
        """
        transaction = decode(raw, self.chain_id)
        tx_hash: bytes = transaction.hash
        with self._lock:
            if self._store.by_transaction(tx_hash) is not None:
                raise Refused("already known")
            parent = header_of(self.head())
            context = self._next(parent)
            outcome = self._machine.apply(transaction, context)
            sealed = seal(_draft(self.head().hash, context, outcome), self.validators)
            block = Block(
                number=context.number,
                hash=sealed.hash,
                header=sealed.header,
                tx_hash=tx_hash,
                tx=raw,
                receipt=outcome.receipt,
            )
            logs = tuple(
                Log(
                    block=block.number, position=position, address=address, topics=topics, data=data
                )
                for position, (address, topics, data) in enumerate(outcome.logs)
            )
            self._store.add_block(block, logs, outcome.nodes)
        return tx_hash

    def _begin(self, funded: bytes) -> None:
        state_root, nodes = self._machine.genesis({funded: FUNDS_WEI})
        header = LondonBlockHeader(
            state_root=Hash32(state_root),
            difficulty=DIFFICULTY,
            block_number=BlockNumber(0),
            gas_limit=GAS_LIMIT,
            timestamp=int(self._now_s()),
            mix_hash=Hash32(MIX_HASH),
            nonce=NONCE,
            base_fee_per_gas=GENESIS_BASE_FEE_WEI,
        )
        sealed = begin(_encode(header), self.validators)
        self._store.add_block(Block(number=0, hash=sealed.hash, header=sealed.header), (), nodes)

    def _next(self, parent: BlockHeaderAPI) -> Context:
        number = parent.block_number + 1
        return Context(
            number=number,
            time_s=max(int(self._now_s()), parent.timestamp + 1),
            coinbase=self.validators[number % len(self.validators)].address,
            base_fee=calculate_expected_base_fee_per_gas(parent),
            state_root=parent.state_root,
            parent_hashes=self._store.hashes_below(number),
        )

    def _after(self, block: Block) -> Context:
        """Return the context of a call on the state after a block, free of charge."""
        header = header_of(block)
        return Context(
            number=block.number,
            time_s=header.timestamp,
            coinbase=header.coinbase,
            base_fee=0,
            state_root=header.state_root,
            parent_hashes=self._store.hashes_below(block.number),
        )

    def _read(self, key: bytes) -> bytes | None:
        with self._lock:
            return self._store.get(key)


def header_of(block: Block) -> BlockHeaderAPI:
    """Decode the header of a block."""
    fields = Header.parse(block.header).fields
    return LondonBlockHeader.deserialize(list(fields))


def _draft(parent_hash: bytes, context: Context, outcome: Outcome) -> bytes:
    """Encode the header of a block whose transaction has run."""
    return _encode(
        LondonBlockHeader(
            parent_hash=Hash32(parent_hash),
            coinbase=Address(context.coinbase),
            state_root=Hash32(outcome.state_root),
            transaction_root=Hash32(outcome.transaction_root),
            receipt_root=Hash32(outcome.receipt_root),
            bloom=outcome.bloom,
            difficulty=DIFFICULTY,
            block_number=BlockNumber(context.number),
            gas_limit=GAS_LIMIT,
            gas_used=outcome.gas_used,
            timestamp=context.time_s,
            mix_hash=Hash32(MIX_HASH),
            nonce=NONCE,
            base_fee_per_gas=context.base_fee,
        )
    )


def _encode(header: LondonBlockHeader) -> bytes:
    return Header(tuple(LondonBlockHeader.serialize(header))).encode()
