"""A command of meterseal-simulator as a child process, and JSON-RPC over one connection."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from http.client import HTTPConnection
from itertools import count
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType
    from typing import Self

_STOP_TIMEOUT_S = 15.0


class Simulated:
    """One process; `kill` is kill -9.

    Attributes:
        ready: The line that it prints when it answers, {} if it ended before.
    """

    def __init__(self, command: str, *arguments: str | Path | int) -> None:
        self.process = subprocess.Popen(  # noqa: S603 - our own command
            [sys.executable, "-m", "meterseal_simulator", command, *map(str, arguments)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        self.ready: dict[str, Any] = json.loads(line) if line else {}

    def kill(self) -> None:
        """kill -9."""
        self.process.kill()
        self.process.communicate()

    def stop(self) -> int:
        """Ask it to end, and return its status."""
        return self.end()[0]

    def end(self) -> tuple[int, str]:
        """Ask it to end if it still runs; return its status and what it said on standard error."""
        if self.process.poll() is None and self.ready:
            self.process.send_signal(signal.SIGTERM)
        _, said = self.process.communicate(timeout=_STOP_TIMEOUT_S)
        return self.process.returncode, said

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self.process.returncode is None:
            self.kill()


class RpcFailed(Exception):  # noqa: N818 - it says what became of the request
    """The answer was an error object."""

    def __init__(self, error: dict[str, Any]) -> None:
        super().__init__(f"{error['code']}: {error['message']}")
        self.code = error["code"]
        self.data = error.get("data")


class JsonRpc:
    """A client over one kept connection."""

    def __init__(self, url: str) -> None:
        self._connection = HTTPConnection(urlsplit(url).netloc, timeout=10)
        self._numbers = count(1)

    def call(self, method: str, *params: object) -> Any:  # noqa: ANN401 - whatever JSON holds
        number = next(self._numbers)
        body = {"jsonrpc": "2.0", "id": number, "method": method, "params": params}
        answer = json.loads(self.post(json.dumps(body).encode()))
        assert answer["id"] == number
        if "error" in answer:
            raise RpcFailed(answer["error"])
        return answer["result"]

    def post(self, body: bytes) -> bytes:
        self._connection.request("POST", "/", body, {"Content-Type": "application/json"})
        return self._connection.getresponse().read()

    def close(self) -> None:
        self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()
