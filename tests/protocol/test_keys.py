"""Ed25519 keys and the one acceptance rule, against the public vectors."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from meterseal.errors import EncodingError
from meterseal.keys import SigningKey, device_id, fingerprint, verify

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

SEED = bytes(range(32))


def test_the_rfc_8032_examples_are_signed_and_verified(vectors: Callable[[str], Path]) -> None:
    cases = json.loads(vectors("vectors/rfc8032/rfc8032_7_1.json").read_text())
    assert len(cases) == 5

    for case in cases:
        key = SigningKey.from_seed(bytes.fromhex(case["sk"]))
        message = bytes.fromhex(case["msg"])

        assert key.public.hex() == case["pk"]
        assert key.sign(message).hex() == case["sig"]
        assert verify(key.public, message, bytes.fromhex(case["sig"]))


def test_the_examples_of_ed25519_cr_yp_to_are_signed_alike(vectors: Callable[[str], Path]) -> None:
    lines = vectors("vectors/rfc8032/sign.input.first128").read_text().splitlines()
    assert len(lines) == 128

    for line in lines:
        secret, public, message, signed, _ = line.split(":")
        key = SigningKey.from_seed(bytes.fromhex(secret)[:32])

        assert key.public.hex() == public
        assert key.sign(bytes.fromhex(message)).hex() + message == signed


def test_of_the_914_edge_cases_of_cctv_exactly_the_frozen_43_are_accepted(
    vectors: Callable[[str], Path], repository: Path
) -> None:
    """libsodium's rule, case by case: another library or version that differs is seen here."""
    cases = json.loads(vectors("vectors/cctv/ed25519/ed25519vectors.json").read_text())
    frozen = json.loads((repository / "protocol/vectors/ed25519-accepted.json").read_text())
    assert len(cases) == frozen["cases"] == 914

    accepted = [
        case["number"]
        for case in cases
        if verify(bytes.fromhex(case["key"]), case["msg"].encode(), bytes.fromhex(case["sig"]))
    ]

    assert accepted == frozen["accepted"]
    assert len(accepted) == 43


def test_no_accepted_edge_case_has_a_small_order_or_non_canonical_point(
    vectors: Callable[[str], Path], repository: Path
) -> None:
    cases = json.loads(vectors("vectors/cctv/ed25519/ed25519vectors.json").read_text())
    frozen = set(
        json.loads((repository / "protocol/vectors/ed25519-accepted.json").read_text())["accepted"]
    )
    refused = {"low_order_A", "low_order_R", "non_canonical_A", "non_canonical_R"}

    flags = {flag for case in cases if case["number"] in frozen for flag in case["flags"] or ()}

    assert not flags & (refused | {"low_order_residue"})


@pytest.mark.parametrize(("key", "signature"), [(31, 64), (33, 64), (32, 63), (32, 65), (0, 0)])
def test_a_key_or_signature_of_another_length_verifies_nothing(key: int, signature: int) -> None:
    assert not verify(bytes(key), b"", bytes(signature))


def test_s_plus_l_is_refused() -> None:
    order = 2**252 + 27742317777372353535851937790883648493
    key = SigningKey.from_seed(SEED)
    signature = key.sign(b"m")

    bent = signature[:32] + (int.from_bytes(signature[32:], "little") + order).to_bytes(
        32, "little"
    )

    assert verify(key.public, b"m", signature)
    assert not verify(key.public, b"m", bent)


def test_a_key_shows_its_fingerprint_and_never_itself() -> None:
    key = SigningKey.from_seed(SEED)

    shown = f"{key!r} {key} {[key]}"

    assert fingerprint(key.public) in shown
    assert SEED.hex() not in shown
    assert repr(SEED) not in shown


def test_a_fingerprint_is_eight_groups_of_four() -> None:
    groups = fingerprint(SigningKey.from_seed(SEED).public).split(" ")

    assert [len(group) for group in groups] == [4] * 8


def test_a_device_is_named_by_the_beginning_of_its_fingerprint() -> None:
    public = SigningKey.from_seed(SEED).public

    assert device_id(public).hex() == fingerprint(public).replace(" ", "")


def test_generate_takes_its_randomness_from_the_caller() -> None:
    key = SigningKey.generate(lambda size: SEED[:size])

    assert key.public == SigningKey.from_seed(SEED).public
    assert key.seed() == SEED


@pytest.mark.parametrize("size", [0, 31, 33, 64])
def test_a_seed_of_another_length_is_refused(size: int) -> None:
    with pytest.raises(EncodingError, match="32 bytes"):
        SigningKey.from_seed(bytes(size))
