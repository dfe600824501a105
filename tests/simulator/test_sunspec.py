"""The inverter: found and read as SunSpec says, header by header."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

import pytest

from meterseal_simulator.house import UJ_PER_WH
from meterseal_simulator.sunspec import BASE, inverter

if TYPE_CHECKING:
    from meterseal_simulator.house import HouseState
    from meterseal_simulator.registers import RegisterSlave

OPENING_WH = 4_000_000_123


@pytest.fixture
def slave(noon: HouseState) -> RegisterSlave:
    return inverter(lambda: noon, serial="27541208", opening_wh=OPENING_WH)


def words(slave: RegisterSlave, address: int, count: int) -> list[int]:
    answer = slave.answer(struct.pack(">BHH", 3, address, count))
    assert answer[0] == 3, answer.hex()
    return list(struct.unpack(f">{count}H", answer[2:]))


def models(slave: RegisterSlave) -> dict[int, int]:
    """Walk the chain as a client does and return where each model's id stands."""
    found: dict[int, int] = {}
    at = BASE + 2
    while True:
        model, length = words(slave, at, 2)
        if model == 0xFFFF:
            return found
        found[model] = at
        at += 2 + length


def signed(word: int) -> int:
    return word - 0x10000 if word & 0x8000 else word


def test_the_chain_of_models_leads_to_the_end_marker(slave: RegisterSlave) -> None:
    assert words(slave, BASE, 2) == [0x5375, 0x6E53]
    assert models(slave) == {1: 40_002, 103: 40_070, 160: 40_122}


def test_nothing_lies_behind_the_end_marker_or_before_the_base(slave: RegisterSlave) -> None:
    assert slave.answer(struct.pack(">BHH", 3, 40_172, 3)) == b"\x83\x02"
    assert slave.answer(struct.pack(">BHH", 3, BASE - 1, 2)) == b"\x83\x02"
    assert slave.answer(struct.pack(">BHH", 4, BASE, 2)) == b"\x84\x01"
    assert slave.answer(struct.pack(">BHH", 3, BASE, 126)) == b"\x83\x03"


def test_the_common_block_holds_the_serial_number(slave: RegisterSlave) -> None:
    at = models(slave)[1]

    serial = struct.pack(">16H", *words(slave, at + 50, 16))
    assert serial.rstrip(b"\0") == b"27541208"


def test_power_and_energy_are_those_of_the_house(slave: RegisterSlave, noon: HouseState) -> None:
    at = models(slave)[103]
    watts, watts_scale = words(slave, at + 14, 2)
    high, low, energy_scale = words(slave, at + 24, 3)

    assert signed(watts) * 10 ** signed(watts_scale) == noon.flows.pv_mw // 1000
    assert energy_scale == 0
    assert (high << 16 | low) == OPENING_WH + noon.energies.pv // UJ_PER_WH


def test_the_phases_it_does_not_have_are_not_implemented(slave: RegisterSlave) -> None:
    at = models(slave)[103]

    amperes, volts = words(slave, at + 2, 5), words(slave, at + 10, 4)

    assert amperes[2:4] == [0xFFFF, 0xFFFF]
    assert volts[1:3] == [0xFFFF, 0xFFFF]
    assert amperes[0] == amperes[1] != 0xFFFF
    assert 2000 < volts[0] < 2600


def test_each_string_delivers_its_part_of_the_direct_current(
    slave: RegisterSlave, noon: HouseState
) -> None:
    at = models(slave)[160]
    count = words(slave, at + 8, 1)[0]
    modules = [words(slave, at + 10 + 20 * number, 20) for number in range(count)]

    assert [module[0] for module in modules] == [1, 2]
    assert [module[11] for module in modules] == [mw // 1000 for mw in noon.flows.dc_mw]
    assert [module[12] << 16 | module[13] for module in modules] == [
        uj // UJ_PER_WH for uj in noon.energies.dc
    ]


def test_the_inverter_gives_no_more_than_its_strings_deliver(noon: HouseState) -> None:
    assert noon.flows.pv_mw <= sum(noon.flows.dc_mw)
    assert noon.energies.pv <= sum(noon.energies.dc)
