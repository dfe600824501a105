"""What a meter sees at its terminals besides energy: volts, amperes, and how they lie apart.

Voltage is 230 V with the slow waves of a local grid; what the house draws pulls it down a little,
what it feeds in lifts it. All of it follows from the moment and the powers, so two meters on one
phase agree.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from meterseal_simulator.house import HouseState

NOMINAL_V = 230.0
# Household loads: cos phi 0.98, inductive. Inverter and battery run at cos phi 1.
REACTIVE_PERMILLE = 203

_GRID_OHM = 0.12


@dataclass(frozen=True, kw_only=True, slots=True)
class Terminal:
    """One phase at a meter's terminals; import is positive."""

    voltage_v: float
    power_w: float
    reactive_var: float

    @property
    def apparent_va(self) -> float:
        """Apparent power."""
        return math.hypot(self.power_w, self.reactive_var)

    @property
    def current_a(self) -> float:
        """Current, without sign as meters give it."""
        return self.apparent_va / self.voltage_v

    @property
    def power_factor(self) -> float:
        """Power factor; on these meters its sign says inductive, not which way energy flows."""
        return abs(self.power_w) / self.apparent_va if self.apparent_va else 1.0

    @property
    def angle_degrees(self) -> float:
        """Angle between voltage and current."""
        return math.degrees(math.atan2(self.reactive_var, self.power_w))


def voltage_v(state: HouseState, phase: int) -> float:
    """Return the voltage of a phase, from 0."""
    seconds = state.at_ms / 1000
    waves = 1.6 * math.sin(seconds / 197 + 2.1 * phase) + 0.7 * math.sin(seconds / 49 + phase)
    drawn_a = state.flows.grid_mw[phase] / 1000 / NOMINAL_V
    return NOMINAL_V + waves - _GRID_OHM * drawn_a


def frequency_hz(state: HouseState) -> float:
    """Return the frequency of the grid, which is the same everywhere."""
    seconds = state.at_ms / 1000
    return 50.0 + 0.012 * math.sin(seconds / 61) + 0.006 * math.sin(seconds / 13)


def grid_terminals(state: HouseState) -> tuple[Terminal, Terminal, Terminal]:
    """Return the three phases at the grid meter."""
    first, second, third = (
        Terminal(
            voltage_v=voltage_v(state, phase),
            power_w=state.flows.grid_mw[phase] / 1000,
            reactive_var=state.flows.load_mw[phase] * REACTIVE_PERMILLE / 1e6,
        )
        for phase in range(3)
    )
    return first, second, third


def pv_terminal(state: HouseState) -> Terminal:
    """Return the phase at the PV meter: production leaves it, so power is negative."""
    return Terminal(
        voltage_v=voltage_v(state, 0), power_w=-state.flows.pv_mw / 1000, reactive_var=0.0
    )
