"""The Eastron meters: what a master reads is what the house did, coded as the documents say."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meterseal_simulator.eastron import EastronIdentity, Opening, sdm630, single_phase
from meterseal_simulator.electrics import grid_terminals
from meterseal_simulator.house import UJ_PER_WH
from meterseal_simulator.registers import RegisterSlave, f32, u32

if TYPE_CHECKING:
    from meterseal_simulator.house import HouseState

IDENTITY = EastronIdentity(serial=22_334_455, code=0x0070, address=1)
OPENING = Opening(import_wh=5_432_109, export_wh=2_345_678)


def ask(slave: RegisterSlave, function: int, address: int, count: int) -> bytes:
    return slave.answer(struct.pack(">BHH", function, address, count))


def value(slave: RegisterSlave, address: int, function: int = 4) -> float:
    answer = ask(slave, function, address, 2)
    assert answer[:2] == bytes([function, 4]), answer.hex()
    number: float = struct.unpack(">f", answer[2:])[0]
    return number


@pytest.fixture
def grid(noon: HouseState) -> RegisterSlave:
    return sdm630(lambda: noon, IDENTITY, OPENING)


@pytest.fixture
def pv(noon: HouseState) -> RegisterSlave:
    return single_phase(lambda: noon, IDENTITY, OPENING)


def test_import_and_export_are_those_of_the_house_to_the_watt_hour(
    grid: RegisterSlave, noon: HouseState
) -> None:
    imported_wh = OPENING.import_wh + noon.energies.imported // UJ_PER_WH
    exported_wh = OPENING.export_wh + noon.energies.exported // UJ_PER_WH

    assert imported_wh > OPENING.import_wh
    assert exported_wh > OPENING.export_wh
    assert round(value(grid, 0x0048) * 1000) == imported_wh
    assert round(value(grid, 0x004A) * 1000) == exported_wh
    assert value(grid, 0x0156) == pytest.approx((imported_wh + exported_wh) / 1000, rel=1e-7)


def test_production_is_export_at_the_pv_meter_and_its_power_is_negative(
    pv: RegisterSlave, noon: HouseState
) -> None:
    assert noon.flows.pv_mw > 0
    assert value(pv, 0x000C) == pytest.approx(-noon.flows.pv_mw / 1000)
    produced_wh = OPENING.export_wh + noon.energies.pv // UJ_PER_WH
    assert round(value(pv, 0x004A) * 1000) == produced_wh
    assert round(value(pv, 0x0048) * 1000) == OPENING.import_wh


def test_the_total_power_is_the_sum_of_the_phases(grid: RegisterSlave) -> None:
    phases = [value(grid, address) for address in (0x000C, 0x000E, 0x0010)]

    assert value(grid, 0x0034) == pytest.approx(sum(phases), rel=1e-5)


def test_volts_amperes_and_watts_of_a_phase_fit_together(noon: HouseState) -> None:
    for terminal in grid_terminals(noon):
        assert terminal.current_a * terminal.voltage_v == pytest.approx(terminal.apparent_va)
        assert abs(terminal.power_w) == pytest.approx(terminal.power_factor * terminal.apparent_va)
        assert 200 < terminal.voltage_v < 260


def test_one_request_of_eighty_registers_gives_power_and_both_counters(
    grid: RegisterSlave,
) -> None:
    answer = ask(grid, 4, 0x0000, 80)

    assert answer[:2] == b"\x04\xa0"
    export = answer[2 + 2 * 0x4A : 6 + 2 * 0x4A]
    assert struct.unpack(">f", export)[0] == value(grid, 0x004A)


def test_energy_of_an_unwired_reactive_export_reads_zero(grid: RegisterSlave) -> None:
    assert value(grid, 0x004E) == 0


@pytest.mark.parametrize(
    ("request_hex", "code", "why"),
    [
        ("0400000052", 3, "82 registers of an SDM630"),
        ("0400000000", 3, "no register"),
        ("0400010002", 2, "a start inside a value"),
        ("0400000001", 2, "half a value"),
        ("0401820002", 2, "beyond the map"),
        ("0401800004", 2, "a read that ends beyond the map"),
        ("0301000001", 2, "a holding register that is not there"),
        ("0100000001", 1, "coils"),
        ("1000280002044505d000", 1, "a write"),
        ("040000", 3, "half a request"),
    ],
)
def test_what_the_meter_does_not_have_is_refused(
    grid: RegisterSlave, request_hex: str, code: int, why: str
) -> None:
    pdu = bytes.fromhex(request_hex)

    assert grid.answer(pdu) == bytes([pdu[0] | 0x80, code]), why


def test_the_smaller_meter_allows_sixty_registers(pv: RegisterSlave) -> None:
    assert ask(pv, 4, 0, 60)[0] == 4
    assert ask(pv, 4, 0, 62) == b"\x84\x03"


def test_the_meter_says_who_it_is_and_how_it_counts(grid: RegisterSlave) -> None:
    assert value(grid, 0x001E, function=3) == 0  # kWh, not MWh
    assert value(grid, 0x0028, function=3) == 2141.0  # most significant word first
    assert value(grid, 0x0014, function=3) == IDENTITY.address
    assert ask(grid, 3, 0xFC00, 3)[2:] == struct.pack(">IH", IDENTITY.serial, 0x0070)


def test_a_meter_set_to_mega_says_so_and_divides(noon: HouseState) -> None:
    identity = EastronIdentity(serial=1, code=0x0070, address=1, prefix="M")
    mega = sdm630(lambda: noon, identity, OPENING)
    kilo = sdm630(lambda: noon, IDENTITY, OPENING)

    assert value(mega, 0x001E, function=3) == 1
    assert value(mega, 0x0048) == pytest.approx(value(kilo, 0x0048) / 1000)


def test_a_meter_with_its_words_reversed_shows_it_in_the_order_register(
    noon: HouseState,
) -> None:
    identity = EastronIdentity(serial=1, code=0x0070, address=1, word_order="lsw-first")
    reversed_words = sdm630(lambda: noon, identity, OPENING)
    plain = sdm630(lambda: noon, IDENTITY, OPENING)

    words, straight = ask(reversed_words, 4, 0x0048, 2), ask(plain, 4, 0x0048, 2)
    assert words[2:] == straight[4:] + straight[2:4]
    assert ask(reversed_words, 3, 0x0028, 2)[2:] == bytes.fromhex("d0004505")


@given(st.integers(0, 9_999_999))
def test_a_counter_survives_the_float_below_ten_megawatt_hours(wh: int) -> None:
    high, low = f32(wh / 1000)

    kwh = struct.unpack(">f", struct.pack(">HH", high, low))[0]
    assert round(kwh * 1000) == wh


def test_a_recorded_voltage_is_coded_as_the_meter_coded_it() -> None:
    assert f32(231.68) == (0x4367, 0xAE14)
    assert f32(1234.5) == (0x449A, 0x5000)


def test_a_word_pair_wraps_at_its_width() -> None:
    assert u32(0x1_0002_0003) == (2, 3)
