"""What the agent can read, as `meterseal-agent profiles` lists it.

Models and maps are counted apart: a model that shares its map with another adds to the first count
only, and two files whose maps hash alike are one map.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from meterseal_agent.profiles.model import Profile

_HASH_DIGITS = 12


@dataclass(frozen=True, kw_only=True, slots=True)
class Listed:
    """One model.

    Attributes:
        map: First digits of the hash of its map.
        quantities: Names, those that are billed on first.
        sources: Kinds, each once.
    """

    id: str
    make: str
    model: str
    map: str
    direction: str
    quantities: tuple[str, ...]
    sources: tuple[str, ...]
    verified_on_hardware: bool


def listed(profiles: Sequence[Profile]) -> tuple[Listed, ...]:
    """Say what matters of each model."""
    return tuple(_listed(profile) for profile in profiles)


def table(rows: Sequence[Listed]) -> str:
    """Write the models one a line, and the counts below."""
    head = ("profile", "map", "quantities", "sources", "hardware", "maker and model")
    lines = [head]
    lines += [
        (
            row.id,
            row.map,
            str(len(row.quantities)),
            ", ".join(row.sources),
            "verified" if row.verified_on_hardware else "not yet",
            f"{row.make} {row.model}",
        )
        for row in rows
    ]
    widths = [max(len(line[column]) for line in lines) for column in range(len(head))]
    shown = [
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    ]
    return "\n".join([*shown, summary(rows)])


def summary(rows: Sequence[Listed]) -> str:
    """Count models and distinct maps."""
    verified = sum(row.verified_on_hardware for row in rows)
    return (
        f"{len(rows)} models over {maps(rows)} maps; {verified} of them verified on hardware by "
        "this project"
    )


def maps(rows: Sequence[Listed]) -> int:
    """Count the distinct maps."""
    return len({row.map for row in rows})


def _listed(profile: Profile) -> Listed:
    points = sorted(profile.quantities(), key=lambda point: (not point.billing, point.code))
    return Listed(
        id=profile.name,
        make=profile.make,
        model=profile.model,
        map=profile.map_hash.hex()[:_HASH_DIGITS],
        direction=profile.direction,
        # A SunSpec map has a quantity in several models.
        quantities=tuple(dict.fromkeys(point.name for point in points)),
        sources=tuple(dict.fromkeys(source.kind for source in profile.sources)),
        verified_on_hardware=profile.verified_on_hardware,
    )
