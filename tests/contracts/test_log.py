"""What the log contract takes and what it refuses, with whose values."""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING

import pytest
from eth_utils.address import to_checksum_address

from meterseal import merkle
from meterseal.ledger import slot
from meterseal.types import Hash
from support.log_contract import Rejected

if TYPE_CHECKING:
    from support.log_contract import LogContract

RECORDS = [number.to_bytes(4, "big") for number in range(40)]
LEAVES = [merkle.leaf_hash(record) for record in RECORDS]
STRANGER = bytes.fromhex("00000000000000000000000000000000000000aa")


def root(size: int) -> bytes:
    return merkle.root(LEAVES[:size])


def proof(old: int, new: int) -> list[bytes]:
    return list(merkle.consistency_path(old, LEAVES[:new]))


def owner(contract: LogContract) -> bytes:
    return bytes.fromhex(contract.owner.address[2:])


def test_a_registered_log_has_size_zero_and_the_empty_root(
    contract: LogContract, log_id: bytes
) -> None:
    assert contract.call("latest", log_id) == (0, merkle.EMPTY_ROOT)
    assert contract.call("rootOf", log_id, 0) == (merkle.EMPTY_ROOT,)


def test_a_log_that_nobody_registered_has_no_root(contract: LogContract) -> None:
    assert contract.call("latest", bytes(32)) == (0, bytes(32))

    with pytest.raises(Rejected, match="UnknownLog"):
        contract.call("anchor", bytes(32), 0, 1, root(1), [])


def test_the_log_id_is_that_of_the_specification(contract: LogContract) -> None:
    origin = "demo.example/log"

    computed = slot.log_id(
        chain_id=1337260, contract=contract.address, registrant=owner(contract), origin=origin
    )

    assert contract.call("logIdOf", contract.owner.address, sha256(origin.encode()).digest()) == (
        computed,
    )


def test_registering_twice_is_refused(contract: LogContract) -> None:
    contract.send("register", b"\x77" * 32)

    with pytest.raises(Rejected, match="AlreadyRegistered"):
        contract.call("register", b"\x77" * 32)


def test_the_same_origin_of_another_registrant_is_another_log(contract: LogContract) -> None:
    first = contract.call("register", b"\x78" * 32)
    other = contract.call("register", b"\x78" * 32, sender=STRANGER)

    assert first != other


def test_each_anchor_stays_readable_by_its_size(contract: LogContract, log_id: bytes) -> None:
    contract.send("anchor", log_id, 0, 3, root(3), [])
    contract.send("anchor", log_id, 3, 10, root(10), proof(3, 10))

    assert contract.call("latest", log_id) == (10, root(10))
    assert contract.call("rootOf", log_id, 3) == (root(3),)
    assert contract.call("rootOf", log_id, 4) == (bytes(32),)


def test_roots_and_sizes_lie_where_the_specification_says(
    contract: LogContract, log_id: bytes
) -> None:
    contract.send("anchor", log_id, 0, 5, root(5), [])
    state = contract.chain.state(contract.chain.head())

    def word(key: bytes) -> bytes:
        return state.slot(contract.address, int.from_bytes(key, "big")).to_bytes(32, "big")

    assert word(slot.root_slot(Hash(log_id), 5)) == root(5)
    head = word(slot.head_slot(Hash(log_id)))
    assert slot.head_size(head) == 5
    assert head[12:] == owner(contract)


def test_only_the_anchorer_anchors(contract: LogContract, log_id: bytes) -> None:
    with pytest.raises(Rejected) as caught:
        contract.call("anchor", log_id, 0, 1, root(1), [], sender=STRANGER)

    assert caught.value.name == "NotAnchorer"
    assert caught.value.values == (contract.owner.address.lower(), "0x" + STRANGER.hex())


def test_an_old_size_that_is_not_the_anchored_one_is_answered_with_it(
    contract: LogContract, log_id: bytes
) -> None:
    contract.send("anchor", log_id, 0, 4, root(4), [])

    with pytest.raises(Rejected) as caught:
        contract.call("anchor", log_id, 3, 9, root(9), proof(3, 9))

    assert (caught.value.name, caught.value.values) == ("OldSizeMismatch", (4, 3))


@pytest.mark.parametrize("size", [0, 3, 4])
def test_a_size_that_does_not_grow_is_refused(
    contract: LogContract, log_id: bytes, size: int
) -> None:
    contract.send("anchor", log_id, 0, 4, root(4), [])

    with pytest.raises(Rejected) as caught:
        contract.call("anchor", log_id, 4, size, root(size), [])

    assert (caught.value.name, caught.value.values) == ("SizeNotGrowing", (4, size))


def test_a_size_of_two_to_the_63_is_refused_and_one_below_is_taken(
    contract: LogContract, log_id: bytes
) -> None:
    contract.call("anchor", log_id, 0, 2**63 - 1, root(1), [])

    with pytest.raises(Rejected) as caught:
        contract.call("anchor", log_id, 0, 2**63, root(1), [])

    assert (caught.value.name, caught.value.values) == ("SizeTooLarge", (2**63, 2**63))


def test_the_zero_root_is_refused_as_it_would_read_as_not_anchored(
    contract: LogContract, log_id: bytes
) -> None:
    with pytest.raises(Rejected, match="ZeroRoot"):
        contract.call("anchor", log_id, 0, 1, bytes(32), [])


def test_the_first_anchor_takes_no_proof(contract: LogContract, log_id: bytes) -> None:
    with pytest.raises(Rejected) as caught:
        contract.call("anchor", log_id, 0, 1, root(1), [root(1)])

    assert (caught.value.name, caught.value.values) == ("FirstProofNotEmpty", (0, 1))


def test_a_root_that_rewrites_the_log_is_refused_with_both_roots(
    contract: LogContract, log_id: bytes
) -> None:
    contract.send("anchor", log_id, 0, 7, root(7), [])
    rewritten = [merkle.leaf_hash(b"another"), *LEAVES[1:9]]

    with pytest.raises(Rejected) as caught:
        contract.call(
            "anchor", log_id, 7, 9, merkle.root(rewritten), merkle.consistency_path(7, rewritten)
        )

    assert caught.value.name == "Inconsistent"
    assert caught.value.values == (7, 9, root(7), merkle.root(rewritten))


def test_the_anchorer_hands_over_in_two_steps(contract: LogContract, log_id: bytes) -> None:
    heir = to_checksum_address(STRANGER)

    contract.send("offerAnchorer", log_id, heir)

    # Offered is not handed over: the old one still anchors, the new one does not yet.
    assert contract.call("anchorerOf", log_id) == (contract.owner.address.lower(), heir.lower())
    contract.call("anchor", log_id, 0, 1, root(1), [])
    with pytest.raises(Rejected, match="NotAnchorer"):
        contract.call("anchor", log_id, 0, 1, root(1), [], sender=STRANGER)
    contract.call("acceptAnchorer", log_id, sender=STRANGER)


def test_a_handed_over_log_obeys_the_new_anchorer_only(
    contract: LogContract, log_id: bytes
) -> None:
    contract.send("offerAnchorer", log_id, contract.owner.address)
    contract.send("acceptAnchorer", log_id)

    assert contract.call("anchorerOf", log_id) == (
        contract.owner.address.lower(),
        "0x" + bytes(20).hex(),
    )


def test_nobody_takes_what_was_not_offered_to_him(contract: LogContract, log_id: bytes) -> None:
    with pytest.raises(Rejected, match="NotPending"):
        contract.call("acceptAnchorer", log_id)
    with pytest.raises(Rejected, match="NotAnchorer"):
        contract.call("offerAnchorer", log_id, to_checksum_address(STRANGER), sender=STRANGER)


def test_a_record_is_proved_by_its_bytes(contract: LogContract, log_id: bytes) -> None:
    contract.send("anchor", log_id, 0, 11, root(11), [])
    path = list(merkle.inclusion_path(6, LEAVES[:11]))

    assert contract.call("proveRecord", log_id, 11, 6, RECORDS[6], path) == (True,)
    assert contract.call("proveRecord", log_id, 11, 6, RECORDS[5], path) == (False,)
    assert contract.call("proveRecord", log_id, 11, 5, RECORDS[6], path) == (False,)
    assert contract.call("proveRecord", log_id, 11, 11, RECORDS[6], path) == (False,)


def test_an_inner_node_passed_as_a_record_is_not_proved(
    contract: LogContract, log_id: bytes
) -> None:
    """Its 64 bytes are hashed behind 0x00 and not behind 0x01, so they make no node."""
    contract.send("anchor", log_id, 0, 4, root(4), [])
    left = LEAVES[0] + LEAVES[1]
    right = merkle.node_hash(LEAVES[2], LEAVES[3])

    assert contract.call("proveRecord", log_id, 4, 0, left, [right]) == (False,)


def test_a_size_that_is_not_anchored_proves_nothing(contract: LogContract, log_id: bytes) -> None:
    contract.send("anchor", log_id, 0, 4, root(4), [])

    with pytest.raises(Rejected, match="NotAnchored"):
        contract.call("proveRecord", log_id, 3, 0, RECORDS[0], [])


def test_the_contract_has_no_way_to_change_its_code_or_to_hold_an_owner(
    artifact: dict[str, str],
) -> None:
    """DELEGATECALL, CALLCODE, CREATE, CREATE2 and SELFDESTRUCT do not occur as instructions."""
    code = bytes.fromhex(artifact["deployedBytecode"][2:])
    found, at = set(), 0
    while at < len(code):
        found.add(code[at])
        at += 1 + max(0, code[at] - 0x5F) * (0x60 <= code[at] <= 0x7F)

    assert not found & {0xF0, 0xF2, 0xF4, 0xF5, 0xFF}
    assert 0x5F not in found, "PUSH0 does not exist on London chains"
