"""From a profile's TOML text to a Profile, strictly: units, types and addresses are never guessed.

Numbers that scale are texts ("0.1"), so that no binary float ever stands between a register and a
watt-hour.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, cast

from meterseal.types import Hash
from meterseal_agent.bus.frame import REGISTERS_MAX
from meterseal_agent.bus.plan import Limits
from meterseal_agent.bus.settings import Pace
from meterseal_agent.errors import ProfileError
from meterseal_agent.profiles.fields import Defaults, read_field, read_points
from meterseal_agent.profiles.model import (
    Expectation,
    OrderSetting,
    PrefixSetting,
    Profile,
    Source,
)
from meterseal_agent.profiles.sunspec import read_models
from meterseal_agent.profiles.words import REGISTERS, SUNSPEC_ABSENT, WordType
from meterseal_agent.tables import open_document

if TYPE_CHECKING:
    from pathlib import Path

    from meterseal_agent.bus.frame import Function
    from meterseal_agent.profiles.model import Field, Point
    from meterseal_agent.profiles.words import Order
    from meterseal_agent.tables import Table

SOURCE_KINDS = ("vendor document", "standard", "code", "recording")
_WORD_MAX = 0xFFFF


def parse_profile(data: bytes, source: Path) -> Profile:
    """Read a profile from its file's bytes.

    Raises:
        ProfileError: It is not a profile, or contradicts itself.
    """
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        raise ProfileError(f"{source}: expected UTF-8 text, got other bytes") from error
    top = open_document(text, source, ProfileError)
    name = top.text("id")
    if name != source.stem:
        top.fail("id", f'the file\'s name "{source.stem}"', name)
    sunspec = top.choice("kind", ("registers", "sunspec")) == "sunspec"
    defaults = _read_defaults(top, sunspec=sunspec)
    limits, pace = _read_line(top)
    points = () if sunspec else _read_quantities(top, defaults)
    identity = top.table("identity")
    profile = Profile(
        name=name,
        make=top.text("make"),
        model=top.text("model"),
        hash=Hash(hashlib.sha256(data).digest()),
        verified_on_hardware=top.take("verified_on_hardware", bool, "true or false"),
        sources=_read_sources(top),
        limits=limits,
        pace=pace,
        points=points,
        models=read_models(top.tables("sunspec"), defaults) if sunspec else (),
        serial=None if identity is None else _read_serial(identity, defaults),
        code=None if identity is None else _read_code(identity, defaults),
        order_setting=_read_order_setting(top.table("word_order"), defaults),
        prefix_setting=_read_prefix(top.table("energy_prefix"), defaults),
        notes=top.text("notes") if top.has("notes") else "",
    )
    if identity is not None:
        identity.done()
    top.done()
    _check(top, profile)
    return profile


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
        absent=_read_absent(table.table("absent")),
    )
    table.done()
    return defaults


def _read_absent(table: Table | None) -> dict[WordType, frozenset[bytes]]:
    if table is None:
        return {}
    found: dict[WordType, frozenset[bytes]] = {}
    for word_type, registers in REGISTERS.items():
        if table.has(word_type):
            texts = table.texts(word_type)
            found[word_type] = frozenset(
                table.as_bytes(word_type, text, 2 * registers, "") for text in texts
            )
    table.done()
    return found


def _read_line(top: Table) -> tuple[Limits, Pace]:
    table = top.table("line")
    if table is None:
        top.fail("[line]", "a table with registers_max and silence_ms", "nothing")
    limits = Limits(
        registers_max=table.integer("registers_max", 1, REGISTERS_MAX),
        gap_max=table.integer("gap_max", 0, REGISTERS_MAX, 10),
        even=table.take("even", bool, "true or false", default=False),
    )
    pace = Pace(
        silence_s=table.integer("silence_ms", 0, 10_000) / 1000,
        timeout_s=table.integer("timeout_ms", 0, 60_000, 0) / 1000,
    )
    table.done()
    return limits, pace


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
    if not sources:
        top.fail("[[source]]", "at least one source", "none")
    return tuple(sources)


def _read_quantities(top: Table, defaults: Defaults) -> tuple[Point, ...]:
    table = top.table("quantities")
    if table is None or not table.data:
        top.fail("[quantities]", "at least one quantity", "none")
    return read_points(table, defaults)


def _read_serial(identity: Table, defaults: Defaults) -> Field | None:
    table = identity.table("serial")
    if table is None:
        return None
    field = read_field(table, defaults)
    table.done()
    return field


def _read_code(identity: Table, defaults: Defaults) -> Expectation | None:
    table = identity.table("code")
    if table is None:
        return None
    expect = table.take("expect", list, "a list of numbers")
    for value in expect:
        if type(value) is not int or not 0 <= value <= _WORD_MAX:
            table.fail("expect", "numbers of one register", value)
    expectation = Expectation(field=read_field(table, defaults), expect=tuple(expect))
    table.done()
    return expectation


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


def _check(top: Table, profile: Profile) -> None:
    """Hold the map against itself: no two quantities on one register, each within a request."""
    owners: dict[tuple[int, int], str] = {}
    for point in profile.points:
        registers = REGISTERS[point.field.word_type]
        if registers > profile.limits.registers_max:
            top.fail(point.name, f"at most {profile.limits.registers_max} registers", registers)
        for address in range(point.field.address, point.field.address + registers):
            other = owners.setdefault((point.field.function, address), point.name)
            if other != point.name:
                top.fail(
                    "[quantities]",
                    f"registers of its own for {point.name}",
                    f"register {address}, which is in {other} too",
                )
