"""Every meter gets its turn: slow lines, dead and slow neighbours, meters that refuse holes."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from meterseal.records import MeterState
from meterseal_agent.config import parse
from meterseal_agent.poll import Poller
from meterseal_agent.poll.build import build_readers
from meterseal_simulator.faults import Dead, Echo, Late, SecondMaster, Trigger, Unplug, overheard
from meterseal_simulator.registers import RegisterSlave, f32, place, u32
from support.wire import (
    SDM630_TRUTH,
    SERIAL_NUMBER,
    TIMEOUT_S,
    FakeTime,
    by_name,
    first_good,
    meter,
    poller_of,
    running,
    sdm630,
    serial_bus,
    serial_wire,
)

if TYPE_CHECKING:
    from pathlib import Path

PROFILE = 'profile = "eastron-sdm630"'
FEW = f"quantities = {list(SDM630_TRUTH)}"
ALWAYS = Trigger(times=None)
# The SDM630 wants 60 ms of silence before each request: about 65 ms a request at 115200 baud.
REQUEST_S = 0.065


async def rounds_until_good(poller: Poller, index: int, deadline_s: float) -> int:
    for count in range(1, 61):
        sample = (await poller.snapshot(deadline_s)).samples[index]
        if sample.state is MeterState.GOOD:
            return count
    raise AssertionError(poller.health()[index].message)


async def test_a_meter_introduces_itself_over_rounds_that_are_too_short_for_it(
    tmp_path: Path,
) -> None:
    """Goal: no livelock on a slow line with a dead neighbour.

    A round has time for one go between two proofs, or for some of the questions at the start, not
    for both; and the dead neighbour is asked first. When a round's end cut a request short, the
    doubt that this began took the next round's time for silence and two more proofs, and so on.
    """
    with serial_wire(tmp_path, {1: sdm630()}) as (port, _):
        parts = (
            serial_bus(port),
            meter(PROFILE, FEW, name="gone", address=7),
            meter(PROFILE, FEW, name="grid"),
        )
        async with running(poller_of(*parts)) as poller:
            count = await rounds_until_good(poller, 1, 7 * REQUEST_S)

            # And it stays so, in rounds of the same length.
            states = [(await poller.snapshot(7 * REQUEST_S)).samples[1].state for _ in range(8)]

    assert count > 1
    assert states.count(MeterState.GOOD) >= 5


async def test_who_was_left_out_goes_first_in_the_next_round(tmp_path: Path) -> None:
    """Two meters, and rounds that have time for one of them."""
    with serial_wire(tmp_path, {1: sdm630(), 2: sdm630()}) as (port, _):
        parts = (
            serial_bus(port),
            meter(PROFILE, FEW),
            meter(PROFILE, FEW, name="second", address=2),
        )
        async with running(poller_of(*parts)) as poller:
            await first_good(poller, 0)
            await first_good(poller, 1)
            rounds = [await poller.snapshot(7 * REQUEST_S) for _ in range(6)]

    for index in (0, 1):
        good = [shot.samples[index].state is MeterState.GOOD for shot in rounds]
        assert good.count(True) >= 2


async def test_a_dead_meter_is_not_waited_for_between_its_probes(tmp_path: Path) -> None:
    with serial_wire(tmp_path, {1: sdm630(), 7: sdm630()}) as (port, bus):
        parts = (serial_bus(port), meter(PROFILE, FEW), meter(PROFILE, FEW, name="b", address=7))
        async with running(poller_of(*parts)) as poller:
            await first_good(poller, 1)
            bus.faults.arm(Dead(), Trigger(unit=7, times=None))
            for _ in range(4):
                await poller.snapshot(5)
            asked = bus.requests()[7]
            loop = asyncio.get_running_loop()
            began = loop.time()
            shots = [await poller.snapshot(5) for _ in range(3)]
            took_s = loop.time() - began

    assert bus.requests()[7] == asked
    assert all(shot.samples[0].state is MeterState.GOOD for shot in shots)
    assert all(shot.samples[1].state is MeterState.TIMEOUT for shot in shots)
    assert took_s < 3 * (TIMEOUT_S + 6 * REQUEST_S)


@pytest.mark.timeout(60)
async def test_a_meter_that_is_too_slow_for_the_rounds_is_read_less_often(tmp_path: Path) -> None:
    """Each of its replies takes 0.25 s: it alone makes rounds of a second too long."""
    with serial_wire(tmp_path, {1: sdm630(), 7: sdm630()}) as (port, bus):
        bus.faults.arm(Late(delay_s=0.25), Trigger(unit=7, times=None))
        text = (
            '[agent]\ndata_dir = "data"\nmarker_dir = "/run/meterseal"\nread_every_s = 1\n'
            + serial_bus(port)
            + meter(PROFILE, FEW)
            + meter(PROFILE, FEW, name="slow", address=7)
        )
        config = parse(text, tmp_path / "meterseal.toml")
        async with running(Poller.from_config(config, FakeTime())) as poller:
            await first_good(poller, 1)
            # Twenty replies tell a slow meter.
            async with asyncio.timeout(40):
                while "read less often" not in poller.health()[1].message:
                    await poller.snapshot(5)
            shots = [await poller.snapshot(5) for _ in range(3)]
            message = poller.health()[1].message
            overruns = poller.overruns

    assert [shot.samples[1].state for shot in shots] == [MeterState.TIMEOUT] * 3
    assert [shot.samples[0].state for shot in shots] == [MeterState.GOOD] * 3
    assert '[[meter]] "slow"' in message
    assert overruns >= 1


async def test_a_meter_that_refuses_a_hole_is_read_around_it_and_stays_so(tmp_path: Path) -> None:
    """It has the registers of the power and the counters, and none between."""
    inputs: dict[int, int] = {}
    settings: dict[int, int] = {}
    place(inputs, 0x0034, f32(-1500.0))
    place(inputs, 0x0048, f32(1234.5))
    place(inputs, 0x004A, f32(77.25))
    place(settings, 0xFC00, u32(SERIAL_NUMBER))
    slave = RegisterSlave({4: lambda: inputs, 3: lambda: settings}, limit=80)
    names = ("power_w", "energy_import_wh", "energy_export_wh")
    with serial_wire(tmp_path, {1: slave}) as (port, _):
        parts = (serial_bus(port), meter(PROFILE, f"quantities = {list(names)}"))
        async with running(poller_of(*parts)) as poller:
            first = (await poller.snapshot(5)).samples[0]
            assert poller.budget()[0].meters[0].requests > 0
            good = (await first_good(poller)).samples[0]
            budget = poller.budget()[0].meters[0]

    assert first.state is MeterState.READ_ERROR
    assert by_name(good, dict.fromkeys(names)) == {name: SDM630_TRUTH[name] for name in names}
    assert (budget.requests, budget.registers) == (2, 6)


async def test_an_adapter_that_hears_itself_is_read_when_the_bus_says_so(tmp_path: Path) -> None:
    with serial_wire(tmp_path, {1: sdm630()}) as (port, bus):
        bus.faults.arm(Echo(), ALWAYS)
        parts = (serial_bus(port) + "echo = true\n", meter(PROFILE, FEW))
        async with running(poller_of(*parts)) as poller:
            sample = (await first_good(poller)).samples[0]

    assert by_name(sample, SDM630_TRUTH) == SDM630_TRUTH


@pytest.mark.parametrize("after_s", [0.01, 0.03, 0.1])
async def test_another_master_is_named_when_its_question_is_heard(
    tmp_path: Path, after_s: float
) -> None:
    """It asks a neighbour each time that we have asked our meter."""
    with serial_wire(tmp_path, {1: sdm630(), 9: sdm630()}) as (port, bus):
        async with running(poller_of(serial_bus(port), meter(PROFILE, FEW))) as poller:
            await first_good(poller)
            bus.faults.arm(
                SecondMaster(ask=lambda: overheard(bus.tell, unit=9, after_s=after_s)),
                Trigger(times=2),
            )
            for _ in range(4):
                await poller.snapshot(5)
            (notice,) = poller.notices()

    assert "another master is on this bus" in notice
    assert "unit 9" in notice


async def test_periods_that_a_round_took_from_others_are_counted(tmp_path: Path) -> None:
    """The first round listens for QUIET_S before it asks anything."""
    with serial_wire(tmp_path, {1: sdm630()}) as (port, _):
        text = (
            '[agent]\ndata_dir = "data"\nmarker_dir = "/run/meterseal"\n'
            + serial_bus(port)
            + meter(PROFILE, FEW)
        )
        owners, readers = build_readers(parse(text, tmp_path / "meterseal.toml"))
        poller = Poller(owners, readers, FakeTime(), every_s=0.2)
        async with running(poller):
            await poller.snapshot(5)
            first = poller.overruns
            poller_of_one = Poller(owners, readers, FakeTime(), every_s=60)
            await poller_of_one.snapshot(5)

    assert first >= 2
    assert poller_of_one.overruns == 0


@pytest.mark.parametrize("after", [0, 1, 2, 5])
async def test_a_plug_that_is_pulled_at_any_request_is_survived(tmp_path: Path, after: int) -> None:
    """The port comes back under its name as another terminal, as ttyUSB1 for ttyUSB0."""
    with serial_wire(tmp_path, {1: sdm630()}) as (port, bus):
        first = port.resolve()
        bus.faults.arm(Unplug(absent_s=0.3), Trigger(after=after))
        async with running(poller_of(serial_bus(port), meter(PROFILE, FEW))) as poller:
            states: set[MeterState] = set()
            async with asyncio.timeout(20):
                while not {MeterState.DISCONNECTED, MeterState.GOOD} <= states:
                    sample = (await poller.snapshot(5)).samples[0]
                    states.add(sample.state)
                    await asyncio.sleep(0.05)
                last = await first_good(poller, rounds=60)

    assert port.resolve() != first or not port.exists()
    assert by_name(last.samples[0], SDM630_TRUTH) == SDM630_TRUTH
