"""The contract's RFC 9162 checks against the protocol's own tree, exhaustively for small trees.

The contract keeps one root a size and takes any root as its first. So a log anchored at m serves
every pair (m, n): `eth_call` runs the anchor to n and throws it away.
"""

from __future__ import annotations

import base64
import json
from itertools import pairwise
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from meterseal import merkle
from support.log_contract import Rejected, open_log

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from support.log_contract import LogContract

SIZE_MAX = 33
DAMAGED_SIZE_MAX = 17
RECORDS = [number.to_bytes(4, "big") for number in range(SIZE_MAX)]
LEAVES = [merkle.leaf_hash(record) for record in RECORDS]
ROOTS = [merkle.root(LEAVES[:size]) for size in range(SIZE_MAX + 1)]


def flipped(word: bytes) -> bytes:
    return bytes([word[0] ^ 0x80]) + word[1:]


def tampered(path: list[bytes]) -> Iterator[list[bytes]]:
    """Every way to damage a path by one node: changed, left out, doubled, swapped, put on."""
    for at, node in enumerate(path):
        yield [*path[:at], flipped(node), *path[at + 1 :]]
        yield [*path[:at], *path[at + 1 :]]
        yield [*path[:at], node, *path[at:]]
    for at, (first, second) in enumerate(pairwise(path)):
        yield [*path[:at], second, first, *path[at + 2 :]]
    yield [*path, bytes(32)]
    yield [bytes(32), *path]


class Growth(NamedTuple):
    """An anchor of `new` leaves on one of `old`."""

    old: int
    new: int
    root: bytes
    path: list[bytes]


def accepts(contract: LogContract, log_id: bytes, growth: Growth) -> bool:
    try:
        contract.call("anchor", log_id, *growth)
    except Rejected as rejected:
        if rejected.name != "Inconsistent":
            raise
        return False
    return True


def proves(contract: LogContract, log_id: bytes, index: int, size: int, path: list[bytes]) -> bool:
    (proved,) = contract.call("proveRecord", log_id, size, index, RECORDS[index], path)
    return bool(proved)


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_every_consistency_proof_up_to_33_leaves_is_taken_and_every_damaged_one_refused(
    contract: LogContract, numbers: Iterator[int]
) -> None:
    taken = refused = 0
    for old in range(1, SIZE_MAX):
        log_id = open_log(contract, next(numbers))
        contract.send("anchor", log_id, 0, old, ROOTS[old], [])
        for new in range(old + 1, SIZE_MAX + 1):
            path: list[bytes] = list(merkle.consistency_path(old, LEAVES[:new]))
            growth = Growth(old, new, ROOTS[new], path)
            assert accepts(contract, log_id, growth), (old, new)
            assert not accepts(contract, log_id, growth._replace(root=flipped(ROOTS[new])))
            taken += 1
            for damaged in tampered(path):
                assert not accepts(contract, log_id, growth._replace(path=damaged)), (old, new)
                refused += 1

    assert (taken, refused > 5 * taken) == (SIZE_MAX * (SIZE_MAX - 1) // 2, True)


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_every_record_up_to_33_leaves_is_proved_and_no_damaged_path_proves_one(
    contract: LogContract, numbers: Iterator[int]
) -> None:
    for size in range(1, SIZE_MAX + 1):
        log_id = open_log(contract, next(numbers))
        contract.send("anchor", log_id, 0, size, ROOTS[size], [])
        for index in range(size):
            path: list[bytes] = list(merkle.inclusion_path(index, LEAVES[:size]))
            assert proves(contract, log_id, index, size, path)
            for damaged in tampered(path) if size <= DAMAGED_SIZE_MAX else ():
                assert not proves(contract, log_id, index, size, damaged), (index, size)


def test_the_known_answers_of_the_protocol_hold_in_the_contract(
    contract: LogContract, numbers: Iterator[int], repository: Path
) -> None:
    cases = json.loads((repository / "protocol/vectors/merkle.json").read_text())
    for case in cases["inclusion"]:
        if "record" not in case or case["size"] == 0:
            continue
        log_id = open_log(contract, next(numbers))
        root, path = bytes.fromhex(case["root"]), [bytes.fromhex(node) for node in case["path"]]
        contract.send("anchor", log_id, 0, case["size"], root, [])

        proved = contract.call(
            "proveRecord", log_id, case["size"], case["index"], bytes.fromhex(case["record"]), path
        )

        assert proved == (case["valid"],), case["name"]
    checked = [
        _consistency(contract, next(numbers), case, bytes.fromhex, valid=case["valid"])
        for case in cases["consistency"]
    ]
    assert sum(checked) > 50


def test_the_consistency_cases_of_transparency_dev_hold_in_the_contract(
    contract: LogContract, numbers: Iterator[int], vectors: Callable[[str], Path]
) -> None:
    cases = json.loads(vectors("vectors/transparency-dev-merkle/cases.json").read_text())
    checked = [
        _consistency(contract, next(numbers), case, base64.b64decode, valid=not case["wantErr"])
        for case in cases
        if case["kind"] == "consistency"
    ]

    assert sum(checked) > 20


def _consistency(
    contract: LogContract,
    number: int,
    case: dict[str, Any],
    read: Callable[[str], bytes],
    *,
    valid: bool,
) -> bool:
    """Run one case; False when its sizes or the form of a hash never reach the check."""
    old, new = case["size1"], case["size2"]
    root1, root2 = read(case["root1"] or ""), read(case["root2"] or "")
    path = [read(node) for node in case["proof"] or []]
    whole = all(len(word) == 32 for word in (root1, root2, *path)) and any(root1) and any(root2)
    if not (0 < old < new < 2**63 and whole):
        return False
    log_id = open_log(contract, number)
    contract.send("anchor", log_id, 0, old, root1, [])
    assert accepts(contract, log_id, Growth(old, new, root2, path)) == valid, case["name"]
    return True
