"""C2SP tlog-proof: the one text form of an inclusion proof."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meterseal.errors import EncodingError
from meterseal.tlogproof import FORMAT, TlogProof
from meterseal.types import Hash

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

PROOF = TlogProof(
    index=5,
    path=(Hash(bytes(32)), Hash(bytes([255]) * 32)),
    checkpoint=b"any note\n",
    extra=b"more",
)


def test_a_proof_is_written_line_by_line() -> None:
    zeros, ones = "A" * 43 + "=", "/" * 42 + "8="

    assert PROOF.encode().decode() == (
        f"{FORMAT}\nextra bW9yZQ==\nindex 5\n{zeros}\n{ones}\n\nany note\n"
    )


def test_the_public_cases_of_transparency_dev_hold(vectors: Callable[[str], Path]) -> None:
    cases = json.loads(
        vectors("vectors/transparency-dev-formats/tlog_proof_parse.json").read_text()
    )

    for name, text, parses in cases:
        try:
            accepted = TlogProof.parse(text.encode()).encode() == text.encode()
        except EncodingError:
            accepted = False
        assert accepted is parses, name
    assert len(cases) == 11


@given(
    st.integers(0, 2**63 - 1),
    st.lists(st.binary(min_size=32, max_size=32), max_size=64),
    st.binary(min_size=1, max_size=100),
    st.none() | st.binary(min_size=1, max_size=100),
)
def test_a_proof_survives_its_text(
    index: int, path: list[bytes], checkpoint: bytes, extra: bytes | None
) -> None:
    proof = TlogProof(index=index, path=tuple(map(Hash, path)), checkpoint=checkpoint, extra=extra)

    assert TlogProof.parse(proof.encode()) == proof


@given(st.binary(max_size=200))
def test_any_bytes_are_a_proof_or_an_encoding_error(data: bytes) -> None:
    for each in (data, FORMAT.encode() + b"\n" + data, FORMAT.encode() + b"\nindex 1\n" + data):
        with suppress(EncodingError):
            assert TlogProof.parse(each).encode() == each


@pytest.mark.parametrize(
    "change",
    [
        ("index 5", "index 05"),
        ("index 5", "index +5"),
        ("index 5", "index 5 "),
        ("index 5", "Index 5"),
        ("index 5\n", "index 5\r\n"),
        ("extra bW9yZQ==", "extra bW9yZR=="),
        ("extra bW9yZQ==", "extra "),
        ("extra bW9yZQ==", "extra bW9yZQ"),
        ("@v1", "@v2"),
        ("index 5", "index \u0665"),
        ("\n\nany note\n", "\n\n"),
        ("\n\nany note\n", "\n"),
    ],
)
def test_a_proof_has_one_form(change: tuple[str, str]) -> None:
    text = PROOF.encode().decode()

    with pytest.raises(EncodingError):
        TlogProof.parse(text.replace(*change).encode())


def test_a_path_beyond_64_hashes_is_refused() -> None:
    long = TlogProof(index=0, path=(Hash(bytes(32)),) * 65, checkpoint=b"note\n")

    with pytest.raises(EncodingError, match="up to 64"):
        TlogProof.parse(long.encode())
