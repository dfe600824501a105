"""The bodies of the other kinds: limits that a signed record must keep."""

from __future__ import annotations

from typing import Any

import pytest

from meterseal.bodies import Body, Kind
from meterseal.errors import EncodingError
from meterseal.rows import ROW_BYTES
from meterseal.wire import check, plain, read
from support.records import BODIES, H1, INTERVAL, MANIFEST

MANIFEST_PLAIN: Any = plain(MANIFEST)
INTERVAL_PLAIN: Any = plain(INTERVAL)


def item(values: list[Any], at: int, value: object) -> list[Any]:
    return [*values[:at], value, *values[at + 1 :]]


@pytest.mark.parametrize("body", BODIES, ids=lambda body: body.kind.name.lower())
def test_a_body_is_read_back_and_under_no_other_kind(body: Body) -> None:
    assert read(body.kind, plain(body)) == body

    for other in set(Kind) - {body.kind}:
        with pytest.raises(EncodingError):
            read(other, plain(body))
        with pytest.raises(EncodingError):
            check(other, plain(body))


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("a key too many", {10: 0}),
        ("a short public key", {1: bytes(31)}),
        ("no public key", {1: None}),
        ("a short witness key", {2: bytes(31)}),
        ("an uncompressed evidence key", {3: bytes(65)}),
        ("software with a line break", {4: "a\nb"}),
        ("meters that are a map", {5: {}}),
        ("65 meters", {5: MANIFEST_PLAIN[5] * 65, 6: []}),
        ("64 meters and a pulse input", {5: MANIFEST_PLAIN[5] * 64}),
        ("a meter without an address", {5: [MANIFEST_PLAIN[5][0][:7]]}),
        ("a Modbus address above 255", {5: [item(MANIFEST_PLAIN[5][0], 7, 256)]}),
        ("a serial number that is a number", {5: [item(MANIFEST_PLAIN[5][0], 2, 19340712)]}),
        ("a pulse input without a name", {6: [[None, 1000]]}),
        ("an interval of no length", {7: 0}),
        ("an interval that does not divide a day", {7: 700}),
        ("an interval of two days", {7: 172_800}),
        ("a tolerance above the interval", {8: 900_001}),
        ("an unknown mode of publishing", {9: 2}),
    ],
)
def test_a_manifest_is_refused_for(name: str, change: dict[int, object]) -> None:
    with pytest.raises(EncodingError):
        read(Kind.MANIFEST, MANIFEST_PLAIN | change)
    assert name


@pytest.mark.parametrize(
    ("name", "at", "value"),
    [
        ("an end before its start", 1, 5),
        ("a negative first seq", 2, -1),
        ("a short root", 4, bytes(31)),
        ("no manifest", 5, None),
        ("a checkpoint of one", 6, [1]),
        ("a checkpoint with a short root", 6, [1, bytes(31)]),
        ("an unknown flag", 7, 2),
        ("a short evidence signature", 8, bytes(63)),
        ("rows of 63 bytes", 9, bytes(63)),
        ("65 rows", 9, bytes(65 * ROW_BYTES)),
        ("rows that are a list", 9, []),
    ],
)
def test_an_interval_is_refused_for(name: str, at: int, value: object) -> None:
    with pytest.raises(EncodingError):
        read(Kind.INTERVAL, item(INTERVAL_PLAIN, at, value))
    assert name


def test_the_rows_are_the_last_bytes_of_an_interval() -> None:
    """A contract finds them from the end, at fixed offsets."""
    assert isinstance(INTERVAL_PLAIN[-1], bytes)
    assert len(INTERVAL_PLAIN[-1]) == ROW_BYTES * len(INTERVAL.rows)


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (Kind.GAP, [2, 1, 1, None]),
        (Kind.GAP, [1, 2, 6, None]),
        (Kind.GAP, [1, 2, 0, None]),
        (Kind.GAP, [1, 2, 1, 64]),
        (Kind.GAP, [1, 2, 1]),
        (Kind.EVENT, [9, []]),
        (Kind.EVENT, [1, None]),
        (Kind.EVENT, [1, [0] * 17]),
        (Kind.EVENT, [1, [True]]),
        (Kind.EVENT, [1, [[]]]),
        (Kind.EVENT, [1, [bytes(65)]]),
        (Kind.EVENT, [1, ["x" * 65]]),
        (Kind.EVENT, [1, [2**63]]),
        (Kind.RESTORE, [5, bytes(16), None]),
        (Kind.RESTORE, [1, bytes(15), None]),
        (Kind.RESTORE, [1, bytes(16), [2, 1]]),
        (Kind.RESTORE, [1, bytes(16), []]),
        (Kind.KEY_CHANGE, [bytes(31)]),
        (Kind.KEY_CHANGE, bytes(32)),
        (Kind.KEY_CHANGE, [H1, H1]),
    ],
)
def test_a_body_is_refused(kind: Kind, value: object) -> None:
    with pytest.raises(EncodingError):
        read(kind, value)
