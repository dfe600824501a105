"""What the README shows is what runs."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from typing import TYPE_CHECKING

from meterseal_agent.config import load
from meterseal_agent.profiles import load_profile

if TYPE_CHECKING:
    from pathlib import Path


def block(repository: Path, language: str) -> str:
    text = (repository / "README.md").read_text()
    return "\n".join(re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL))


def test_the_smallest_configuration_makes_a_device(repository: Path, tmp_path: Path) -> None:
    path = tmp_path / "meterseal.toml"
    path.write_text(block(repository, "toml").replace("/dev/shm", str(tmp_path)))  # noqa: S108

    config = load(path)
    done = subprocess.run(  # noqa: S603 our own command
        [sys.executable, "-m", "meterseal_agent", "init", "--config", str(path)],
        capture_output=True,
        text=True,
        check=True,
    )

    assert load_profile(config.meters[0].profile).make == "Eastron"
    assert "ms-" in done.stdout
    assert (tmp_path / "data" / "device.key").exists()


def test_the_readmes_commands_and_options_exist(repository: Path) -> None:
    scripts = tomllib.loads((repository / "pyproject.toml").read_text())["project"]["scripts"]
    lines = [line.partition("#")[0].split() for line in block(repository, "sh").splitlines()]
    ours = [line for line in lines if line and line[0].rpartition("/")[2] in scripts]

    assert len(ours) >= 4
    for command, verb, *_ in ours:
        module = scripts[command.rpartition("/")[2]].partition(":")[0]
        said = subprocess.run(  # noqa: S603 our own command
            [sys.executable, "-m", module, verb, "--help"], capture_output=True, check=False
        )
        assert said.returncode == 0, (command, verb)
