"""Readings that stay at home can still be proved."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from meterseal.records import Kind
from meterseal_simulator.demo import facts, proof
from support.staged import (
    QUICK,
    MosquittoStage,
    aggregator_rows,
    audit,
    await_true,
    device_records,
)

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.slow, pytest.mark.system, pytest.mark.timeout(180)]


def test_a_reading_that_never_left_the_house_is_proved_to_a_stranger(tmp_path: Path) -> None:
    """Goal: with `publish = "intervals"` the aggregator sees no reading, and a proof needs none.

    Method: run every part until an interval is anchored; look for readings in the aggregator's
    store; export a reading from the device and have the checker judge it.
    """
    stage = MosquittoStage(tmp_path, replace(QUICK, publish="intervals"), print)
    try:
        stage.start()
        seq = await_true("a reading is anchored", lambda: facts.anchored_reading(stage), 120)
        out = proof.export(stage, tmp_path / "at-home.evidence", seq=seq)
        assert out is not None
        judged = proof.judge(out, stage.trust)
        audit(stage)
    finally:
        stage.stop()

    assert (judged.verdict, judged.status) == ("OK", 0)
    kinds = {kind for (kind,) in aggregator_rows(stage, "SELECT kind FROM record")}
    assert Kind.INTERVAL in kinds
    assert Kind.READING not in kinds
    assert any(one.record.kind is Kind.READING for one in device_records(stage))
