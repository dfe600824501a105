"""Tables [gpio] and [[s0]]: what cannot be is refused with key and remedy."""

from __future__ import annotations

from pathlib import Path

import pytest

from meterseal_agent.config import parse
from meterseal_agent.errors import ConfigError
from meterseal_agent.gpio.settings import GpioSettings, S0Settings

HERE = Path("/etc/meterseal.toml")
BASE = """
[agent]
data_dir = "data"
marker_dir = "run"
[[bus]]
name = "rs485"
port = "/dev/ttyRS485"
[[meter]]
name = "grid"
bus = "rs485"
address = 1
profile = "eastron-sdm630"
role = "grid"
"""
HEATER = '[[s0]]\nname = "heater"\npin = 17\npulses_per_kwh = 1000\n'


def test_without_the_tables_no_pin_is_touched() -> None:
    config = parse(BASE, HERE)

    assert (config.gpio, config.s0) == (None, ())


def test_pins_and_inputs_are_read() -> None:
    config = parse(f"{BASE}{HEATER}[gpio]\nled = 24\nrelay = 22\n", HERE)

    assert config.gpio == GpioSettings(led=24, relay=22)
    assert config.s0 == (S0Settings(name="heater", pin=17, pulses_per_kwh=1000),)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (HEATER + HEATER, ("s0", "name")),
        (HEATER + HEATER.replace("heater", "oven"), ("pin", "17", "heater")),
        (HEATER + "[gpio]\nled = 17\n", ("pin", "17", "led")),
        ("[gpio]\nled = 17\nbutton = 17\n", ("button", "17", "led")),
        ("[gpio]\nrelay_on = true\n", ("relay", "pin")),
        ("[gpio]\nled = 99\n", ("led", "53")),
        (HEATER.replace("1000", "0"), ("pulses_per_kwh", "1000000")),
        (HEATER + "debounce = 3\n", ("debounce", "debounce_ms")),
    ],
)
def test_what_cannot_be_is_refused_by_name(text: str, words: tuple[str, ...]) -> None:
    with pytest.raises(ConfigError) as caught:
        parse(BASE + text, HERE)

    assert all(word in str(caught.value) for word in words), str(caught.value)


def test_meters_and_inputs_have_64_places_together() -> None:
    inputs = "".join(
        HEATER.replace("heater", f"input {pin}").replace("17", str(pin % 54)) for pin in range(64)
    )

    with pytest.raises(ConfigError, match="at most 64 meters and inputs"):
        parse(BASE + inputs, HERE)
