"""The fault benchmark itself: it repeats, it can fail, and a few hundred faults pass in a test."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from faultline.credulous import first_frame, run_credulous
from faultline.world import Scene, run_virtual, scenes
from meterseal_simulator.modbus import rtu_frame

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("scene", scenes(), ids=lambda scene: scene.name)
def test_a_hundred_faults_lead_to_no_wrong_value(scene: Scene) -> None:
    tally = run_virtual(scene, "test", 100)

    assert tally.faults == 100
    assert tally.values > 0
    assert tally.wrong == 0, tally.findings[:1]


def test_the_same_seed_gives_the_same_weather_and_another_seed_does_not() -> None:
    first, again, other = (run_virtual(scenes()[0], seed, 60) for seed in ("a", "a", "b"))

    assert (first.injected, first.dropped, first.requests) == (
        again.injected,
        again.dropped,
        again.requests,
    )
    assert first.injected != other.injected


def test_without_a_guard_the_same_weather_leads_to_wrong_values() -> None:
    tally = run_credulous(scenes()[0], "test", 200)

    assert tally.wrong > 0
    assert tally.values > tally.wrong


def test_the_credulous_client_believes_the_first_frame_with_a_right_checksum() -> None:
    frame = rtu_frame(9, b"\x04\x02\x00\x01")

    assert first_frame(b"\x55\x55" + frame + rtu_frame(1, b"\x03\x02\x00\x02")) == frame
    assert first_frame(frame[:-1]) is None
    assert first_frame(rtu_frame(1, b"\x84\x02")) == rtu_frame(1, b"\x84\x02")


def test_the_command_takes_the_options_of_the_benchmark(repository: Path) -> None:
    done = subprocess.run(  # noqa: S603 - our own command
        [sys.executable, repository / "benchmarks", "faults", "--help"],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )

    assert done.returncode == 0
    assert "--count" in done.stdout
    assert "--seed" in done.stdout
