"""The table of quantities: what a number in a reading means.

A code is for ever: it is never used again for something else. Sign convention: power and current
are counted at the terminals of the meter, import positive; so the AC output of an inverter is
export, `power_w` is negative while it produces and `energy_export_wh` counts the production.
Counters are never negative.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

MAX_CODE: Final = 0xFFFF
"""Largest code a reading may carry. A code this table lacks is carried and not interpreted."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Quantity:
    """One row of the table.

    Attributes:
        code: Key in a reading's maps.
        name: Name in profiles, pages and exports; the unit is its last part.
        obis: OBIS code (IEC 62056-61), or "" where there is none.
        unit: Unit of the integer value.
        signed: Whether a negative value makes sense.
    """

    code: int
    name: str
    obis: str
    unit: str
    signed: bool = False


def _q(code: int, name: str, obis: str, unit: str) -> Quantity:
    return Quantity(code=code, name=name, obis=obis, unit=unit)


def _s(code: int, name: str, obis: str, unit: str) -> Quantity:
    return Quantity(code=code, name=name, obis=obis, unit=unit, signed=True)


QUANTITIES: Final = (
    _q(1, "energy_import_wh", "1-0:1.8.0", "Wh"),
    _q(2, "energy_export_wh", "1-0:2.8.0", "Wh"),
    _q(3, "energy_reactive_import_varh", "1-0:3.8.0", "varh"),
    _q(4, "energy_reactive_export_varh", "1-0:4.8.0", "varh"),
    _q(5, "energy_import_l1_wh", "1-0:21.8.0", "Wh"),
    _q(6, "energy_import_l2_wh", "1-0:41.8.0", "Wh"),
    _q(7, "energy_import_l3_wh", "1-0:61.8.0", "Wh"),
    _q(8, "energy_export_l1_wh", "1-0:22.8.0", "Wh"),
    _q(9, "energy_export_l2_wh", "1-0:42.8.0", "Wh"),
    _q(10, "energy_export_l3_wh", "1-0:62.8.0", "Wh"),
    _q(11, "energy_total_wh", "1-0:15.8.0", "Wh"),
    _s(16, "power_w", "1-0:16.7.0", "W"),
    _s(17, "power_l1_w", "1-0:36.7.0", "W"),
    _s(18, "power_l2_w", "1-0:56.7.0", "W"),
    _s(19, "power_l3_w", "1-0:76.7.0", "W"),
    _s(20, "power_reactive_var", "", "var"),
    _s(21, "power_apparent_va", "1-0:9.7.0", "VA"),
    _q(24, "voltage_l1_mv", "1-0:32.7.0", "mV"),
    _q(25, "voltage_l2_mv", "1-0:52.7.0", "mV"),
    _q(26, "voltage_l3_mv", "1-0:72.7.0", "mV"),
    _s(27, "current_l1_ma", "1-0:31.7.0", "mA"),
    _s(28, "current_l2_ma", "1-0:51.7.0", "mA"),
    _s(29, "current_l3_ma", "1-0:71.7.0", "mA"),
    _s(30, "current_ma", "1-0:11.7.0", "mA"),
    _q(32, "frequency_mhz", "1-0:14.7.0", "mHz"),
    _s(33, "power_factor_permille", "1-0:13.7.0", "permille"),
    _s(36, "dc_power_w", "", "W"),
    _s(37, "dc_string_1_power_w", "", "W"),
    _s(38, "dc_string_2_power_w", "", "W"),
    _s(39, "dc_string_3_power_w", "", "W"),
    _s(40, "dc_string_4_power_w", "", "W"),
    _s(41, "dc_string_1_voltage_mv", "", "mV"),
    _s(42, "dc_string_2_voltage_mv", "", "mV"),
    _s(43, "dc_string_3_voltage_mv", "", "mV"),
    _s(44, "dc_string_4_voltage_mv", "", "mV"),
    _s(45, "dc_string_1_current_ma", "", "mA"),
    _s(46, "dc_string_2_current_ma", "", "mA"),
    _s(47, "dc_string_3_current_ma", "", "mA"),
    _s(48, "dc_string_4_current_ma", "", "mA"),
    _q(52, "state_of_charge_permille", "", "permille"),
    _s(53, "temperature_mc", "", "m°C"),
    _q(56, "s0_count", "", "pulses"),
)

BY_CODE: Final[Mapping[int, Quantity]] = MappingProxyType({q.code: q for q in QUANTITIES})
BY_NAME: Final[Mapping[str, Quantity]] = MappingProxyType({q.name: q for q in QUANTITIES})
UNSIGNED_CODES: Final = frozenset(q.code for q in QUANTITIES if not q.signed)
"""Codes whose value is never negative."""

ENERGY_IMPORT: Final = 1
ENERGY_EXPORT: Final = 2
