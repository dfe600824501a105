"""The gateway under test: its own command as a process, seen through its own status page."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from typing import TYPE_CHECKING, Any

from meterseal_simulator.demo.child import Child

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from hil.description import Description

_AGENT = (sys.executable, "-m", "meterseal_agent")
_PATIENCE_S = 20.0
_LOOK_EVERY_S = 0.1
READ_EVERY_S = 1


class Gateway:
    """One agent with its data folder."""

    def __init__(self, bench: Description, port: str, folder: Path) -> None:
        self.folder = folder
        self.config = folder / "meterseal.toml"
        self._page_port = _free_port()
        self._text = _configuration(bench, port, self._page_port)
        self._process = Child(
            name="agent",
            arguments=(*_AGENT, "run", "--config", str(self.config)),
            log=folder / "agent.log",
            announces=False,
        )

    def call(self, *words: str) -> str:
        """Run one command of the agent and return what it prints."""
        done = subprocess.run(  # noqa: S603 - our own command
            (*_AGENT, *words), capture_output=True, text=True, timeout=60, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def provision(self) -> None:
        """Write the configuration, and make key and store."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self.config.write_text(self._text, encoding="utf-8")
        self.call("init", "--config", str(self.config))

    def start(self) -> None:
        """Let it run."""
        self._process.start()

    def stop(self) -> int | None:
        """Ask it to end; return its exit status."""
        return self._process.stop()

    @property
    def running(self) -> bool:
        """Whether the process lives."""
        return self._process.running

    def look(self) -> dict[str, Any] | None:
        """Read the status page's data; None while there is no page."""
        url = f"http://127.0.0.1:{self._page_port}/api/v1/status"
        try:
            with urllib.request.urlopen(url, timeout=5) as answer:
                status: dict[str, Any] = json.load(answer)
        except (urllib.error.URLError, OSError):
            return None
        return status

    def watch(
        self, wanted: Callable[[dict[str, Any]], bool], within_s: float = _PATIENCE_S
    ) -> dict[str, Any]:
        """Look until the page shows what is wanted; fail with what it shows otherwise."""
        until = time.monotonic() + within_s
        status = None
        while time.monotonic() < until:
            status = self.look()
            if status is not None and wanted(status):
                return status
            assert self.running, self.log()
            time.sleep(_LOOK_EVERY_S)
        raise AssertionError(f"not within {within_s:g} s; the page shows {status}\n{self.log()}")

    def samples(self, name: str, seconds: float) -> list[dict[str, Any]]:
        """Collect what the page shows of one meter, each reading once."""
        until = time.monotonic() + seconds
        found: list[dict[str, Any]] = []
        while time.monotonic() < until:
            status = self.look()
            if status is not None:
                meter = meter_of(status, name)
                if not found or (meter["at_ms"], meter["state"]) != (
                    found[-1]["at_ms"],
                    found[-1]["state"],
                ):
                    found.append(meter)
            time.sleep(_LOOK_EVERY_S)
        return found

    def log(self) -> str:
        """The end of its log."""
        return "\n".join(self._process.log.read_text(errors="replace").splitlines()[-15:])


def meter_of(status: dict[str, Any], name: str) -> dict[str, Any]:
    """Find one meter on the page."""
    meter: dict[str, Any] = next(one for one in status["meters"] if one["name"] == name)
    return meter


def all_good(status: dict[str, Any]) -> bool:
    """Tell whether every meter was read well."""
    return all(meter["state"] == "G" for meter in status["meters"])


def told(status: dict[str, Any]) -> str:
    """Join everything that the page tells a person."""
    notices = [notice["text"] for notice in status["notices"]]
    return "\n".join([*notices, *(meter["message"] for meter in status["meters"])])


def _configuration(bench: Description, port: str, page_port: int) -> str:
    line = bench.line
    text = f"""
[agent]
data_dir = "data"
marker_dir = "marker"
read_every_s = {READ_EVERY_S}
interval_s = 10
tolerance_ms = 2000

[[bus]]
name = "rs485"
port = "{port}"
baud = {line.baud}
parity = "{line.parity}"
stop_bits = {line.stop_bits}
timeout_s = {line.timeout_s}
quiet_s = {line.quiet_s}

[status]
host = "127.0.0.1"
port = {page_port}
"""
    for meter in bench.meters:
        text += f"""
[[meter]]
name = "{meter.name}"
bus = "rs485"
address = {meter.address}
profile = "{meter.profile}"
role = "{meter.role}"
"""
    return text


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
    return port
