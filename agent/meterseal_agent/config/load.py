"""From the text of meterseal.toml to a Config."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from meterseal_agent.config.model import Config


def load(path: Path) -> Config:
    """Read the configuration file at `path`.

    Raises:
        ConfigError: The file is missing or says what cannot be.
    """
    raise NotImplementedError


def parse(text: str, source: Path) -> Config:
    """Read a configuration from its text; relative paths are relative to the file's folder."""
    raise NotImplementedError
