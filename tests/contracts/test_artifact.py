"""The committed artifact is what the committed source compiles to."""

from __future__ import annotations

import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

from support import npm

if TYPE_CHECKING:
    from pathlib import Path

ARTIFACT = "aggregator/meterseal_aggregator/artifacts/MeterSealLog.json"


@pytest.mark.system
@pytest.mark.timeout(300)
def test_the_artifact_is_rebuilt_byte_for_byte(repository: Path, tmp_path: Path) -> None:
    modules = npm.node_modules(repository)
    node = shutil.which("node") or "node"
    rebuilt = tmp_path / "MeterSealLog.json"

    subprocess.run(  # noqa: S603 - a found program and our own script
        [node, repository / "contracts/build.mjs", "--modules", modules, "--out", rebuilt],
        check=True,
    )

    assert rebuilt.read_bytes() == (repository / ARTIFACT).read_bytes(), (
        f"{ARTIFACT} is not what contracts/src compiles to: run node contracts/build.mjs "
        "and say in CHANGELOG.md that the code hash changed"
    )
