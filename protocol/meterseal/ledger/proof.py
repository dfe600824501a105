"""The ledger proof: that a block which the pinned validators sealed holds a log's root.

The steps of protocol 7, each failing by its own name in `LedgerError.step`:

1. `header`: the raw header reads, belongs to the pinned ledger and contract, and its extra data is
   written as the pinned consensus writes it.
2. `seals`: two thirds, rounded up, of the validators that the header lists sealed its commit hash.
3. `validators`: that list is the pinned set. An empty list means that a contract keeps the set,
   which is not supported.
4. `account`: the account proof leads from the state root to the contract.
5. `code`: the contract's code is the pinned one.
6. `storage`: the storage proof leads to the slot of this log and size, or shows that it is empty.

Freshness is the caller's: `AnchoredFact` carries the block's time and number. A set of validators
that changed since it was pinned fails at step 3; following it header by header would stand between
steps 2 and 3 and give step 3 another set.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from meterseal.encoding import decode, encode
from meterseal.errors import EncodingError, LedgerError, ProofError
from meterseal.fields import array, blob, bstr, items, uint
from meterseal.ledger import rlp
from meterseal.ledger.header import HEADER_SIZE_MAX, Consensus, ExtraData, Header, block_hash
from meterseal.ledger.keccak import keccak256
from meterseal.ledger.seals import sealers
from meterseal.ledger.slot import log_id, root_slot
from meterseal.ledger.trie import prove
from meterseal.types import Hash

if TYPE_CHECKING:
    from collections.abc import Iterator

ADDRESS_SIZE: Final = 20
PROOF_SIZE_MAX: Final = 48 * 1024
NODES_MAX: Final = 64
"""A path has 64 nibbles, and a node takes one of them at least."""
NODE_SIZE_MAX: Final = 600
"""A full branch of 16 hashes takes 532 bytes; an account leaf 110."""
_WORD: Final = 32
_ACCOUNT_ITEMS: Final = 4


@dataclass(frozen=True, kw_only=True, slots=True)
class LedgerProof:
    """A header and what `eth_getProof` answered for its block.

    Attributes:
        chain_id: Chain id of the ledger: a claim, to be compared with the policy.
        contract: Address of the log contract, 20 bytes: a claim as well.
        header: RLP of the header, seals included.
        account: Nodes from the state root to the contract's account.
        storage: Nodes from the account's storage root to the slot.
    """

    chain_id: int
    contract: bytes
    header: bytes
    account: tuple[bytes, ...]
    storage: tuple[bytes, ...]

    def encode(self) -> bytes:
        """Write the proof as deterministic CBOR."""
        return encode(
            [self.chain_id, self.contract, self.header, list(self.account), list(self.storage)]
        )

    @classmethod
    def parse(cls, data: bytes) -> LedgerProof:
        """Read a proof.

        Raises:
            EncodingError: The bytes are not a ledger proof.
        """
        chain_id, contract, header, account, storage = array(
            decode(data, limit=PROOF_SIZE_MAX), "ledger proof", 5
        )
        return cls(
            chain_id=uint(chain_id, "chain id"),
            contract=bstr(contract, "contract", ADDRESS_SIZE),
            header=blob(header, "header", HEADER_SIZE_MAX),
            account=_nodes(account, "account proof"),
            storage=_nodes(storage, "storage proof"),
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class LedgerPolicy:
    """Which ledger is believed.

    Attributes:
        chain_id: Chain id.
        contract: Address of the log contract, 20 bytes.
        code_hash: Keccak-256 of the contract's code: the code hash is the contract.
        registrant: Address that registered the log, 20 bytes.
        validators: Addresses of the validators, 20 bytes each.
        consensus: How the chain writes extra data.
    """

    chain_id: int
    contract: bytes
    code_hash: Hash
    registrant: bytes
    validators: frozenset[bytes]
    consensus: Consensus = Consensus.QBFT

    def log_id(self, origin: str) -> Hash:
        """Compute the id under which the contract keeps a log."""
        return log_id(
            chain_id=self.chain_id,
            contract=self.contract,
            registrant=self.registrant,
            origin=origin,
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class AnchoredFact:
    """What a ledger proof shows.

    Attributes:
        root: The root anchored at the size that was asked for; None: none is anchored.
        block_number: Height of the block.
        block_time_s: Time of the block, in seconds since 1970.
        block_hash: Hash by which the ledger names the block.
        sealers: Validators whose seals were counted.
    """

    root: Hash | None
    block_number: int
    block_time_s: int
    block_hash: Hash
    sealers: frozenset[bytes]


def anchored_root(proof: LedgerProof, policy: LedgerPolicy, origin: str, size: int) -> AnchoredFact:
    """Find which root the pinned ledger holds for a log at a size.

    Args:
        proof: The proof, from whomever.
        policy: The checker's own policy.
        origin: Origin line of the log.
        size: Size of the tree, from a checkpoint signed by the log.

    Raises:
        LedgerError: A step failed; `step` names it.
    """
    header, extra = _header(proof, policy)
    sealed_by = sealers(header, extra)
    _check_validators(header, extra, policy)
    storage_root = _contract(header, proof, policy)
    with _failing("storage"):
        # protocol 7 step 5: the slot of this log at this size, and no other
        key = keccak256(root_slot(policy.log_id(origin), size))
        value = prove(storage_root, key, proof.storage)
        root = None if value is None else Hash(storage_word(value))
    return AnchoredFact(
        root=root,
        block_number=header.number,
        block_time_s=header.time_s,
        block_hash=block_hash(header, extra),
        sealers=sealed_by,
    )


def storage_word(value: bytes) -> bytes:
    """Read a leaf of a storage trie as the word of 32 bytes that it stands for.

    Raises:
        EncodingError: It is not an RLP integer of up to 32 bytes; zero is absent, never stored.
    """
    number = rlp.as_uint(rlp.decode(value), "storage value")
    if number == 0:
        raise EncodingError("RLP: storage value: a zero is absent and never stored")
    return number.to_bytes(_WORD, "big")


def _header(proof: LedgerProof, policy: LedgerPolicy) -> tuple[Header, ExtraData]:
    with _failing("header"):
        if proof.chain_id != policy.chain_id:
            raise ProofError(f"chain id {proof.chain_id}, expected {policy.chain_id}")
        if proof.contract != policy.contract:
            raise ProofError(
                f"contract 0x{proof.contract.hex()}, expected 0x{policy.contract.hex()}"
            )
        header = Header.parse(proof.header)
        if not header.is_bft:
            raise ProofError(f"block {header.number} is not marked as sealed by a BFT protocol")
        return header, ExtraData.parse(header.extra_data, policy.consensus)


def _check_validators(header: Header, extra: ExtraData, policy: LedgerPolicy) -> None:
    listed = frozenset(extra.validators)
    if listed != policy.validators or len(listed) != len(extra.validators):
        names = ", ".join(f"0x{each.hex()}" for each in sorted(listed ^ policy.validators))
        raise LedgerError(
            f"block {header.number} lists {len(extra.validators)} validators, which are not the "
            f"{len(policy.validators)} pinned ones; they differ in {names or 'one listed twice'}",
            step="validators",
        )


def _contract(header: Header, proof: LedgerProof, policy: LedgerPolicy) -> Hash:
    """Walk to the contract's account and give its storage root."""
    with _failing("account"):
        value = prove(header.state_root, keccak256(policy.contract), proof.account)
        if value is None:
            raise ProofError(f"block {header.number} holds no contract 0x{policy.contract.hex()}")
        account = rlp.decode_list(value)
        if len(account) != _ACCOUNT_ITEMS:
            raise ProofError(f"the account has {len(account)} items, expected {_ACCOUNT_ITEMS}")
        rlp.as_uint(account[0], "nonce")
        rlp.as_uint(account[1], "balance")
        storage_root = Hash(rlp.as_bytes(account[2], "storage root", _WORD))
        code_hash = rlp.as_bytes(account[3], "code hash", _WORD)
    if code_hash != policy.code_hash:
        raise LedgerError(
            f"the contract's code hash is 0x{code_hash.hex()}, expected 0x{policy.code_hash.hex()}",
            step="code",
        )
    return storage_root


def _nodes(value: object, name: str) -> tuple[bytes, ...]:
    return tuple(blob(each, name, NODE_SIZE_MAX) for each in items(value, name, NODES_MAX))


@contextmanager
def _failing(step: str) -> Iterator[None]:
    """Name the step in which a check fails."""
    try:
        yield
    except (EncodingError, ProofError) as error:
        raise LedgerError(str(error), step=step) from error
