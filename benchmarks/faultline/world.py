"""One line in virtual time: the agent's own poller over pymodbus and pyserial, and bad weather.

Nothing of the agent is replaced: `Poller`, `BusOwner`, `MeterReader`, `Guard` and `ModbusPort` run
as they are, on an event loop whose clock is turned (`meterseal_simulator.virtual`). Only the
adapter and the wire behind it are simulated.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
from dataclasses import dataclass
from typing import TYPE_CHECKING

from faultline.meters import Meter, sdm, slave_of, twin
from faultline.weather import Weather
from faultline.witness import Tally, WatchedBus, judge
from meterseal.records import Clock, MeterState
from meterseal_agent.bus.guard import Guard
from meterseal_agent.bus.port import ModbusPort
from meterseal_agent.bus.settings import SerialLine
from meterseal_agent.config.model import MeterConfig
from meterseal_agent.poll import Poller
from meterseal_agent.poll.meter import MeterReader
from meterseal_agent.poll.owner import BusOwner
from meterseal_simulator.faults import Trigger
from meterseal_simulator.line import Line, LineTiming
from meterseal_simulator.virtual import VirtualLoop, VirtualTerminal

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

_NAME = "line"
_DEADLINE_S = 60.0
_ROUNDS_MAX = 1_000_000
# In one of so many writes the computer was busy just then, for up to so long.
_BUSY_EVERY, _BUSY_S = 50, 0.06


@dataclass(frozen=True, kw_only=True, slots=True)
class Scene:
    """A line and its meters, by unit."""

    name: str
    meters: dict[int, Meter]
    baud: int = 9600
    latency_s: float = 0.001
    timeout_s: float = 0.5
    turnaround_s: float = 0.02


def scenes() -> tuple[Scene, ...]:
    """Return the lines that take their turns."""
    return (
        Scene(name="one twin", meters={1: twin(4711)}),
        Scene(name="one twin, slow USB", meters={1: twin(4711)}, latency_s=0.016),
        Scene(name="one nameless twin", meters={1: twin(0, named=False)}),
        Scene(
            name="three twins",
            meters={1: twin(4711), 2: twin(4712), 3: twin(0, named=False)},
            baud=19200,
        ),
        Scene(
            name="Eastron, plain",
            meters={1: sdm("sdm630", 21978347), 2: sdm("sdm230", 21978348)},
            latency_s=0.016,
        ),
        Scene(
            name="Eastron, MWh and reversed words",
            meters={1: sdm("sdm630", 21978347, mega=True, reverse=True)},
            baud=19200,
        ),
        Scene(
            name="Eastron, MWh and tells neither name nor word order",
            meters={1: sdm("sdm630", None, mega=True), 2: twin(4711)},
            baud=38400,
        ),
    )


class LoopTime:
    """The event loop's time as the agent's clocks."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now

    def now_ms(self) -> int:
        """UTC milliseconds: some day in 2026."""
        return 1_795_000_000_000 + self.up_ms()

    def up_ms(self) -> int:
        """Milliseconds since the loop was made."""
        return round(self._now() * 1000)

    def state(self) -> Clock:
        """It is as right as the world it is in."""
        return Clock.SYNCHRONISED

    @property
    def source(self) -> str:
        """Name it."""
        return "the benchmark"


@dataclass(kw_only=True, slots=True)
class Stage:
    """A line with its weather, and the agent that reads it."""

    scene: Scene
    bus: WatchedBus
    weather: Weather
    tally: Tally
    guard: Guard
    poller: Poller


def run_virtual(scene: Scene, seed: str, count: int) -> Tally:
    """Read a line in virtual time until so many faults have happened and passed."""
    quieten()
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        loop = runner.get_loop()
        assert isinstance(loop, VirtualLoop)  # noqa: S101 - made by this factory
        bus = watched(scene, loop.time)
        dice = random.Random(f"{seed}:busy")  # noqa: S311 - not a secret

        def stall() -> float:
            return 0.0 if dice.randrange(_BUSY_EVERY) else _BUSY_S * dice.random()

        line = Line(LineTiming(baud=scene.baud, turnaround_s=scene.turnaround_s), bus.answer)
        terminal = VirtualTerminal(line, latency_s=scene.latency_s, stall=stall)
        loop.plug(_NAME, terminal)
        stage = staged(scene, bus, f"virtual://{_NAME}", seed=seed, count=count, now=loop.time)
        runner.run(read_until(stage, count, dice.random))
    return stage.tally


def watched(scene: Scene, now: Callable[[], float]) -> WatchedBus:
    """Make the slaves of a scene, and the witness before them."""
    slaves = {unit: slave_of(meter, unit, now) for unit, meter in scene.meters.items()}
    return WatchedBus(slaves, now)


def staged(  # noqa: PLR0913 - what a line is made of
    scene: Scene, bus: WatchedBus, port: str, *, seed: str, count: int, now: Callable[[], float]
) -> Stage:
    """Put the agent's poller before a line, and weather over it."""
    tally = Tally(scene=scene.name, seed=seed)
    settings = SerialLine(
        port=port, baud=scene.baud, timeout_s=scene.timeout_s, quiet_s=1.5 * scene.timeout_s
    )
    paces = [meter.profile.pace.timeout_s for meter in scene.meters.values()]
    jitter = random.Random(f"{seed}:jitter").random  # noqa: S311 - not a secret
    guard = Guard(
        ModbusPort(settings), settings, slowest_s=max(scene.timeout_s, *paces), jitter=jitter
    )
    readers = [
        MeterReader(_configured(unit, meter), meter.profile, guard)
        for unit, meter in scene.meters.items()
    ]
    owner = BusOwner(_NAME, guard, list(enumerate(readers)))
    weather = Weather(seed, bus, tally, quiet_s=lambda: guard.quiet_s, now=now, limit=count)
    bus.faults.arm(weather, Trigger(times=None))
    poller = Poller([owner], readers, LoopTime(now))
    return Stage(scene=scene, bus=bus, weather=weather, tally=tally, guard=guard, poller=poller)


async def read_until(
    stage: Stage,
    count: int,
    chance: Callable[[], float],
    pause_s: float = 2.0,
    rest_s: float = 600.0,
) -> None:
    """Read round after round; when all faults have happened, until every meter is good again.

    Args:
        stage: The line and its reader.
        count: So many faults.
        chance: Draws from 0 to 1.
        pause_s: Longest pause between two rounds.
        rest_s: How long to wait for the meters to come back after the last fault: one that was
            silent rests for a minute and more.
    """
    units = list(stage.scene.meters.items())
    rests_until_s = 0.0
    async with _running(stage.poller) as poller:
        for number in range(_ROUNDS_MAX):
            asked = stage.tally.requests
            stage.bus.begin_round()
            stage.weather.begin_round()
            boundary = number % 90 == 0
            snapshot = await poller.snapshot(_DEADLINE_S, boundary=boundary)
            for (unit, meter), sample in zip(units, snapshot.samples, strict=True):
                judge(stage.tally, stage.bus, meter, sample, unit)
                stage.weather.end_round(unit, good=sample.state is MeterState.GOOD)
                stage.bus.note(f"unit {unit}: state {sample.state.value}")
            good = all(sample.state is MeterState.GOOD for sample in snapshot.samples)
            if stage.tally.faults < count:
                rests_until_s = stage.bus.now() + rest_s
            elif good or stage.bus.now() > rests_until_s:
                return
            # Back to back as often as not: what follows at once is what a late reply meets. A
            # round in which nobody was asked is followed by a pause.
            at_once = chance() < 0.6 and stage.tally.requests > asked  # noqa: PLR2004
            await asyncio.sleep(0 if at_once else pause_s * chance())
    raise RuntimeError(f"{stage.scene.name}: the meters never came back after the last fault")


@contextlib.asynccontextmanager
async def _running(poller: Poller) -> AsyncIterator[Poller]:
    task = asyncio.create_task(poller.run(), name="poller")
    try:
        yield poller
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


def _configured(unit: int, meter: Meter) -> MeterConfig:
    return MeterConfig(
        name=f"meter{unit}",
        bus=_NAME,
        address=unit,
        profile=meter.profile.name,
        role="grid",
        where=f"benchmark: [[meter]] {unit}",
    )


def quieten() -> None:
    """Keep the agent from logging each of a hundred thousand faults."""
    logging.getLogger("meterseal_agent").setLevel(logging.CRITICAL)
    logging.getLogger("asyncio").setLevel(logging.CRITICAL)
