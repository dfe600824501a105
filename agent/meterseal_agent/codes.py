"""What is wrong, as a code: one table for the LED, the page, `doctor` and the hotline.

The first digit is how often the LED blinks. Numbers are for ever and the same in all languages.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable


@dataclass(frozen=True, kw_only=True, slots=True)
class Code:
    """One thing that can be wrong.

    Attributes:
        number: "E" and three digits.
        meaning: For whoever looks at the LED.
        remedy: What to do next.
    """

    number: str
    meaning: str
    remedy: str

    @property
    def blinks(self) -> int:
        """How often the LED blinks."""
        return int(self.number[1])


SEAL: Final = Code(
    number="E701",
    meaning="A record does not match its seal, or somebody says so",
    remedy="Save the report of the status page; do not write the card anew.",
)
STORE: Final = Code(
    number="E601",
    meaning="Nothing can be recorded: the card is full, failing or busy",
    remedy="Save a copy, put in a new industrial card, and restore.",
)
CONFIGURATION: Final = Code(
    number="E101",
    meaning="The configuration is missing or wrong",
    remedy="Read STATUS.TXT or the log: it names the line and the word.",
)
NO_METER: Final = Code(
    number="E301",
    meaning="No meter answers",
    remedy="Check the meter's power, wires A and B, address, baud rate, parity and termination.",
)
METER_SILENT: Final = Code(
    number="E302",
    meaning="One of several meters does not answer",
    remedy="The status page names it. Check its power and its wires.",
)
METER_HELD: Final = Code(
    number="E303",
    meaning="A meter shows values that cannot be",
    remedy="The status page says which. Check the profile, and rated_w behind transformers.",
)
BUS: Final = Code(
    number="E401",
    meaning="Another device asks the meters, or the bus is noisy",
    remedy="Find the other reader (inverter, wall box); use its pass-through or a second port.",
)
CLOCK: Final = Code(
    number="E501",
    meaning="The clock is not set",
    remedy="Connect the internet once, or fit a battery clock.",
)
NETWORK: Final = Code(
    number="E201",
    meaning="No connection to the aggregator; recording goes on",
    remedy="Check cable, Wi-Fi country and password; a Zero 2 W knows 2.4 GHz only.",
)
GPIO: Final = Code(
    number="E801",
    meaning="An input or output pin cannot be used; recording goes on",
    remedy="Check [gpio] and [[s0]], and that python3-lgpio is installed.",
)

CODES: Final = (
    SEAL,
    STORE,
    CONFIGURATION,
    NO_METER,
    METER_HELD,
    METER_SILENT,
    BUS,
    CLOCK,
    NETWORK,
    GPIO,
)
"""All codes, worst first."""


def worst_first(codes: Iterable[Code]) -> tuple[Code, ...]:
    """Sort codes, each once."""
    return tuple(sorted(set(codes), key=CODES.index))
