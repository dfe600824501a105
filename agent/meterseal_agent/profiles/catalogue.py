"""Finding profiles: those shipped as package data, and those in a folder of the operator's."""

from __future__ import annotations

from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

from meterseal_agent.errors import ProfileError
from meterseal_agent.profiles.load import parse_profile

if TYPE_CHECKING:
    from importlib.resources.abc import Traversable

    from meterseal_agent.profiles.model import Profile

_SUFFIX = ".toml"


def shipped() -> tuple[str, ...]:
    """List the names of the profiles that come with the agent."""
    names = (item.name for item in _folder().iterdir())
    return tuple(sorted(name.removesuffix(_SUFFIX) for name in names if name.endswith(_SUFFIX)))


def load_profile(name: str) -> Profile:
    """Read one shipped profile.

    Raises:
        ProfileError: There is none of that name, or it is wrong.
    """
    if name not in shipped():
        raise ProfileError(
            f'profile: expected one of {", ".join(shipped())}, got "{name}". '
            "docs/meters.md lists the meters and their profiles."
        )
    item = _folder() / f"{name}{_SUFFIX}"
    return parse_profile(item.read_bytes(), Path(item.name))


def _folder() -> Traversable:
    return resources.files("meterseal_agent.profiles") / "data"
