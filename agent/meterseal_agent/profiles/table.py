"""The document of supported meters, generated from the profiles: docs/meters.md."""

from __future__ import annotations

from typing import TYPE_CHECKING

from meterseal.quantities import BY_CODE, QUANTITIES
from meterseal_agent.profiles.catalogue import load_all, load_map, shipped_maps
from meterseal_agent.profiles.listing import listed, summary

if TYPE_CHECKING:
    from collections.abc import Iterable

    from meterseal_agent.profiles.model import Profile

_HEAD = """\
# Supported meters

Generated from the profiles in `agent/meterseal_agent/profiles/data/`; a test compares. Each is a
register map with its sources; its golden vector, typed by hand from documents and recordings, is
in `tests/agent/vectors/`. "Hardware" says whether somebody of this project read a real meter with
this very map; "sources" what the map was typed from. `meterseal-agent profiles` prints this list.

The name in the first column is what `[[meter]] profile` takes. Models that share a map share a
chapter below.

"""
_COLUMNS = """
| profile | maker and model | map | sources | factory settings | hardware |
|---|---|---|---|---|---|
"""


def markdown() -> str:
    """Write the whole document."""
    profiles = load_all()
    counted = f"{summary(listed(profiles))}.\n"
    rows = "".join(_row(profile) for profile in profiles)
    chapters = "".join(_chapter(load_map(name)) for name in shipped_maps())
    return f"{_HEAD}{counted}{_COLUMNS}{rows}{chapters}{_quantities()}"


def _row(profile: Profile) -> str:
    checked = "verified" if profile.verified_on_hardware else "not yet"
    return (
        f"| `{profile.name}` | {profile.make} {profile.model} | [{profile.map}](#{profile.map}) | "
        f"{', '.join(_kinds(profile))} | {_factory(profile)} | {checked} |\n"
    )


def _chapter(models: tuple[Profile, ...]) -> str:
    first = models[0]
    lines = [f"\n## {first.map}\n"]
    named = [f"- `{one.name}`: {one.make} {one.model}{_told_by(one)}" for one in models]
    lines.append("\n".join(named) + "\n")
    lines += [f"{note}\n" for note in _notes(models)]
    lines.append(f"{_request(first)}\n")
    points = sorted(first.quantities(), key=lambda point: point.code)
    names = dict.fromkeys(
        f"`{point.name}`" + (" (billing)" if point.billing else "") for point in points
    )
    lines.append(f"Quantities: {', '.join(names)}.\n")
    lines.append("Sources:\n")
    lines.append(
        "\n".join(f"- {source.kind}: {source.name} ({source.where})" for source in first.sources)
        + "\n"
    )
    return "\n".join(lines)


def _told_by(profile: Profile) -> str:
    if profile.code is not None:
        codes = " or ".join(map(str, profile.code.expect))
        return f", which answers code {codes}"
    if profile.text is not None:
        texts = " or ".join(f'"{text}"' for text in profile.text.expect)
        return f", which calls itself {texts}"
    return ""


def _notes(models: Iterable[Profile]) -> Iterable[str]:
    return dict.fromkeys(one.notes for one in models if one.notes)


def _request(profile: Profile) -> str:
    silence = f"{profile.pace.silence_s * 1000:.0f} ms" if profile.pace.silence_s else "t3.5"
    where = (
        f"SunSpec models {', '.join(map(str, sorted(profile.model_numbers)))}"
        if profile.sunspec
        else "Fixed addresses"
    )
    text = (
        f"{where}; up to {profile.limits.registers_max} registers a request, silence of at least "
        f"{silence} between requests."
    )
    return f"{text} {profile.line_note}".rstrip()


def _kinds(profile: Profile) -> Iterable[str]:
    return dict.fromkeys(source.kind for source in profile.sources)


def _factory(profile: Profile) -> str:
    factory = profile.factory
    if factory.baud is None:
        return "" if factory.address is None else f"address {factory.address}"
    shape = f" 8{factory.parity}{factory.stop_bits or 1}" if factory.parity else ""
    address = "" if factory.address is None else f", address {factory.address}"
    return f"{factory.baud}{shape}{address}"


def _quantities() -> str:
    rows = "".join(
        f"| {one.code} | `{one.name}` | {one.obis or 'none'} | {BY_CODE[one.code].unit} |\n"
        for one in QUANTITIES
    )
    return f"\n## Quantities\n\n| code | name | OBIS | unit |\n|---|---|---|---|\n{rows}"
