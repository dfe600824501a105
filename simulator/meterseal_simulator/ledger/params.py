"""Strict readers of JSON-RPC parameters: accepted, or InvalidParams naming what was expected."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from meterseal_simulator.ledger.admission import GAS_LIMIT
from meterseal_simulator.ledger.errors import InvalidParams
from meterseal_simulator.ledger.evm import Call

if TYPE_CHECKING:
    from meterseal_simulator.ledger.chain import Chain
    from meterseal_simulator.ledger.store import Block, Log

ADDRESS_SIZE: Final = 20
HASH_SIZE: Final = 32

_QUANTITY: Final = re.compile(r"0x(0|[1-9a-fA-F][0-9a-fA-F]{0,63})\Z")
_DATA: Final = re.compile(r"0x([0-9a-fA-F]{2})*\Z")
_LATEST: Final = frozenset({"latest", "pending", "safe", "finalized"})
"""All the newest block: there is no queue, and a sealed block is final."""
_TOPICS_MAX: Final = 4


class NoSuchBlock(InvalidParams):
    """The block that a request names is not on this chain."""

    def __init__(self, asked: str) -> None:
        super().__init__(f"block {asked}: not on this chain")


@dataclass(frozen=True, kw_only=True, slots=True)
class LogFilter:
    """What eth_getLogs asks for.

    Attributes:
        first: Lowest block.
        last: Highest block.
        addresses: Contracts; empty means any.
        topics: Per position the words that match; empty means any.
    """

    first: int
    last: int
    addresses: frozenset[bytes]
    topics: tuple[frozenset[bytes], ...]

    def matches(self, log: Log) -> bool:
        """Tell whether a log is asked for."""
        if self.addresses and log.address not in self.addresses:
            return False
        if len(self.topics) > len(log.topics):
            return False
        pairs = zip(self.topics, log.topics, strict=False)  # a filter may be shorter
        return all(not wanted or topic in wanted for wanted, topic in pairs)


def quantity(value: object, name: str) -> int:
    """Read a number: 0x and hex digits without leading zeros."""
    if not isinstance(value, str) or not _QUANTITY.match(value):
        raise InvalidParams(f"{name}: expected a quantity like 0x1f, got {_short(value)}")
    return int(value, 16)


def data(value: object, name: str, size: int | None = None) -> bytes:
    """Read bytes: 0x and an even number of hex digits; `size` bytes if it is given."""
    if not isinstance(value, str) or not _DATA.match(value):
        raise InvalidParams(f"{name}: expected bytes like 0x00ff, got {_short(value)}")
    read = bytes.fromhex(value[2:])
    if size is not None and len(read) != size:
        raise InvalidParams(f"{name}: expected {size} bytes, got {len(read)}")
    return read


def address(value: object) -> bytes:
    """Read an address."""
    return data(value, "address", ADDRESS_SIZE)


def slot(value: object) -> int:
    """Read a storage slot, as a quantity or as up to 32 bytes."""
    if isinstance(value, str) and _DATA.match(value) and len(value) <= 2 + 2 * HASH_SIZE:
        return int.from_bytes(bytes.fromhex(value[2:]), "big")
    return quantity(value, "slot")


def block(value: object, chain: Chain) -> Block:
    """Read a block parameter: a tag, a height, or an object with hash or height (EIP-1898)."""
    match value:
        case "earliest":
            return _there(chain.block(0), "earliest")
        case str() if value in _LATEST:
            return chain.head()
        case {"blockHash": block_hash}:
            read = data(block_hash, "blockHash", HASH_SIZE)
            return _there(chain.block_by_hash(read), f"0x{read.hex()}")
        case {"blockNumber": height}:
            return block(height, chain)
        case _:
            height = quantity(value, "block")
            return _there(chain.block(height) if height < 1 << 63 else None, str(height))


def call(value: object) -> Call:
    """Read a call object; fees and nonce are read over, as calls are free."""
    if not isinstance(value, dict):
        raise InvalidParams(f"call: expected an object, got {_short(value)}")
    to, payload = value.get("to"), value.get("input", value.get("data"))
    gas = value.get("gas")
    return Call(
        sender=bytes(ADDRESS_SIZE) if value.get("from") is None else address(value["from"]),
        to=None if to is None else address(to),
        data=b"" if payload is None else data(payload, "data"),
        value=0 if value.get("value") is None else quantity(value["value"], "value"),
        gas=GAS_LIMIT if gas is None else min(quantity(gas, "gas"), GAS_LIMIT),
    )


def log_filter(value: object, chain: Chain) -> LogFilter:
    """Read the filter object of eth_getLogs."""
    if not isinstance(value, dict):
        raise InvalidParams(f"filter: expected an object, got {_short(value)}")
    if "blockHash" in value:
        first = last = block({"blockHash": value["blockHash"]}, chain).number
    else:
        first = block(value.get("fromBlock", "latest"), chain).number
        last = _last(value.get("toBlock", "latest"), chain)
    topics = value.get("topics") or []
    if not isinstance(topics, list) or len(topics) > _TOPICS_MAX:
        raise InvalidParams(f"topics: expected an array of at most {_TOPICS_MAX}")
    return LogFilter(
        first=first,
        last=last,
        addresses=_any_of(value.get("address"), "address", ADDRESS_SIZE),
        topics=tuple(_any_of(topic, "topic", HASH_SIZE) for topic in topics),
    )


def _last(value: object, chain: Chain) -> int:
    """Read the end of a range, which may lie beyond the newest block."""
    if isinstance(value, str) and value in _LATEST:
        return chain.head().number
    return 0 if value == "earliest" else min(quantity(value, "toBlock"), chain.head().number)


def _any_of(value: object, name: str, size: int) -> frozenset[bytes]:
    """Read one alternative or an array of them; null or nothing means any."""
    alternatives = value if isinstance(value, list) else [value]
    return frozenset(data(item, name, size) for item in alternatives if item is not None)


def _there(found: Block | None, asked: str) -> Block:
    if found is None:
        raise NoSuchBlock(asked)
    return found


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 40 else text[:37] + "..."  # noqa: PLR2004 - fits a line
