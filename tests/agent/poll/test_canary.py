"""A proof by length, and the two cases that the fault benchmark found without it.

Both lines run in virtual time: the delays are real ones, and nobody waits.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from meterseal_agent.bus.guard import Guard
from meterseal_agent.bus.port import ModbusPort
from meterseal_agent.bus.settings import SerialLine
from meterseal_agent.config.model import MeterConfig
from meterseal_agent.errors import BusError, MeterError
from meterseal_agent.poll.canary import canary, form
from meterseal_agent.poll.identify import register_layout
from meterseal_agent.poll.meter import MeterReader
from meterseal_agent.profiles import load_profile, shipped
from meterseal_agent.profiles.load import parse_profile
from meterseal_simulator.bus import Bus
from meterseal_simulator.faults import Dead, Late, Refusal, Trigger
from meterseal_simulator.line import Line, LineTiming
from meterseal_simulator.registers import RegisterSlave, f32
from meterseal_simulator.virtual import VirtualLoop, VirtualTerminal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from meterseal_agent.profiles import Profile

TIMEOUT_S = 0.5
MAP = """
id = "twin"
kind = "registers"
make = "Test"
model = "Twin"
verified_on_hardware = false
[[source]]
kind = "standard"
name = "made for this test"
where = "tests/agent/poll/test_canary.py"
[line]
registers_max = 2
silence_ms = 0
[map]
base = 0
function = 3
type = "f32"
order = "big"
[identity]
serial = { function = 3, address = 0x40, type = "u32" }
[quantities]
voltage_l1_mv = { address = 0x00, unit = "V" }
energy_import_wh = { address = 0x20, unit = "kWh", billing = true }
"""
ENERGY, VOLTS, SERIAL = 0x20, 0x00, 0x40
TRUTH = {24: 230_000, 1: 1_234_500}


def twin() -> Profile:
    return parse_profile(MAP.encode(), Path("twin.toml"))


def make_bus(*, named: bool) -> Bus:
    image = dict(enumerate(f32(230.0), VOLTS)) | dict(enumerate(f32(1234.5), ENERGY))
    if named:
        image |= {SERIAL: 0, SERIAL + 1: 4711}
    return Bus({1: RegisterSlave({3: lambda: image}, limit=125)})


@pytest.fixture
def runner() -> Iterator[asyncio.Runner]:
    with asyncio.Runner(loop_factory=VirtualLoop) as made:
        yield made


def read_on(
    runner: asyncio.Runner, bus: Bus, arm: Callable[[], None], goes: int
) -> list[dict[int, int | None] | None]:
    """Read once, let things go wrong, and read on; None for each go that failed."""
    loop = runner.get_loop()
    assert isinstance(loop, VirtualLoop)
    loop.plug("line", VirtualTerminal(Line(LineTiming(turnaround_s=0.02), bus.answer)))
    line = SerialLine(port="virtual://line", timeout_s=TIMEOUT_S, quiet_s=1.5 * TIMEOUT_S)

    async def read() -> list[dict[int, int | None] | None]:
        guard = Guard(ModbusPort(line), line, slowest_s=TIMEOUT_S, jitter=lambda: 0.0)
        config = MeterConfig(
            name="twin", bus="line", address=1, profile="twin", role="grid", where="[[meter]] 1"
        )
        reader = MeterReader(config, twin(), guard)
        found: list[dict[int, int | None] | None] = []
        for number in range(goes):
            if number == 1:
                arm()
            try:
                found.append((await reader.read(boundary=False)).decoded.values)
            except (BusError, MeterError):
                found.append(None)
        guard.close()
        return found

    return runner.run(read())


def test_a_late_reply_and_a_lost_one_cancel_out_and_still_nothing_is_believed(
    runner: asyncio.Runner,
) -> None:
    """Goal: the energy that comes too late is not taken for the voltage.

    Method: a meter without a serial number. Its energy comes after the timeout and the silence,
    when the voltage is being asked for, and the reply to that is lost: so there is no reply too
    many, and the silence behind the values proves nothing. (Benchmark, seed a:1.)
    """
    bus = make_bus(named=False)

    def arm() -> None:
        late_s = TIMEOUT_S + 1.5 * TIMEOUT_S + 0.15
        bus.faults.arm(Late(delay_s=late_s), Trigger(address=ENERGY))
        bus.faults.arm(Dead(), Trigger(address=VOLTS, after=1))

    goes = read_on(runner, bus, arm, goes=8)

    assert goes[0] == TRUTH
    assert None in goes
    assert all(values in (None, TRUTH) for values in goes)
    assert goes[-1] == TRUTH


@pytest.mark.parametrize("ordinal", range(8))
@pytest.mark.parametrize("delay_s", [0.0, TIMEOUT_S + 1.5 * TIMEOUT_S + 0.1])
def test_a_serial_number_that_is_refused_once_is_not_taken_for_none(
    runner: asyncio.Runner, ordinal: int, delay_s: float
) -> None:
    """Goal: a single refusal, however late, does not make a nameless meter of a named one.

    Method: each request of the first goes in turn is refused once; then the serial number has to
    be read again when doubts arise.
    """
    bus = make_bus(named=True)
    bus.faults.arm(Refusal(code=2), Trigger(after=ordinal))
    bus.faults.arm(Late(delay_s=delay_s), Trigger(after=ordinal))

    goes = read_on(runner, bus, lambda: None, goes=8)

    assert goes[-1] == TRUTH
    assert all(values in (None, TRUTH) for values in goes)


def test_the_canarys_form_is_no_other_requests() -> None:
    for name in shipped():
        profile = load_profile(name)
        if profile.sunspec:
            continue
        layout = register_layout(_config(name), profile)

        found = canary(layout, profile)

        if found is not None:
            assert form(found) not in {form(request) for request in layout.requests}
            assert any(
                request.address == found.address and found.count < request.count
                for request in layout.requests
            )
            assert not (profile.limits.even and found.count % 2)


def test_nearly_every_shipped_map_has_a_canary() -> None:
    plain = [name for name in shipped() if not load_profile(name).sunspec]

    without = [
        name
        for name in plain
        if canary(register_layout(_config(name), load_profile(name)), load_profile(name)) is None
    ]

    assert len(without) < len(plain) / 4, without


def _config(profile: str) -> MeterConfig:
    return MeterConfig(
        name="meter", bus="line", address=1, profile=profile, role="grid", where="[[meter]] 1"
    )


def test_forms_are_function_and_count() -> None:
    layout = register_layout(_config("twin"), twin())

    assert [form(request) for request in layout.requests] == [(3, 2), (3, 2)]
    found = canary(layout, twin())
    assert found is not None
    assert form(found) == (3, 1)
