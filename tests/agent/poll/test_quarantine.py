"""Silent meters are asked seldom, one a round, and cost the others next to nothing."""

from __future__ import annotations

import pytest

from meterseal_agent.poll.quarantine import Quarantine

COST_S = 2.6


def silenced(quarantine: Quarantine, *meters: int, now_s: float = 0.0) -> Quarantine:
    for meter in meters:
        for _ in range(3):
            quarantine.silent(meter, "no reply", now_s, COST_S)
    return quarantine


def test_a_meter_rests_after_three_silent_rounds() -> None:
    quarantine = Quarantine([0, 1])
    for expected in (False, False, True):
        quarantine.silent(1, "no reply", 0.0, COST_S)
        assert quarantine.rests(1) is expected
    assert quarantine.message(1) == "no reply"
    assert not quarantine.rests(0)


def test_an_answer_ends_the_rest_and_the_count() -> None:
    quarantine = silenced(Quarantine([0, 1]), 1)

    quarantine.well(1)
    quarantine.silent(1, "no reply", 0.0, COST_S)

    assert not quarantine.rests(1)


@pytest.mark.parametrize("dead", [1, 4])
def test_dead_meters_cost_the_others_less_than_two_percent(dead: int) -> None:
    """A day of rounds one after the other; healthy meters take a second of each."""
    quarantine = silenced(Quarantine(range(dead + 2)), *range(2, dead + 2))
    now_s = lost_s = 0.0
    while now_s < 86_400:
        now_s += 1.0
        if (meter := quarantine.probe(now_s)) is not None:
            now_s += COST_S
            lost_s += COST_S
            quarantine.silent(meter, "no reply", now_s, COST_S)

    assert 0 < lost_s / now_s < 0.02


def test_every_resting_meter_has_its_turn() -> None:
    quarantine = silenced(Quarantine(range(5)), 1, 2, 3, 4)
    probed = []
    for now_s in range(0, 6000, 10):
        if (meter := quarantine.probe(now_s)) is not None:
            probed.append(meter)
            quarantine.silent(meter, "no reply", now_s, COST_S)

    assert set(probed[:4]) == {1, 2, 3, 4}
    assert len(set(probed[-4:])) == 4


def test_a_bus_without_any_healthy_meter_is_probed_as_soon_as_the_pause_is_over() -> None:
    quarantine = silenced(Quarantine([0]), 0)

    times = []
    for now_s in range(200):
        if quarantine.probe(now_s) is not None:
            times.append(now_s)
            quarantine.silent(0, "no reply", now_s, COST_S)

    # Pauses of 10, 20, 40 and then 60 seconds.
    assert times == [10, 30, 70, 130, 190]


def test_a_meter_that_is_too_slow_rests_at_once() -> None:
    quarantine = Quarantine([0, 1])

    quarantine.slow(1, "took 4 s", 100.0, 4.0)

    assert quarantine.rests(1)
    assert quarantine.probe(100.0 + 4.0 / 0.01 - 1) is None
    assert quarantine.probe(100.0 + 4.0 / 0.01) == 1
