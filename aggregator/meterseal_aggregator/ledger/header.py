"""Fetching a block header as the bytes that were hashed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from meterseal.ledger import rlp
from meterseal_aggregator.errors import LedgerRefused
from meterseal_aggregator.ledger.rpc import data, fields, quantity

if TYPE_CHECKING:
    from meterseal_aggregator.ledger.rpc import Rpc

_METHOD_MISSING: Final = (-32601, -32604, -32600)

_HEADER: Final = (
    ("parentHash", 32),
    ("sha3Uncles", 32),
    ("miner", 20),
    ("stateRoot", 32),
    ("transactionsRoot", 32),
    ("receiptsRoot", 32),
    ("logsBloom", 256),
    ("difficulty", 0),
    ("number", 0),
    ("gasLimit", 0),
    ("gasUsed", 0),
    ("timestamp", 0),
    ("extraData", None),
    ("mixHash", 32),
    ("nonce", 8),
)
_LATER_FORKS: Final = (
    ("baseFeePerGas", 0),
    ("withdrawalsRoot", 32),
    ("blobGasUsed", 0),
    ("excessBlobGas", 0),
    ("parentBeaconBlockRoot", 32),
    ("requestsHash", 32),
)
"""Fields of London to Osaka, in order; 0 stands for a number, None for free bytes."""


async def raw_header(rpc: Rpc, number: int) -> bytes:
    """Fetch the RLP of a header, from the node if it can, else built from the block's fields.

    A fork that adds a field makes the second way yield another hash: the caller's own check of
    the seals finds that out.
    """
    try:
        return data(await rpc.call("debug_getRawHeader", hex(number)), "raw header")
    except LedgerRefused as refusal:
        if refusal.code not in _METHOD_MISSING:
            raise
    block = fields(await rpc.call("eth_getBlockByNumber", hex(number), False), "block")  # noqa: FBT003
    return rebuild(block)


def rebuild(block: dict[str, object]) -> bytes:
    """Build the RLP of a header from a block as `eth_getBlockByNumber` gives it."""
    layout = [*_HEADER, *((name, size) for name, size in _LATER_FORKS if name in block)]
    return rlp.encode([_field(block, name, size) for name, size in layout])


def _field(block: dict[str, object], name: str, size: int | None) -> bytes:
    if size == 0:
        return rlp.uint(quantity(block.get(name), f"block {name}", bits=256))
    return data(block.get(name), f"block {name}", size)
