"""SunSpec discovery follows what the headers say, and meets the known liars as they are."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meterseal.quantities import BY_NAME
from meterseal_agent.config import MeterConfig
from meterseal_agent.errors import MeterError
from meterseal_agent.poll.discover import discover
from meterseal_agent.poll.identify import identify
from meterseal_agent.profiles import load_profile

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from meterseal_agent.bus.frame import Request

MARK = "5375 6e53"
END = "ffff 0000"


def meter(profile: str = "sunspec-inverter") -> MeterConfig:
    return MeterConfig(
        name="pv", bus="lan", address=1, profile=profile, role="pv", where="meterseal.toml"
    )


class Registers:
    """A device: what it holds at FC 3; it refuses what it lacks, as the standard says."""

    def __init__(self, words: dict[int, bytes]) -> None:
        self.words = words
        self.asked: list[tuple[int, int]] = []

    async def read(self, request: Request) -> bytes:
        self.asked.append((request.address, request.count))
        wanted = range(request.address, request.address + request.count)
        if request.function != 3 or any(address not in self.words for address in wanted):
            raise MeterError("illegal data address", code=2)
        return b"".join(self.words[address] for address in wanted)


def device(base: int, *parts: str) -> Registers:
    data = bytes.fromhex("".join(parts))
    return Registers({base + at // 2: data[at : at + 2] for at in range(0, len(data), 2)})


def text(value: str, registers: int) -> str:
    return value.encode().ljust(2 * registers, b"\0").hex()


def common(make: str, serial: str, length: int = 66) -> str:
    body = text(make, 16) + text("M", 16) + text("", 8) + text("1.2", 8) + text(serial, 16)
    return f"0001{length:04x}" + body + "0001" + "8000" * (length - 65)


def model(number: int, *words: str) -> str:
    body = "".join(words).replace(" ", "")
    return f"{number:04x}{len(body) // 4:04x}" + body


INVERTER = model(103, "0064" * 4, "fffe", "0000" * 45)
METER = model(203, "0000" * 16, "0064", "0000" * 88)


@pytest.mark.parametrize("base", [40000, 0, 50000])
async def test_a_map_is_found_at_each_of_the_three_bases(base: int) -> None:
    registers = device(base, MARK, common("Acme", "4711"), INVERTER, END)

    found = await discover(registers.read, meter())

    assert [one.number for one in found.chain] == [1, 103]
    assert (found.make, found.model, found.firmware, found.serial) == ("Acme", "M", "1.2", "4711")
    assert found.models[103] == (base + 70, 50)


async def test_a_model_one_of_65_registers_is_followed_as_its_header_says() -> None:
    registers = device(40000, MARK, common("SolarEdge", "7E1", length=65), INVERTER, END)

    found = await discover(registers.read, meter())

    assert found.models[103] == (40069, 50)
    assert found.serial == "7E1"


async def test_a_map_without_end_marker_ends_where_the_device_refuses() -> None:
    found = await discover(device(40000, MARK, common("SMA", "1"), INVERTER).read, meter())

    assert [one.number for one in found.chain] == [1, 103]


async def test_an_end_marker_without_a_length_ends_the_map() -> None:
    registers = device(40000, MARK, common("A", "1"), INVERTER, "ffff")

    found = await discover(registers.read, meter())

    assert [one.number for one in found.chain] == [1, 103]


async def test_a_map_that_never_ends_is_refused() -> None:
    registers = Registers(dict.fromkeys(range(40000, 65536), b"\x00\x01"))
    registers.words |= {40000: b"Su", 40001: b"nS"}

    with pytest.raises(MeterError, match="64 models"):
        await discover(registers.read, meter())


async def test_a_device_without_the_mark_is_told_what_to_enable() -> None:
    with pytest.raises(MeterError, match="Enable SunSpec"):
        await discover(device(40000, "0000 0000").read, meter())


async def test_settings_and_vendors_models_are_walked_and_shown_but_not_read() -> None:
    settings = model(120, "0004" * 26) + model(64101, "0000" * 3)
    registers = device(40000, MARK, common("Acme", "1"), settings, INVERTER, END)

    found = await discover(registers.read, meter())
    known = await identify(registers.read, meter(), load_profile("sunspec-inverter"))

    assert [str(one) for one in found.chain[1:3]] == [
        "120 (Nameplate) at 40070, 26 registers",
        "64101 (not known) at 40098, 3 registers",
    ]
    (address, _length) = found.models[103]
    assert [request.address for request in known.layout.requests] == [address]


async def test_a_meter_behind_an_inverter_is_called_by_its_own_model_one() -> None:
    chain = (common("SolarEdge", "7E1", 65), INVERTER, common("Fronius", "88", 65), METER)
    registers = device(40000, MARK, *chain, END)

    known = await identify(registers.read, meter("fronius-meter"), load_profile("fronius-meter"))
    inverter = await identify(registers.read, meter(), load_profile("sunspec-inverter"))

    assert (known.make, known.serial) == ("Fronius", "88")
    assert (inverter.make, inverter.serial) == ("SolarEdge", "7E1")
    assert known.sentinel is not None
    assert known.sentinel.words.startswith(b"88")


async def test_another_makers_device_is_refused_where_signs_may_differ() -> None:
    registers = device(40000, MARK, common("SMA", "1"), INVERTER, END)
    profile = load_profile("solaredge-inverter")

    with pytest.raises(MeterError, match=r'made by SolarEdge .* got one by "SMA"'):
        await identify(registers.read, meter(profile.name), profile)


async def test_a_device_without_our_models_names_those_it_has() -> None:
    registers = device(40000, MARK, common("Acme", "1"), model(120, "0004" * 26), END)

    with pytest.raises(MeterError, match="got models 1, 120"):
        await identify(registers.read, meter(), load_profile("sunspec-inverter"))


async def test_a_scale_factor_that_changes_while_running_goes_with_its_value() -> None:
    """Fronius changes scale factors at run time (CJNE/ha-sunspec issue 40)."""
    registers = device(40000, MARK, common("Fronius", "1"), INVERTER, END)
    known = await identify(registers.read, meter(), load_profile("sunspec-inverter"))
    power = BY_NAME["power_w"].code

    got = []
    for words, scale in ((b"\x02\x26", b"\x00\x01"), (b"\x15\x7c", b"\x00\x00")):
        registers.words |= {40070 + 14: words, 40070 + 15: scale}
        replies = [await registers.read(request) for request in known.layout.requests]
        got.append(known.layout.decode(replies).values[power])

    assert got == [-5500, -5500]


async def test_a_header_that_moved_spoils_the_whole_reading() -> None:
    registers = device(40000, MARK, common("Fronius", "1"), INVERTER, END)
    known = await identify(registers.read, meter(), load_profile("sunspec-inverter"))
    registers.words[40070] = b"\x00\x71"

    with pytest.raises(MeterError, match="expected 103 as found at start"):
        known.layout.decode([await registers.read(one) for one in known.layout.requests])


async def test_an_accumulator_tells_the_width_at_which_it_wraps() -> None:
    registers = device(40000, MARK, common("Fronius", "1"), INVERTER, END)
    known = await identify(registers.read, meter(), load_profile("sunspec-inverter"))
    at = 40070 + 24
    registers.words |= {at: b"\xff\xff", at + 1: b"\xff\xfe", at + 2: b"\x00\x01"}

    replies = [await registers.read(request) for request in known.layout.requests]
    decoded = known.layout.decode(replies)

    code = BY_NAME["energy_export_wh"].code
    assert decoded.values[code] == 0xFFFF_FFFE * 10
    assert decoded.wraps[code] == (1 << 32) * 10


async def test_the_recorded_kostal_chain_is_walked_to_its_end(
    vectors: Callable[[str], Path],
) -> None:
    path = vectors("dumps/normalised/sunspec_kostal_plenticore_chain_evcc12444.json")
    recorded = json.loads(path.read_text())
    words = {int(at): word.to_bytes(2, "big") for at, word in recorded["registers"].items()}

    # Not recorded: 142 registers behind model 1. A model of that length stands in for them.
    words |= {40070: b"\xfa\x00", 40071: (140).to_bytes(2, "big")}

    found = await discover(Registers(words).read, meter())

    expected = recorded["expected"]
    assert (found.make, found.model, found.firmware) == (
        expected["Mn"], expected["Md"], expected["Vr"],
    )  # fmt: skip
    last = found.chain[-1]
    assert last.address + 2 + last.length == expected["end_marker_at"]
    assert [one.number for one in found.chain] == [1, 64000, 123, 160, 802]


@given(st.lists(st.integers(0, 0xFFFF), max_size=40))
def test_any_words_behind_the_mark_are_a_device_or_a_meter_error(words: list[int]) -> None:
    registers = device(0, MARK, "".join(f"{word:04x}" for word in words))
    walk = discover(registers.read, meter())

    try:
        walk.send(None)
    except (StopIteration, MeterError):
        return
    raise AssertionError("discovery waited for something else than the device")
