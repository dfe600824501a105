"""SunSpec: models that are found, not known; scale factors that are read with their values.

- The map begins at 40000, 0 or 50000 with "SunS"; then each model says its number and length.
- A model is read whole, header, values and scale factors in one request: Fronius changes scale
  factors while running, and a header that is no longer there stops a shifted reply.
- Which points a model has comes from the profile; how long it is, from the device (model 1 of
  SolarEdge is 65 registers long, not 66).

SunSpec Device Information Model Specification 1.1; offsets from sunspec/models, json/model_N.json.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from meterseal_agent.bus.frame import REGISTERS_MAX
from meterseal_agent.bus.plan import Span
from meterseal_agent.profiles.fields import Defaults, read_point, read_points
from meterseal_agent.profiles.layout import Fixed, Layout, make_layout
from meterseal_agent.profiles.model import Field, Model, Point
from meterseal_agent.profiles.words import REGISTERS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from meterseal_agent.bus.plan import Limits
    from meterseal_agent.tables import Table

BASES: Final = (40000, 0, 50000)
"""Where a map may begin, in the order of pysunspec2."""
MARK: Final = b"SunS"
HEADER: Final = 2
END_MODEL: Final = 0xFFFF
COMMON_MODEL: Final = 1
MODELS_MAX: Final = 64
"""A chain longer than this is a device that does not end its map."""

COMMON_TEXTS: Final = {"make": (2, 16), "model": (18, 16), "firmware": (42, 8), "serial": (50, 16)}
"""Offset from the id register and length of the texts of model 1."""

_GROUPS_MAX = 4
_GROUP_NAME = "{n}"
_NUMBER_MAX = 0xFFFF


def read_models(tables: Sequence[Table], defaults: Defaults) -> tuple[Model, ...]:
    """Read every [[sunspec]] of a profile."""
    return tuple(_read_model(table, defaults) for table in tables)


def select(
    models: Sequence[Model], found: Mapping[int, tuple[int, int]], names: frozenset[str] | None
) -> tuple[tuple[Point, ...], tuple[Span, ...], tuple[Fixed, ...]]:
    """Place the wanted points of the models that a device has.

    Args:
        models: What the profile knows.
        found: Address of the id register and length, by model number.
        names: The quantities wanted, or None for all.

    Returns:
        The points, the blocks that hold them with header and scale factors, and the headers.
    """
    points: list[Point] = []
    blocks: list[Span] = []
    fixed: list[Fixed] = []
    seen: set[int] = set()
    for model in models:
        for number in model.ids:
            if number not in found:
                continue
            address, length = found[number]
            wanted = [
                _moved(point, address)
                for point in _present(model, length)
                if (names is None or point.name in names) and point.code not in seen
            ]
            if not wanted:
                continue
            seen.update(point.code for point in wanted)
            points += wanted
            blocks.append(_block(address, length, wanted))
            fixed += _header(address, number, length)
    return tuple(points), tuple(blocks), tuple(fixed)


def sunspec_layout(
    unit: int,
    models: Sequence[Model],
    found: Mapping[int, tuple[int, int]],
    limits: Limits,
    names: frozenset[str] | None,
) -> Layout:
    """Plan the requests for the models that a device has."""
    points, blocks, fixed = select(models, found, names)
    return make_layout(unit, points, limits, blocks=blocks, fixed=fixed)


def _read_model(table: Table, defaults: Defaults) -> Model:
    ids = table.take("ids", list, "a list of model numbers")
    for number in ids:
        if type(number) is not int or not 1 <= number < END_MODEL:
            table.fail("ids", "numbers of SunSpec models", number)
    below = table.table("quantities")
    group = table.table("group")
    model = Model(
        ids=tuple(ids),
        points=() if below is None else read_points(below, defaults, key="offset"),
    )
    if group is not None:
        model = _with_groups(model, group, defaults)
    table.done()
    return model


def _with_groups(model: Model, table: Table, defaults: Defaults) -> Model:
    """Read the quantities of a repeating group; "{n}" in their names counts from 1."""
    first = table.integer("first", HEADER, REGISTERS_MAX)
    length = table.integer("length", 1, REGISTERS_MAX)
    below = table.table("quantities")
    groups: list[list[Point]] = [[] for _ in range(_GROUPS_MAX)]
    names = () if below is None else tuple(below.data)
    for name in names:
        for index in range(_GROUPS_MAX):
            row = None if below is None else below.table(name)
            if row is None:
                continue
            point = read_point(
                row, name.replace(_GROUP_NAME, str(index + 1)), defaults, key="offset"
            )
            groups[index].append(_shifted(point, index * length))
    table.done()
    return replace(
        model,
        group_first=first,
        group_length=length,
        groups=tuple(tuple(group) for group in groups),
    )


def _present(model: Model, length: int) -> list[Point]:
    """List the points that a model of this length has."""
    end = HEADER + length
    points = [point for point in model.points if _end(point) <= end]
    if model.group_first is None or model.group_length == 0:
        return points
    count = (end - model.group_first) // model.group_length
    for group in model.groups[: max(0, count)]:
        points += group
    return points


def _block(address: int, length: int, points: Sequence[Point]) -> Span:
    """Span header to the last register needed, or the whole model when a request holds it."""
    whole = HEADER + length
    needed = max(_end(point) for point in points) - address
    count = whole if whole <= REGISTERS_MAX else needed
    return Span(function=3, address=address, count=count)


def _header(address: int, number: int, length: int) -> list[Fixed]:
    return [
        Fixed(field=Field(function=3, address=address, word_type="u16"), expect=number),
        Fixed(field=Field(function=3, address=address + 1, word_type="u16"), expect=length),
    ]


def _end(point: Point) -> int:
    end = point.field.address + REGISTERS[point.field.word_type]
    return end if point.scale is None else max(end, point.scale + 1)


def _moved(point: Point, address: int) -> Point:
    """Turn offsets into addresses, of the value and of its scale factor."""
    scale = None if point.scale is None else point.scale + address
    field = replace(point.field, address=point.field.address + address)
    return replace(point, field=field, scale=scale)


def _shifted(point: Point, registers: int) -> Point:
    """Move the value to a later group; its scale factor stays in the model's fixed part."""
    return replace(point, field=replace(point.field, address=point.field.address + registers))
