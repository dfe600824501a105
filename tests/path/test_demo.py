"""The README's first command does what it says."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from meterseal.checkpoint import LogPolicy
from meterseal.keys import SigningKey, device_id
from meterseal.note import Signer
from meterseal.policy import TrustPolicy, format_policy, parse_policy
from meterseal_simulator.demo import proof

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

FORGERIES = ["SIGNATURE INVALID", "DEVICE FORK", "ANCHOR MISMATCH"]


def demo(folder: Path, *arguments: str) -> dict[str, Any]:
    report = folder / "report.json"
    command = [sys.executable, "-m", "meterseal_simulator.demo", "--data", str(folder / "demo")]
    command += ["--report", str(report), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
    assert done.returncode == 0, done.stdout + done.stderr
    told: dict[str, Any] = json.loads(report.read_text())
    return told


def test_the_demo_anchors_intervals_and_proves_one_and_can_be_run_again(tmp_path: Path) -> None:
    first = demo(tmp_path, "--seconds", "60")

    assert first["intervals_anchored"] >= 3
    assert first["readings_stored"] == first["readings_signed"] > 0
    assert first["verdict"] == "OK"
    assert first["refused"] == []
    from_it = tmp_path / "demo" / "house"
    assert str(from_it) in first["evidence"]

    another = tmp_path / "another.toml"
    another.write_text(anothers_policy(from_it / "trust.toml"))
    evidence = tmp_path.joinpath(first["evidence"])
    assert proof.judge(evidence, from_it / "trust.toml").status == 0
    assert proof.judge(evidence, another).status == 12

    second = demo(tmp_path, "--seconds", "30")

    assert second["device"] == first["device"]
    assert second["readings_stored"] == second["readings_signed"] > 0
    before, after = first["total"]["readings_signed"], second["total"]["readings_signed"]
    assert after == before + second["readings_signed"]
    assert second["refused"] == []


def anothers_policy(trust: Path) -> str:
    """The policy of somebody who pinned the log's name, and another log key and device."""
    mine = parse_policy(trust.read_text())
    device, log = (SigningKey.from_seed(bytes([number]) * 32) for number in (1, 2))
    verifier = Signer(name=mine.log.origin, key=log).verifier
    return format_policy(
        TrustPolicy(
            log=LogPolicy(origin=mine.log.origin, log=verifier),
            devices={device_id(device.public): device.public},
        )
    )


def test_three_forgeries_are_caught_and_their_culprits_named(tmp_path: Path) -> None:
    told = demo(tmp_path, "--seconds", "45", "--tamper")

    cases = told["tamper"]
    assert [case["verdict"] for case in cases] == FORGERIES
    assert [case["status"] for case in cases] == [14, 14, 14]
    assert all(case["culprit"] and case["record"] for case in cases)
    for case in cases:
        evidence = tmp_path / case["evidence"]
        assert proof.judge(evidence, tmp_path / told["trust"]).verdict == case["verdict"]
