"""A ledger of one block; its tries are built by py-trie and rlp, which no reader of ours uses."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import rlp as oracle  # type: ignore[import-untyped]
from coincurve import PrivateKey
from trie.hexary import HexaryTrie

from meterseal.ledger.header import MIX_HASH, ExtraData, Header, commit_hash, seal
from meterseal.ledger.keccak import keccak256
from meterseal.ledger.proof import LedgerPolicy, LedgerProof
from meterseal.ledger.seals import address
from meterseal.ledger.slot import head_slot, root_slot
from meterseal.types import Hash

if TYPE_CHECKING:
    from meterseal.types import Hash

CHAIN_ID = 1337260
CODE_HASH = keccak256(b"the code of the log contract")
ORIGIN = "log.example/meterseal"


def validator_keys(count: int, *, seed: bytes = b"validator") -> list[PrivateKey]:
    keys = [PrivateKey(keccak256(seed + bytes([n]))) for n in range(count)]
    return sorted(keys, key=validator)


def validator(key: PrivateKey) -> bytes:
    return address(key.public_key.format(compressed=False))


def sign_seals(header: Header, extra: ExtraData, keys: list[PrivateKey]) -> tuple[bytes, ...]:
    digest = commit_hash(header, extra)
    return tuple(key.sign_recoverable(digest, hasher=None) for key in keys)


@dataclass(kw_only=True)
class SealedLedger:
    """One block over a state with the log contract in it, and what `eth_getProof` says of it."""

    keys: list[PrivateKey] = field(default_factory=lambda: validator_keys(4))
    contract: bytes = b"\xc0" * 20
    registrant: bytes = b"\xaa" * 20
    anchors: dict[int, bytes] = field(default_factory=dict)
    number: int = 77
    time_s: int = 1_767_225_600

    @property
    def validators(self) -> tuple[bytes, ...]:
        return tuple(validator(key) for key in self.keys)

    @property
    def policy(self) -> LedgerPolicy:
        return LedgerPolicy(
            chain_id=CHAIN_ID,
            contract=self.contract,
            code_hash=CODE_HASH,
            registrant=self.registrant,
            validators=frozenset(self.validators),
        )

    def storage(self) -> HexaryTrie:
        """The contract's storage: the anchors and, if there are any, the head."""
        slots = {}
        identity = self.policy.log_id(ORIGIN)
        if self.anchors:
            head = max(self.anchors) << 160 | int.from_bytes(self.registrant, "big")
            slots[head_slot(identity)] = head.to_bytes(32, "big")
        slots |= {root_slot(identity, size): root for size, root in self.anchors.items()}
        return secure_trie(
            {slot: oracle.encode(word.lstrip(b"\0")) for slot, word in slots.items()}
        )

    def state(self) -> HexaryTrie:
        """The state: the contract among twenty accounts."""
        account = oracle.encode([b"\x01", b"", self.storage().root_hash, CODE_HASH])
        others = {
            bytes([n]) * 20: oracle.encode([b"", b"\x07", bytes(32), bytes(32)]) for n in range(20)
        }
        return secure_trie({**others, self.contract: account})

    def header(self) -> Header:
        """The header, not yet sealed."""
        fields = [bytes(32), bytes(32), bytes(20), self.state().root_hash, bytes(32), bytes(32)]
        numbers = [b"\x01", oracle.sedes.big_endian_int.serialize(self.number), b"\x01", b""]
        fields += [bytes(256), *numbers, oracle.sedes.big_endian_int.serialize(self.time_s)]
        return Header((*fields, b"", MIX_HASH, bytes(8)))

    def extra(self) -> ExtraData:
        """Extra data without seals."""
        return ExtraData(vanity=bytes(32), validators=self.validators, round=1)

    def sealed(self, by: list[PrivateKey] | None = None) -> bytes:
        """The header with the seals of some keys, of three if nobody says."""
        header, extra = self.header(), self.extra()
        seals = sign_seals(header, extra, self.keys[:3] if by is None else by)
        complete = ExtraData(
            vanity=extra.vanity, validators=extra.validators, round=extra.round, seals=seals
        )
        return seal(header, complete).encode()

    def prove(self, size: int, *, header: bytes | None = None) -> LedgerProof:
        """What a node answers for the slot of `size`."""
        slot = root_slot(self.policy.log_id(ORIGIN), size)
        return LedgerProof(
            chain_id=CHAIN_ID,
            contract=self.contract,
            header=self.sealed() if header is None else header,
            account=proof_of(self.state(), keccak256(self.contract)),
            storage=proof_of(self.storage(), keccak256(slot)),
        )


def secure_trie(entries: dict[bytes, bytes]) -> HexaryTrie:
    result = HexaryTrie({})
    for key, value in entries.items():
        result[keccak256(key)] = value
    return result


def proof_of(source: HexaryTrie, key: bytes) -> tuple[bytes, ...]:
    """The nodes that a node sends: those with a hash of their own, from the root down."""
    encoded = [oracle.encode(node) for node in source.get_proof(key)]  # type: ignore[no-untyped-call]
    return tuple(
        node for n, node in enumerate(encoded) if node != b"\x80" and (n == 0 or len(node) >= 32)
    )


def anchored_ledger(anchors: dict[int, Hash]) -> SealedLedger:
    return SealedLedger(anchors={size: bytes(root) for size, root in anchors.items()})
