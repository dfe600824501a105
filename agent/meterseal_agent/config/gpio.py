"""Tables [gpio] and [[s0]]."""

from __future__ import annotations

from typing import TYPE_CHECKING

from meterseal_agent.gpio.settings import PIN_MAX, GpioSettings, S0Settings

if TYPE_CHECKING:
    from collections.abc import Sequence

    from meterseal_agent.tables import Table

_PULSES_MAX = 1_000_000  # protocol 3.2
_DEBOUNCE_MAX_MS = 1000
_NAME_BYTES_MAX = 64
_PLACES_MAX = 64  # protocol 2.5: meters and pulse inputs together


def read_gpio(table: Table | None) -> GpioSettings | None:
    """Read [gpio]."""
    if table is None:
        return None
    settings = GpioSettings(
        led=_pin(table, "led"),
        button=_pin(table, "button"),
        tamper=_pin(table, "tamper"),
        relay=_pin(table, "relay"),
        relay_on=table.take("relay_on", bool, "true or false", default=False),
    )
    if settings.relay_on and settings.relay is None:
        table.fail("relay", "the relay's pin beside relay_on", "nothing")
    _check_pins(table, settings)
    table.done()
    return settings


def read_s0(
    tables: Sequence[Table], gpio: GpioSettings | None, meters: int
) -> tuple[S0Settings, ...]:
    """Read every [[s0]], and hold all pins against each other."""
    if meters + len(tables) > _PLACES_MAX:
        tables[-1].fail(None, f"at most {_PLACES_MAX} meters and inputs", meters + len(tables))
    taken = {} if gpio is None else {pin: use for use, pin in _uses(gpio)}
    names: set[str] = set()
    inputs = []
    for table in tables:
        one = S0Settings(
            name=table.text("name"),
            pin=table.integer("pin", 0, PIN_MAX),
            pulses_per_kwh=table.integer("pulses_per_kwh", 1, _PULSES_MAX),
            debounce_ms=table.integer("debounce_ms", 1, _DEBOUNCE_MAX_MS, 10),
        )
        if one.name in names or len(one.name.encode()) > _NAME_BYTES_MAX:
            table.fail("name", f"a name of its own, of {_NAME_BYTES_MAX} bytes at most", one.name)
        other = taken.setdefault(one.pin, one.name)
        if other != one.name:
            table.fail("pin", "a pin of its own", f'{one.pin}, which is that of "{other}"')
        names.add(one.name)
        table.done()
        inputs.append(one)
    return tuple(inputs)


def _pin(table: Table, key: str) -> int | None:
    return table.integer(key, 0, PIN_MAX) if table.has(key) else None


def _uses(gpio: GpioSettings) -> list[tuple[str, int]]:
    uses = {"led": gpio.led, "button": gpio.button, "tamper": gpio.tamper, "relay": gpio.relay}
    return [(use, pin) for use, pin in uses.items() if pin is not None]


def _check_pins(table: Table, gpio: GpioSettings) -> None:
    seen: dict[int, str] = {}
    for use, pin in _uses(gpio):
        other = seen.setdefault(pin, use)
        if other != use:
            table.fail(use, "a pin of its own", f"{pin}, which is that of {other}")
