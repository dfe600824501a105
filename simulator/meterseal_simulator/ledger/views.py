"""Blocks, transactions, receipts and logs as Ethereum's JSON-RPC shows them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from eth._utils.address import generate_contract_address
from eth.constants import CREATE_CONTRACT_ADDRESS
from eth.vm.forks.london.receipts import LondonReceiptBuilder
from eth.vm.forks.london.transactions import LondonTransactionBuilder

from meterseal_simulator.ledger.chain import header_of

if TYPE_CHECKING:
    from eth.abc import SignedTransactionAPI

    from meterseal_simulator.ledger.store import Block, Log


def quantity(value: int) -> str:
    """Show a number."""
    return hex(value)


def data(value: bytes) -> str:
    """Show bytes."""
    return "0x" + value.hex()


def block_view(block: Block, *, full: bool) -> dict[str, object]:
    """Show a block, with its transaction in full or by hash."""
    header = header_of(block)
    transactions: list[object] = []
    if block.tx_hash is not None:
        transactions = [transaction_view(block) if full else data(block.tx_hash)]
    return {
        "number": quantity(block.number),
        "hash": data(block.hash),
        "parentHash": data(header.parent_hash),
        "sha3Uncles": data(header.uncles_hash),
        "miner": data(header.coinbase),
        "stateRoot": data(header.state_root),
        "transactionsRoot": data(header.transaction_root),
        "receiptsRoot": data(header.receipt_root),
        "logsBloom": data(header.bloom.to_bytes(256, "big")),
        "difficulty": quantity(header.difficulty),
        "totalDifficulty": quantity(header.difficulty * (block.number + 1)),
        "gasLimit": quantity(header.gas_limit),
        "gasUsed": quantity(header.gas_used),
        "timestamp": quantity(header.timestamp),
        "extraData": data(header.extra_data),
        "mixHash": data(header.mix_hash),
        "nonce": data(header.nonce),
        "baseFeePerGas": quantity(header.base_fee_per_gas or 0),
        "size": quantity(len(block.header) + len(block.tx or b"")),
        "transactions": transactions,
        "uncles": [],
    }


def transaction_view(block: Block) -> dict[str, object]:
    """Show the transaction of a block."""
    transaction = _transaction(block)
    kind = (block.tx or b"\xff")[0]
    typed = kind in (1, 2)
    shown: dict[str, object] = {
        "hash": data(transaction.hash),
        **_place(block),
        "type": quantity(kind if typed else 0),
        "chainId": quantity(transaction.chain_id or 0),
        "from": data(transaction.sender),
        "to": None if _creates(transaction) else data(transaction.to),
        "nonce": quantity(transaction.nonce),
        "gas": quantity(transaction.gas),
        "gasPrice": quantity(_price(transaction, block)),
        "value": quantity(transaction.value),
        "input": data(transaction.data),
        "r": quantity(transaction.r),
        "s": quantity(transaction.s),
        "v": quantity(getattr(transaction, "v", transaction.y_parity)),  # only a legacy one has v
    }
    if kind == 2:  # noqa: PLR2004 - EIP-1559
        shown["maxFeePerGas"] = quantity(transaction.max_fee_per_gas)
        shown["maxPriorityFeePerGas"] = quantity(transaction.max_priority_fee_per_gas)
    if typed:
        shown["yParity"] = quantity(transaction.y_parity)
        shown["accessList"] = [
            {
                "address": data(address),
                "storageKeys": [data(key.to_bytes(32, "big")) for key in keys],
            }
            for address, keys in transaction.access_list
        ]
    return shown


def receipt_view(block: Block, logs: list[Log]) -> dict[str, object]:
    """Show the receipt of a block's transaction."""
    transaction = _transaction(block)
    receipt = LondonReceiptBuilder.decode(block.receipt or b"")
    kind = (block.tx or b"\xff")[0]
    contract = None
    if _creates(transaction):
        contract = data(generate_contract_address(transaction.sender, transaction.nonce))
    return {
        "transactionHash": data(transaction.hash),
        **_place(block),
        "type": quantity(kind if kind in (1, 2) else 0),
        "from": data(transaction.sender),
        "to": None if _creates(transaction) else data(transaction.to),
        "contractAddress": contract,
        "status": quantity(1 if receipt.state_root == b"\x01" else 0),
        "gasUsed": quantity(receipt.gas_used),
        "cumulativeGasUsed": quantity(receipt.gas_used),
        "effectiveGasPrice": quantity(_price(transaction, block)),
        "logsBloom": data(receipt.bloom.to_bytes(256, "big")),
        "logs": [log_view(log, block) for log in logs],
    }


def log_view(log: Log, block: Block) -> dict[str, object]:
    """Show a log."""
    return {
        "address": data(log.address),
        "topics": [data(topic) for topic in log.topics],
        "data": data(log.data),
        "logIndex": quantity(log.position),
        "transactionHash": data(block.tx_hash or b""),
        **_place(block),
        "removed": False,
    }


def _place(block: Block) -> dict[str, object]:
    return {
        "blockHash": data(block.hash),
        "blockNumber": quantity(block.number),
        "transactionIndex": quantity(0),
    }


def _transaction(block: Block) -> SignedTransactionAPI:
    return LondonTransactionBuilder().decode(block.tx or b"")


def _creates(transaction: SignedTransactionAPI) -> bool:
    return bool(transaction.to == CREATE_CONTRACT_ADDRESS)


def _price(transaction: SignedTransactionAPI, block: Block) -> int:
    base_fee = header_of(block).base_fee_per_gas or 0
    return int(min(transaction.max_fee_per_gas, transaction.max_priority_fee_per_gas + base_fee))
