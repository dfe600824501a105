"""The specification says what the code does, where that can be compared."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

import pytest

from meterseal.cose import ENROL, HEAD, RECORD, parse1
from meterseal.encoding import MAX_NESTING, MAX_PAYLOAD, MAX_SEQUENCE_ITEMS
from meterseal.messages import MAX_WANT_RANGES
from meterseal.quantities import QUANTITIES
from meterseal.records import MAX_METERS, MAX_RECORD, decode_record, record_hash
from meterseal.topics import FROM_DEVICE, Leaf

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="module")
def text(repository: Path) -> str:
    return (repository / "protocol" / "README.md").read_text()


def test_the_example_is_the_known_answer(text: str, repository: Path) -> None:
    found = re.search(r"<!-- example: records.json, reading -->\n```\n([0-9a-f\n]+)```", text)
    assert found
    data = bytes.fromhex(found[1])
    file = json.loads((repository / "protocol/vectors/records.json").read_text())
    (case,) = (case for case in file["accepted"] if case["name"] == "reading")

    assert data.hex() == case["bytes"]
    assert f"{len(data)} bytes" in text
    assert record_hash(data).hex() in text
    record = decode_record(data)
    assert f"4: {record.time}," in text
    assert f"9: {record.up}" in text
    assert parse1(data, RECORD).signature.hex()[:8] in text


def test_the_table_of_quantities_is_the_codes(text: str) -> None:
    rows = [
        f"| {q.code} | `{q.name}` | {q.obis} | {q.unit} | {'yes' if q.signed else ''} |"
        for q in QUANTITIES
    ]

    assert re.findall(r"^\| \d+ \| `\w+` \|.*$", text, re.MULTILINE) == rows


@pytest.mark.parametrize(
    ("what", "limit"),
    [
        ("record, with envelope", f"{MAX_RECORD >> 10} KiB"),
        ("MQTT payload, CBOR sequence, payload of any statement", f"{MAX_PAYLOAD >> 10} KiB"),
        ("items of a sequence", f"{MAX_SEQUENCE_ITEMS}"),
        ("meters and pulse inputs of a device", f"{MAX_METERS}"),
        ("nesting", f"{MAX_NESTING}"),
    ],
)
def test_limits_are_the_codes(text: str, what: str, limit: str) -> None:
    assert f"| {what} | {limit} |" in text


def test_every_typ_and_every_leaf_is_described(text: str) -> None:
    for typ in (RECORD, ENROL, HEAD):
        assert f"| `{typ}` |" in text
    for leaf in Leaf:
        arrow = "device →" if leaf in FROM_DEVICE else "→ device"
        assert re.search(rf"^\| {leaf.value} \| {arrow}", text, re.MULTILINE), leaf
    assert f"at most {MAX_WANT_RANGES}: send these again" in text


def test_every_name_in_the_cddl_is_defined(text: str) -> None:
    (cddl,) = re.findall(r"```cddl\n(.*?)```", text, re.DOTALL)
    defined = set(re.findall(r"^([a-z-]+) =", cddl, re.MULTILINE))
    bare = re.sub(r'"[^"]*"|\.[a-z]+', "", cddl)
    labels = set(re.findall(r"([a-z-]+):", bare))
    used = set(re.findall(r"[a-z][a-z0-9-]*", bare)) - labels

    assert used - defined == {"bstr", "tstr", "null"}
