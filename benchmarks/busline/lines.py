"""The simulated lines, in a process of their own: their work is not the client's.

Reads one JSON object a line from standard input: {"name": …, "turnaround_s": …, "units": […]}
each begins a line, answered with its port; an empty line ends them all, answered with how often
the silence between frames was broken on each.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from meterseal_simulator.bus import Bus
from meterseal_simulator.line import Line, LineTiming
from meterseal_simulator.port import PtyPort
from meterseal_simulator.registers import RegisterSlave, f32, place, u32

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

REGISTERS_END = 0x182
HERE = Path(__file__).resolve()


class Lines:
    """The client's end of the process."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def begin(self, name: str, turnaround_s: float, units: Sequence[int]) -> str:
        """Begin a line and return its port."""
        wish = {"name": name, "turnaround_s": turnaround_s, "units": list(units)}
        return str(self._say(json.dumps(wish)))

    def broken_silences(self) -> dict[str, int]:
        """End all lines and tell how often each was spoken on too early."""
        told = self._say("")
        if not isinstance(told, dict):
            raise TypeError(told)
        return told

    def _say(self, text: str) -> object:
        if self._process.stdin is None or self._process.stdout is None:
            raise ValueError("expected pipes to the process of the lines")
        self._process.stdin.write(text + "\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        if not answer:
            raise RuntimeError("expected an answer of the simulated lines, got their end")
        return json.loads(answer)


@contextlib.contextmanager
def simulated_lines() -> Iterator[Lines]:
    """Run the process of the lines."""
    command = [sys.executable, str(HERE)]
    with subprocess.Popen(  # noqa: S603 - our own file
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            yield Lines(process)
        finally:
            process.terminate()


def _serve(folder: Path) -> None:
    with contextlib.ExitStack() as stack:
        lines: dict[str, Line] = {}
        for text in sys.stdin:
            if not text.strip():
                break
            wish = json.loads(text)
            bus = Bus({unit: _slave(unit) for unit in wish["units"]})
            line = Line(LineTiming(turnaround_s=wish["turnaround_s"]), bus.answer)
            port = PtyPort(line, folder / wish["name"])
            port.start()
            stack.callback(port.close)
            lines[wish["name"]] = line
            _tell(str(folder / wish["name"]))
        _tell({name: line.statistics.breaches for name, line in lines.items()})


def _slave(unit: int) -> RegisterSlave:
    inputs = dict.fromkeys(range(REGISTERS_END), 0)
    for address in range(0, REGISTERS_END, 2):
        place(inputs, address, f32(float(1000 * unit + address)))
    settings: dict[int, int] = {}
    place(settings, 0xFC00, u32(70_000 + unit))
    return RegisterSlave({4: lambda: inputs, 3: lambda: settings}, limit=80)


def _tell(answer: object) -> None:
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        _serve(Path(folder))
