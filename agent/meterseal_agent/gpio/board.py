"""The configured pins, opened; those that cannot be are named in `troubles` and left out.

Edges come in gpiozero's thread. Pulses are counted there; button and contact are handed to the
event loop.
"""

from __future__ import annotations

import asyncio
import importlib
import logging
import os
import time
from typing import TYPE_CHECKING, Any

from meterseal.records import S0Input
from meterseal_agent.gpio.contact import Button, Contact, Tamper
from meterseal_agent.gpio.led import Led
from meterseal_agent.gpio.level import Pulses

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from meterseal.records import Event
    from meterseal_agent.gpio.level import Clock
    from meterseal_agent.gpio.press import Press
    from meterseal_agent.gpio.settings import GpioSettings, S0Settings

_log = logging.getLogger(__name__)

_MS_NS = 1_000_000


class Board:
    """Owns the pins.

    Args:
        settings: The pins; None for none but the pulse inputs.
        inputs: The pulse inputs.
        factory: gpiozero's pin factory; None for lgpio, or what GPIOZERO_PIN_FACTORY names.
        clock: Monotonic nanoseconds.

    Attributes:
        troubles: What cannot be used, and why.
        led: The status LED, if there is one.
    """

    def __init__(
        self,
        settings: GpioSettings | None,
        inputs: Sequence[S0Settings],
        factory: object | None = None,
        clock: Clock = time.monotonic_ns,
    ) -> None:
        self._settings = settings
        self._s0 = tuple(inputs)
        self._factory = factory
        self._clock = clock
        self._devices: list[Any] = []  # gpiozero has no types
        self._pulses: list[Pulses | None] = [None] * len(self._s0)
        self._contacts: list[Contact] = []
        self._tamper: Tamper | None = None
        self.troubles: list[str] = []
        self.led: Led | None = None

    @property
    def inputs(self) -> tuple[S0Input, ...]:
        """The pulse inputs, in order, whether they can be read or not."""
        return tuple(S0Input(name=one.name, pulses_per_kwh=one.pulses_per_kwh) for one in self._s0)

    def pulses(self) -> tuple[int | None, ...]:
        """Pulses since the start, of each input; None for one that cannot be read."""
        return tuple(None if one is None else one.count() for one in self._pulses)

    def open(self, on_event: Callable[[Event], None], on_press: Callable[[Press], None]) -> None:
        """Open every pin; called in the event loop.

        Args:
            on_event: Told what has to be recorded.
            on_press: Told what the button asks for, behind its event.
        """
        for place, one in enumerate(self._s0):
            self._pulses[place] = self._open(f'[[s0]] "{one.name}"', self._open_pulses, one)
        its = self._settings
        if its is None:
            return
        if its.led is not None:
            self.led = self._open("[gpio] led", self._open_led, its.led)
        if its.relay is not None:
            self._open("[gpio] relay", self._open_relay, its.relay)
        if its.button is not None:
            button = Button(on_event, on_press, self._clock)
            self._open("[gpio] button", lambda pin: self._watch(pin, button.change), its.button)
        if its.tamper is not None:
            tamper = self._tamper = Tamper(on_event, self._clock)
            contact = self._open(
                "[gpio] tamper", lambda pin: self._watch(pin, tamper.change), its.tamper
            )
            if contact is not None and not contact.active:
                tamper.change(active=False)

    async def run(self) -> None:
        """Play the LED until cancelled, then let go of the pins; the relay falls."""
        try:
            if self.led is not None:
                await self.led.run()
            await asyncio.Event().wait()
        finally:
            self.close()

    def close(self) -> None:
        """Let go of the pins."""
        for contact in self._contacts:
            contact.close()
        if self._tamper is not None:
            self._tamper.close()
        while self._devices:
            self._devices.pop().close()

    def _open(self, what: str, how: Callable[[Any], Any], argument: object) -> Any:  # noqa: ANN401
        """Open one pin; None, and a trouble, where that cannot be."""
        try:
            return how(argument)
        except _faults() as error:
            self.troubles.append(f"{what}: this pin cannot be used ({error})")
            _log.warning("%s", self.troubles[-1])
            return None

    def _device(self, name: str, pin: int, **options: object) -> Any:  # noqa: ANN401
        # Imported here: it costs memory and time, and many a gateway has no pins in use.
        gpiozero = importlib.import_module("gpiozero")
        if self._factory is None and "GPIOZERO_PIN_FACTORY" not in os.environ:
            # Not the others that gpiozero would try: they need root or a daemon, or count badly.
            self._factory = importlib.import_module("gpiozero.pins.lgpio").LGPIOFactory()
        device = getattr(gpiozero, name)(pin, pin_factory=self._factory, **options)
        self._devices.append(device)
        return device

    def _open_pulses(self, one: S0Settings) -> Pulses:
        device = self._device("DigitalInputDevice", one.pin, pull_up=True)
        pulses = Pulses(one.debounce_ms * _MS_NS, self._clock, active=device.is_active)
        device.when_activated = lambda: pulses.edge(active=True)
        device.when_deactivated = lambda: pulses.edge(active=False)
        return pulses

    def _open_led(self, pin: int) -> Led:
        return Led(self._device("LED", pin))

    def _open_relay(self, pin: int) -> object:
        on = self._settings is not None and self._settings.relay_on
        return self._device("DigitalOutputDevice", pin, initial_value=on)

    def _watch(self, pin: int, on_change: Callable[..., None]) -> Contact:
        device = self._device("DigitalInputDevice", pin, pull_up=True)
        contact = Contact(on_change, self._clock, active=device.is_active)
        self._contacts.append(contact)
        device.when_activated = lambda: contact.edge(active=True)
        device.when_deactivated = lambda: contact.edge(active=False)
        return contact


def _faults() -> tuple[type[BaseException], ...]:
    """What gpiozero and the libraries below it raise where there are no such pins."""
    faults: list[type[BaseException]] = [ImportError, OSError, RuntimeError, ValueError]
    try:
        faults.append(importlib.import_module("gpiozero").GPIOZeroError)
        # Its own error is neither of the above.
        faults.append(importlib.import_module("lgpio").error)
    except ImportError:
        pass
    return tuple(faults)
