"""The chain: what enters a block, what is refused, and what the block says of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from eth_account import Account

from meterseal.ledger.header import ExtraData, Header, block_hash
from meterseal.ledger.keccak import keccak256
from meterseal.ledger.seals import sealers
from meterseal_simulator.errors import SimulatorError
from meterseal_simulator.ledger.chain import Chain, header_of
from meterseal_simulator.ledger.errors import NotStoredError, Refused
from meterseal_simulator.ledger.keys import load_funded, load_validators
from meterseal_simulator.ledger.store import Store
from support.log_contract import CHAIN_ID, created, signed

if TYPE_CHECKING:
    from pathlib import Path

    from eth_account.signers.local import LocalAccount

SOMEONE = b"\x5a" * 20
GWEI = 10**9


def test_every_block_but_the_first_is_sealed_by_all_four_validators(
    chain: Chain, funded: LocalAccount
) -> None:
    for nonce in range(5):
        chain.submit(signed(funded, nonce, SOMEONE, b"", value=1))

    parent = chain.block(0)
    assert parent is not None
    assert ExtraData.parse(Header.parse(parent.header).extra_data).seals == ()
    for number in range(1, 6):
        block = chain.block(number)
        assert block is not None
        header = Header.parse(block.header)
        extra = ExtraData.parse(header.extra_data)
        assert sealers(header, extra) == {validator.address for validator in chain.validators}
        assert block_hash(header, extra) == block.hash
        assert header.parent_hash == parent.hash
        assert header.time_s > Header.parse(parent.header).time_s
        parent = block


def test_the_block_hash_is_not_the_hash_of_the_sealed_header(
    chain: Chain, funded: LocalAccount
) -> None:
    chain.submit(signed(funded, 0, SOMEONE, b""))

    assert chain.head().hash != keccak256(chain.head().header)


def test_a_transfer_moves_value_and_pays_the_proposer(chain: Chain, funded: LocalAccount) -> None:
    before = chain.state(chain.head())
    sender = bytes.fromhex(funded.address[2:])

    chain.submit(
        signed(funded, 0, SOMEONE, b"", value=5, maxFeePerGas=2 * GWEI, maxPriorityFeePerGas=3)
    )

    after, header = chain.state(chain.head()), header_of(chain.head())
    assert header.gas_used == 21_000
    assert after.account(SOMEONE).balance == 5
    assert after.account(header.coinbase).balance == 3 * 21_000
    price = (header.base_fee_per_gas or 0) + 3
    paid = before.account(sender).balance - after.account(sender).balance
    assert paid == 5 + price * 21_000


def test_the_base_fee_follows_london_and_never_stops_a_client(
    chain: Chain, funded: LocalAccount
) -> None:
    fees = []
    for nonce in range(4):
        fees.append(chain.next_base_fee())
        chain.submit(signed(funded, nonce, SOMEONE, b""))
        assert header_of(chain.head()).base_fee_per_gas == fees[-1]

    # An empty block lowers it by an eighth (EIP-1559), genesis too.
    assert fees[0] == GWEI - GWEI // 8
    assert fees == sorted(fees, reverse=True)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"nonce": 1}, "nonce too high: expected 0, got 1"),
        ({"gas": 20_999}, "intrinsic gas too low: needs 21000"),
        ({"gas": 30_000_001}, "exceeds block gas limit: 30000000"),
        ({"maxFeePerGas": 1}, "lower than block's base fee"),
        ({"maxFeePerGas": 1, "maxPriorityFeePerGas": 2}, "higher than max fee"),
        ({"value": 10**24}, "insufficient funds"),
        ({"chainId": 1}, "expected chain id 1337260, got 1"),
        ({"chainId": 1, "gasPrice": 2 * GWEI}, "expected chain id 1337260, got 1"),
    ],
)
def test_a_transaction_that_no_block_may_hold_is_refused_and_makes_none(
    chain: Chain, funded: LocalAccount, change: dict[str, Any], reason: str
) -> None:
    fields = {"nonce": 0, **change}
    raw = signed(funded, fields.pop("nonce"), SOMEONE, b"", **fields)

    with pytest.raises(Refused, match=reason):
        chain.submit(raw)

    assert chain.head().number == 0


def test_the_same_transaction_twice_is_known(chain: Chain, funded: LocalAccount) -> None:
    raw = signed(funded, 0, SOMEONE, b"")
    chain.submit(raw)

    with pytest.raises(Refused, match="already known"):
        chain.submit(raw)
    with pytest.raises(Refused, match="nonce too low: expected 1, got 0"):
        chain.submit(signed(funded, 0, SOMEONE, b"", value=1))


def test_an_account_without_funds_sends_nothing(chain: Chain) -> None:
    poor: LocalAccount = Account.from_key(b"\x01" * 32)

    with pytest.raises(Refused, match="insufficient funds"):
        chain.submit(signed(poor, 0, SOMEONE, b""))


def test_every_damaged_transaction_is_refused_and_nothing_else(
    chain: Chain, funded: LocalAccount
) -> None:
    """A flipped byte may leave a valid transaction of another sender, who has no funds."""
    for raw in (signed(funded, 0, SOMEONE, b"x"), signed(funded, 0, SOMEONE, b"x", gasPrice=GWEI)):
        for at in range(len(raw)):
            for damaged in (
                raw[:at],
                raw[:at] + bytes([raw[at] ^ 0x41]) + raw[at + 1 :],
            ):
                with pytest.raises(Refused):
                    chain.submit(damaged)
        with pytest.raises(Refused):
            chain.submit(raw + b"\x00")


def test_a_contract_that_reverts_still_makes_a_block(chain: Chain, funded: LocalAccount) -> None:
    revert = bytes.fromhex("60006000fd")

    chain.submit(signed(funded, 0, None, revert))

    assert chain.head().number == 1
    assert chain.logs(1, 1, 10) == []
    assert chain.state(chain.head()).account(bytes.fromhex(funded.address[2:])).nonce == 1


def test_block_hashes_are_those_that_contracts_see(chain: Chain, funded: LocalAccount) -> None:
    """The deployed code is the hash of block 1, as BLOCKHASH returned it in block 2."""
    chain.submit(signed(funded, 0, SOMEONE, b""))
    first = chain.head().hash

    # PUSH1 1, BLOCKHASH, PUSH1 0, MSTORE, PUSH1 32, PUSH1 0, RETURN
    chain.submit(signed(funded, 1, None, bytes.fromhex("60014060005260206000f3")))

    contract = created(bytes.fromhex(funded.address[2:]), 1)
    assert chain.state(chain.head()).code(contract) == first


def test_a_chain_continues_where_it_was_left(
    tmp_path: Path, chain: Chain, funded: LocalAccount
) -> None:
    chain.submit(signed(funded, 0, SOMEONE, b"", value=1))
    head = chain.head()
    chain.close()

    store = Store(tmp_path, CHAIN_ID)
    again = Chain(store, load_validators(tmp_path), CHAIN_ID, funded=load_funded(tmp_path))

    assert again.head() == head
    again.submit(signed(funded, 1, SOMEONE, b"", value=1))
    assert again.state(again.head()).account(SOMEONE).balance == 2
    again.close()


def test_a_block_that_cannot_be_stored_did_not_happen(chain: Chain, funded: LocalAccount) -> None:
    """Goal: a full disk loses nothing. Method: SQLite is told to grow no further, then to grow."""
    database = chain._store._db
    pages = database.execute("PRAGMA page_count").fetchone()[0]
    database.execute(f"PRAGMA max_page_count = {pages}")
    raw = signed(funded, 0, None, b"\x60\x20\x60\x00\xf3" + bytes(20_000), gas=10_000_000)

    with pytest.raises(NotStoredError, match="full"):
        chain.submit(raw)

    assert chain.head().number == 0
    database.execute("PRAGMA max_page_count = 1000000")
    chain.submit(raw)
    assert chain.head().number == 1


def test_a_folder_in_use_is_refused(tmp_path: Path, chain: Chain) -> None:
    assert chain.head().number == 0

    with pytest.raises(SimulatorError, match="in use by another process"):
        Store(tmp_path, CHAIN_ID)


def test_a_foreign_database_is_refused_and_left_alone(tmp_path: Path) -> None:
    (tmp_path / "ledger.sqlite3").write_bytes(b"not a database, but somebody's file" * 100)
    before = (tmp_path / "ledger.sqlite3").read_bytes()

    with pytest.raises(SimulatorError, match="not a database of this ledger"):
        Store(tmp_path, CHAIN_ID)

    assert (tmp_path / "ledger.sqlite3").read_bytes() == before


def test_another_chain_id_is_refused_with_the_remedy(tmp_path: Path) -> None:
    Store(tmp_path, CHAIN_ID).close()

    with pytest.raises(SimulatorError, match="start with --chain-id 1337260"):
        Store(tmp_path, 5)


@pytest.mark.parametrize("text", ["", "ab", "g" * 64, "AB" * 32, "ab" * 33])
def test_a_damaged_key_file_is_refused_and_not_replaced(tmp_path: Path, text: str) -> None:
    (tmp_path / "validator-2.key").write_text(text)

    with pytest.raises(SimulatorError, match="expected 64 lower-case hex digits"):
        load_validators(tmp_path)

    assert (tmp_path / "validator-2.key").read_text() == text


def test_keys_are_readable_by_their_owner_only_and_not_shown(tmp_path: Path) -> None:
    validators = load_validators(tmp_path)

    for file in tmp_path.glob("*.key"):
        assert file.stat().st_mode & 0o777 == 0o400
        assert file.read_text().strip() not in repr(validators)
