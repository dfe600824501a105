"""What the LED shows: short blinks, as many as a code's first digit, then a pause.

Never more than three a second (WCAG 2.3.1), and never long ones: those are the boot firmware's.
The worst two codes take turns; without a code the LED is steady, with a wink now and then that
shows that the agent is alive.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final, Protocol

from meterseal_agent.codes import worst_first

if TYPE_CHECKING:
    from collections.abc import Sequence

    from meterseal_agent.codes import Code

_ON_S = 0.15
_OFF_S = 0.25
_PAUSE_S = 2.0
_STEADY_S = 4.9
_WINK_S = 0.1
_CODES_MAX = 2
_IDENTIFY_S = 1.0

Phase = tuple[bool, float]
"""Lit or not, and for how many seconds."""

STEADY: Final[tuple[Phase, ...]] = ((True, _STEADY_S), (False, _WINK_S))
IDENTIFY: Final[tuple[Phase, ...]] = ((True, _IDENTIFY_S), (False, _IDENTIFY_S))


class Light(Protocol):
    """An LED."""

    def on(self) -> None:
        """Light it."""
        ...

    def off(self) -> None:
        """Darken it."""
        ...


def phases(codes: Sequence[Code]) -> tuple[Phase, ...]:
    """One turn of what is to be shown."""
    shown = [phase for code in worst_first(codes)[:_CODES_MAX] for phase in _blinks(code.blinks)]
    return tuple(shown) or STEADY


def _blinks(count: int) -> tuple[Phase, ...]:
    once: tuple[Phase, ...] = ((True, _ON_S), (False, _OFF_S))
    return (*(once * count)[:-1], (False, _PAUSE_S))


class Led:
    """Plays codes; `show` takes effect with the next turn."""

    def __init__(self, light: Light) -> None:
        self._light = light
        self._codes: tuple[Code, ...] = ()  # owned by the led task
        self._identify_until_s = 0.0

    def show(self, codes: Sequence[Code]) -> None:
        """Show these from the next turn on."""
        self._codes = tuple(codes)

    def identify(self, for_s: float) -> None:
        """Say "this is me" for so long."""
        self._identify_until_s = asyncio.get_running_loop().time() + for_s

    async def run(self) -> None:
        """Play until cancelled, then go dark."""
        try:
            while True:
                identifying = asyncio.get_running_loop().time() < self._identify_until_s
                for lit, seconds in IDENTIFY if identifying else phases(self._codes):
                    (self._light.on if lit else self._light.off)()
                    await asyncio.sleep(seconds)
        finally:
            self._light.off()
