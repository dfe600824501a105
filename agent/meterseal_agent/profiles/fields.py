"""Reading a register's description from a profile's table: address, type, order, unit, scale."""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, cast

from meterseal.quantities import BY_NAME
from meterseal_agent.profiles.model import Field, Point
from meterseal_agent.profiles.units import document_units, unit_factor
from meterseal_agent.profiles.words import REGISTERS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from meterseal_agent.bus.frame import Function
    from meterseal_agent.profiles.words import Order, WordType
    from meterseal_agent.tables import Table

_REGISTER_MAX = 0xFFFF
_DECIMAL = re.compile(r"(0|[1-9][0-9]{0,8})(\.[0-9]{1,9})?\Z")


@dataclass(frozen=True, kw_only=True, slots=True)
class Defaults:
    """What a field has where its own table does not say.

    Attributes:
        base: Subtracted from every address: 1 for documents that number registers from 1.
    """

    function: Function
    word_type: WordType | None
    order: Order
    base: int
    absent: Mapping[WordType, frozenset[bytes]]


def read_field(table: Table, defaults: Defaults, key: str = "address") -> Field:
    """Read function, address, type and order; the caller finishes the table."""
    types = tuple(REGISTERS)
    fallback = {} if defaults.word_type is None else {"default": defaults.word_type}
    word_type = cast("WordType", table.choice("type", types, **fallback))  # checked by choice
    order = table.choice("order", ("big", "little"), defaults.order)
    low = defaults.base
    return Field(
        function=cast("Function", table.integer("function", 3, 4, defaults.function)),
        address=table.integer(key, low, _REGISTER_MAX + low) - defaults.base,
        word_type=word_type,
        order=cast("Order", order),
        absent=defaults.absent.get(word_type, frozenset()),
    )


def read_point(table: Table, name: str, defaults: Defaults, key: str = "address") -> Point:
    """Read one quantity's table."""
    quantity = BY_NAME.get(name)
    if quantity is None:
        table.fail(None, "the name of a quantity", name, "meterseal.quantities lists them.")
    units = document_units(quantity.unit)
    unit = table.choice("unit", units)
    sign = table.integer("sign", -1, 1, 1)
    scale = table.take("scale", str, 'a decimal text such as "0.1"', "1")
    if sign == 0 or not _DECIMAL.match(scale) or not Fraction(scale):
        table.fail("scale", 'a decimal text such as "0.1" and sign 1 or -1', scale)
    point = Point(
        code=quantity.code,
        name=name,
        field=read_field(table, defaults, key),
        factor=Fraction(scale) * unit_factor(quantity.unit, unit) * sign,
        unit=unit,
        scale=table.integer("scale_offset", 0, _REGISTER_MAX)
        if table.has("scale_offset")
        else None,
        billing=table.take("billing", bool, "true or false", default=False),
    )
    table.done()
    return point


def read_points(table: Table, defaults: Defaults, key: str = "address") -> tuple[Point, ...]:
    """Read a table of quantities by name."""
    points = []
    for name in table.data:
        below = table.table(name)
        if below is not None:
            points.append(read_point(below, name, defaults, key))
    return tuple(points)
