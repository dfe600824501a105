"""Recorded registers of real devices, through every part, to the anchor, equal to the recording."""

from __future__ import annotations

import json
from fractions import Fraction
from typing import TYPE_CHECKING

import pytest

from meterseal.evidence import ReadingEvidence, decode_evidence
from meterseal.quantities import BY_NAME
from meterseal.records import MeterState, Reading, decode_record
from meterseal_simulator.demo import proof
from support.staged import QUICK, ReplayStage, await_true, device_records, shown

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytestmark = [pytest.mark.slow, pytest.mark.system, pytest.mark.timeout(180)]

TABLES = """[[bus]]
name = "rs485"
port = "PORT"
baud = 9600

[[meter]]
name = "grid"
bus = "rs485"
address = 5
profile = "eastron-sdm630"
role = "grid"
serial = "recorded-sdm630"
quantities = [
  "energy_total_wh",
  "energy_import_l1_wh",
  "energy_import_l2_wh",
  "energy_import_l3_wh",
]

[[meter]]
name = "inverter"
bus = "rs485"
address = 1
profile = "sunspec-inverter"
role = "pv"
serial = "recorded-se10k"
models = { 103 = 40069 }

[[meter]]
name = "feed-in"
bus = "rs485"
address = 1
profile = "solaredge-meter"
role = "grid"
serial = "recorded-meter"
models = { 203 = 40188 }
"""


def wh(kwh: float) -> int:
    """The nearest whole watt-hour of a recorded f32 value in kWh, exactly."""
    return round(Fraction(kwh) * 1000)


@pytest.fixture
def recordings(vectors: Callable[[str], Path]) -> tuple[Path, Path]:
    return (
        vectors("dumps/normalised/eastron_sdm630_meterproxy16.json"),
        vectors("dumps/normalised/sunspec_solaredge_se10k_rws_evcc12708.json"),
    )


def test_recorded_registers_reach_the_anchor_unchanged(
    tmp_path: Path, recordings: tuple[Path, Path]
) -> None:
    """Goal: what was recorded is what a stranger reads in a verified evidence file.

    Method: serve both recordings on one line; run every part; when a reading is anchored, export
    it, have the checker judge it, and compare its values with `expected` of the recordings.
    """
    stage = ReplayStage(tmp_path, QUICK, print)
    stage.recordings, stage.tables = recordings, TABLES
    try:
        stage.start()
        seq = await_true("a whole reading is anchored", lambda: whole_reading(stage), 120)
        out = proof.export(stage, tmp_path / "recorded.evidence", seq=seq)
        assert out is not None
        judged = proof.judge(out, stage.trust)
    finally:
        stage.stop()

    assert (judged.verdict, judged.status) == ("OK", 0)
    evidence = decode_evidence(out.read_bytes())
    assert isinstance(evidence, ReadingEvidence)
    body = decode_record(evidence.reading).body
    assert isinstance(body, Reading)
    grid, inverter, feed_in = (named(meter.values) for meter in body.meters)
    sdm630 = json.loads(recordings[0].read_text())["expected"]
    solaredge = json.loads(recordings[1].read_text())["expected"]
    assert grid == {
        "energy_total_wh": wh(sdm630["0x0156"]),
        "energy_import_l1_wh": wh(sdm630["0x015a"]),
        "energy_import_l2_wh": wh(sdm630["0x015c"]),
        "energy_import_l3_wh": wh(sdm630["0x015e"]),
    }
    model_103, model_203 = solaredge["inverter_103"], solaredge["meter_203"]
    assert inverter["energy_export_wh"] == model_103["WH"]
    assert inverter["power_w"] == -int(model_103["W"])
    assert inverter["voltage_l1_mv"] == round(Fraction(str(model_103["PhVphA"])) * 1000)
    assert inverter["frequency_mhz"] == round(Fraction(str(model_103["Hz"])) * 1000)
    assert inverter["dc_power_w"] == int(model_103["DCW"])
    assert feed_in["energy_export_wh"] == model_203["TotWhExp"]
    assert feed_in["energy_import_wh"] == model_203["TotWhImp"]
    assert abs(feed_in["power_w"]) == int(model_203["W"])
    assert "energy_import_wh" not in inverter


def whole_reading(stage: ReplayStage) -> int | None:
    """An anchored reading in which every meter answered in time, on a machine that others use."""
    shows = shown(stage, "--kind", "reading", "--state", "anchored", "--last", "9")["records"]
    anchored = {record["seq"] for record in shows}
    for one in device_records(stage):
        body = one.record.body
        if one.record.seq not in anchored or not isinstance(body, Reading):
            continue
        if all(meter.state is MeterState.GOOD for meter in body.meters):
            return one.record.seq
    return None


def named(values: object) -> dict[str, int]:
    """Values by quantity name; what is null is absent here."""
    assert hasattr(values, "items")
    codes = {quantity.code: name for name, quantity in BY_NAME.items()}
    return {codes[code]: value for code, value in values.items() if value is not None}
