"""The document of supported meters, generated from the profiles: docs/meters.md."""

from __future__ import annotations

from typing import TYPE_CHECKING

from meterseal.quantities import BY_CODE, QUANTITIES
from meterseal_agent.profiles.catalogue import load_all

if TYPE_CHECKING:
    from meterseal_agent.profiles.model import Profile

_HEAD = """\
# Supported meters

Generated from the profiles in `agent/meterseal_agent/profiles/data/`; a test compares. Each is a
register map with its sources; its golden vector, typed by hand from documents and recordings, is
in `tests/agent/vectors/`. "Hardware" says whether somebody read a real meter with this very map.

The name in the first column is what `[[meter]] profile` takes.

| profile | maker and model | registers | request | silence | hardware |
|---|---|---|---|---|---|
"""


def markdown() -> str:
    """Write the whole document."""
    profiles = load_all()
    rows = "".join(_row(profile) for profile in profiles)
    return _HEAD + rows + "".join(_chapter(profile) for profile in profiles) + _quantities()


def _row(profile: Profile) -> str:
    where = "SunSpec models " + _ids(profile) if profile.sunspec else "fixed addresses"
    silence = f"{profile.pace.silence_s * 1000:.0f} ms" if profile.pace.silence_s else "t3.5"
    checked = "verified" if profile.verified_on_hardware else "not yet"
    return (
        f"| `{profile.name}` | {profile.make} {profile.model} | {where} | "
        f"up to {profile.limits.registers_max} registers | {silence} | {checked} |\n"
    )


def _chapter(profile: Profile) -> str:
    lines = [f"\n## {profile.name}\n"]
    if profile.notes:
        lines.append(f"{profile.notes}\n")
    points = sorted(profile.quantities(), key=lambda point: point.code)
    names = [f"`{point.name}`" + (" (billing)" if point.billing else "") for point in points]
    lines.append(f"Quantities: {', '.join(names)}.\n")
    lines.append("Sources:\n")
    lines.append(
        "\n".join(f"- {source.kind}: {source.name} ({source.where})" for source in profile.sources)
        + "\n"
    )
    return "\n".join(lines)


def _quantities() -> str:
    rows = "".join(
        f"| {one.code} | `{one.name}` | {one.obis or 'none'} | {BY_CODE[one.code].unit} |\n"
        for one in QUANTITIES
    )
    return f"\n## Quantities\n\n| code | name | OBIS | unit |\n|---|---|---|---|\n{rows}"


def _ids(profile: Profile) -> str:
    numbers = sorted(number for model in profile.models for number in model.ids)
    return ", ".join(map(str, numbers))
