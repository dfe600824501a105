"""One child process: started, awaited until it is ready, ended, or killed.

A child writes its log to a file. It dies with this process even when this process is killed:
setpriv(1) asks the kernel for that. It has a session of its own, so that Ctrl-C reaches only the
demonstration, which then ends the children in order.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import threading
import time
from dataclasses import dataclass, field
from typing import IO, TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

READY_WITHIN_S = 60.0
STOP_WITHIN_S = 15.0


class ChildError(Exception):
    """A child did not start, or ended by itself; the message carries the end of its log."""


@dataclass(kw_only=True, slots=True)
class Child:
    """A command as a child process.

    Attributes:
        name: What people call it.
        arguments: The command and its arguments.
        log: Where standard error goes, and standard output after the line that says "ready".
        announces: Whether the first line on standard output is a JSON object that says "ready".
    """

    name: str
    arguments: tuple[str, ...]
    log: Path
    announces: bool
    ready: dict[str, Any] = field(default_factory=dict)
    _process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start, and wait until the child says that it is ready.

        Raises:
            ChildError: It ended, or said nothing for a minute.
        """
        self.spawn()
        self.await_ready()

    def spawn(self) -> None:
        """Start, without waiting."""
        command = list(self.arguments)
        if shutil.which("setpriv"):
            command = ["setpriv", "--pdeathsig", "KILL", *command]
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(  # noqa: S603 our own commands
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE if self.announces else log,
                stderr=log,
                start_new_session=True,
                env={**os.environ, "PYTHONUNBUFFERED": "1"},
            )

    def await_ready(self) -> None:
        """Wait for the line that says it is ready, if it is one that says so.

        Raises:
            ChildError: It ended, or said nothing for a minute.
        """
        process = self._process
        if not self.announces:
            return
        if process is None or process.stdout is None:
            raise ChildError(f"{self.name} was not started")
        lines: list[bytes] = []
        reader = threading.Thread(
            target=_read_first_line, args=(process.stdout, lines, self.log), daemon=True
        )
        reader.start()
        until = time.monotonic() + READY_WITHIN_S
        while not lines:
            if process.poll() is not None and not reader.is_alive():
                raise ChildError(self._epitaph(f"ended with status {process.returncode}"))
            if time.monotonic() > until:
                raise ChildError(self._epitaph(f"was not ready after {READY_WITHIN_S:.0f} s"))
            reader.join(0.02)
            time.sleep(0.005)
        try:
            self.ready = json.loads(lines[0])
        except ValueError as error:
            raise ChildError(f"{self.name} announced {lines[0][:80]!r}, not JSON") from error

    def _epitaph(self, what: str) -> str:
        tail = self.log.read_text(errors="replace").strip().splitlines()[-4:]
        return "\n  ".join([f"{self.name} {what}. The end of {self.log}:", *tail])

    @property
    def pid(self) -> int | None:
        """The process id while it runs."""
        return self._process.pid if self._process is not None and self.running else None

    @property
    def running(self) -> bool:
        """Whether the process lives."""
        return self._process is not None and self._process.poll() is None

    def check(self) -> None:
        """Raise ChildError when the child, once started, has ended by itself."""
        if self._process is not None and not self.running:
            raise ChildError(self._epitaph(f"ended with status {self._process.returncode}"))

    def kill(self) -> None:
        """Kill -9, as a power cut would; the process is gone on return."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def stop(self) -> int | None:
        """Ask it to end (SIGTERM), kill it if it does not; return its status."""
        process, self._process = self._process, None
        if process is None:
            return None
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
        try:
            return process.wait(STOP_WITHIN_S)
        except subprocess.TimeoutExpired:
            process.kill()
            return process.wait()


def _read_first_line(stream: IO[bytes], lines: list[bytes], log: Path) -> None:
    """Hand over the first line, then copy the rest to the log until the stream ends."""
    with stream, log.open("ab") as sink:
        first = stream.readline()
        if first:
            lines.append(first)
        for line in stream:
            sink.write(line)
            sink.flush()
