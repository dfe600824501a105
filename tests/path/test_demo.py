"""The README's first command does what it says."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

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
    another.write_text(other_policy(from_it / "trust.toml"))
    evidence = tmp_path.joinpath(first["evidence"])
    assert proof.judge(evidence, from_it / "trust.toml").status == 0
    assert proof.judge(evidence, another).status == 12

    second = demo(tmp_path, "--seconds", "30")

    assert second["device"] == first["device"]
    assert second["readings_signed"] > first["readings_signed"]
    assert second["readings_stored"] == second["readings_signed"]
    assert second["refused"] == []


def other_policy(trust: Path) -> str:
    """The policy of somebody who pinned another device and another log key."""
    text = trust.read_text()
    lines = [line for line in text.splitlines() if not line.startswith("public_key")]
    assert len(lines) < len(text.splitlines())
    other = 'public_key = "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"'
    return "\n".join(
        f"{line}\n{other}" if line.startswith("[[device]]") else line for line in lines
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
