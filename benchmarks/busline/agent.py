"""The agent on a bench line: its own poller, owner, reader, guard and port, nothing less."""

from __future__ import annotations

import asyncio
import contextlib
import statistics
import time
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from busline.meters import UNITS, line_at, profile
from meterseal.records import MeterState
from meterseal_agent.bus.guard import Guard
from meterseal_agent.bus.port import ModbusPort
from meterseal_agent.clock import SystemTime
from meterseal_agent.config import MeterConfig
from meterseal_agent.poll import Poller
from meterseal_agent.poll.meter import MeterReader
from meterseal_agent.poll.owner import BusOwner

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from meterseal_agent.poll import Snapshot

ROUND_S = 30.0
# A probe waits out the timeout; the settling behind it may fall into the round after it.
PROBE_SHOWS = 1.25


@dataclass(kw_only=True, slots=True)
class Cycles:
    """Rounds that followed one another.

    Attributes:
        periods_s: From the beginning of each to that of the next.
        good: Good samples in each.
        cpu_s: Processor time of this process over all of them.
    """

    periods_s: list[float] = field(default_factory=list)
    good: list[int] = field(default_factory=list)
    cpu_s: float = 0.0


@asynccontextmanager
async def agent_on(port: str, *, merged: bool = True) -> AsyncIterator[Poller]:
    """Run a poller with the bench meters on a line."""
    line = line_at(port)
    guard = Guard(ModbusPort(line), line, slowest_s=line.timeout_s, jitter=lambda: 1.0)
    readers = [MeterReader(_meter(unit), profile(merged=merged), guard) for unit in UNITS]
    owner = BusOwner("bench", guard, list(enumerate(readers)))
    poller = Poller([owner], readers, SystemTime(trusted=True))
    task = asyncio.create_task(poller.run(), name=f"poll[{port}]")
    try:
        yield poller
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def warm_up(poller: Poller, seconds: float) -> None:
    """Read on until the doubts of the beginning are over."""
    ends_s = time.monotonic() + seconds
    while time.monotonic() < ends_s:
        await poller.snapshot(ROUND_S)


async def cycles(poller: Poller, count: int, *, boundary: bool = False) -> Cycles:
    """Take rounds one after the other; every meter must answer in each."""
    found = Cycles()
    begun_cpu_s = time.process_time()
    for _ in range(count):
        begun_s = time.perf_counter()
        snapshot = await poller.snapshot(ROUND_S, boundary=boundary)
        found.periods_s.append(time.perf_counter() - begun_s)
        found.good.append(_good(snapshot))
    found.cpu_s = time.process_time() - begun_cpu_s
    if min(found.good) < len(UNITS):
        raise RuntimeError(f"a bench meter did not answer: {poller.health()}")
    return found


async def between_probes(poller: Poller, seconds: float) -> Cycles:
    """Take rounds from the probe of a dead meter to the next, that one not included.

    A probe shows by its length. Whole pauses only: what part of a pause was looked at would decide
    the rate otherwise.
    """
    found = Cycles()
    probes: list[int] = []
    ends_s = time.perf_counter() + seconds
    while (begun_s := time.perf_counter()) < ends_s:
        snapshot = await poller.snapshot(ROUND_S)
        found.periods_s.append(time.perf_counter() - begun_s)
        found.good.append(_good(snapshot))
        if found.periods_s[-1] > PROBE_SHOWS * statistics.median(found.periods_s):
            probes.append(len(found.periods_s) - 1)
        if len(probes) > 1 and probes[-1] > probes[0] + 1:
            return Cycles(
                periods_s=found.periods_s[probes[0] : probes[-1]],
                good=found.good[probes[0] : probes[-1]],
            )
    raise RuntimeError(f"expected two probes of the dead meter in {seconds:g} s")


def _good(snapshot: Snapshot) -> int:
    return sum(sample.state is MeterState.GOOD for sample in snapshot.samples)


def _meter(unit: int) -> MeterConfig:
    return MeterConfig(
        name=f"bench {unit}",
        bus="bench",
        address=unit,
        profile="bench",
        role="grid",
        where=f"bench [[meter]] {unit}",
    )
