"""Button and tamper contact: edges come from gpiozero's thread, all else is in the event loop."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Final

from meterseal.records import Event, EventCode
from meterseal_agent.gpio.level import Level
from meterseal_agent.gpio.press import meaning
from meterseal_agent.gpio.spacing import Spacing

if TYPE_CHECKING:
    from collections.abc import Callable

    from meterseal_agent.gpio.level import Clock
    from meterseal_agent.gpio.press import Press

_log = logging.getLogger(__name__)

HOLD_NS: Final = 50_000_000
"""How long button and contact must hold a level."""
_NS_PER_S = 1_000_000_000
_NS_PER_MS = 1_000_000


class Contact:
    """A contact whose edges come from another thread; changes are told in the event loop."""

    def __init__(self, on_change: Callable[..., None], clock: Clock, *, active: bool) -> None:
        self._on_change = on_change
        self._clock = clock
        self._loop = asyncio.get_running_loop()
        self._level = Level(HOLD_NS, clock(), active=active)  # owned by the event loop
        self._closed = False

    @property
    def active(self) -> bool:
        """Whether it is closed to ground."""
        return self._level.active

    def edge(self, *, active: bool) -> None:
        """Note an edge; from gpiozero's thread."""
        if not self._closed:
            self._loop.call_soon_threadsafe(self._take, self._clock(), active)

    def close(self) -> None:
        """Tell nothing more."""
        self._closed = True

    def _take(self, now_ns: int, active: bool) -> None:  # noqa: FBT001 -- call_soon_threadsafe
        self._tell(self._level.edge(now_ns, active=active))
        self._loop.call_later(1.1 * HOLD_NS / _NS_PER_S, self.settle)

    def settle(self) -> None:
        """Look whether what the contact shows has held."""
        self._tell(self._level.settle(self._clock()))

    def _tell(self, level: bool | None) -> None:  # noqa: FBT001 -- what a Level returns
        if level is not None and not self._closed:
            self._on_change(active=level)


class Button:
    """From presses to what they mean, each with an event that says so."""

    def __init__(
        self, on_event: Callable[[Event], None], on_press: Callable[[Press], None], clock: Clock
    ) -> None:
        self._on_event = on_event
        self._on_press = on_press
        self._clock = clock
        self._pressed_ns: int | None = None
        self._spacing = Spacing()

    def change(self, *, active: bool) -> None:
        """The button is pressed, or let go."""
        if active:
            self._pressed_ns = self._clock()
            return
        if self._pressed_ns is None:
            return
        held_ns, self._pressed_ns = self._clock() - self._pressed_ns, None
        press = meaning(held_ns / _NS_PER_S)
        if press is None or not self._spacing.allows(self._clock()):
            return
        _log.info("button: %s", press.value)
        self._on_event(Event(code=EventCode.BUTTON, detail=(press.value, held_ns // _NS_PER_MS)))
        self._on_press(press)


class Tamper:
    """The case is opened or closed: an event, with how often that happened since the last one."""

    def __init__(self, on_event: Callable[[Event], None], clock: Clock) -> None:
        self._on_event = on_event
        self._clock = clock
        self._spacing = Spacing()
        self._changes = 0
        self._open = False
        self._later: asyncio.TimerHandle | None = None

    def change(self, *, active: bool) -> None:
        """The contact is closed (active), or opened."""
        self._open = not active
        self._changes += 1
        _log.warning("the case is %s", "open" if self._open else "closed")
        self._tell()

    def close(self) -> None:
        """Tell nothing more."""
        if self._later is not None:
            self._later.cancel()
        self._changes = 0

    def _tell(self) -> None:
        if self._later is not None:
            self._later.cancel()
            self._later = None
        if not self._changes:
            return
        now_ns = self._clock()
        if not self._spacing.allows(now_ns):
            # Counted, and told when it is time: a contact that rattles does not fill the log.
            self._later = asyncio.get_running_loop().call_later(
                self._spacing.wait_s(now_ns), self._tell
            )
            return
        changes, self._changes = self._changes, 0
        state = "open" if self._open else "closed"
        self._on_event(Event(code=EventCode.TAMPER_CONTACT, detail=(state, changes)))
