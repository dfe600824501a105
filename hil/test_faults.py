"""What goes wrong on a line, done to a gateway that is polling."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hil.gateway import READ_EVERY_S, all_good, meter_of, told

if TYPE_CHECKING:
    from hil.gateway import Gateway
    from hil.lines import BenchLine

pytestmark = pytest.mark.timeout(90)

_VOLTS_MV = (200_000, 260_000)
# Longer than the agent ever learns to wait for this meter, shorter and longer than its silence.
_LATE_S = (1.4, 2.2, 3.2)


@pytest.mark.needs("faults", "truth")
def test_a_late_reply_never_becomes_a_value(polling: Gateway, line: BenchLine) -> None:
    """Three replies of the grid meter come late, the last after the silence."""
    before = line.truth()
    for number, delay_s in enumerate(_LATE_S):
        line.inject("late", unit=1, delay_s=delay_s, after=2 + 4 * number)

    seen = polling.samples("grid", 10)[1:]  # the first may be older than `before`
    line.clear()
    after = line.truth()

    good = [meter for meter in seen if meter["state"] == "G"]
    assert len(seen) > len(good), "no reply was late enough to be missed"
    for meter in good:
        values = meter["values"]
        assert before["grid_import_wh"] <= values["energy_import_wh"] <= after["grid_import_wh"]
        assert before["grid_export_wh"] <= values["energy_export_wh"] <= after["grid_export_wh"]
        assert _VOLTS_MV[0] < values["voltage_l1_mv"] < _VOLTS_MV[1]


@pytest.mark.needs("faults")
@pytest.mark.parametrize(
    "fault", ["short", "truncated", "bad-checksum", "noise-before", "exception"]
)
def test_a_wrong_reply_drops_the_sample_and_the_meter_comes_back(
    polling: Gateway, line: BenchLine, fault: str
) -> None:
    line.inject(fault, unit=1, times=1)

    polling.watch(lambda page: meter_of(page, "grid")["state"] != "G")

    polling.watch(all_good)


@pytest.mark.needs("faults")
def test_a_dead_meter_costs_the_others_little(polling: Gateway, line: BenchLine) -> None:
    line.inject("dead", unit=2, times=None)
    polling.watch(lambda page: meter_of(page, "pv")["state"] == "T")

    seconds = 8
    seen = {meter["at_ms"] for meter in polling.samples("grid", seconds) if meter["state"] == "G"}

    assert len(seen) >= 0.75 * seconds / READ_EVERY_S


@pytest.mark.needs("unplug")
def test_an_adapter_that_comes_back_under_another_number_is_opened_again(
    polling: Gateway, line: BenchLine
) -> None:
    before = os.path.realpath(line.port)

    line.unplug(absent_s=2.0)
    gone = polling.watch(lambda page: all(meter["state"] == "D" for meter in page["meters"]))
    back = polling.watch(all_good, within_s=40)

    assert told(gone).strip()
    assert not told(back).strip()
    assert before != os.path.realpath(line.port) or not Path(line.port).is_symlink()


@pytest.mark.needs("second-master")
def test_another_master_is_named(polling: Gateway, line: BenchLine) -> None:
    until = time.monotonic() + 20
    told_of = ""
    while "another master" not in told_of.lower() and time.monotonic() < until:
        line.ask(unit=1, function=4, address=0x0034, count=2)
        status = polling.look()
        told_of = told(status) if status else ""
        time.sleep(0.23)

    assert "another master" in told_of.lower()
    polling.watch(all_good, within_s=40)


@pytest.mark.needs("faults")
def test_a_counter_that_was_reset_is_held_or_flagged(polling: Gateway, line: BenchLine) -> None:
    before = meter_of(polling.watch(all_good), "grid")

    line.inject("counter-reset", unit=1, times=None, register=0x0048, base=1_000_000)
    seen = polling.samples("grid", 5)

    fallen = [meter for meter in seen if meter["values"]["energy_import_wh"] == 0]
    if any(meter["state"] == "G" and not meter["message"] for meter in fallen):
        pytest.skip("the page shows the meter's word from before the gate judged it")
    assert before["values"]["energy_import_wh"] > 0
    assert all(meter["state"] != "G" or meter["message"] for meter in fallen)
