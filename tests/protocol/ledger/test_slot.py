"""Where the log contract keeps what: as the Solidity storage layout has it."""

from __future__ import annotations

import json
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from meterseal.ledger.keccak import keccak256
from meterseal.ledger.slot import head_size, head_slot, log_id, root_slot

if TYPE_CHECKING:
    from pathlib import Path

CONTRACT = bytes(range(20))
REGISTRANT = bytes(range(20, 40))
ORIGIN = "log.example/meterseal"


def word(value: int | bytes) -> bytes:
    """Pad a value as abi.encode does: integers and addresses on the left."""
    return value.to_bytes(32, "big") if isinstance(value, int) else bytes(32 - len(value)) + value


def test_the_log_id_is_the_hash_of_the_abi_encoding() -> None:
    origin_hash = sha256(ORIGIN.encode()).digest()
    expected = keccak256(word(1337260) + word(CONTRACT) + word(REGISTRANT) + origin_hash)

    found = log_id(chain_id=1337260, contract=CONTRACT, registrant=REGISTRANT, origin=ORIGIN)

    assert found == expected


def test_each_part_of_the_log_id_changes_it() -> None:
    a, b = CONTRACT, REGISTRANT

    ids = {
        log_id(chain_id=1, contract=a, registrant=b, origin="abc"),
        log_id(chain_id=2, contract=a, registrant=b, origin="abc"),
        log_id(chain_id=1, contract=b, registrant=b, origin="abc"),
        log_id(chain_id=1, contract=a, registrant=a, origin="abc"),
        log_id(chain_id=1, contract=a, registrant=b, origin="abc\n"),
    }

    assert len(ids) == 5


def test_a_root_lies_in_the_mapping_of_its_log_in_slot_1() -> None:
    identity = log_id(chain_id=1, contract=CONTRACT, registrant=REGISTRANT, origin="abc")

    assert root_slot(identity, 9) == keccak256(word(9) + keccak256(identity + word(1)))
    assert head_slot(identity) == keccak256(identity + word(0))


def test_the_size_lies_above_the_anchorer() -> None:
    head = (12345 << 160 | int.from_bytes(REGISTRANT, "big")).to_bytes(32, "big")

    assert head_size(head) == 12345


def test_the_known_slots_hold(repository: Path) -> None:
    known: Any = json.loads((repository / "protocol/vectors/ledger.json").read_text())

    for case in known["slots"]:
        identity = log_id(
            chain_id=case["chain_id"],
            contract=bytes.fromhex(case["contract"]),
            registrant=bytes.fromhex(case["registrant"]),
            origin=case["origin"],
        )
        assert identity.hex() == case["log_id"]
        assert head_slot(identity).hex() == case["head_slot"]
        assert root_slot(identity, case["size"]).hex() == case["root_slot"]
    assert len(known["slots"]) == 4
