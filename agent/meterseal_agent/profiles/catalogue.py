"""Finding profiles: those shipped as package data, by the name of a model.

A file holds one map and is named after its first model; further models of the same map stand in
its [[also]] tables.
"""

from __future__ import annotations

from difflib import get_close_matches
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

from meterseal_agent.errors import ProfileError
from meterseal_agent.profiles.load import parse_profiles

if TYPE_CHECKING:
    from importlib.resources.abc import Traversable

    from meterseal_agent.profiles.model import Profile

_SUFFIX = ".toml"


def shipped_maps() -> tuple[str, ...]:
    """List the names of the maps that come with the agent: one a file."""
    names = (item.name for item in _folder().iterdir())
    return tuple(sorted(name.removesuffix(_SUFFIX) for name in names if name.endswith(_SUFFIX)))


def load_map(name: str) -> tuple[Profile, ...]:
    """Read every model of one shipped map.

    Raises:
        ProfileError: The file is wrong.
    """
    item = _folder() / f"{name}{_SUFFIX}"
    return parse_profiles(item.read_bytes(), Path(item.name))


def load_all() -> tuple[Profile, ...]:
    """Read every shipped model, by name.

    Raises:
        ProfileError: A file is wrong, or two files give a model the same name.
    """
    found: dict[str, Profile] = {}
    for name in shipped_maps():
        for profile in load_map(name):
            other = found.setdefault(profile.name, profile)
            if other is not profile:
                raise ProfileError(
                    f'{name}.toml id: expected a name of its own, got "{profile.name}", which is '
                    f"in {other.map}.toml too. Rename one."
                )
    return tuple(found[name] for name in sorted(found))


def shipped() -> tuple[str, ...]:
    """List the names of the models that come with the agent."""
    return tuple(profile.name for profile in load_all())


def load_profile(name: str) -> Profile:
    """Read one shipped model; a mistake in another model's file does not matter.

    Raises:
        ProfileError: There is none of that name, or its file is wrong.
    """
    for file in shipped_maps():
        if file == name or f'"{name}"' in _text(file):
            for profile in load_map(file):
                if profile.name == name:
                    return profile
    known = shipped()
    near = ", ".join(get_close_matches(name, known, n=3))
    raise ProfileError(
        f'profile: expected one of {near or f"{len(known)} models"}, got "{name}". '
        "`meterseal-agent profiles` lists them, and docs/meters.md."
    )


def _text(file: str) -> str:
    return (_folder() / f"{file}{_SUFFIX}").read_bytes().decode(errors="replace")


def _folder() -> Traversable:
    return resources.files("meterseal_agent.profiles") / "data"
