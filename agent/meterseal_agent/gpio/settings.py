"""Which pins are used, by their numbers on the chip (BCM), not on the header."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

PIN_MAX: Final = 53
"""Highest GPIO of a Raspberry Pi's chip; its header has 2 to 27."""


@dataclass(frozen=True, kw_only=True, slots=True)
class GpioSettings:
    """Table [gpio].

    Attributes:
        led: Status LED, lit by a high level.
        button: Button to ground.
        tamper: Contact to ground that is closed while the case is.
        relay: Relay, drawn by a high level.
        relay_on: Whether the relay is drawn while the agent runs.
    """

    led: int | None = None
    button: int | None = None
    tamper: int | None = None
    relay: int | None = None
    relay_on: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class S0Settings:
    """Table [[s0]]: a pulse input to ground.

    Attributes:
        debounce_ms: How long a level must hold. IEC 62053-31 asks for pulses and pauses of 30 ms.
    """

    name: str
    pin: int
    pulses_per_kwh: int
    debounce_ms: int = 10
