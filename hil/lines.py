"""The line of a bench: what makes it, and what can be done to it."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import pytest

from meterseal_simulator.control import command
from meterseal_simulator.demo.child import Child

if TYPE_CHECKING:
    from hil.description import Description


class BenchLine(Protocol):
    """A line with meters, real or not."""

    port: str

    def start(self) -> None:
        """Make it ready to be opened."""
        ...

    def stop(self) -> None:
        """Leave nothing behind."""
        ...

    def clear(self) -> None:
        """Take every fault away."""
        ...

    def inject(self, fault: str, **fields: object) -> None:
        """Let something go wrong (ability "faults")."""
        ...

    def ask(self, **fields: object) -> None:
        """Let another master ask (ability "second-master")."""
        ...

    def unplug(self, absent_s: float) -> None:
        """Take the adapter away for a while (ability "unplug")."""
        ...

    def truth(self) -> dict[str, Any]:
        """Say what every billing register stands at, in Wh (ability "truth")."""
        ...

    def requests(self) -> int:
        """Say how many requests were heard (ability "truth")."""
        ...


class LoopbackLine:
    """The simulator's house on a pseudo-terminal."""

    def __init__(self, bench: Description, folder: Path) -> None:
        self.port = str(folder / "ttyRS485")
        self._control = folder / "control"
        arguments = (
            *(sys.executable, "-m", "meterseal_simulator", "house", "--speed", "60"),
            *("--pty", self.port, "--control", str(self._control)),
            *("--baud", str(bench.line.baud), "--turnaround-ms", "5"),
            *("--start", "2026-06-21T10:00:00Z", "--battery-kwh", "5"),
        )
        self._house = Child(
            name="house", arguments=arguments, log=folder / "house.log", announces=True
        )

    def start(self) -> None:
        """Start the house."""
        self._house.start()

    def stop(self) -> None:
        """End the house."""
        self._house.stop()

    def clear(self) -> None:
        """Take every fault away."""
        self._do("clear")

    def inject(self, fault: str, **fields: object) -> None:
        """Arm a fault."""
        self._do("inject", fault=fault, **fields)

    def ask(self, **fields: object) -> None:
        """Let another master ask."""
        self._do("ask", **fields)

    def unplug(self, absent_s: float) -> None:
        """Close the pseudo-terminal; it comes back under another number."""
        self._do("unplug", absent_s=absent_s)

    def truth(self) -> dict[str, Any]:
        """Ask the house."""
        house = self._do("state")["house"]
        assert isinstance(house, dict)
        return house

    def requests(self) -> int:
        """Ask the line."""
        line = self._do("state")["line"]
        assert isinstance(line, dict)
        return int(line["requests"])

    def _do(self, verb: str, **fields: object) -> dict[str, Any]:
        answer = command(self._control, do=verb, **fields)
        assert answer["ok"], answer
        return answer


class RealLine:
    """An adapter and meters that are there."""

    def __init__(self, bench: Description) -> None:
        if bench.line.port is None or not Path(bench.line.port).exists():
            pytest.skip(
                f"{bench.source}: no adapter at {bench.line.port}; plug it in, or name it there"
            )
        self.port = bench.line.port
        self._unplug = bench.unplug
        self._plug = bench.plug

    def start(self) -> None:
        """It is there already."""

    def stop(self) -> None:
        """It stays."""

    def clear(self) -> None:
        """There are no faults but real ones."""

    def inject(self, fault: str, **fields: object) -> None:
        """Refuse: nothing on this bench makes faults."""
        raise NotImplementedError(fault, fields)

    def ask(self, **fields: object) -> None:
        """Refuse: there is no second adapter."""
        raise NotImplementedError(fields)

    def unplug(self, absent_s: float) -> None:
        """Switch the hub's port off and on again."""
        subprocess.run(self._unplug, check=True, timeout=10)  # noqa: S603 - the bench's own file
        try:
            time.sleep(absent_s)  # the hub has nothing to wait for
        finally:
            subprocess.run(self._plug, check=True, timeout=10)  # noqa: S603

    def truth(self) -> dict[str, Any]:
        """Refuse: nobody knows."""
        raise NotImplementedError

    def requests(self) -> int:
        """Refuse: nobody listens."""
        raise NotImplementedError


def line_of(bench: Description, folder: Path) -> BenchLine:
    """Make the line of a bench, or skip with the reason why there is none."""
    match bench.kind:
        case "loopback":
            return LoopbackLine(bench, folder)
        case "bench":
            return RealLine(bench)
        case "qemu":
            pytest.skip(f"{bench.source}: there is no gateway image yet to start in QEMU")
