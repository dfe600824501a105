"""The stages of scripts/test, from cheap to dear.

Each stage is one command; its output passes through, its seconds are printed, and what is left
out is printed with the reason. The first stage that fails ends the run.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).resolve().parent.parent
PYTEST = (sys.executable, "-m", "pytest", "-q", "--no-header", "-p", "no:cacheprovider")
NO_SYSTEM = ("-m", "not system and not slow")


def not_root() -> str | None:
    """Why a Debian root cannot be made, or None."""
    if os.geteuid() != 0:
        return "making a Debian 13 root needs root; CI runs it"
    return None if shutil.which("mmdebstrap") else "mmdebstrap is not installed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """One command, and why it may be left out."""

    name: str
    command: tuple[str, ...]
    fast: tuple[str, ...] | None = None
    left_out: Callable[[], str | None] = lambda: None


STAGES = (
    Stage(name="style", command=("scripts/check",), fast=("scripts/check",)),
    Stage(
        name="protocol",
        command=(*PYTEST, "tests/protocol", "tests/verifier"),
        fast=(*PYTEST, *NO_SYSTEM, "tests/protocol", "tests/verifier"),
    ),
    Stage(
        name="parts",
        command=(*PYTEST, "tests", *(f"--ignore=tests/{n}" for n in
                 ("protocol", "verifier", "contracts", "path"))),
        fast=(*PYTEST, *NO_SYSTEM, "tests", *(f"--ignore=tests/{n}" for n in
              ("protocol", "verifier", "contracts", "path"))),
    ),
    Stage(name="locks", command=("scripts/check-locks",)),
    Stage(name="hil", command=(*PYTEST, "hil")),
    Stage(name="contracts", command=(*PYTEST, "tests/contracts")),
    Stage(name="path", command=(*PYTEST, "tests/path")),
    Stage(name="debian13", command=("scripts/debian13",), left_out=not_root),
)  # fmt: skip


def run(stage: Stage, command: tuple[str, ...]) -> float:
    """Run one stage's command; end the whole run with its status when it fails."""
    print(f"== {stage.name}", flush=True)
    begun = time.monotonic()
    status = subprocess.run(command, cwd=ROOT, check=False).returncode  # noqa: S603 our own table
    seconds = time.monotonic() - begun
    if status:
        print(f"== {stage.name} FAILED after {seconds:.0f} s (status {status})", flush=True)
        sys.exit(1)
    return seconds


def main(arguments: list[str]) -> None:
    """Run the stages asked for."""
    if "--list" in arguments:
        print("\n".join(stage.name for stage in STAGES))
        return
    fast = "--fast" in arguments
    wanted = [name for name in arguments if not name.startswith("-")]
    unknown = set(wanted) - {stage.name for stage in STAGES}
    if unknown:
        print(f"There is no stage {', '.join(sorted(unknown))}; scripts/test --list names them.")
        sys.exit(64)
    lines = []
    for stage in STAGES:
        command = stage.fast if fast else stage.command
        reason = stage.left_out() if command else "left out by --fast"
        if wanted and stage.name not in wanted:
            reason = "not asked for"
        if reason or command is None:
            lines.append(f"{stage.name:10} left out: {reason}")
            continue
        lines.append(f"{stage.name:10} {run(stage, command):6.0f} s")
    print("\n".join(["== seconds per stage", *lines]))


if __name__ == "__main__":
    main(sys.argv[1:])
