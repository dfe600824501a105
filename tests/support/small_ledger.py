"""A ledger of one block: a log contract with given roots, sealed by validators of our own.

State is built with the `trie` package, so that our own reader is checked against another's writer.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from hashlib import sha256

import rlp  # type: ignore[import-untyped]  # a test oracle without stubs
from coincurve import PrivateKey
from trie.hexary import HexaryTrie

from meterseal.ledger.header import MIX_HASH, ExtraData, Header, commit_hash, seal
from meterseal.ledger.keccak import keccak256
from meterseal.ledger.proof import LedgerPolicy, LedgerProof
from meterseal.ledger.seals import address
from meterseal.ledger.slot import root_slot
from meterseal.types import Hash

BLOCK_TIME_S = 1_795_447_900
EMPTY_UNCLES = keccak256(b"\xc0")


def _address(text: str) -> bytes:
    return sha256(text.encode()).digest()[:20]


@dataclass(frozen=True, kw_only=True, slots=True)
class SmallLedger:
    """Validators and a log contract, all named by a seed.

    Attributes:
        seed: Two ledgers of different seeds share nothing.
        size: How many validators.
    """

    seed: str = "ours"
    size: int = 4
    chain_id: int = 1_337_260
    height: int = 4711
    validators: tuple[PrivateKey, ...] = field(init=False)

    def __post_init__(self) -> None:
        secrets = (sha256(f"{self.seed} validator {n}".encode()).digest() for n in range(self.size))
        keys = (PrivateKey(secret) for secret in secrets)
        # Validators are listed by address, as the chains do.
        ordered = sorted(keys, key=lambda key: address(key.public_key.format(compressed=False)))
        object.__setattr__(self, "validators", tuple(ordered))

    @property
    def policy(self) -> LedgerPolicy:
        """What a checker who believes this ledger pins."""
        return LedgerPolicy(
            chain_id=self.chain_id,
            contract=_address(f"{self.seed} contract"),
            code_hash=Hash(keccak256(f"{self.seed} code".encode())),
            registrant=_address(f"{self.seed} registrant"),
            validators=frozenset(self.addresses),
        )

    @property
    def addresses(self) -> tuple[bytes, ...]:
        """Addresses of the validators, ascending."""
        return tuple(address(key.public_key.format(compressed=False)) for key in self.validators)

    def prove(
        self, origin: str, size: int, roots: dict[int, Hash], *, seals: int | None = None
    ) -> LedgerProof:
        """Prove what the contract holds for `size`, in a block where it holds `roots`.

        Args:
            origin: Origin line of the log.
            size: Size that is asked for; absent from `roots`, the proof shows its absence.
            roots: Anchored roots by size.
            seals: How many validators seal; all if None.
        """
        storage = _storage(self.policy, origin, roots)
        accounts = HexaryTrie({})
        for n in range(20):
            other = rlp.encode([n, 10**18, storage.root_hash, self.policy.code_hash])
            accounts[keccak256(_address(f"neighbour {n}"))] = other
        account = rlp.encode([1, 0, storage.root_hash, self.policy.code_hash])
        accounts[keccak256(self.policy.contract)] = account
        slot = root_slot(self.policy.log_id(origin), size)
        return LedgerProof(
            chain_id=self.chain_id,
            contract=self.policy.contract,
            header=self._sealed(Hash(accounts.root_hash), seals).encode(),
            account=_nodes(accounts, keccak256(self.policy.contract)),
            storage=_nodes(storage, keccak256(slot)),
        )

    def _sealed(self, state_root: Hash, seals: int | None) -> Header:
        extra = ExtraData(vanity=bytes(32), validators=self.addresses)
        header = Header(_fields(state_root, self.height, extra.encode()))
        signed = commit_hash(header, extra)
        made = tuple(
            key.sign_recoverable(signed, hasher=None) for key in self.validators[: seals or 99]
        )
        return seal(header, ExtraData(vanity=bytes(32), validators=self.addresses, seals=made))


def _storage(policy: LedgerPolicy, origin: str, roots: dict[int, Hash]) -> HexaryTrie:
    storage = HexaryTrie({})
    for n in range(20):  # other logs of the same contract
        other = root_slot(Hash(sha256(f"log {n}".encode()).digest()), n)
        storage[keccak256(other)] = rlp.encode(n + 1)
    for size, root in roots.items():
        slot = root_slot(policy.log_id(origin), size)
        storage[keccak256(slot)] = rlp.encode(int.from_bytes(root, "big"))
    return storage


def _nodes(trie: HexaryTrie, key: bytes) -> tuple[bytes, ...]:
    encoded = [rlp.encode(node) for node in trie.get_proof(key)]  # type: ignore[no-untyped-call]
    return tuple(node for node in encoded if len(node) >= 32)  # smaller ones lie in their parent


def _fields(state_root: Hash, height: int, extra_data: bytes) -> tuple[bytes, ...]:
    def number(value: int) -> bytes:
        return value.to_bytes((value.bit_length() + 7) // 8, "big")

    return (
        sha256(b"parent").digest(),
        EMPTY_UNCLES,
        _address("proposer"),
        state_root,
        sha256(b"transactions").digest(),
        sha256(b"receipts").digest(),
        bytes(256),
        number(1),
        number(height),
        number(30_000_000),
        number(81_119),
        number(BLOCK_TIME_S),
        extra_data,
        MIX_HASH,
        bytes(8),
        number(0),
    )
