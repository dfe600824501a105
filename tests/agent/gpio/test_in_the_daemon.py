"""The whole agent with pins, and without a meter that answers."""

from __future__ import annotations

import asyncio
import sqlite3
from typing import TYPE_CHECKING

import gpiozero  # type: ignore[import-untyped]
import pytest
from gpiozero.pins.mock import MockFactory  # type: ignore[import-untyped]

from meterseal.records import Event as EventBody
from meterseal.records import EventCode, Manifest, MeterState, Reading, S0Input, decode_record
from meterseal_agent.config import parse
from meterseal_agent.daemon import SWITCHED_OFF, run_daemon
from meterseal_agent.device import prepare
from meterseal_agent.gpio import contact
from meterseal_agent.gpio.press import Press

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

CONFIG = """
[agent]
data_dir = "data"
marker_dir = "run"
interval_s = 60
read_every_s = 1
tolerance_ms = 900
clock = "trusted"

[[bus]]
name = "roof"
host = "127.0.0.1"
tcp_port = 1
timeout_s = 0.1

[[meter]]
name = "grid"
bus = "roof"
address = 1
profile = "eastron-sdm630"
role = "grid"

[[s0]]
name = "heater"
pin = 17
pulses_per_kwh = 1000

[gpio]
led = 24
button = 23
tamper = 25
"""


@pytest.fixture
def pins(monkeypatch: pytest.MonkeyPatch) -> Iterator[MockFactory]:
    factory = MockFactory()
    monkeypatch.setenv("GPIOZERO_PIN_FACTORY", "mock")
    monkeypatch.setattr(gpiozero.Device, "pin_factory", factory)
    yield factory
    factory.reset()


async def test_the_button_ends_the_agent_when_its_event_is_on_the_card(
    tmp_path: Path, pins: MockFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ten seconds are long for a test: here any press is one for a shutdown."""
    monkeypatch.setattr(contact, "meaning", lambda _: Press.SHUTDOWN)
    config = parse(CONFIG, tmp_path / "meterseal.toml")
    device = prepare(config.agent.data_dir)
    task = asyncio.create_task(run_daemon(config, device))

    for _ in range(400):
        if has_reading(config.agent.data_dir):
            break
        await asyncio.sleep(0.05)
    await pulse(pins, 17, 0.03)
    await pulse(pins, 23, 0.1)
    status = await task

    assert status == SWITCHED_OFF
    found = bodies(config.agent.data_dir)
    manifest = next(body for body in found if isinstance(body, Manifest))
    assert manifest.s0 == (S0Input(name="heater", pulses_per_kwh=1000),)
    events = [body for body in found if isinstance(body, EventBody)]
    assert [event.code for event in events[1:]] == [EventCode.TAMPER_CONTACT, EventCode.BUTTON]
    assert events[-1].detail[0] == "shutdown"
    first = next(body for body in found if isinstance(body, Reading))
    assert [one.state for one in first.meters][1] is MeterState.GOOD
    assert pins.pin(24).state == 0


def has_reading(folder: Path) -> bool:
    return any(isinstance(body, Reading) for body in bodies(folder))


async def pulse(pins: MockFactory, number: int, seconds: float) -> None:
    pins.pin(number).drive_low()
    await asyncio.sleep(seconds)
    pins.pin(number).drive_high()


def bodies(folder: Path) -> list[object]:
    connection = sqlite3.connect(folder / "store.sqlite3")
    try:
        rows = connection.execute("SELECT bytes FROM record ORDER BY place").fetchall()
    finally:
        connection.close()
    return [decode_record(data).body for (data,) in rows]
