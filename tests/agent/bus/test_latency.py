"""A meter is waited for as long as it has shown to need."""

from __future__ import annotations

import pytest

from meterseal_agent.bus.latency import Latency


def learned(*replies_s: float, times: int = 30) -> Latency:
    latency = Latency(least_s=0.3, start_s=1.0)
    for _ in range(times):
        for reply_s in replies_s:
            latency.note(reply_s)
    return latency


def test_an_unknown_meter_gets_the_lines_timeout() -> None:
    assert Latency(least_s=0.3, start_s=1.0).timeout_s == 1.0
    assert learned(0.02, times=19).timeout_s == 1.0


def test_a_prompt_meter_is_waited_for_as_long_as_its_profile_asks() -> None:
    assert learned(0.02).timeout_s == 0.3


def test_a_slow_meter_gets_four_times_its_slowest_reply() -> None:
    assert learned(0.02, 0.15).timeout_s == pytest.approx(0.6)


def test_a_late_reply_lengthens_the_wait_at_once() -> None:
    latency = Latency(least_s=0.3, start_s=0.5)

    latency.note(0.4)

    assert latency.timeout_s == pytest.approx(1.6)


def test_the_wait_is_bounded() -> None:
    assert learned(30.0).timeout_s == 4.0


def test_a_slow_hour_is_forgotten() -> None:
    latency = learned(0.5)
    for _ in range(99):
        latency.note(0.01)

    assert latency.timeout_s == 0.3


def test_the_usual_wait_is_known_after_some_replies_only() -> None:
    assert learned(0.02, times=19).usual_s is None
    assert learned(0.02, 0.02, 0.5).usual_s == 0.02
