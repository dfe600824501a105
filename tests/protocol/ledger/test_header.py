"""Headers and extra data: real blocks of GoQuorum, Besu's codec vector, and IBFT 2.0's shape."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meterseal.errors import EncodingError
from meterseal.ledger import rlp
from meterseal.ledger.header import (
    Consensus,
    ExtraData,
    Header,
    Vote,
    block_hash,
    commit_hash,
    seal,
)
from meterseal.ledger.keccak import keccak256
from support.headers import header_of
from support.sealedledger import SealedLedger

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

QBFT = Consensus.QBFT
IBFT2 = Consensus.IBFT2

ADDRESSES = st.binary(min_size=20, max_size=20)
EXTRA = st.builds(
    ExtraData,
    vanity=st.binary(min_size=32, max_size=32),
    validators=st.lists(ADDRESSES, max_size=5).map(tuple),
    vote=st.none() | st.builds(Vote, validator=ADDRESSES, add=st.booleans()),
    round=st.integers(0, 2**32 - 1),
    seals=st.lists(st.binary(min_size=65, max_size=65), max_size=4).map(tuple),
    consensus=st.sampled_from(Consensus),
)


@given(EXTRA)
def test_extra_data_survives_its_bytes(extra: ExtraData) -> None:
    assert ExtraData.parse(extra.encode(), extra.consensus) == extra


@given(st.binary(max_size=120), st.sampled_from(Consensus))
def test_any_bytes_are_extra_data_or_an_encoding_error(data: bytes, consensus: Consensus) -> None:
    with pytest.raises(EncodingError):
        pytest.fail(f"accepted: {ExtraData.parse(data, consensus)}")


@given(EXTRA, st.data())
def test_a_byte_changed_in_extra_data_is_refused_or_changes_what_it_says(
    extra: ExtraData, data: st.DataObject
) -> None:
    changed = bytearray(extra.encode())
    at = data.draw(st.integers(0, len(changed) - 1))
    changed[at] ^= data.draw(st.integers(1, 255))
    try:
        other = ExtraData.parse(bytes(changed), extra.consensus)
    except EncodingError:
        return
    assert other != extra


def test_a_format_is_never_read_as_the_other() -> None:
    for consensus, rival in ((QBFT, IBFT2), (IBFT2, QBFT)):
        extra = ExtraData(vanity=bytes(32), validators=(bytes(20),), consensus=consensus)
        with pytest.raises(EncodingError, match=rival.value):
            ExtraData.parse(extra.encode(), rival)


def test_the_raw_extra_data_of_besu_reads_and_is_written_back(
    vectors: Callable[[str], Path],
) -> None:
    case = json.loads(vectors("vectors/besu-qbft-extradata/raw.json").read_text())
    data = bytes.fromhex(case["extraData"])

    extra = ExtraData.parse(data)

    assert extra.encode() == data
    assert extra.vanity.hex() == case["vanity"]
    assert [each.hex() for each in extra.validators] == case["validators"]
    assert extra.vote == Vote(validator=bytes.fromhex(case["vote"][0]), add=True)
    assert case["vote"][1] == "ff"
    assert extra.round == case["round"]
    assert [each.hex() for each in extra.seals] == case["seals"]


@pytest.fixture(scope="module")
def blocks(vectors: Callable[[str], Path]) -> list[dict[str, Any]]:
    return list(json.loads(vectors("vectors/goquorum-qbft-local/headers.json").read_text()))


def test_every_block_of_the_goquorum_network_has_the_hash_that_it_says(
    blocks: list[dict[str, Any]],
) -> None:
    for block in blocks:
        header = header_of(block)
        extra = ExtraData.parse(header.extra_data)
        assert extra.encode() == header.extra_data
        assert block_hash(header, extra).hex() == block["hash"][2:]
        assert header.plain_hash() != block_hash(header, extra) or not extra.seals
        assert header.is_bft
        assert (header.number, header.time_s) == (
            int(block["number"], 16),
            int(block["timestamp"], 16),
        )
    assert len(blocks) == 20


def test_the_blocks_cover_votes_rounds_and_two_sizes_of_the_set(
    blocks: list[dict[str, Any]],
) -> None:
    seen = [ExtraData.parse(header_of(block).extra_data) for block in blocks]

    assert {len(each.validators) for each in seen} == {4, 5}
    assert {each.round for each in seen} == {0, 1}
    assert any(each.vote is not None and each.vote.add for each in seen)


def test_the_chain_links_by_block_hashes(blocks: list[dict[str, Any]]) -> None:
    headers = [header_of(block) for block in blocks]

    for before, after in pairwise(headers):
        if after.number == before.number + 1:
            extra = ExtraData.parse(before.extra_data)
            assert after.parent_hash == block_hash(before, extra)


def test_a_header_of_osaka_hashes_with_all_its_fields(vectors: Callable[[str], Path]) -> None:
    block = json.loads(vectors("vectors/anvil-osaka-local/proof.json").read_text())["block"]

    header = header_of(block)

    assert len(header.fields) == 21
    assert header.plain_hash().hex() == block["hash"][2:]
    assert not header.is_bft


def test_what_qbft_and_ibft2_leave_out_of_a_hash_is_what_the_table_says() -> None:
    header, base = SealedLedger().header(), SealedLedger().extra()
    vanity, validators = base.vanity, list(base.validators)
    sealed = replace(base, round=7, seals=(bytes(65),))

    def expected(items: list[rlp.Item]) -> bytes:
        return keccak256(header.with_extra_data(rlp.encode(items)).encode())

    qbft, ibft2 = sealed, replace(sealed, consensus=IBFT2)
    assert commit_hash(header, qbft) == expected([vanity, list(validators), [], b"\x07", []])
    assert block_hash(header, qbft) == expected([vanity, list(validators), [], b"", []])
    assert commit_hash(header, ibft2) == expected([vanity, list(validators), b"", b"\0\0\0\x07"])
    assert block_hash(header, ibft2) == expected([vanity, list(validators), b""])
    assert Header.parse(seal(header, qbft).encode()).extra_data == qbft.encode()


@pytest.mark.parametrize(
    "extra",
    [
        [bytes(31), [], [], b"", []],
        [bytes(32), [bytes(19)], [], b"", []],
        [bytes(32), b"", [], b"", []],
        [bytes(32), [], b"", b"", []],
        [bytes(32), [], [bytes(20)], b"", []],
        [bytes(32), [], [bytes(20), b"\x01"], b"", []],
        [bytes(32), [], [bytes(19), b"\xff"], b"", []],
        [bytes(32), [], [], b"\0", []],
        [bytes(32), [], [], b"\1\0\0\0\0", []],
        [bytes(32), [], [], b"", [bytes(64)]],
        [bytes(32), [], [], b""],
        [bytes(32), [], [], b"", [], b""],
    ],
)
def test_extra_data_of_another_shape_is_refused(extra: list[rlp.Item]) -> None:
    with pytest.raises(EncodingError):
        ExtraData.parse(rlp.encode(extra))


@pytest.mark.parametrize("field", [0, 1, 2, 3, 4, 5, 6, 13, 14])
def test_a_header_field_of_another_length_is_refused(field: int) -> None:
    fields = list(SealedLedger().header().fields)
    fields[field] += b"\0"

    with pytest.raises(EncodingError, match=f"field {field}"):
        Header(tuple(fields))


@pytest.mark.parametrize("field", [7, 8, 9, 10, 11])
def test_a_header_number_with_a_leading_zero_is_refused(field: int) -> None:
    fields = list(SealedLedger().header().fields)
    fields[field] = b"\0" + fields[field]

    with pytest.raises(EncodingError, match="integer"):
        Header(tuple(fields))


def test_a_header_of_too_few_or_too_many_fields_is_refused() -> None:
    fields = SealedLedger().header().fields

    with pytest.raises(EncodingError, match="15 to 40"):
        Header(fields[:14])
    with pytest.raises(EncodingError, match="15 to 40"):
        Header((*fields, *[b""] * 26))
    with pytest.raises(EncodingError, match="at most"):
        Header.parse(bytes(9000))
    with pytest.raises(EncodingError, match="expected bytes"):
        Header.parse(rlp.encode([*fields, []]))


@given(st.binary(max_size=700))
def test_any_bytes_are_a_header_or_an_encoding_error(data: bytes) -> None:
    with pytest.raises(EncodingError):
        pytest.fail(f"accepted: {Header.parse(data)}")
