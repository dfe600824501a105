"""The same over real pseudo-terminals in real time: several lines side by side.

Here nothing is virtual: the kernel's terminals, its clock, and a computer that others use too.
"""

from __future__ import annotations

import asyncio
import random
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from faultline.meters import twin
from faultline.witness import Tally
from faultline.world import Scene, quieten, read_until, staged, watched
from meterseal_simulator.line import Line, LineTiming
from meterseal_simulator.port import PtyPort

if TYPE_CHECKING:
    from collections.abc import Sequence

_LINES = 50
_BAUD = 115_200
_TIMEOUT_S = 0.08
_PAUSE_S = 0.3
_REST_S = 10.0


def run_wire(seed: str, count: int) -> Tally:
    """Read lines in real time until so many faults have happened and passed."""
    quieten()
    shares = [count // _LINES + (number < count % _LINES) for number in range(_LINES)]
    with tempfile.TemporaryDirectory() as folder:
        return asyncio.run(_read_lines(Path(folder), seed, shares))


async def _read_lines(folder: Path, seed: str, shares: Sequence[int]) -> Tally:
    total = Tally()
    lines = [_read_line(folder / f"tty{n}", f"{seed}:{n}", share) for n, share in enumerate(shares)]
    for tally in await asyncio.gather(*lines):
        total.add(tally)
    return total


async def _read_line(link: Path, seed: str, count: int) -> Tally:
    dice = random.Random(seed)  # noqa: S311 - not a secret
    scene = Scene(
        name=f"{link.name}, real time",
        meters={1: twin(4711, named=dice.random() < 0.7)},  # noqa: PLR2004
        baud=_BAUD,
        timeout_s=_TIMEOUT_S,
        turnaround_s=0.005,
    )
    bus = watched(scene, time.monotonic)
    line = Line(LineTiming(baud=_BAUD, turnaround_s=scene.turnaround_s), bus.answer)
    port = PtyPort(line, link)
    port.start()
    try:
        stage = staged(scene, bus, str(link), seed=seed, count=count, now=time.monotonic)
        await read_until(stage, count, dice.random, _PAUSE_S, _REST_S)
    finally:
        port.close()
    return stage.tally
