"""Reading a register's description from a profile's table: address, type, order, unit, scale."""

from __future__ import annotations

import re
from dataclasses import dataclass
from difflib import get_close_matches
from fractions import Fraction
from typing import TYPE_CHECKING, cast

from meterseal.quantities import BY_NAME
from meterseal_agent.profiles.model import Field, Point
from meterseal_agent.profiles.units import document_units, unit_factor
from meterseal_agent.profiles.words import REGISTERS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from meterseal.quantities import Quantity
    from meterseal_agent.bus.frame import Function
    from meterseal_agent.profiles.words import Order, WordType
    from meterseal_agent.tables import Table

_REGISTER_MAX = 0xFFFF
_WRAP_MAX = 1 << 63
_COUNT = re.compile(r"[1-9][0-9]{0,18}\Z", re.ASCII)
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
    absent = defaults.absent.get(word_type, frozenset())
    return Field(
        function=read_function(table, defaults),
        address=read_address(table, key, defaults),
        word_type=word_type,
        order=cast("Order", order),
        absent=read_absent(table, "absent", word_type) if table.has("absent") else absent,
    )


def read_function(table: Table, defaults: Defaults) -> Function:
    """Read the function code, 3 or 4."""
    return cast("Function", table.integer("function", 3, 4, defaults.function))


def read_address(table: Table, key: str, defaults: Defaults) -> int:
    """Read a register number of the document and make it an address on the wire."""
    low = defaults.base
    return table.integer(key, low, _REGISTER_MAX + low) - defaults.base


def read_absent(table: Table, key: str, word_type: WordType) -> frozenset[bytes]:
    """Read the words, most significant first, that mean "not available" in a type."""
    size = 2 * REGISTERS[word_type]
    return frozenset(table.as_bytes(key, text, size, "") for text in table.texts(key))


def read_point(table: Table, name: str, defaults: Defaults, key: str = "address") -> Point:
    """Read one quantity's table."""
    quantity = find_quantity(table, name)
    units = document_units(quantity.unit)
    unit = table.choice("unit", units)
    point = Point(
        code=quantity.code,
        name=name,
        field=read_field(table, defaults, key),
        factor=read_scale(table) * unit_factor(quantity.unit, unit) * read_sign(table),
        unit=unit,
        scale=read_address(table, f"scale_{key}", defaults) if table.has(f"scale_{key}") else None,
        minus=read_address(table, "minus_address", defaults)
        if table.has("minus_address")
        else None,
        wrap=read_wrap(table),
        billing=read_billing(table, quantity),
    )
    table.done()
    return point


def find_quantity(table: Table, name: str) -> Quantity:
    """Look a name up in the table of quantities."""
    quantity = BY_NAME.get(name)
    if quantity is None:
        near = get_close_matches(name, BY_NAME, n=1)
        remedy = f'Did you mean "{near[0]}"? ' if near else ""
        table.fail(
            None, "the name of a quantity", name, f"{remedy}docs/meters.md lists the quantities."
        )
    return quantity


def read_scale(table: Table) -> Fraction:
    """Read the scale: a decimal text, so that it is exact."""
    expected = 'a decimal text such as "0.1"'
    text = table.take("scale", str, expected, "1")
    if not _DECIMAL.match(text) or not Fraction(text):
        table.fail("scale", expected, text)
    return Fraction(text)


def read_sign(table: Table) -> int:
    """Read the sign: -1 where the document counts the other direction as positive."""
    sign = table.integer("sign", -1, 1, 1)
    if sign == 0:
        table.fail("sign", "1 or -1", sign)
    return sign


def read_wrap(table: Table) -> int | None:
    """Read the count at which a counter begins again, as an integer or its decimal text."""
    if not table.has("wrap"):
        return None
    value = table.data["wrap"]
    if isinstance(value, str) and _COUNT.match(value):
        return int(value)
    return table.integer("wrap", 2, _WRAP_MAX)


def read_billing(table: Table, quantity: Quantity) -> bool:
    """Read whether raw words go into the record; only energy is billed."""
    billing = table.take("billing", bool, "true or false", default=False)
    if billing and quantity.unit != "Wh":
        table.fail("billing", "true for an energy in Wh only", value_of(billing))
    return billing


def value_of(flag: bool) -> str:  # noqa: FBT001 - the flag is the value shown
    """Write a truth value as TOML does."""
    return "true" if flag else "false"


def read_points(table: Table, defaults: Defaults, key: str = "address") -> tuple[Point, ...]:
    """Read a table of quantities by name."""
    points = []
    for name in table.data:
        below = table.table(name)
        if below is not None:
            points.append(read_point(below, name, defaults, key))
    return tuple(points)
