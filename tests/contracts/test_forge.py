"""Forge's fuzz tests in contracts/test, run with the pinned compiler."""

from __future__ import annotations

import json
import os
import subprocess
from typing import TYPE_CHECKING

import pytest

from support import npm

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.system
@pytest.mark.timeout(300)
def test_every_fuzz_test_holds(repository: Path, tmp_path: Path) -> None:
    modules = npm.node_modules(repository)
    command: list[str | Path] = [
        npm.tool(modules, "forge"), "test", "--json", "--root", repository / "contracts",
        "--out", tmp_path / "out", "--cache-path", tmp_path / "cache",
    ]  # fmt: skip
    environment = {
        **os.environ,
        "HOME": str(tmp_path),
        "METERSEAL_NODE_MODULES": str(modules),
        "FOUNDRY_DISABLE_NIGHTLY_WARNING": "1",
    }

    done = subprocess.run(  # noqa: S603 - a pinned program and our own arguments
        command,
        cwd=repository / "contracts",  # the compiler is named relative to it
        env=environment,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )

    assert done.returncode == 0, done.stdout + done.stderr
    suites = json.loads(done.stdout[done.stdout.index("{") :])
    results = [test for suite in suites.values() for test in suite["test_results"].values()]
    assert len(results) >= 12
    assert {test["status"] for test in results} == {"Success"}
