"""Take the evidence of one record from the device and have the independent checker judge it."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

from meterseal_simulator.demo.child import ChildError

if TYPE_CHECKING:
    from pathlib import Path

    from meterseal_simulator.demo.stage import Stage


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """What `meterseal verify` said of one file.

    Attributes:
        status: Its exit status.
        verdict: "OK", the code of another verdict, or of TAMPERED the offence.
        culprit: Whom a TAMPERED verdict names.
        text: What it printed for people.
    """

    status: int
    verdict: str
    culprit: str
    text: str


def judge(evidence: Path, trust: Path) -> Judged:
    """Run the checker on a file, once for people and once for machines."""
    command = [sys.executable, "-m", "meterseal_verifier", "verify", str(evidence)]
    command += ["--trust", str(trust)]
    told = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
    machine = subprocess.run(  # noqa: S603 our own command
        [*command, "--json"], capture_output=True, text=True, check=False
    )
    report = json.loads(machine.stdout)
    return Judged(
        status=machine.returncode,
        verdict=report["offence"] or report["verdict"],
        culprit=report.get("culprit") or "",
        text=told.stdout,
    )


def export(stage: Stage, out: Path, *, seq: int, config: Path | None = None) -> Path | None:
    """Write the evidence of one reading; None while it is not ready.

    Args:
        stage: The running demonstration.
        out: The file to write.
        seq: Sequence number of the reading, in the device's current epoch.
        config: Another agent's configuration, for a staged case.
    """
    try:
        stage.command(
            "meterseal_agent", "export", "--config", str(config or stage.agent_config),
            "--seq", str(seq), "--out", str(out),
        )  # fmt: skip
    except ChildError:
        return None
    return out
