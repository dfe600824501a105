"""Recordings of real devices, served as slaves.

A recording is a JSON object `{device, unit_id, function, registers: {address: word}, expected}`.
What it lacks is absent: a read that touches one register outside it is refused with exception 2.
It is read where it lies and never copied.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from meterseal_simulator.errors import SimulatorError
from meterseal_simulator.modbus import READ_HOLDING, READ_INPUT, REGISTERS_MAX
from meterseal_simulator.registers import RegisterSlave

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

_WORD_MAX = 0xFFFF
_UNIT_MAX = 247


@dataclass(frozen=True, kw_only=True, slots=True)
class Recording:
    """The registers of one device, as they stood once."""

    source: Path
    device: str
    unit: int
    function: int
    registers: Mapping[int, int]


def load_recording(path: Path) -> Recording:
    """Read a recording.

    Raises:
        SimulatorError: The file cannot be read, or is not a recording.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        msg = f"{path}: the recording cannot be read ({error.strerror}); check the path"
        raise SimulatorError(msg) from error
    except (ValueError, RecursionError) as error:
        raise _not_a_recording(path, "it is not JSON") from error
    if not isinstance(content, dict):
        raise _not_a_recording(path, "it is not a JSON object")
    if "registers" not in content:
        found = "a time series" if "rows" in content else "no registers"
        raise _not_a_recording(path, f"it has {found}")
    function = _number(path, content, "function", READ_INPUT)
    if function not in (READ_HOLDING, READ_INPUT):
        raise _not_a_recording(path, f"function {function} does not read registers")
    unit = _number(path, content, "unit_id", _UNIT_MAX)
    if unit == 0:
        raise _not_a_recording(path, "unit 0 is for broadcasts")
    return Recording(
        source=path,
        device=str(content.get("device", path.stem)),
        unit=unit,
        function=function,
        registers=_registers(path, content["registers"]),
    )


def slaves_of(recordings: Sequence[Recording]) -> dict[int, RegisterSlave]:
    """Make a slave for each unit; several recordings of one unit differ in their function.

    Raises:
        SimulatorError: Two recordings claim one function of one unit.
    """
    units: dict[int, dict[int, Recording]] = {}
    for recording in recordings:
        functions = units.setdefault(recording.unit, {})
        rival = functions.setdefault(recording.function, recording)
        if rival is not recording:
            msg = (
                f"{recording.source}: unit {recording.unit}, function {recording.function} is "
                f"already taken by {rival.source}; serve it from another process"
            )
            raise SimulatorError(msg)
    return {unit: _slave(functions) for unit, functions in units.items()}


def _slave(functions: Mapping[int, Recording]) -> RegisterSlave:
    images = {
        function: (lambda image=recording.registers: image)
        for function, recording in functions.items()
    }
    return RegisterSlave(images, limit=REGISTERS_MAX)


def _registers(path: Path, content: object) -> Mapping[int, int]:
    if not isinstance(content, Mapping) or not content:
        raise _not_a_recording(path, "its registers are not a table of addresses")
    registers: dict[int, int] = {}
    for address, word in content.items():
        # str.isdecimal accepts digits of other scripts; a recording has none.
        plain = isinstance(address, str) and address.isascii() and address.isdecimal()
        if not plain or int(address) > _WORD_MAX:
            raise _not_a_recording(path, f"address {address!r} is not in 0 to 65535")
        if not _is_number(word, _WORD_MAX):
            raise _not_a_recording(path, f"register {address} holds {word!r}, not a 16-bit word")
        registers[int(address)] = word
    return registers


def _number(path: Path, content: Mapping[str, object], name: str, most: int) -> int:
    value = content.get(name)
    if not isinstance(value, int) or not _is_number(value, most):
        raise _not_a_recording(path, f"{name} is {value!r}, not a number of 0 to {most}")
    return value


def _is_number(value: object, most: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= most


def _not_a_recording(path: Path, found: str) -> SimulatorError:
    return SimulatorError(
        f"{path}: {found}; expected a recording {{device, unit_id, function, registers}}"
    )
