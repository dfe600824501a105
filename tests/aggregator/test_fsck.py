"""The auditor finds what a hand, a disk or a defect did to the store."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from meterseal.records import record_hash
from support.gateway import Gateway

if TYPE_CHECKING:
    from support.aggregator_stage import Stage


@pytest.fixture
def filled(stage: Stage) -> Stage:
    gateway = Gateway()
    stage.enrol(gateway)
    stage.send(gateway, *gateway.chain(9))
    stage.checkpoint()
    stage.send(gateway, gateway.event())
    stage.audited = False
    return stage


def test_a_sound_store_has_no_faults(filled: Stage) -> None:
    assert filled.fsck() == []


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ("UPDATE record SET data = zeroblob(100) WHERE seq = 3", "not what its row says"),
        ("UPDATE record SET prev = zeroblob(32) WHERE seq = 3", "not what its row says"),
        ("UPDATE record SET hash = zeroblob(32) WHERE seq = 3", "not what its row says"),
        ("DELETE FROM record WHERE seq = 3", "predecessor is not"),
        ("UPDATE record SET status = 0 WHERE seq = 3", "predecessor is not"),
        ("UPDATE device SET head = 1", "head is not"),
        ("UPDATE device SET public_key = zeroblob(32)", "signature is not by key"),
        ("UPDATE chain SET state = (SELECT state FROM chain LIMIT 1)", "rule after it"),
        ("DELETE FROM queue", "neither logged nor queued"),
        ("UPDATE leaf SET device = NULL", "nothing that should be logged"),
        ("UPDATE leaf SET hash = zeroblob(32) WHERE idx = 1", "nothing that should be logged"),
        ("DELETE FROM leaf WHERE idx = 1", "leaf 1 is missing"),
        ("DELETE FROM node WHERE level = 1 AND idx = 0", "missing or too many"),
        ("UPDATE node SET hash = zeroblob(32) WHERE level = 1", "not the hash of its children"),
        ("UPDATE checkpoint SET root = zeroblob(32)", "states something else"),
        ("UPDATE checkpoint SET note = zeroblob(64)", "checkpoint"),
        ("UPDATE enrolment SET statement = zeroblob(64)", "enrolment"),
        ("INSERT INTO anchored VALUES (2, zeroblob(32), 1, NULL, 1)", "ANCHOR MISMATCH"),
        (
            "INSERT INTO contradiction SELECT 1, id, 1, 2, 'r', 1 FROM device",
            "not frozen",
        ),
    ],
)
def test_each_kind_of_damage_is_named(filled: Stage, change: str, expected: str) -> None:
    filled.store._connection.execute(change)

    faults = filled.fsck()

    assert any(expected in fault for fault in faults), faults


def test_a_record_signed_again_with_the_device_key_after_logging_is_found(filled: Stage) -> None:
    """Whoever holds both the store and the device's key still cannot change what was logged."""
    gateway = Gateway()
    records = gateway.chain(9)
    gateway.state = type(gateway.state)()
    forged = [gateway.manifest(), gateway.reading(power_w=5)][1]
    assert forged != records[1]
    filled.store._connection.execute(
        "UPDATE record SET data = ?, hash = ? WHERE seq = 1", (forged, record_hash(forged))
    )

    assert filled.fsck() != []
