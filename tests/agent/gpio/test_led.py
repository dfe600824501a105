"""What the LED says."""

from __future__ import annotations

import asyncio
from itertools import pairwise

import pytest

from meterseal_agent import codes
from meterseal_agent.codes import CODES, Code, worst_first
from meterseal_agent.gpio.led import STEADY, Led, phases


class Lamp:
    def __init__(self) -> None:
        self.lit: list[bool] = []

    def on(self) -> None:
        self.lit.append(True)

    def off(self) -> None:
        self.lit.append(False)


def flashes(code: Code) -> int:
    return sum(lit for lit, _ in phases([code]))


@pytest.mark.parametrize("code", CODES, ids=lambda code: code.number)
def test_a_code_blinks_as_often_as_its_first_digit_and_at_most_three_times_a_second(
    code: Code,
) -> None:
    turn = phases([code])

    assert flashes(code) == int(code.number[1])
    assert turn[-1] == (False, 2.0)
    starts = [sum(seconds for _, seconds in turn[:at]) for at, (lit, _) in enumerate(turn) if lit]
    assert all(later - first >= 1 / 3 for first, later in pairwise(starts))
    assert all(seconds < 0.5 for lit, seconds in turn if lit)


def test_the_worst_two_codes_take_turns() -> None:
    turn = phases([codes.CLOCK, codes.NETWORK, codes.STORE, codes.NO_METER])

    pauses = [at for at, phase in enumerate(turn) if phase == (False, 2.0)]
    assert [sum(lit for lit, _ in turn[: pauses[0]]), sum(lit for lit, _ in turn)] == [6, 9]


def test_without_a_code_the_led_is_steady_with_a_wink() -> None:
    assert phases([]) == STEADY


def test_numbers_are_unique_and_sorted_codes_are_worst_first() -> None:
    assert len({code.number for code in CODES}) == len(CODES)
    assert worst_first([codes.NETWORK, codes.SEAL, codes.NETWORK]) == (codes.SEAL, codes.NETWORK)


async def test_an_led_that_is_put_away_is_dark() -> None:
    lamp = Lamp()
    led = Led(lamp)
    task = asyncio.create_task(led.run())
    await asyncio.sleep(0)

    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert lamp.lit == [True, False]
