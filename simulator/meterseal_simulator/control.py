"""The control channel: one JSON object a line over a Unix socket, one answer a line.

    {"do": "inject", "fault": "late", "delay_s": 0.4, "unit": 1, "after": 2, "times": 1}
    {"do": "inject", "fault": "second-master", "as_unit": 2, "as_address": 52, "after_s": 0.01}
    {"do": "clear"}          {"do": "clear", "number": 3}
    {"do": "unplug", "absent_s": 2}
    {"do": "ask", "unit": 1, "function": 4, "address": 0, "count": 2}
    {"do": "state"}

`inject` takes the fault's own fields and those of its trigger; the fault's, where both have one of
that name, as `as_unit`, `as_function`, `as_seed`. `unplug` pulls the adapter out at once, `ask`
lets another master ask at once, both on a serial line. Every answer has "ok"; a refusal says what
was expected.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
from dataclasses import asdict, fields
from typing import TYPE_CHECKING, Any

from meterseal_simulator.errors import SimulatorError
from meterseal_simulator.faults import KINDS, SecondMaster, Trigger, overheard

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from meterseal_simulator.bus import Bus
    from meterseal_simulator.faults import Fault
    from meterseal_simulator.port import PtyPort

_LINE_MAX = 65_536
_TRIGGER_FIELDS = frozenset(field.name for field in fields(Trigger))
_PATIENCE_S = 10.0
_MOST = {
    "unit": 255,
    "function": 255,
    "code": 255,
    "flip": 0xFFFF,
    "address": 0xFFFF,
    "register": 0xFFFF,
    "count": 0xFFFF,
    "length": 256,
    "probability": 1,
}
_TEXTS = {"word_type": ("f32", "u16", "u32")}
_FRACTIONS = frozenset({"probability", "base", "wrap"})
_OTHER_MASTER = "second-master"
_MOST_OTHERWISE = 1_000_000


class ControlPort:
    """Lets another process arm faults and ask for the state.

    Args:
        state: Yields what the command `state` answers besides the faults.
        pty: The serial line, if there is one: for `unplug` and `ask`.
    """

    def __init__(
        self,
        path: Path,
        bus: Bus,
        state: Callable[[], dict[str, object]],
        pty: PtyPort | None = None,
    ) -> None:
        self._pty = pty
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
            case {"do": "clear", **given}:
                return self._clear(given.get("number"))
            case {"do": "unplug" | "ask" as verb, **given}:
                return self._act(verb, {str(name): value for name, value in given.items()})
            case {"do": "state"}:
                return {"ok": True, "faults": self._faults(), **self._state()}
            case _:
                return _refused(
                    'expected {"do": "inject", "fault": ...}, {"do": "clear"}, {"do": "unplug"}, '
                    '{"do": "ask"} or {"do": "state"}'
                )

    def _clear(self, number: object) -> dict[str, object]:
        if number is None:
            self._bus.faults.clear()
        elif not isinstance(number, int) or not self._bus.faults.disarm(number):
            return _refused(f"fault {number} is not in place")
        return {"ok": True}

    def _act(self, verb: str, given: Mapping[str, object]) -> dict[str, object]:
        """Do something to the line itself, now."""
        if self._pty is None:
            return _refused(f"expected a serial line (--pty) to {verb}, got a port of TCP")
        try:
            settings = _checked(given)
            if verb == "unplug":
                self._pty.unplug(**({"absent_s": 1.0} | settings))
            else:
                self._pty.intrude(overheard(self._bus.tell, **settings))
        except TypeError as error:
            return _refused(f"{verb}: {error}")
        return {"ok": True}

    def _inject(self, kind: str, given: Mapping[str, object]) -> dict[str, object]:
        if kind not in (*KINDS, _OTHER_MASTER):
            return _refused(f"fault {kind!r} is none of {', '.join((*KINDS, _OTHER_MASTER))}")
        which = {name: value for name, value in given.items() if name in _TRIGGER_FIELDS}
        settings = {
            name.removeprefix("as_"): value
            for name, value in given.items()
            if name not in _TRIGGER_FIELDS and name != "do"
        }
        try:
            fault = self._fault(kind, _checked(settings))
            trigger = Trigger(**_checked(which, optional=True))
        except TypeError as error:
            return _refused(f"fault {kind}: {error}")
        return {"ok": True, "number": self._bus.faults.arm(fault, trigger)}

    def _fault(self, kind: str, settings: dict[str, Any]) -> Fault:
        if kind == _OTHER_MASTER:
            overheard(self._bus.tell, **settings)  # refused now, not when it meets a request
            return SecondMaster(ask=lambda: overheard(self._bus.tell, **settings))
        return KINDS[kind](**settings)

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
        if name in _TEXTS:
            if value not in _TEXTS[name]:
                msg = f"{name} is {value!r}, expected one of {', '.join(_TEXTS[name])}"
                raise TypeError(msg)
            continue
        most = _MOST.get(name, _MOST_OTHERWISE)
        fraction = name.endswith("_s") or name in _FRACTIONS
        kinds = (int, float) if fraction else (int,)
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
