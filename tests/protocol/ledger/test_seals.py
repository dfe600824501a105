"""Seals: who sealed a block, and whether that is enough."""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meterseal.errors import LedgerError
from meterseal.ledger.header import ExtraData, commit_hash
from meterseal.ledger.keccak import keccak256
from meterseal.ledger.seals import quorum, recover, sealers
from support.headers import header_of
from support.sealedledger import SealedLedger, sign_seals, validator, validator_keys

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

LEDGER = SealedLedger()
HEADER = LEDGER.header()
EXTRA = LEDGER.extra()
CURVE_ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141


def sealed(*keys: int) -> ExtraData:
    return replace(EXTRA, seals=sign_seals(HEADER, EXTRA, [LEDGER.keys[n] for n in keys]))


@pytest.mark.parametrize(
    ("validators", "needed"),
    [(1, 1), (2, 2), (3, 2), (4, 3), (5, 4), (6, 4), (7, 5), (9, 6), (10, 7), (100, 67)],
)
def test_a_quorum_is_two_thirds_rounded_up(validators: int, needed: int) -> None:
    assert quorum(validators) == needed


def test_every_sealed_block_of_the_goquorum_network_has_its_quorum(
    vectors: Callable[[str], Path],
) -> None:
    blocks = json.loads(vectors("vectors/goquorum-qbft-local/headers.json").read_text())

    counts = set()
    for block in blocks[1:]:  # the genesis block is not sealed
        header = header_of(block)
        extra = ExtraData.parse(header.extra_data)
        found = sealers(header, extra)
        assert found <= set(extra.validators)
        counts.add((len(extra.validators), len(found)))

    assert counts == {(4, 3), (5, 4)}


def test_validators_are_recovered_whatever_the_order_of_their_seals() -> None:
    expected = frozenset(validator(LEDGER.keys[n]) for n in (0, 1, 3))

    assert sealers(HEADER, sealed(3, 0, 1)) == expected


@pytest.mark.parametrize("keys", [(), (0,), (0, 1)])
def test_too_few_seals_are_refused(keys: tuple[int, ...]) -> None:
    with pytest.raises(LedgerError, match="expected 3 of 4") as refused:
        sealers(HEADER, sealed(*keys))
    assert refused.value.step == "seals"


def test_one_validator_sealing_three_times_is_one_seal() -> None:
    with pytest.raises(LedgerError, match="sealed twice"):
        sealers(HEADER, sealed(0, 0, 0))


def test_the_malleable_twin_of_a_seal_is_no_second_seal() -> None:
    """Of (r, s, v) anyone can make (r, n - s, 1 - v) without the key."""
    extra = sealed(0, 1)
    first = extra.seals[0]
    s = CURVE_ORDER - int.from_bytes(first[32:64], "big")
    twin = first[:32] + s.to_bytes(32, "big") + bytes([1 - first[64]])

    with pytest.raises(LedgerError, match="sealed twice"):
        sealers(HEADER, replace(extra, seals=(*extra.seals, twin)))


def test_a_seal_by_somebody_else_is_refused_even_beside_a_quorum() -> None:
    stranger = validator_keys(1, seed=b"stranger")
    extra = sealed(0, 1, 2)

    with pytest.raises(LedgerError, match="does not list"):
        sealers(HEADER, replace(extra, seals=extra.seals + sign_seals(HEADER, EXTRA, stranger)))


def test_a_seal_of_another_round_or_block_is_refused() -> None:
    other_round = replace(sealed(0, 1, 2), round=2)
    other_block = SealedLedger(number=78).header()

    with pytest.raises(LedgerError):
        sealers(HEADER, other_round)
    with pytest.raises(LedgerError):
        sealers(other_block, sealed(0, 1, 2))


def test_no_validators_and_no_seals_are_no_quorum() -> None:
    with pytest.raises(LedgerError, match="0 seals"):
        sealers(HEADER, replace(EXTRA, validators=(), seals=()))


@pytest.mark.parametrize("v", [2, 3, 27, 28, 255])
def test_a_recovery_id_other_than_0_and_1_is_refused(v: int) -> None:
    seal = sealed(0).seals[0]

    with pytest.raises(LedgerError, match="ending in 0 or 1"):
        recover(commit_hash(HEADER, EXTRA), seal[:64] + bytes([v]))


@given(st.binary(min_size=64, max_size=64), st.sampled_from([0, 1]))
def test_any_seal_recovers_to_somebody_or_is_a_ledger_error(body: bytes, v: int) -> None:
    with suppress(LedgerError):
        assert len(recover(keccak256(b""), body + bytes([v]))) == 20


@pytest.mark.parametrize("length", [0, 64, 66])
def test_a_seal_of_another_length_is_refused(length: int) -> None:
    with pytest.raises(LedgerError, match="65 bytes"):
        recover(keccak256(b""), bytes(length))
