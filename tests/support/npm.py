"""The pinned npm tools of contracts/, installed once outside the checkout."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from hashlib import sha256
from pathlib import Path

import pytest

_INSTALL_TIMEOUT_S = 240


def cache() -> Path:
    """The folder for what is kept between runs, outside the checkout."""
    named = os.environ.get("METERSEAL_CACHE")
    if named:
        return Path(named)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "meterseal"


def node_modules(repository: Path) -> Path:
    """Install the locked packages, or skip saying what is missing.

    The folder is named by its content and appears by a rename: one that is there is whole.
    """
    npm, node = shutil.which("npm"), shutil.which("node")
    if npm is None or node is None:
        pytest.skip("node and npm are not installed: apt-get install nodejs npm")
    files = [repository / "contracts" / name for name in ("package.json", "package-lock.json")]
    content = sha256(b"".join(file.read_bytes() for file in files)).hexdigest()
    folder = cache() / f"npm-{content[:16]}"
    if not folder.exists():
        cache().mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=cache(), prefix="npm-new-") as aside:
            fresh = Path(aside) / "tools"
            fresh.mkdir()
            for file in files:
                shutil.copy(file, fresh)
            _install(npm, fresh)
            if not folder.exists():
                fresh.rename(folder)
    return folder / "node_modules"


def tool(modules: Path, name: str) -> Path:
    """The native program of a Foundry package, or a skip where npm has none for this machine."""
    found = sorted(modules.glob(f"@foundry-rs/{name}-*/bin/{name}"))
    if not found:
        pytest.skip(f"npm has no {name} for this platform")
    return found[0]


def _install(npm: str, folder: Path) -> None:
    command = [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
    done = subprocess.run(  # noqa: S603 - a found program and our own arguments
        command, cwd=folder, capture_output=True, text=True, timeout=_INSTALL_TIMEOUT_S, check=False
    )
    if done.returncode != 0:
        pytest.skip(f"npm ci in contracts/ did not work: {done.stderr.strip()[-300:]}")
