"""The ledger proof: six steps, each of which fails by its own name."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from meterseal.errors import EncodingError, LedgerError, ProtocolError
from meterseal.ledger import rlp
from meterseal.ledger.header import Consensus, ExtraData, Header, seal
from meterseal.ledger.keccak import keccak256
from meterseal.ledger.proof import LedgerPolicy, LedgerProof, anchored_root, storage_word
from meterseal.ledger.seals import sealers
from meterseal.ledger.trie import prove
from meterseal.types import Hash
from support.headers import header_of, unhex
from support.sealedledger import ORIGIN, SealedLedger, proof_of, sign_seals, validator_keys

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

ROOT = Hash(bytes([0xAB]) * 32)
LEDGER = SealedLedger(anchors={4: b"\x04" * 32, 9: ROOT, 12: b"\x0c" * 32})
PROOF = LEDGER.prove(9)
POLICY = LEDGER.policy


def step_of(
    proof: LedgerProof, policy: LedgerPolicy = POLICY, origin: str = ORIGIN, size: int = 9
) -> str:
    with pytest.raises(LedgerError) as refused:
        anchored_root(proof, policy, origin, size)
    return refused.value.step


def test_an_anchored_root_is_found_with_the_time_of_its_block() -> None:
    fact = anchored_root(PROOF, POLICY, ORIGIN, 9)

    assert fact.root == ROOT
    assert (fact.block_number, fact.block_time_s) == (LEDGER.number, LEDGER.time_s)
    assert fact.sealers == frozenset(LEDGER.validators[:3])
    assert len(fact.block_hash) == 32


def test_a_size_that_is_not_anchored_is_shown_to_be_absent() -> None:
    assert anchored_root(LEDGER.prove(10), POLICY, ORIGIN, 10).root is None


def test_a_contract_that_holds_nothing_anchors_nothing() -> None:
    empty = SealedLedger()

    assert empty.prove(9).storage == ()
    assert anchored_root(empty.prove(9), empty.policy, ORIGIN, 9).root is None


def test_a_root_that_begins_with_zeros_comes_back_whole() -> None:
    root = bytes(3) + b"\x01" * 29
    ledger = SealedLedger(anchors={9: root})

    assert anchored_root(ledger.prove(9), ledger.policy, ORIGIN, 9).root == root


def test_the_proof_of_one_size_is_none_for_another_size_log_or_registrant() -> None:
    assert step_of(PROOF, size=12) == "storage"
    assert step_of(PROOF, origin="log.example/other") == "storage"
    assert step_of(PROOF, replace(POLICY, registrant=bytes(20))) == "storage"


def test_another_ledger_or_contract_fails_at_the_header() -> None:
    assert step_of(replace(PROOF, chain_id=1)) == "header"
    assert step_of(replace(PROOF, contract=bytes(20))) == "header"
    assert step_of(PROOF, replace(POLICY, chain_id=1)) == "header"
    assert step_of(PROOF, replace(POLICY, contract=bytes(20))) == "header"


def test_a_header_that_is_none_or_not_bft_or_of_another_consensus_fails_at_the_header() -> None:
    header = LEDGER.header()
    not_bft = replace(header, fields=(*header.fields[:13], bytes(32), header.fields[14]))

    assert step_of(replace(PROOF, header=b"")) == "header"
    assert step_of(replace(PROOF, header=PROOF.header + b"\0")) == "header"
    assert step_of(replace(PROOF, header=not_bft.encode())) == "header"
    assert step_of(PROOF, replace(POLICY, consensus=Consensus.IBFT2)) == "header"


def test_too_few_or_foreign_seals_fail_at_the_seals() -> None:
    two = LEDGER.sealed(LEDGER.keys[:2])
    foreign = LEDGER.sealed(validator_keys(4, seed=b"foreign")[:3])

    assert step_of(replace(PROOF, header=two)) == "seals"
    assert step_of(replace(PROOF, header=foreign)) == "seals"


def test_a_consistent_ledger_of_other_validators_fails_at_the_validators() -> None:
    """Everything in it is true of a ledger that nobody pinned."""
    foreign = SealedLedger(anchors=LEDGER.anchors, keys=validator_keys(4, seed=b"foreign"))

    assert anchored_root(foreign.prove(9), foreign.policy, ORIGIN, 9).root == ROOT
    assert step_of(foreign.prove(9)) == "validators"


def test_a_larger_and_a_smaller_set_than_the_pinned_fail_at_the_validators() -> None:
    pinned = POLICY.validators

    assert step_of(PROOF, replace(POLICY, validators=pinned | {bytes(20)})) == "validators"
    assert step_of(PROOF, replace(POLICY, validators=frozenset(sorted(pinned)[:3]))) == "validators"


def test_a_validator_listed_twice_fails_at_the_validators() -> None:
    """Listed twice it would count twice in the size of the quorum, and stand for two."""
    header, extra = LEDGER.header(), LEDGER.extra()
    extra = replace(extra, validators=(*extra.validators, extra.validators[0]))
    extra = replace(extra, seals=sign_seals(header, extra, LEDGER.keys))

    assert step_of(replace(PROOF, header=seal(header, extra).encode())) == "validators"


def test_an_account_that_is_absent_or_not_proved_fails_at_the_account() -> None:
    elsewhere = SealedLedger(anchors=LEDGER.anchors, contract=b"\xc1" * 20)
    absent = proof_of(elsewhere.state(), keccak256(LEDGER.contract))
    claimed = replace(elsewhere.prove(9), contract=LEDGER.contract, account=absent)

    with pytest.raises(LedgerError, match="holds no contract 0xc0c0"):
        anchored_root(claimed, POLICY, ORIGIN, 9)
    assert step_of(claimed) == "account"
    assert step_of(replace(PROOF, account=())) == "account"
    assert step_of(replace(PROOF, account=PROOF.account[:-1])) == "account"
    assert step_of(replace(PROOF, account=(*PROOF.account, PROOF.account[-1]))) == "account"


@pytest.mark.parametrize(
    "account",
    [
        [b"", b"", bytes(32)],
        [b"", b"", bytes(32), bytes(32), b""],
        [b"\0", b"", bytes(32), bytes(32)],
        [b"", b"", bytes(31), bytes(32)],
        [b"", b"", bytes(32), b""],
        [],
    ],
)
def test_an_account_of_another_shape_fails_at_the_account(account: list[rlp.Item]) -> None:
    path = keccak256(LEDGER.contract)
    leaf = rlp.encode([b"\x20" + path, rlp.encode(account)])
    extra = LEDGER.extra()
    fields = LEDGER.header().fields
    header = Header((*fields[:3], keccak256(leaf), *fields[4:]))
    extra = replace(extra, seals=sign_seals(header, extra, LEDGER.keys))
    sealed = seal(header, extra).encode()

    assert step_of(replace(PROOF, header=sealed, account=(leaf,))) == "account"


def test_other_code_at_the_address_fails_at_the_code() -> None:
    assert step_of(PROOF, replace(POLICY, code_hash=keccak256(b"other code"))) == "code"


def test_a_storage_proof_with_a_node_missing_or_too_many_fails_at_the_storage() -> None:
    assert step_of(replace(PROOF, storage=())) == "storage"
    assert step_of(replace(PROOF, storage=PROOF.storage[:-1])) == "storage"
    assert step_of(replace(PROOF, storage=(*PROOF.storage, PROOF.storage[-1]))) == "storage"
    assert step_of(replace(PROOF, storage=PROOF.account)) == "storage"


def test_every_flipped_byte_of_a_ledger_proof_is_refused() -> None:
    data = PROOF.encode()

    for at in range(len(data)):
        changed = bytearray(data)
        changed[at] ^= 1 << (at % 8)
        with pytest.raises(ProtocolError):
            anchored_root(LedgerProof.parse(bytes(changed)), POLICY, ORIGIN, 9)


def test_a_ledger_proof_cut_short_or_followed_by_rubbish_is_refused() -> None:
    data = PROOF.encode()

    assert LedgerProof.parse(data) == PROOF
    for length in range(len(data)):
        with pytest.raises(EncodingError):
            LedgerProof.parse(data[:length])
    with pytest.raises(EncodingError):
        LedgerProof.parse(data + b"\0")


@settings(max_examples=50)
@given(
    st.lists(st.binary(max_size=120), max_size=3),
    st.lists(st.binary(max_size=120), max_size=3),
    st.binary(max_size=100),
)
def test_any_nodes_and_header_end_in_a_named_step(
    account: list[bytes], storage: list[bytes], header: bytes
) -> None:
    assert step_of(replace(PROOF, header=header)) == "header"
    assert step_of(replace(PROOF, account=tuple(account))) == "account"
    assert step_of(replace(PROOF, storage=tuple(storage))) == "storage"


@given(st.binary(max_size=200))
def test_any_bytes_are_a_ledger_proof_or_an_encoding_error(data: bytes) -> None:
    with pytest.raises(EncodingError):
        pytest.fail(f"accepted: {LedgerProof.parse(data)}")


@pytest.mark.parametrize("value", ["", "80", "00", "8200ff", "c0", "a1" + "ff" * 33, "0101"])
def test_a_storage_value_that_no_node_writes_is_refused(value: str) -> None:
    with pytest.raises(EncodingError):
        storage_word(bytes.fromhex(value))


def test_a_storage_value_is_padded_on_the_left() -> None:
    assert storage_word(b"\x05") == bytes(31) + b"\x05"


def test_the_known_proofs_hold_and_fail_where_they_are_said_to(repository: Path) -> None:
    known: Any = json.loads((repository / "protocol/vectors/ledger.json").read_text())
    pinned = known["policy"]
    policy = LedgerPolicy(
        chain_id=pinned["chain_id"],
        contract=bytes.fromhex(pinned["contract"]),
        code_hash=Hash(bytes.fromhex(pinned["code_hash"])),
        registrant=bytes.fromhex(pinned["registrant"]),
        validators=frozenset(bytes.fromhex(each) for each in pinned["validators"]),
    )

    for case in known["proofs"]:
        proof = LedgerProof.parse(bytes.fromhex(case["proof"]))
        if case["valid"]:
            fact = anchored_root(proof, policy, known["origin"], case["size"])
            assert (fact.root and fact.root.hex()) == case["root"], case["name"]
            assert fact.block_hash.hex() == case["block_hash"], case["name"]
        else:
            found = step_of(proof, policy, known["origin"], case["size"])
            assert found == case["step"], case["name"]
    assert {case.get("step") for case in known["proofs"]} == {
        None,
        "header",
        "seals",
        "validators",
        "account",
        "code",
        "storage",
    }


def test_the_storage_proof_of_the_goquorum_network_holds(vectors: Callable[[str], Path]) -> None:
    """A real eth_getProof of another contract, under a block with real seals."""
    case = json.loads(vectors("vectors/goquorum-qbft-local/proof.json").read_text())
    header, proof = header_of(case["block"]), case["proof"]

    found = sealers(header, ExtraData.parse(header.extra_data))
    account = prove(
        header.state_root,
        keccak256(unhex(case["contract"])),
        [unhex(node) for node in proof["accountProof"]],
    )

    assert account is not None
    _, _, storage_root, code_hash = rlp.decode_list(account)
    assert code_hash == unhex(proof["codeHash"])
    for each in proof["storageProof"]:
        nodes = [unhex(node) for node in each["proof"]]
        value = prove(
            Hash(rlp.as_bytes(storage_root, "root")), keccak256(unhex(each["key"])), nodes
        )
        assert value is not None
        assert int.from_bytes(storage_word(value), "big") == int(each["value"], 16)
    assert len(found) == 3
    assert unhex(case["root"]).hex() == proof["storageProof"][0]["value"][2:]


def test_the_storage_proof_of_anvil_holds_and_a_byte_of_it_does_not(
    vectors: Callable[[str], Path],
) -> None:
    case = json.loads(vectors("vectors/anvil-osaka-local/proof.json").read_text())
    header, proof = header_of(case["block"]), case["proof"]
    nodes = [unhex(node) for node in proof["accountProof"]]
    key = keccak256(unhex(case["addr"]))

    account = prove(header.state_root, key, nodes)

    assert account is not None
    storage_root = Hash(rlp.as_bytes(rlp.decode_list(account)[2], "root"))
    (slot,) = proof["storageProof"]
    value = prove(storage_root, keccak256(unhex(slot["key"])), [unhex(n) for n in slot["proof"]])
    assert value is not None
    assert storage_word(value) == unhex(slot["value"])
    with pytest.raises(ProtocolError):
        prove(header.state_root, key, [*nodes[:-1], nodes[-1][:-1] + b"\0"])
