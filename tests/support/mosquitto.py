"""A real mosquitto on a free loopback port, for the tests of agent and aggregator."""

from __future__ import annotations

import shutil
import signal
import socket
import subprocess
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_START_TIMEOUT_S = 10.0


def executable() -> str:
    """The installed mosquitto, or a skip that says how to get it."""
    found = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin")
    if found is None:
        pytest.skip("mosquitto is not installed: apt-get install mosquitto")
    return found


def free_port() -> int:
    """A port that the system just gave out and took back."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class Mosquitto:
    """One broker process; `kill` is kill -9, after which `start` brings it back on its port.

    Attributes:
        extra: Further lines for its configuration.
    """

    host = "127.0.0.1"

    def __init__(self, folder: Path, *, extra: str = "", port: int | None = None) -> None:
        self.folder = folder
        self.extra = extra
        self.port = port or free_port()
        self._program = executable()
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it and return once it accepts connections."""
        configuration = self.folder / "mosquitto.conf"
        configuration.write_text(
            f"listener {self.port} {self.host}\n"
            "allow_anonymous true\n"
            "max_inflight_messages 0\n"
            "max_queued_messages 0\n"
            f"{self.extra}\n"
        )
        log = (self.folder / "mosquitto.log").open("ab")
        with log:
            self._process = subprocess.Popen(  # noqa: S603 -- our own file and a found program
                [self._program, "-c", str(configuration)], stdout=log, stderr=log
            )
        self._await_port()

    def stop(self) -> None:
        """End it in good order."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """kill -9."""
        self._end(signal.SIGKILL)

    def _end(self, number: signal.Signals) -> None:
        if self._process is not None:
            self._process.send_signal(number)
            self._process.wait(timeout=10)
            self._process = None

    def _await_port(self) -> None:
        assert self._process is not None
        deadline = time.monotonic() + _START_TIMEOUT_S
        while True:
            try:
                socket.create_connection((self.host, self.port), timeout=1).close()
            except OSError:
                log = (self.folder / "mosquitto.log").read_text(errors="replace")
                assert self._process.poll() is None, f"mosquitto ended: {log}"
                assert time.monotonic() < deadline, f"mosquitto does not answer: {log}"
                # The port is the only sign of life that it gives.
                time.sleep(0.01)
            else:
                return


@contextmanager
def running(folder: Path, *, extra: str = "") -> Iterator[Mosquitto]:
    """A broker for the length of a block."""
    broker = Mosquitto(folder, extra=extra)
    broker.start()
    try:
        yield broker
    finally:
        broker.stop()


@pytest.fixture
def mosquitto(tmp_path: Path) -> Iterator[Mosquitto]:
    """A running broker that forgets everything when it ends."""
    folder = tmp_path / "mosquitto"
    folder.mkdir()
    with running(folder) as broker:
        yield broker
