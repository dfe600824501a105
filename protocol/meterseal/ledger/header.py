"""Block headers of consortium chains: read, rebuilt, and hashed in the two ways that BFT needs.

The hash of a sealed block is not the Keccak-256 of its header: the seals cannot sign themselves.
Extra data is an RLP list, and each format leaves other parts of it out:

| | QBFT | IBFT 2.0 |
|---|---|---|
| extra data | [vanity, validators, vote, round, seals] | the same |
| no vote | the empty list | the empty string |
| drop vote | [address, ""] | [address, 0x00] |
| round | shortest integer | 4 bytes |
| what a seal signs | seals empty | seals left out |
| block hash | seals empty, round zero | seals and round left out |

Which format a chain uses is said by the policy and never by the header.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum
from typing import TYPE_CHECKING, Final

from meterseal.errors import EncodingError
from meterseal.ledger import rlp
from meterseal.ledger.keccak import keccak256
from meterseal.types import Hash

if TYPE_CHECKING:
    from meterseal.ledger.rlp import Item

MIX_HASH: Final = bytes.fromhex("63746963616c2062797a616e74696e65206661756c7420746f6c6572616e6365")
"""Marks a block as sealed by a BFT protocol."""

HEADER_SIZE_MAX: Final = 8192
_FIELDS_MIN: Final = 15
_FIELDS_MAX: Final = 40
"""Forks add fields: London one, Osaka's header has 21. What is added is hashed, not read."""

_SIZES: Final = {0: 32, 1: 32, 2: 20, 3: 32, 4: 32, 5: 32, 6: 256, 13: 32, 14: 8}
_INTEGERS: Final = {7: "difficulty", 8: "number", 9: "gas limit", 10: "gas used", 11: "timestamp"}
_STATE_ROOT, _NUMBER, _TIMESTAMP, _EXTRA_DATA, _MIX_HASH = 3, 8, 11, 12, 13
_ROUND_MAX: Final = 2**32 - 1
_EXTRA_ITEMS: Final = 5
_ADDRESS: Final = 20
_SEAL: Final = 65


class Consensus(Enum):
    """How a chain writes extra data."""

    QBFT = "qbft"
    IBFT2 = "ibft2"


@dataclass(frozen=True, kw_only=True, slots=True)
class Vote:
    """A proposer's vote on the set of validators.

    Attributes:
        validator: Whom it is about, 20 bytes.
        add: To add, else to drop.
    """

    validator: bytes
    add: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class ExtraData:
    """What a BFT block says of its own making.

    Attributes:
        vanity: 32 free bytes.
        validators: Addresses that may seal this block, 20 bytes each.
        vote: The proposer's vote, if it casts one.
        round: Round of the consensus that made the block.
        seals: Commit seals, 65 bytes each: r, s, v.
        consensus: How it is written.
    """

    vanity: bytes
    validators: tuple[bytes, ...]
    vote: Vote | None = None
    round: int = 0
    seals: tuple[bytes, ...] = ()
    consensus: Consensus = Consensus.QBFT

    def encode(self) -> bytes:
        """Write the extra data of a header."""
        return rlp.encode([*self._head(), self._round(), list(self.seals)])

    def encode_for_commit(self) -> bytes:
        """Write what stands in the header whose hash a commit seal signs."""
        if self.consensus is Consensus.IBFT2:
            return rlp.encode([*self._head(), self._round()])
        return replace(self, seals=()).encode()

    def encode_for_block(self) -> bytes:
        """Write what stands in the header whose hash is the block's."""
        if self.consensus is Consensus.IBFT2:
            return rlp.encode(self._head())
        return replace(self, seals=(), round=0).encode()

    def _head(self) -> list[Item]:
        return [self.vanity, list(self.validators), self._vote()]

    def _round(self) -> bytes:
        if self.consensus is Consensus.IBFT2:
            return self.round.to_bytes(4, "big")
        return rlp.uint(self.round)

    def _vote(self) -> Item:
        ibft2 = self.consensus is Consensus.IBFT2
        if self.vote is None:
            return b"" if ibft2 else []
        drop = b"\x00" if ibft2 else b""
        return [self.vote.validator, b"\xff" if self.vote.add else drop]

    @classmethod
    def parse(cls, data: bytes, consensus: Consensus = Consensus.QBFT) -> ExtraData:
        """Read the extra data of a header.

        Raises:
            EncodingError: It is not extra data of this format.
        """
        items = rlp.decode_list(data)
        if len(items) != _EXTRA_ITEMS:
            raise EncodingError(f"extra data: expected {_EXTRA_ITEMS} items, got {len(items)}")
        vanity, validators, vote, round_, seals = items
        result = cls(
            vanity=rlp.as_bytes(vanity, "vanity", 32),
            validators=_each(validators, "validator", _ADDRESS),
            vote=_parse_vote(vote),
            round=int.from_bytes(rlp.as_bytes(round_, "round"), "big"),
            seals=_each(seals, "seal", _SEAL),
            consensus=consensus,
        )
        if result.round > _ROUND_MAX or result.encode() != data:
            raise EncodingError(f"extra data: not written as {consensus.value} writes it")
        return result


@dataclass(frozen=True, slots=True)
class Header:
    """A block header, field by field as RLP holds it.

    Attributes:
        fields: 15 fields of the first headers, and what later forks added.
    """

    fields: tuple[bytes, ...]

    def __post_init__(self) -> None:
        """Check the sizes of the fields that are read."""
        if not _FIELDS_MIN <= len(self.fields) <= _FIELDS_MAX:
            raise EncodingError(
                f"header: expected 15 to {_FIELDS_MAX} fields, got {len(self.fields)}"
            )
        for index, size in _SIZES.items():
            rlp.as_bytes(self.fields[index], f"header field {index}", size)
        for index, name in _INTEGERS.items():
            rlp.as_uint(self.fields[index], f"header {name}")

    @classmethod
    def parse(cls, data: bytes) -> Header:
        """Read the RLP of a header, as `debug_getRawHeader` gives it.

        Raises:
            EncodingError: It is not a header.
        """
        if len(data) > HEADER_SIZE_MAX:
            raise EncodingError(f"header: {len(data)} bytes, at most {HEADER_SIZE_MAX} are read")
        return cls(tuple(rlp.as_bytes(each, "header field") for each in rlp.decode_list(data)))

    def encode(self) -> bytes:
        """Write the header as RLP."""
        return rlp.encode(list(self.fields))

    @property
    def state_root(self) -> Hash:
        """Root of the state trie after this block."""
        return Hash(self.fields[_STATE_ROOT])

    @property
    def number(self) -> int:
        """Height of the block."""
        return int.from_bytes(self.fields[_NUMBER], "big")

    @property
    def time_s(self) -> int:
        """Time of the block, in seconds since 1970."""
        return int.from_bytes(self.fields[_TIMESTAMP], "big")

    @property
    def parent_hash(self) -> Hash:
        """Hash of the block before."""
        return Hash(self.fields[0])

    @property
    def is_bft(self) -> bool:
        """Whether the header is marked as sealed by a BFT protocol."""
        return self.fields[_MIX_HASH] == MIX_HASH

    @property
    def extra_data(self) -> bytes:
        """Extra data, as it stands."""
        return self.fields[_EXTRA_DATA]

    def with_extra_data(self, data: bytes) -> Header:
        """Give the same header with other extra data."""
        return Header((*self.fields[:_EXTRA_DATA], data, *self.fields[_EXTRA_DATA + 1 :]))

    def plain_hash(self) -> Hash:
        """Hash the header as it stands: the block hash of chains that are not BFT."""
        return keccak256(self.encode())


def commit_hash(header: Header, extra: ExtraData) -> Hash:
    """Compute what a commit seal signs.

    Args:
        header: The header; its own extra data plays no part.
        extra: Extra data with the round in which the block was made.
    """
    return header.with_extra_data(extra.encode_for_commit()).plain_hash()


def block_hash(header: Header, extra: ExtraData) -> Hash:
    """Compute the hash by which the chain names the block."""
    return header.with_extra_data(extra.encode_for_block()).plain_hash()


def seal(header: Header, extra: ExtraData) -> Header:
    """Put extra data, with its seals, into a header."""
    return header.with_extra_data(extra.encode())


def _each(item: Item, what: str, size: int) -> tuple[bytes, ...]:
    return tuple(rlp.as_bytes(each, what, size) for each in rlp.as_list(item, f"{what}s"))


def _parse_vote(item: Item) -> Vote | None:
    """Read a vote in either format; `ExtraData.parse` encodes again and so tells them apart."""
    if item in (b"", []):
        return None
    parts = rlp.as_list(item, "vote")
    if len(parts) != 2:  # noqa: PLR2004 -- whom, and add or drop
        raise EncodingError(f"extra data: a vote has {len(parts)} items, expected 2")
    add = rlp.as_bytes(parts[1], "vote direction")
    return Vote(validator=rlp.as_bytes(parts[0], "vote", _ADDRESS), add=add == b"\xff")
