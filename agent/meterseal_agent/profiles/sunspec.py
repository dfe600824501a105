"""SunSpec: models that are found, not known; scale factors that are read with their values.

- The map begins at 40000, 0 or 50000 with "SunS"; then each model says its number and length.
- A model is read whole, header, values and scale factors in one request: Fronius changes scale
  factors while running, and a header that is no longer there stops a shifted reply.
- What stands where in a model comes from the official definitions; which point is which quantity,
  with which sign, from the profile; how long a model is, from the device (model 1 of SolarEdge is
  65 registers long, not 66).

SunSpec Device Information Model Specification 1.1.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from meterseal_agent.bus.plan import Span
from meterseal_agent.profiles.layout import Fixed, Layout, make_layout
from meterseal_agent.profiles.model import Field, Model, Point, Text
from meterseal_agent.profiles.words import REGISTERS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from meterseal_agent.bus.plan import Limits

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

MAKER: Final = Text(function=3, address=2, registers=16)
"""Where model 1 names the maker: an offset in it."""


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
            blocks.append(_block(address, wanted))
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


def _block(address: int, points: Sequence[Point]) -> Span:
    """Span header to the last register needed.

    Not the whole model: SMA refuses the end of a model 714 that its header promises
    (sunspec/pysunspec2 issue 89), and a model 701 is longer than a request.
    """
    count = max(_end(point) for point in points) - address
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
