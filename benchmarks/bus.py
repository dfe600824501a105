"""How near the agent comes to what a serial line can do at best, and what it pays for safety.

Three meters of 34 quantities on a paced line of 9600 baud 8N1, a turnaround of 0 and of 20 ms, read
by the agent's own poller. The limit is arithmetic: the frames, the silences and the turnarounds of
the cheapest plan (`busline/meters.py`). A cycle shorter than that would have broken a silence: a
fault, not a win. The lines run in a process of their own, on absolute deadlines.

Each meter is met more than a minute before anything is measured: until then every sample stands
between two proofs, because a reply from before might still come.
"""

from __future__ import annotations

import asyncio
import statistics
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from busline.agent import Cycles, agent_on, between_probes, cycles, warm_up
from busline.lines import simulated_lines
from busline.meters import ADDRESSES, FUNCTION, UNITS, Timing, profile
from busline.peers import LIBMODBUS, T35_S, Peer, libmodbus, pymodbus_async, pymodbus_sync
from harness import INCONCLUSIVE, Row, load
from meterseal_agent.bus.plan import Span, plan

if TYPE_CHECKING:
    from busline.lines import Lines
    from meterseal_agent.bus.frame import Request
    from meterseal_agent.poll import Poller

TURNAROUNDS_S = (0.0, 0.020)
FASTER = {0.0: 2.8, 0.020: 3.8}
ROUNDS = 7
NAIVE_ROUNDS = 3
WARM_UP_S = 63.0
# More than two pauses between the probes of a dead meter: about 80 s, as its probe is short.
DEAD_S = 200.0
PROOFS_EVERY_S = 60.0
LOAD_MAX = 2.0


@dataclass(kw_only=True, slots=True)
class Measured:
    """What was measured at one turnaround."""

    timing: Timing
    merged: Cycles = field(default_factory=Cycles)
    proved: Cycles = field(default_factory=Cycles)
    naive: Cycles = field(default_factory=Cycles)
    peers: dict[str, Peer | None] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The turnaround, as the rows call it."""
        return f"{self.timing.turnaround_s * 1000:.0f} ms"


def run() -> list[Row]:
    """Measure the agent, then the others on the same lines."""
    loads: list[float] = []
    with simulated_lines() as lines:
        measured, dead = asyncio.run(_measure(lines, loads))
        broken = lines.broken_silences()
    # One minute's average each; what ran before us is not held against the best of seven.
    stayed = min(loads)
    note = f"{INCONCLUSIVE}: the load stayed over {stayed:.1f}" if stayed > LOAD_MAX else ""
    rows = [row for one in measured for row in _rows(one, note)]
    ours = sum(count for name, count in broken.items() if name.startswith("agent"))
    return [*rows, _dead_row(dead, note), _silence_row(ours)]


async def _measure(lines: Lines, loads: list[float]) -> tuple[list[Measured], Cycles]:
    measured = [Measured(timing=Timing(turnaround_s=one)) for one in TURNAROUNDS_S]
    async with AsyncExitStack() as stack:

        async def agent(name: str, turnaround_s: float, *, merged: bool, dead: int = 0) -> Poller:
            port = lines.begin(f"agent-{name}", turnaround_s, UNITS[: len(UNITS) - dead])
            return await stack.enter_async_context(agent_on(port, merged=merged))

        merged = [await agent(f"merged-{n}", s, merged=True) for n, s in enumerate(TURNAROUNDS_S)]
        naive = [await agent(f"naive-{n}", s, merged=False) for n, s in enumerate(TURNAROUNDS_S)]
        mourning = await agent("dead", 0.0, merged=True, dead=1)
        await asyncio.gather(*(warm_up(one, WARM_UP_S) for one in (*merged, *naive, mourning)))
        for one, fast, slow in zip(measured, merged, naive, strict=True):
            one.merged = await cycles(fast, ROUNDS)
            one.proved = await cycles(fast, ROUNDS, boundary=True)
            one.naive = await cycles(slow, NAIVE_ROUNDS)
            loads.append(load())
        dead = await between_probes(mourning, DEAD_S)
    for one in measured:
        await _measure_peers(lines, one)
    loads.append(load())
    return measured, dead


async def _measure_peers(lines: Lines, one: Measured) -> None:
    requests = best_plan()
    port = lines.begin(f"peers-{one.name}", one.timing.turnaround_s, UNITS)
    one.peers["pymodbus sync"] = pymodbus_sync(port, requests, ROUNDS)
    one.peers["pymodbus async, breaks t3.5"] = await pymodbus_async(port, requests, ROUNDS, 0.0)
    one.peers["pymodbus async and a sleep of t3.5"] = await pymodbus_async(
        port, requests, ROUNDS, T35_S
    )
    one.peers["libmodbus, breaks t3.5"] = libmodbus(port, requests, ROUNDS)


def best_plan() -> list[Request]:
    """The agent's plan, for the others."""
    spans = [Span(function=FUNCTION, address=address, count=2) for address in ADDRESSES]
    limits = profile(merged=True).limits
    return [request for unit in UNITS for request in plan(unit, spans, limits)]


def _rows(one: Measured, note: str) -> list[Row]:
    limit_s = one.timing.limit_s()
    best_s, naive_s = min(one.merged.periods_s), min(one.naive.periods_s)
    proofs_s = max(0.0, min(one.proved.periods_s) - best_s)
    what = f"cycle of 3 x 34 quantities at {one.name}"
    limit = "limit of the line"
    peers = [_peer_row(name, peer, one) for name, peer in one.peers.items()]
    polite = one.peers["pymodbus async and a sleep of t3.5"]
    return [
        _row(
            f"{what}, best of {ROUNDS}",
            value_s=best_s,
            reference=limit,
            reference_s=limit_s,
            goal_op="<=",
            goal_limit=1.03,
            note=note,
        ),
        _row(
            "the same, not faster than silence allows",
            value_s=best_s,
            reference=limit,
            reference_s=limit_s,
            goal_op=">=",
            goal_limit=0.998,
            note=note,
        ),
        Row(
            figure="the same, median",
            value=statistics.median(one.merged.periods_s),
            unit="s",
            reference=limit,
            reference_value=limit_s,
        ),
        _row(
            f"one read a quantity at {one.name}",
            value_s=naive_s,
            reference="the agent's cycle",
            reference_s=best_s,
            goal_op=">=",
            goal_limit=FASTER[one.timing.turnaround_s],
            note=note,
        ),
        Row(
            figure=f"identity proved once a minute at {one.name}",
            value=100 * proofs_s / PROOFS_EVERY_S,
            unit="%",
            reference="of the line",
            reference_value=100,
            goal_of="value",
            goal_op="<=",
            goal_limit=3,
            note=note,
        ),
        *peers,
        Row(
            figure=f"processor time a cycle at {one.name}",
            value=1000 * one.merged.cpu_s / ROUNDS,
            unit="ms",
            reference="pymodbus async",
            reference_value=1000 * polite.cpu_s if polite else 1.0,
        ),
    ]


def _row(  # noqa: PLR0913 -- a row of a table
    figure: str,
    *,
    value_s: float,
    reference: str,
    reference_s: float,
    goal_op: Literal["<=", ">="],
    goal_limit: float,
    note: str,
) -> Row:
    return Row(
        figure=figure,
        value=value_s,
        unit="s",
        reference=reference,
        reference_value=reference_s,
        goal_of="ratio",
        goal_op=goal_op,
        goal_limit=goal_limit,
        note=note,
    )


def _peer_row(name: str, peer: Peer | None, one: Measured) -> Row:
    limit_s = one.timing.limit_s()
    missing = "" if peer else f"left out: {LIBMODBUS} is not installed (apt install libmodbus5)"
    return Row(
        figure=f"{name} at {one.name}",
        value=peer.cycle_s if peer else 0.0,
        unit="s",
        reference="limit of the line",
        reference_value=limit_s,
        note=missing,
    )


def _dead_row(dead: Cycles, note: str) -> Row:
    """Compare the rate of the healthy meters with that of the rounds without a probe."""
    whole_s = sum(dead.periods_s)
    undisturbed_s = statistics.median(dead.periods_s)
    return Row(
        figure="rounds of two meters beside a dead one",
        value=len(dead.periods_s) / whole_s,
        unit="1/s",
        reference="without a probe",
        reference_value=1 / undisturbed_s,
        goal_of="ratio",
        goal_op=">=",
        goal_limit=0.98,
        note=note,
    )


def _silence_row(broken: int) -> Row:
    return Row(
        figure="silences that the agent broke",
        value=broken,
        unit="",
        reference="allowed",
        reference_value=1,
        goal_of="value",
        goal_op="<=",
        goal_limit=0,
    )
