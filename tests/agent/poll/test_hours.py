"""What shows only over minutes and hours: proofs, plans that follow, probes, long introductions.

The agent's own poller on lines in virtual time: the delays are real ones, and nobody waits.
"""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from meterseal.records import MeterState
from meterseal_agent.config import parse
from meterseal_agent.poll import Poller
from meterseal_simulator.bus import Bus
from meterseal_simulator.faults import Dead, Late, Trigger
from meterseal_simulator.line import Line, LineTiming
from meterseal_simulator.virtual import VirtualLoop, VirtualTerminal
from support.wire import SDM630_TRUTH, FakeTime, meter, running, sdm630

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Mapping

    from meterseal_simulator.modbus import Request
    from meterseal_simulator.registers import Slave
    from meterseal_simulator.reply import Reply

FEW = f"quantities = {list(SDM630_TRUTH)}"
SERIAL_AT = 0xFC00


@dataclass(kw_only=True, slots=True)
class Watched:
    """A line whose requests are noted: (unit, first register)."""

    bus: Bus
    asked: list[tuple[int, int]] = field(default_factory=list)

    def answer(self, request: Request) -> Reply | None:
        self.asked.append((request.unit, int.from_bytes(request.pdu[1:3])))
        return self.bus.answer(request)

    def take(self) -> list[tuple[int, int]]:
        taken, self.asked = self.asked, []
        return taken


@pytest.fixture
def runner() -> Iterator[asyncio.Runner]:
    with asyncio.Runner(loop_factory=VirtualLoop) as made:
        yield made


@asynccontextmanager
async def polled(
    slaves: Mapping[int, Slave],
    *units: int,
    turnaround_s: float = 0.02,
    agent: str = "",
    wants: tuple[str, ...] = (FEW,),
) -> AsyncIterator[tuple[Poller, Watched]]:
    """Poll meters at 9600 baud, and watch the line."""
    watched = Watched(bus=Bus(slaves))
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualLoop)
    line = Line(LineTiming(turnaround_s=turnaround_s), watched.answer)
    loop.plug("line", VirtualTerminal(line))
    text = (
        f'[agent]\ndata_dir = "data"\nmarker_dir = "/run/meterseal"\n{agent}\n'
        '[[bus]]\nname = "rs485"\nport = "virtual://line"\n'
        + "".join(
            meter('profile = "eastron-sdm630"', *wants, name=f"m{unit}", address=unit)
            for unit in units
        )
    )
    poller = Poller.from_config(parse(text, Path("/etc/meterseal.toml")), FakeTime())
    async with running(poller):
        yield poller, watched


async def minutes(poller: Poller, count: float) -> int:
    """Take rounds one after the other for so long, and count them."""
    loop = asyncio.get_running_loop()
    ends_s, rounds = loop.time() + 60 * count, 0
    while loop.time() < ends_s:
        await poller.snapshot(30)
        rounds += 1
    return rounds


def test_the_identity_is_proved_at_the_start_at_boundaries_and_once_a_minute(
    runner: asyncio.Runner,
) -> None:
    async def story() -> None:
        async with polled({1: sdm630()}, 1) as (poller, line):
            await poller.snapshot(30)
            first = line.take()
            await minutes(poller, 2)
            line.take()

            await poller.snapshot(30, boundary=True)
            boundary = line.take()
            await minutes(poller, 10)
            quiet = line.take()

        # Asked for it, then proved before and after the values.
        assert first.count((1, SERIAL_AT)) == 3
        assert first[-1] == (1, SERIAL_AT)
        assert boundary[0] == (1, SERIAL_AT)
        assert boundary.count((1, SERIAL_AT)) == 1
        assert 9 <= quiet.count((1, SERIAL_AT)) <= 11

    runner.run(story())


def test_after_a_doubt_values_stand_between_two_proofs_for_a_minute(
    runner: asyncio.Runner,
) -> None:
    async def story() -> None:
        async with polled({1: sdm630(), 2: sdm630()}, 1, 2) as (poller, line):
            await minutes(poller, 2)
            line.bus.faults.arm(Dead(), Trigger(unit=1, function=4))
            await poller.snapshot(30)
            line.take()

            snapshot = await poller.snapshot(30)
            after = line.take()

        assert all(sample.state is MeterState.GOOD for sample in snapshot.samples)
        mine = [address for unit, address in after if unit == 1]
        assert mine[0] == mine[-1] == SERIAL_AT
        # A late reply of unit 1 can pass for none of unit 2: at most its minute was over.
        assert after.count((2, SERIAL_AT)) <= 1

    runner.run(story())


def test_a_dead_meter_costs_the_others_two_percent_at_most(runner: asyncio.Runner) -> None:
    """Half an hour of rounds, back to back, with and without a dead meter; default timeouts."""

    async def rounds(*units: int) -> int:
        async with polled({1: sdm630(), 2: sdm630()}, *units) as (poller, _):
            await minutes(poller, 5)
            return await minutes(poller, 30)

    alone = runner.run(rounds(1, 2))
    beside = runner.run(rounds(1, 2, 7))

    assert beside >= 0.98 * alone


def test_on_a_bus_where_most_are_dead_the_living_are_read(runner: asyncio.Runner) -> None:
    async def rounds(*units: int) -> int:
        async with polled({1: sdm630()}, *units) as (poller, _):
            await minutes(poller, 5)
            return await minutes(poller, 30)

    alone = runner.run(rounds(1))
    beside = runner.run(rounds(4, 5, 6, 7, 1))

    assert beside >= 0.98 * alone


def test_a_meter_that_comes_back_is_found_within_minutes(runner: asyncio.Runner) -> None:
    async def story() -> None:
        async with polled({1: sdm630(), 7: sdm630()}, 1, 7) as (poller, line):
            line.bus.faults.arm(Dead(), Trigger(unit=7, times=None))
            await minutes(poller, 30)
            assert poller.health()[1].state is MeterState.TIMEOUT
            line.bus.faults.clear()

            await minutes(poller, 5)

            assert poller.health()[1].state is MeterState.GOOD

    runner.run(story())


def test_many_meters_introduce_themselves_in_rounds_that_hold_few_of_them(
    runner: asyncio.Runner,
) -> None:
    """Goal: no livelock. Method: ten meters, four of them dead, in rounds of three seconds.

    Each living one takes more than half a second to introduce itself and as long for its first go;
    each dead one a second of waiting and one and a half of silence.
    """

    async def story() -> list[int]:
        living = {unit: sdm630() for unit in range(5, 11)}
        good = [0] * 10
        async with polled(living, *range(1, 11)) as (poller, _):
            loop = asyncio.get_running_loop()
            for slot in range(100):
                await asyncio.sleep(max(0.0, 3.0 * slot - loop.time()))
                snapshot = await poller.snapshot(3.0)
                for sample in snapshot.samples if slot >= 60 else ():
                    good[sample.meter] += sample.state is MeterState.GOOD
        return good

    good = runner.run(story())

    assert good[:4] == [0] * 4
    assert min(good[4:]) >= 36


def test_the_plan_follows_the_turnaround_that_was_learned(runner: asyncio.Runner) -> None:
    """Two voltages with a hole of 40 registers: 83 ms at 9600 baud, a request of its own 77 ms."""
    hole = ("quantities = ['voltage_l1_mv', 'voltage_l2_mv']", "registers = {voltage_l2_mv = 42}")

    async def requests(turnaround_s: float) -> int:
        async with polled({1: sdm630()}, 1, turnaround_s=turnaround_s, wants=hole) as (poller, _):
            await minutes(poller, 3)
            return poller.budget()[0].meters[0].requests

    assert runner.run(requests(0.0)) == 2
    assert runner.run(requests(0.05)) == 1


def test_a_slow_neighbour_does_not_slow_the_others_down(runner: asyncio.Runner) -> None:
    """Its replies begin after 0.8 s, within the timeout; the period is two seconds."""

    async def story() -> tuple[int, int, int]:
        slaves = {1: sdm630(), 2: sdm630(), 7: sdm630()}
        async with polled(slaves, 1, 2, 7, agent="read_every_s = 2") as (poller, line):
            line.bus.faults.arm(Late(delay_s=0.8), Trigger(unit=7, times=None))
            await minutes(poller, 5)
            loop = asyncio.get_running_loop()
            before, good, slow = poller.overruns, 0, 0
            ends_s = loop.time() + 1800
            while loop.time() < ends_s:
                shot = await poller.snapshot(5.0)
                good += shot.samples[0].state is MeterState.GOOD
                slow += shot.samples[2].state is MeterState.GOOD
                await asyncio.sleep(2.0 - loop.time() % 2.0)
            return good, slow, poller.overruns - before

    good, slow, overruns = runner.run(story())

    assert good >= 0.98 * 900 - overruns
    assert overruns <= 0.04 * 900
    assert slow > 0
