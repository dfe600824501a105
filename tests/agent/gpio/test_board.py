"""The pins, on gpiozero's mock of them."""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING, Any

import pytest
from gpiozero.pins.mock import MockFactory  # type: ignore[import-untyped]

from meterseal.records import Event, EventCode, S0Input
from meterseal_agent.gpio.board import Board
from meterseal_agent.gpio.press import Press
from meterseal_agent.gpio.settings import GpioSettings, S0Settings

if TYPE_CHECKING:
    from collections.abc import Iterator

S = 1_000_000_000
MS = 1_000_000
HEATER = S0Settings(name="heater", pin=17, pulses_per_kwh=1000)
ALL = GpioSettings(led=24, button=23, tamper=25, relay=22, relay_on=True)


class Stage:
    """A board on mock pins, with a clock moved by hand."""

    def __init__(self) -> None:
        self.factory = MockFactory()
        self.now_ns = 0
        self.events: list[Event] = []
        self.presses: list[Press] = []
        self.board: Board | None = None

    def pin(self, number: int) -> Any:  # noqa: ANN401 -- gpiozero has no types
        return self.factory.pin(number)

    def open(self, settings: GpioSettings | None = ALL, *inputs: S0Settings) -> Board:
        self.board = Board(settings, inputs, self.factory, lambda: self.now_ns)
        self.board.open(self.events.append, self.presses.append)
        return self.board

    async def drive(self, pin: int, *, low: bool, hold_ms: int) -> None:
        """Drive an input and let it hold."""
        mock = self.pin(pin)
        (mock.drive_low if low else mock.drive_high)()
        await asyncio.sleep(0)
        self.now_ns += hold_ms * MS
        assert self.board is not None
        for contact in self.board._contacts:
            contact.settle()


@pytest.fixture
def stage() -> Iterator[Stage]:
    stage = Stage()
    yield stage
    if stage.board is not None:
        stage.board.close()
    stage.factory.reset()


async def test_pulses_of_a_contact_to_ground_are_counted(stage: Stage) -> None:
    board = stage.open(None, HEATER)
    for _ in range(3):
        await stage.drive(17, low=True, hold_ms=30)
        await stage.drive(17, low=False, hold_ms=100)

    assert board.inputs == (S0Input(name="heater", pulses_per_kwh=1000),)
    assert board.pulses() == (3,)
    assert board.troubles == []


async def test_opening_and_closing_the_case_are_events(stage: Stage) -> None:
    stage.pin(25).drive_low()
    stage.open(GpioSettings(tamper=25))

    await stage.drive(25, low=False, hold_ms=60)
    await stage.drive(25, low=True, hold_ms=60)

    assert stage.events == [
        Event(code=EventCode.TAMPER_CONTACT, detail=("open", 1)),
        Event(code=EventCode.TAMPER_CONTACT, detail=("closed", 1)),
    ]


async def test_a_case_that_is_open_at_the_start_is_an_event(stage: Stage) -> None:
    stage.open(GpioSettings(tamper=25))

    assert [event.detail for event in stage.events] == [("open", 1)]


async def test_a_contact_that_rattles_does_not_fill_the_log(stage: Stage) -> None:
    stage.pin(25).drive_low()
    stage.open(GpioSettings(tamper=25))

    for _ in range(50):
        await stage.drive(25, low=False, hold_ms=60)
        await stage.drive(25, low=True, hold_ms=60)
    stage.now_ns += 900 * S
    await stage.drive(25, low=False, hold_ms=60)

    assert len(stage.events) == 11
    assert stage.events[-1].detail == ("open", 91)


@pytest.mark.parametrize(
    ("held_ms", "press"),
    [(300, Press.CLAIM), (5_000, Press.SCAN), (12_000, Press.SHUTDOWN), (8_000, None)],
)
async def test_the_button_asks_by_its_length_behind_an_event(
    stage: Stage, held_ms: int, press: Press | None
) -> None:
    stage.open(GpioSettings(button=23))

    await stage.drive(23, low=True, hold_ms=60)
    stage.now_ns += held_ms * MS
    await stage.drive(23, low=False, hold_ms=60)

    assert stage.presses == ([] if press is None else [press])
    assert [event.detail[0] for event in stage.events] == [each.value for each in stage.presses]


async def test_the_relay_is_drawn_only_if_the_configuration_says_so_and_falls_at_the_end(
    stage: Stage,
) -> None:
    board = stage.open(GpioSettings(relay=22))
    assert stage.pin(22).state == 0
    board.close()

    board = stage.open(GpioSettings(relay=22, relay_on=True))
    assert stage.pin(22).state == 1
    board.close()
    assert stage.pin(22).function == "input"


async def test_a_pin_that_cannot_be_used_is_named_and_the_others_work(stage: Stage) -> None:
    board = stage.open(
        GpioSettings(led=24), HEATER, S0Settings(name="twice", pin=24, pulses_per_kwh=1)
    )

    await stage.drive(17, low=True, hold_ms=30)

    assert board.pulses() == (1, 0)
    assert len(board.troubles) == 1
    assert "[gpio] led" in board.troubles[0]
    assert board.led is None


async def test_a_machine_without_pins_runs_on() -> None:
    """No lgpio, no gpiochip: what CI and every PC are."""
    board = Board(ALL, (HEATER,))

    board.open(list[Event]().append, list[Press]().append)

    assert board.pulses() == (None,)
    assert len(board.troubles) == 5
    board.close()


async def test_gpiozero_is_not_imported_where_no_pin_is_configured(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "gpiozero", None)  # an import would fail

    board = Board(None, ())
    board.open(list[Event]().append, list[Press]().append)

    assert board.troubles == []
    task = asyncio.create_task(board.run())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
