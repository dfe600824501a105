"""Puts a bus on a line, says so, and serves until told to stop.

The one line on standard output is `{"ready": true, ...}`: whoever starts the simulator waits for
it. SIGTERM and SIGINT end it with status 0; the names it made are gone then.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import sys
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from meterseal_simulator.control import ControlPort
from meterseal_simulator.line import Line, LineTiming
from meterseal_simulator.port import PtyPort
from meterseal_simulator.tcp import Framing, TcpPort

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from meterseal_simulator.bus import Bus

_TICK_S = 1.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Outlet:
    """Where a bus is to be served.

    Attributes:
        pty: Stable name of the pseudo-terminal, or None.
        tcp: Port on the loopback interface (0: any), or None.
        control: Path of the control socket, or None.
    """

    pty: Path | None
    tcp: int | None
    framing: Framing
    timing: LineTiming
    control: Path | None


async def serve(
    bus: Bus,
    outlet: Outlet,
    *,
    units: dict[str, dict[str, str]],
    state: Callable[[], dict[str, object]],
    tick: Callable[[], object] | None = None,
) -> None:
    """Serve until SIGTERM or SIGINT.

    Args:
        bus: The slaves.
        outlet: Where they are served, how fast, and how they are controlled.
        units: Who sits where, for the line that says "ready".
        state: What the control channel's `state` answers.
        tick: Called once a second.

    Raises:
        SimulatorError: A port or name is taken.
    """
    line = Line(outlet.timing, bus.answer)
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)

    def full_state() -> dict[str, object]:
        return {"requests": bus.requests(), "line": asdict(line.statistics), **state()}

    async with contextlib.AsyncExitStack() as opened:
        tcp_port: int | None = None
        if outlet.tcp is not None:
            tcp = TcpPort(
                bus,
                port=outlet.tcp,
                framing=outlet.framing,
                turnaround_s=outlet.timing.turnaround_s,
            )
            opened.push_async_callback(tcp.close)
            await tcp.start()
            tcp_port = tcp.port
        pty: PtyPort | None = None
        if outlet.pty is not None:
            pty = PtyPort(line, outlet.pty)
            opened.callback(pty.close)
            pty.start()
        if outlet.control is not None:
            control = ControlPort(outlet.control, bus, full_state, pty)
            opened.push_async_callback(control.close)
            await control.start()
        announce(
            pty=str(outlet.pty) if outlet.pty else None,
            tcp_port=tcp_port,
            framing=outlet.framing if outlet.tcp is not None else None,
            control=str(outlet.control) if outlet.control else None,
            units=units,
        )
        await _until(stop.wait, tick)


def announce(**facts: object) -> None:
    """Say on standard output that the simulator is ready, and where it is."""
    sys.stdout.write(json.dumps({"ready": True, **facts}) + "\n")
    sys.stdout.flush()


async def _until(
    stopped: Callable[[], Awaitable[object]], tick: Callable[[], object] | None
) -> None:
    while True:
        try:
            async with asyncio.timeout(_TICK_S if tick else None):
                await stopped()
        except TimeoutError:
            if tick is not None:
                tick()
        else:
            return
