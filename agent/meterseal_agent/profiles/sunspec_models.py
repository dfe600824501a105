"""Reading from a profile's [[sunspec]] which point of which model is which quantity.

The profile says point, sign and what is billed; offset, type, unit and scale factor come from the
official definitions. `type` stands there only where a maker fills the registers otherwise (Kostal
counts the export of its meter as a negative i32).
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final, cast

from meterseal_agent.profiles.fields import find_quantity, read_billing, read_sign
from meterseal_agent.profiles.model import Field, Model, Point
from meterseal_agent.profiles.official import OfficialModel, OfficialPoint, official_models
from meterseal_agent.profiles.sunspec import HEADER
from meterseal_agent.profiles.units import document_units, unit_factor
from meterseal_agent.profiles.words import REGISTERS, SUNSPEC_ABSENT, WordType

if TYPE_CHECKING:
    from collections.abc import Sequence

    from meterseal_agent.tables import Table

_GROUPS_MAX = 4
_GROUP_NAME = "{n}"
# An accumulator begins again at 0 behind its largest value.
_WRAPS: Final[dict[WordType, int]] = {"acc16": 1 << 16, "acc32": 1 << 32}


def read_models(tables: Sequence[Table]) -> tuple[Model, ...]:
    """Read every [[sunspec]] of a profile."""
    return tuple(_read_model(table) for table in tables)


def _read_model(table: Table) -> Model:
    ids = table.take("ids", list, "a list of model numbers")
    known = official_models()
    for number in ids:
        if type(number) is not int or number not in known:
            table.fail("ids", "numbers of SunSpec models in sunspec-models.json", number)
    if not ids:
        table.fail("ids", "at least one number", "none")
    definitions = [known[number] for number in ids]
    model = Model(
        ids=tuple(ids),
        points=_read_points(table.table("quantities"), definitions, group=False),
    )
    below = table.table("group")
    if below is not None:
        model = _with_groups(model, below, definitions)
    table.done()
    return model


def _with_groups(model: Model, table: Table, definitions: Sequence[OfficialModel]) -> Model:
    """Read the quantities of a repeated group; "{n}" in their names counts from 1."""
    first, length = HEADER + definitions[0].length, definitions[0].group_length
    if not length:
        table.fail(None, "a model with a repeated group", f"model {definitions[0].number}")
    below = table.table("quantities")
    groups = [
        _read_points(below, definitions, group=True, index=index) for index in range(_GROUPS_MAX)
    ]
    table.done()
    return replace(
        model,
        group_first=first,
        group_length=length,
        groups=tuple(
            tuple(_shifted(point, first + index * length) for point in points)
            for index, points in enumerate(groups)
        ),
    )


def _read_points(
    table: Table | None, definitions: Sequence[OfficialModel], *, group: bool, index: int = 0
) -> tuple[Point, ...]:
    """Read which point is which quantity."""
    if table is None:
        return ()
    points = []
    for name in table.data:
        row = table.table(name)
        if row is not None:
            numbered = name.replace(_GROUP_NAME, str(index + 1))
            points.append(_read_point(row, numbered, definitions, group=group))
    return tuple(points)


def _read_point(
    table: Table, name: str, definitions: Sequence[OfficialModel], *, group: bool
) -> Point:
    """Read one quantity: the point's name and sign; all else the definition knows."""
    quantity = find_quantity(table, name)
    official, scale = _official(table, definitions, group=group)
    if official.word_type is None:
        table.fail("point", "a point that holds a number", table.data["point"])
    word_type = _read_type(table, official)
    units = document_units(quantity.unit)
    default = {"default": official.unit} if official.unit in units else {}
    unit = table.choice("unit", units, **default)
    point = Point(
        code=quantity.code,
        name=name,
        field=Field(
            function=3,
            address=official.offset,
            word_type=word_type,
            absent=SUNSPEC_ABSENT.get(official.word_type, frozenset()),
        ),
        factor=unit_factor(quantity.unit, unit) * read_sign(table),
        unit=unit,
        scale=scale,
        wrap=_WRAPS.get(word_type),
        billing=read_billing(table, quantity),
    )
    table.done()
    return point


def _read_type(table: Table, official: OfficialPoint) -> WordType:
    """Read how a device that breaks the definition fills the same registers."""
    likes = tuple(one for one in REGISTERS if REGISTERS[one] == official.registers)
    return cast("WordType", table.choice("type", likes, official.word_type or ""))


def _official(
    table: Table, definitions: Sequence[OfficialModel], *, group: bool
) -> tuple[OfficialPoint, int | None]:
    """Find a point, and where its scale factor is, alike in all of some models."""
    name = table.text("point")
    found = []
    for model in definitions:
        points = model.group if group else model.points
        if name not in points:
            known = ", ".join(points)
            table.fail("point", f"a point of model {model.number} ({known})", name)
        point = points[name]
        scale = None if point.scale is None else model.points[point.scale].offset
        found.append((point, scale))
    if any(one != found[0] for one in found):
        numbers = ", ".join(str(model.number) for model in definitions)
        table.fail("point", f"a point that is alike in models {numbers}", name)
    return found[0]


def _shifted(point: Point, registers: int) -> Point:
    """Move the value to a later group; its scale factor stays in the model's fixed part."""
    return replace(point, field=replace(point.field, address=point.field.address + registers))
