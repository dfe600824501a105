"""From a profile's TOML text to Profiles, strictly: units, types and addresses are never guessed.

One file is one register map. Its first model is named as the file; each [[also]] is a further model
with exactly this map. Numbers that scale are texts ("0.1"), so that no binary float ever stands
between a register and a watt-hour.
"""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import TYPE_CHECKING, cast

from meterseal.types import Hash
from meterseal_agent.errors import ProfileError
from meterseal_agent.profiles.check import check_map, map_hash
from meterseal_agent.profiles.fields import Defaults, read_absent, read_field, read_points
from meterseal_agent.profiles.identity import (
    read_expected_numbers,
    read_expected_texts,
    read_identity,
)
from meterseal_agent.profiles.line import read_line
from meterseal_agent.profiles.model import (
    OrderSetting,
    PrefixSetting,
    Profile,
    Source,
    TextExpectation,
)
from meterseal_agent.profiles.sunspec import MAKER
from meterseal_agent.profiles.sunspec_models import read_models
from meterseal_agent.profiles.words import REGISTERS, SUNSPEC_ABSENT, WordType
from meterseal_agent.tables import open_document

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from meterseal_agent.bus.frame import Function
    from meterseal_agent.profiles.model import Point
    from meterseal_agent.profiles.words import Order
    from meterseal_agent.tables import Table

SOURCE_KINDS = ("vendor document", "standard", "code", "recording")
_CODE_SOURCES_MIN = 2


def parse_profiles(data: bytes, source: Path) -> tuple[Profile, ...]:
    """Read a file: the model it is named after, then those of its [[also]].

    Raises:
        ProfileError: It is not a profile, or contradicts itself.
    """
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        raise ProfileError(f"{source}: expected UTF-8 text, got other bytes") from error
    top = open_document(text, source, ProfileError)
    first = _read_first(top, source.stem, Hash(hashlib.sha256(data).digest()))
    others = _read_also(top, first)
    top.done()
    check_map(top, first)
    return (first, *others)


def parse_profile(data: bytes, source: Path) -> Profile:
    """Read the first model of a file.

    Raises:
        ProfileError: It is not a profile, or contradicts itself.
    """
    return parse_profiles(data, source)[0]


def _read_first(top: Table, stem: str, digest: Hash) -> Profile:
    name = top.text("id")
    if name != stem:
        top.fail("id", f'the file\'s name "{stem}"', name)
    sunspec = top.choice("kind", ("registers", "sunspec")) == "sunspec"
    defaults = _read_defaults(top, sunspec=sunspec)
    limits, pace, factory, note = read_line(top)
    points = () if sunspec else _read_quantities(top, defaults)
    models = read_models(top.tables("sunspec")) if sunspec else ()
    identity = read_identity(top.table("identity"), defaults)
    profile = Profile(
        name=name,
        make=top.text("make"),
        model=top.text("model"),
        hash=digest,
        map=stem,
        map_hash=map_hash(points, models),
        verified_on_hardware=top.take("verified_on_hardware", bool, "true or false"),
        sources=_read_sources(top),
        limits=limits,
        pace=pace,
        direction=top.choice("direction", ("meter", "inverter"), "meter"),
        factory=factory,
        points=points,
        models=models,
        serial=identity.serial,
        firmware=identity.firmware,
        code=identity.code,
        text=identity.text,
        order_setting=_read_order_setting(top.table("word_order"), defaults),
        prefix_setting=_read_prefix(top.table("energy_prefix"), defaults),
        notes=top.text("notes") if top.has("notes") else "",
        line_note=note,
    )
    return _with_code(top, profile) if sunspec else profile


def _read_also(top: Table, first: Profile) -> tuple[Profile, ...]:
    names = {first.name}
    others = []
    for table in top.tables("also"):
        name = table.text("id")
        if name in names:
            table.fail("id", "a name of its own", name)
        names.add(name)
        other = replace(
            first,
            name=name,
            make=table.text("make", first.make),
            model=table.text("model"),
            verified_on_hardware=table.take(
                "verified_on_hardware", bool, "true or false", default=False
            ),
            notes=table.text("note") if table.has("note") else first.notes,
        )
        others.append(_with_code(table, other))
        table.done()
    return tuple(others)


def _with_code(table: Table, profile: Profile) -> Profile:
    """Give a further model the numbers or texts by which it is told from the first."""
    if not table.has("code"):
        return profile
    if profile.sunspec:
        # Not an address: how model 1 names the maker, found by discovery.
        makers = read_expected_texts(table, "code")
        return replace(profile, text=TextExpectation(field=MAKER, expect=makers))
    if profile.code is not None and not isinstance(table.data["code"], str):
        registers = REGISTERS[profile.code.field.word_type]
        numbers = table.data["code"]
        if isinstance(numbers, list) and any(isinstance(one, int) for one in numbers):
            wanted = read_expected_numbers(table, "code", registers)
            return replace(profile, code=replace(profile.code, expect=wanted))
    if profile.text is None:
        table.fail("code", "an [identity] with code or text that it can differ in", "none")
    texts = read_expected_texts(table, "code")
    return replace(profile, text=replace(profile.text, expect=texts))


def _read_defaults(top: Table, *, sunspec: bool) -> Defaults:
    if sunspec:
        return Defaults(function=3, word_type=None, order="big", base=0, absent=SUNSPEC_ABSENT)
    table = top.table("map")
    if table is None:
        top.fail("[map]", "a table with base, function and order", "nothing")
    has_type = table.has("type")
    defaults = Defaults(
        base=table.integer("base", 0, 1),
        function=cast("Function", table.integer("function", 3, 4)),
        word_type=cast("WordType", table.choice("type", tuple(REGISTERS))) if has_type else None,
        order=cast("Order", table.choice("order", ("big", "little"))),
        absent=_read_absent(top.table("not_available")),
    )
    table.done()
    return defaults


def _read_absent(table: Table | None) -> dict[WordType, frozenset[bytes]]:
    if table is None:
        return {}
    found = {
        word_type: read_absent(table, word_type, word_type)
        for word_type in REGISTERS
        if table.has(word_type)
    }
    table.done()
    return found


def _read_sources(top: Table) -> tuple[Source, ...]:
    sources = []
    for table in top.tables("source"):
        sources.append(
            Source(
                kind=table.choice("kind", SOURCE_KINDS),
                name=table.text("name"),
                where=table.text("where"),
            )
        )
        table.done()
    _check_sources(top, sources)
    return tuple(sources)


def _check_sources(top: Table, sources: Sequence[Source]) -> None:
    """A document that was read, or two implementations: less is hearsay."""
    kinds = [source.kind for source in sources]
    read = "vendor document" in kinds or "standard" in kinds
    if not read and kinds.count("code") < _CODE_SOURCES_MIN:
        got = ", ".join(kinds) or "none"
        top.fail("[[source]]", "a vendor document, a standard, or two code sources", got)


def _read_quantities(top: Table, defaults: Defaults) -> tuple[Point, ...]:
    table = top.table("quantities")
    if table is None or not table.data:
        top.fail("[quantities]", "at least one quantity", "none")
    return read_points(table, defaults)


def _read_order_setting(table: Table | None, defaults: Defaults) -> OrderSetting | None:
    if table is None:
        return None
    field = read_field(table, defaults)
    setting = OrderSetting(
        field=field, marker=table.hexadecimal("marker", 2 * REGISTERS[field.word_type])
    )
    table.done()
    return setting


def _read_prefix(table: Table | None, defaults: Defaults) -> PrefixSetting | None:
    if table is None:
        return None
    below = table.table("factors")
    if below is None:
        table.fail("factors", "a table such as { 0 = 1, 1 = 1000 }", "nothing")
    factors = {}
    for text in below.data:
        if not (text.isascii() and text.isdigit()):
            below.fail(text, "the setting as a number", text)
        factors[int(text)] = below.integer(text, 1, 1_000_000)
    setting = PrefixSetting(field=read_field(table, defaults), factors=factors)
    table.done()
    return setting
