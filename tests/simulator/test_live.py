"""The running house: its truth is what its meters say, and it never forgets what it said."""

from __future__ import annotations

import json
import struct
from fractions import Fraction
from typing import TYPE_CHECKING

import pytest

from meterseal_simulator.clock import ScaledClock
from meterseal_simulator.errors import SimulatorError
from meterseal_simulator.house import MS_PER_DAY
from meterseal_simulator.modbus import Request
from meterseal_simulator.site import Site
from meterseal_simulator.wiring import (
    GRID_UNIT,
    INVERTER_UNIT,
    PV_UNIT,
    Files,
    WiredHouse,
    wire_house,
)
from support.days import MIDSUMMER_MS

if TYPE_CHECKING:
    from pathlib import Path

NOON_MS = MIDSUMMER_MS + MS_PER_DAY // 2
READ_COUNTERS = bytes.fromhex("0400480004")


def wired(tmp_path: Path, *, start_ms: int = NOON_MS, seed: int = 1) -> WiredHouse:
    return wire_house(
        Site(seed=seed),
        start_ms=start_ms,
        speed=Fraction(100_000),
        files=Files(truth=tmp_path / "truth.jsonl", state=tmp_path / "state.json"),
    )


def counters(house: WiredHouse, unit: int) -> tuple[int, int]:
    reply = house.bus.answer(Request(unit=unit, pdu=READ_COUNTERS))
    assert reply is not None
    imported, exported = struct.unpack(">ff", reply.pdu[2:])
    return round(imported * 1000), round(exported * 1000)


def truths(tmp_path: Path, unit: int) -> list[dict[str, int]]:
    lines = [json.loads(line) for line in (tmp_path / "truth.jsonl").read_text().splitlines()]
    return [line for line in lines if line["unit"] == unit]


def test_what_a_meter_answers_is_in_the_truth_file(tmp_path: Path) -> None:
    house = wired(tmp_path)

    grid, pv = counters(house, GRID_UNIT), counters(house, PV_UNIT)
    house.live.close()

    truth = truths(tmp_path, GRID_UNIT)[-1]
    assert grid == (truth["grid_import_wh"], truth["grid_export_wh"])
    assert pv[1] == truths(tmp_path, PV_UNIT)[-1]["pv_export_wh"]


def test_the_inverter_and_the_pv_meter_saw_the_same_production(tmp_path: Path) -> None:
    house = wired(tmp_path)
    before = house.live.truth()

    for _ in range(20):
        counters(house, PV_UNIT)
    after = house.live.truth()
    house.live.close()

    produced = after.pv_export_wh - before.pv_export_wh
    assert produced == after.inverter_wh - before.inverter_wh


def test_a_second_run_goes_on_where_the_first_was_killed(tmp_path: Path) -> None:
    """No close, as after kill -9: what a meter said is kept before it says it."""
    first = wired(tmp_path)
    said = [counters(first, unit) for unit in (GRID_UNIT, PV_UNIT)]

    second = wired(tmp_path)
    says = [counters(second, unit) for unit in (GRID_UNIT, PV_UNIT)]
    first.live.close()
    second.live.close()

    for old, new in zip(said, says, strict=True):
        assert new[0] >= old[0]
        assert new[1] >= old[1]


def test_the_house_lives_on_while_the_simulator_is_off(tmp_path: Path) -> None:
    first = wired(tmp_path)
    first.live.close()

    second = wired(tmp_path, start_ms=NOON_MS + MS_PER_DAY)
    after = second.live.truth()
    second.live.close()

    assert after.time_ms >= NOON_MS + MS_PER_DAY
    assert after.house_load_wh > 3000


@pytest.mark.parametrize("content", ["", "{}", '{"seed": 1, "at_ms": 1, "energies": {"x": 1}}'])
def test_a_state_that_cannot_be_read_is_named_with_a_remedy(tmp_path: Path, content: str) -> None:
    (tmp_path / "state.json").write_text(content)

    with pytest.raises(SimulatorError, match=r"state\.json: .*remove it"):
        wired(tmp_path)


def test_the_state_of_another_house_is_refused(tmp_path: Path) -> None:
    wired(tmp_path, seed=1).live.close()

    with pytest.raises(SimulatorError, match="--seed 2, found --seed 1"):
        wired(tmp_path, seed=2)


def test_each_device_has_its_address_and_serial_number(tmp_path: Path) -> None:
    house = wired(tmp_path)
    house.live.close()

    assert set(house.bus.slaves) == {GRID_UNIT, PV_UNIT, INVERTER_UNIT}
    assert [unit["role"] for unit in house.units.values()] == ["grid", "pv", "inverter"]
    assert len({unit["serial"] for unit in house.units.values()}) == 3


@pytest.mark.parametrize(
    ("speed", "passed_ms"), [("1", 1_500), ("60", 90_000), ("0.5", 750), ("1/3", 500)]
)
def test_the_clock_runs_faster_or_slower_by_its_factor(speed: str, passed_ms: int) -> None:
    moments = iter([7_000_000_000, 8_500_000_000])
    clock = ScaledClock(start_ms=1_000, speed=Fraction(speed), monotonic_ns=lambda: next(moments))

    assert clock.now_ms() == 1_000 + passed_ms
