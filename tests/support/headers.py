"""Block headers as JSON-RPC gives them, turned into the fields that RLP holds."""

from __future__ import annotations

from typing import Any

from meterseal.ledger import rlp
from meterseal.ledger.header import Header

HASHES = (
    "parentHash",
    "sha3Uncles",
    "miner",
    "stateRoot",
    "transactionsRoot",
    "receiptsRoot",
    "logsBloom",
)
NUMBERS = ("difficulty", "number", "gasLimit", "gasUsed", "timestamp")
BYTES = ("extraData", "mixHash", "nonce")
LATER = (
    ("baseFeePerGas", True),
    ("withdrawalsRoot", False),
    ("blobGasUsed", True),
    ("excessBlobGas", True),
    ("parentBeaconBlockRoot", False),
    ("requestsHash", False),
)


def header_of(block: dict[str, Any]) -> Header:
    fields = [unhex(block[name]) for name in HASHES]
    fields += [number(block[name]) for name in NUMBERS]
    fields += [unhex(block[name]) for name in BYTES]
    for name, is_number in LATER:
        if name in block:
            fields.append(number(block[name]) if is_number else unhex(block[name]))
    return Header(tuple(fields))


def number(text: str) -> bytes:
    return rlp.uint(int(text, 16))


def unhex(text: str) -> bytes:
    return bytes.fromhex(text.removeprefix("0x"))
