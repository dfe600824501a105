"""Eastron meters as register images: SDM630 at the grid, SDM230 or SDM120 at the PV.

Sources: Eastron's documents "SDM630 Modbus Protocol V2.0", "SDM230 V1.1" and "SDM120 V2.5".
Function 4, IEEE 754 single precision, most significant word first; energy in kWh, to the Wh.

- Registers between the documented ones, and those of quantities that are not simulated (demand,
  distortion), read 0, as those of an input that is not wired do on the real meters.
- A read that reaches beyond the map is refused with exception 2, one of more registers than the
  meter allows with exception 3, one that starts or ends inside a value with exception 2.
- Writing is refused with exception 1: a gateway that only reads has no business there. Prefix and
  word order, which an installer can change on an SDM630, are set when the meter is made.
- The meter codes of SDM630 and SDM230 are from public drivers; only the SDM120's is documented.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from meterseal_simulator.electrics import (
    NOMINAL_V,
    REACTIVE_PERMILLE,
    Terminal,
    frequency_hz,
    grid_terminals,
    pv_terminal,
)
from meterseal_simulator.house import UJ_PER_WH
from meterseal_simulator.modbus import READ_HOLDING, READ_INPUT
from meterseal_simulator.registers import RegisterSlave, f32, place, u32

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from meterseal_simulator.house import HouseState
    from meterseal_simulator.registers import Image

WordOrder = Literal["msw-first", "lsw-first"]
Prefix = Literal["k", "M"]

MAP_END = 0x0181

_LIMIT_SDM630 = 80
_LIMIT_SDM230 = 60
_PER_PHASE = 2
_ORDER_MARK = 2141.0


@dataclass(frozen=True, kw_only=True, slots=True)
class EastronIdentity:
    """What a meter says about itself, and how it was set up.

    Attributes:
        code: Meter code, register 0xFC02.
        prefix: Whether the energy registers hold kWh or MWh.
    """

    serial: int
    code: int
    address: int
    prefix: Prefix = "k"
    word_order: WordOrder = "msw-first"


@dataclass(frozen=True, kw_only=True, slots=True)
class Opening:
    """What a meter's counters stood at when the simulation began, in Wh."""

    import_wh: int = 0
    export_wh: int = 0


def sdm630(
    read: Callable[[], HouseState], identity: EastronIdentity, opening: Opening
) -> RegisterSlave:
    """Make the grid meter: it reads import and export of the house."""

    def image() -> Image:
        return _words(identity, sdm630_values(read(), opening, identity.prefix))

    return _meter(image, identity, limit=_LIMIT_SDM630)


def single_phase(
    read: Callable[[], HouseState],
    identity: EastronIdentity,
    opening: Opening,
    *,
    limit: int = _LIMIT_SDM230,
) -> RegisterSlave:
    """Make the PV meter: production leaves its terminals, so it is counted as export."""

    def image() -> Image:
        return _words(identity, single_phase_values(read(), opening))

    return _meter(image, identity, limit=limit)


def import_wh(state: HouseState, opening: Opening) -> int:
    """Return what the grid meter's import register stands at."""
    return opening.import_wh + state.energies.imported // UJ_PER_WH


def export_wh(state: HouseState, opening: Opening) -> int:
    """Return what the grid meter's export register stands at."""
    return opening.export_wh + state.energies.exported // UJ_PER_WH


def production_wh(state: HouseState, opening: Opening) -> int:
    """Return what the PV meter's export register stands at."""
    return opening.export_wh + state.energies.pv // UJ_PER_WH


def sdm630_values(state: HouseState, opening: Opening, prefix: Prefix) -> Mapping[int, float]:
    """Return the value of each register pair of an SDM630."""
    kilo = 1000 if prefix == "k" else 1_000_000
    terminals = grid_terminals(state)
    imported, exported = import_wh(state, opening), export_wh(state, opening)
    varh = [uj * REACTIVE_PERMILLE // 1000 // UJ_PER_WH for uj in state.energies.load_phase]
    phase_import = _since(opening.import_wh, state.energies.import_phase)
    phase_export = _since(opening.export_wh, state.energies.export_phase)
    phase_total = [a + b for a, b in zip(phase_import, phase_export, strict=True)]
    return {
        **_phases(terminals),
        **_sums(terminals),
        0x0046: frequency_hz(state),
        0x0048: imported / kilo,
        0x004A: exported / kilo,
        0x004C: sum(varh) / kilo,
        0x0156: (imported + exported) / kilo,
        0x0158: sum(varh) / kilo,
        **_triple(0x015A, [wh / kilo for wh in phase_import]),
        **_triple(0x0160, [wh / kilo for wh in phase_export]),
        **_triple(0x0166, [wh / kilo for wh in phase_total]),
        **_triple(0x016C, [each / kilo for each in varh]),
        **_triple(0x0178, [each / kilo for each in varh]),
    }


def _since(opening_wh: int, phases_uj: Sequence[int]) -> list[int]:
    """Return the phases' registers in Wh: each opened with its third, and counted on its own."""
    return [opening_wh // len(phases_uj) + uj // UJ_PER_WH for uj in phases_uj]


def single_phase_values(state: HouseState, opening: Opening) -> Mapping[int, float]:
    """Return the value of each register pair of an SDM230 or SDM120 at the PV."""
    terminal = pv_terminal(state)
    produced = production_wh(state, opening)
    return {
        0x0000: terminal.voltage_v,
        0x0006: terminal.current_a,
        0x000C: terminal.power_w,
        0x0012: terminal.apparent_va,
        0x0018: terminal.reactive_var,
        0x001E: terminal.power_factor,
        0x0024: terminal.angle_degrees,
        0x0046: frequency_hz(state),
        0x0048: opening.import_wh / 1000,
        0x004A: produced / 1000,
        0x0156: (opening.import_wh + produced) / 1000,
    }


def _phases(terminals: Sequence[Terminal]) -> dict[int, float]:
    return {
        **_triple(0x0000, [each.voltage_v for each in terminals]),
        **_triple(0x0006, [each.current_a for each in terminals]),
        **_triple(0x000C, [each.power_w for each in terminals]),
        **_triple(0x0012, [each.apparent_va for each in terminals]),
        **_triple(0x0018, [each.reactive_var for each in terminals]),
        **_triple(0x001E, [each.power_factor for each in terminals]),
        **_triple(0x0024, [each.angle_degrees for each in terminals]),
    }


def _sums(terminals: Sequence[Terminal]) -> dict[int, float]:
    total = Terminal(
        voltage_v=NOMINAL_V,
        power_w=sum(each.power_w for each in terminals),
        reactive_var=sum(each.reactive_var for each in terminals),
    )
    current_a = sum(each.current_a for each in terminals)
    return {
        0x002A: sum(each.voltage_v for each in terminals) / len(terminals),
        0x002E: current_a / len(terminals),
        0x0030: current_a,
        0x0034: total.power_w,
        0x0038: total.apparent_va,
        0x003C: total.reactive_var,
        0x003E: total.power_factor,
        0x0042: total.angle_degrees,
    }


def _triple(address: int, values: Sequence[float]) -> dict[int, float]:
    return {address + _PER_PHASE * phase: value for phase, value in enumerate(values)}


def _meter(image: Callable[[], Image], identity: EastronIdentity, *, limit: int) -> RegisterSlave:
    holding = _holding(identity)
    return RegisterSlave(
        {READ_INPUT: image, READ_HOLDING: lambda: holding},
        limit=limit,
        even=frozenset({READ_INPUT}),
    )


def _words(identity: EastronIdentity, values: Mapping[int, float]) -> Image:
    image = dict.fromkeys(range(MAP_END + 1), 0)
    for address, value in values.items():
        place(image, address, _ordered(identity, value))
    return image


def _holding(identity: EastronIdentity) -> Image:
    """Return the set-up of the meter. Registers between the documented ones read 0."""
    image = dict.fromkeys(range(0x0080), 0)
    for address, value in (
        (0x0014, float(identity.address)),
        (0x001C, 2.0),  # 9600 baud; 0x0012 stays 0: no parity, one stop bit
        (0x001E, 0.0 if identity.prefix == "k" else 1.0),
        (0x0028, _ORDER_MARK),
    ):
        place(image, address, _ordered(identity, value))
    serial = u32(identity.serial)
    image[0x002A], image[0x002C] = serial
    place(image, 0xFC00, serial)
    image[0xFC02] = identity.code
    return image


def _ordered(identity: EastronIdentity, value: float) -> tuple[int, int]:
    high, low = f32(value)
    return (high, low) if identity.word_order == "msw-first" else (low, high)
