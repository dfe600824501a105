"""The control channel: one JSON object a line over a Unix socket, one answer a line.

    {"do": "inject", "fault": "late", "delay_s": 0.4, "unit": 1, "after": 2, "times": 1}
    {"do": "clear"}
    {"do": "state"}

`inject` takes the fault's own fields and those of its trigger; the fault's, where both have one of
that name, as `as_unit` and `as_function`. Every answer has "ok"; a refusal says what was expected.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
from dataclasses import asdict, fields
from typing import TYPE_CHECKING, Any

from meterseal_simulator.errors import SimulatorError
from meterseal_simulator.faults import KINDS, Trigger

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from meterseal_simulator.bus import Bus

_LINE_MAX = 65_536
_TRIGGER_FIELDS = frozenset(field.name for field in fields(Trigger))
_PATIENCE_S = 10.0
_MOST = {"unit": 255, "function": 255, "code": 255, "flip": 0xFFFF, "address": 0xFFFF}
_MOST_OTHERWISE = 1_000_000


class ControlPort:
    """Lets another process arm faults and ask for the state.

    Args:
        state: Yields what the command `state` answers besides the faults.
    """

    def __init__(self, path: Path, bus: Bus, state: Callable[[], dict[str, object]]) -> None:
        self._path = path
        self._bus = bus
        self._state = state
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        """Listen.

        Raises:
            SimulatorError: The path is taken or cannot be made.
        """
        if self._path.is_socket():
            self._path.unlink()  # Left behind by a simulator that was killed.
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._server = await asyncio.start_unix_server(self._serve, self._path, limit=_LINE_MAX)
        except OSError as error:
            msg = (
                f"{self._path}: no socket can be made ({error.strerror}); choose another --control"
            )
            raise SimulatorError(msg) from error

    async def close(self) -> None:
        """Stop listening and take the socket away."""
        if self._server is not None:
            self._server.close()
            self._path.unlink(missing_ok=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, asyncio.CancelledError, ValueError):
            while line := await reader.readline():
                writer.write(json.dumps(self.obey(line)).encode() + b"\n")
                await writer.drain()
        writer.close()

    def obey(self, line: bytes) -> dict[str, object]:
        """Do what one line says and return the answer."""
        try:
            command: object = json.loads(line)
        except (ValueError, RecursionError):
            return _refused("expected one JSON object a line")
        match command:
            case {"do": "inject", "fault": str(kind), **given}:
                return self._inject(kind, {str(name): value for name, value in given.items()})
            case {"do": "clear"}:
                self._bus.faults.clear()
                return {"ok": True}
            case {"do": "state"}:
                return {"ok": True, "faults": self._faults(), **self._state()}
            case _:
                return _refused(
                    'expected {"do": "inject", "fault": ...}, {"do": "clear"} or {"do": "state"}'
                )

    def _inject(self, kind: str, given: Mapping[str, object]) -> dict[str, object]:
        if kind not in KINDS:
            return _refused(f"fault {kind!r} is none of {', '.join(KINDS)}")
        which = {name: value for name, value in given.items() if name in _TRIGGER_FIELDS}
        settings = {
            name.removeprefix("as_"): value
            for name, value in given.items()
            if name not in _TRIGGER_FIELDS and name != "do"
        }
        try:
            fault = KINDS[kind](**_checked(settings))
            trigger = Trigger(**_checked(which, optional=True))
        except TypeError as error:
            return _refused(f"fault {kind}: {error}")
        return {"ok": True, "number": self._bus.faults.arm(fault, trigger)}

    def _faults(self) -> list[dict[str, object]]:
        return [
            {
                "number": armed.number,
                "fault": type(armed.fault).__name__,
                "trigger": asdict(armed.trigger),
                "matched": armed.matched,
                "hit": armed.hit,
            }
            for armed in self._bus.faults.armed()
        ]


def _checked(settings: Mapping[str, object], *, optional: bool = False) -> dict[str, Any]:
    """Return the settings if each is a number that its place on the wire can hold."""
    for name, value in settings.items():
        if value is None and optional:
            continue
        most = _MOST.get(name, _MOST_OTHERWISE)
        kinds = (int, float) if name.endswith("_s") else (int,)
        if isinstance(value, bool) or not isinstance(value, kinds) or not 0 <= value <= most:
            msg = f"{name} is {value!r}, expected a number of 0 to {most}"
            raise TypeError(msg)
    return dict(settings)


def command(path: Path, **fields_: object) -> dict[str, object]:
    """Send one command to a running simulator and return its answer; blocks.

    Raises:
        SimulatorError: Nobody answers there.
    """
    try:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(_PATIENCE_S)
            connection.connect(str(path))
            connection.sendall(json.dumps(fields_).encode() + b"\n")
            answer = connection.makefile("rb").readline(_LINE_MAX)
    except OSError as error:
        msg = f"{path}: no simulator answers there ({error}); start it with --control {path}"
        raise SimulatorError(msg) from error
    content = json.loads(answer or b"{}")
    return content if isinstance(content, dict) else {}


def _refused(reason: str) -> dict[str, object]:
    return {"ok": False, "error": reason}
