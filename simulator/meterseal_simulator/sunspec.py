"""A SunSpec inverter as a register image: models 1, 103 and 160 from address 40000.

Source: sunspec/models, json/model_1.json, model_103.json, model_160.json. Function 3. All points
and their scale factors come from one moment of the house, so they may be read in one request.

It is a single-phase inverter in a three-phase model, as several makers build them: the points of
phases B and C hold "not implemented" (0xFFFF). Energy is an acc32 in Wh.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from meterseal_simulator.electrics import frequency_hz, pv_terminal
from meterseal_simulator.house import UJ_PER_WH
from meterseal_simulator.modbus import READ_HOLDING, REGISTERS_MAX
from meterseal_simulator.registers import RegisterSlave, i16, place, text, u32

if TYPE_CHECKING:
    from collections.abc import Callable

    from meterseal_simulator.house import HouseState
    from meterseal_simulator.registers import Image

BASE = 40_000
MODEL_1_LENGTH = 66
MODEL_103_LENGTH = 50
MODEL_160_LENGTH = 48

_NONE_U16 = 0xFFFF
_NONE_I16 = 0x8000
_STRINGS = 2
_MODULE_LENGTH = 20
# State of operation, model 103 point St: 2 sleeping, 4 tracking the maximum power point.
_SLEEPING = 2
_PRODUCING = 4
# A string's voltage under load; its current follows from its power.
_STRING_V = (412, 355)


def inverter(read: Callable[[], HouseState], *, serial: str, opening_wh: int) -> RegisterSlave:
    """Make the inverter."""

    def image() -> Image:
        return _image(read(), serial, opening_wh)

    return RegisterSlave({READ_HOLDING: image}, limit=REGISTERS_MAX)


def inverter_wh(state: HouseState, opening_wh: int) -> int:
    """Return what the inverter's energy register stands at."""
    return opening_wh + state.energies.pv // UJ_PER_WH


def _image(state: HouseState, serial: str, opening_wh: int) -> Image:
    image: dict[int, int] = {}
    place(image, BASE, text("SunS", 2))
    at = BASE + 2
    for words in (
        _model_1(serial),
        _model_103(state, opening_wh),
        _model_160(state),
        [_NONE_U16, 0],
    ):
        place(image, at, words)
        at += len(words)
    return image


def _model_1(serial: str) -> list[int]:
    return [
        1,
        MODEL_1_LENGTH,
        *text("MeterSeal", 16),
        *text("Simulated inverter 4.6", 16),
        *text("", 8),
        *text("1.0", 8),
        *text(serial, 16),
        3,
        _NONE_I16,
    ]


def _model_103(state: HouseState, opening_wh: int) -> list[int]:
    terminal = pv_terminal(state)
    watts = state.flows.pv_mw // 1000
    current = round(terminal.current_a * 100)
    dc_watts = sum(state.flows.dc_mw) // 1000
    dc_volts = _STRING_V[0] if dc_watts else 0
    absent, scale = _NONE_U16, i16
    points = [
        *(current, current, absent, absent, scale(-2)),
        *(absent, absent, absent, round(terminal.voltage_v * 10), absent, absent, scale(-1)),
        *(watts, scale(0)),
        *(round(frequency_hz(state) * 100), scale(-2)),
        *(watts, scale(0)),
        *(0, scale(0)),
        *(1000, scale(-1)),
        *(*u32(inverter_wh(state, opening_wh)), scale(0)),
        *(round(100 * dc_watts / dc_volts) if dc_volts else 0, scale(-2)),
        *(dc_volts, scale(0)),
        *(dc_watts, scale(0)),
        *(_cabinet_temperature(state), _NONE_I16, _NONE_I16, _NONE_I16, scale(-1)),
        *(_PRODUCING if watts else _SLEEPING, absent),
        *([0] * 4),
        *([_NONE_U16] * 8),
    ]
    return [103, MODEL_103_LENGTH, *points]


def _model_160(state: HouseState) -> list[int]:
    words = [160, MODEL_160_LENGTH, i16(-2), i16(0), i16(0), i16(0), 0, 0, _STRINGS, _NONE_U16]
    for string in range(_STRINGS):
        watts = state.flows.dc_mw[string] // 1000
        volts = _STRING_V[string] if watts else 0
        words += [
            string + 1,
            *text(f"String {string + 1}", 8),
            round(100 * watts / volts) if volts else 0,
            volts,
            watts,
            *u32(state.energies.dc[string] // UJ_PER_WH),
            *u32(_NONE_U16 << 16 | _NONE_U16),
            _NONE_I16,
            _PRODUCING if watts else _SLEEPING,
            0,
            0,
        ]
    return words


def _cabinet_temperature(state: HouseState) -> int:
    """Return tenths of a degree: warmer the more it converts."""
    return 180 + state.flows.pv_mw // 20_000
