"""Units of documents against units of quantities: exact factors, and nothing else converts."""

from __future__ import annotations

from fractions import Fraction
from typing import Final

# By the quantity's unit, what one of the document's units makes of it.
_FACTORS: Final[dict[str, dict[str, Fraction]]] = {
    "Wh": {"Wh": Fraction(1), "kWh": Fraction(1000), "MWh": Fraction(1_000_000)},
    "varh": {"varh": Fraction(1), "kvarh": Fraction(1000)},
    "W": {"W": Fraction(1), "kW": Fraction(1000)},
    "var": {"var": Fraction(1), "kvar": Fraction(1000)},
    "VA": {"VA": Fraction(1), "kVA": Fraction(1000)},
    "mV": {"mV": Fraction(1), "V": Fraction(1000)},
    "mA": {"mA": Fraction(1), "A": Fraction(1000)},
    "mHz": {"mHz": Fraction(1), "Hz": Fraction(1000)},
    "permille": {"permille": Fraction(1), "%": Fraction(10), "1": Fraction(1000)},
    "m°C": {"°C": Fraction(1000)},
    "pulses": {"pulses": Fraction(1)},
}


def document_units(quantity_unit: str) -> tuple[str, ...]:
    """List the units in which a document may give such a quantity."""
    return tuple(_FACTORS[quantity_unit])


def unit_factor(quantity_unit: str, document_unit: str) -> Fraction:
    """Return how many of the quantity's unit one of the document's unit is."""
    return _FACTORS[quantity_unit][document_unit]
