"""Reading from a profile's [identity] how a meter says who it is.

A key that names one register's number or text: `serial`, `firmware` (what they hold is unknown),
`code` (one of some numbers) and `text` (begins with one of some texts).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from meterseal_agent.profiles.fields import (
    Defaults,
    read_address,
    read_field,
    read_function,
)
from meterseal_agent.profiles.model import Expectation, Field, Text, TextExpectation
from meterseal_agent.profiles.words import REGISTERS

if TYPE_CHECKING:
    from meterseal_agent.tables import Table

_ASCII = "ascii"
_TEXT_REGISTERS_MAX = 32


@dataclass(frozen=True, kw_only=True, slots=True)
class Identity:
    """What a meter can be asked about itself."""

    serial: Field | Text | None = None
    firmware: Field | Text | None = None
    code: Expectation | None = None
    text: TextExpectation | None = None


def read_identity(table: Table | None, defaults: Defaults) -> Identity:
    """Read [identity]; where it is absent, the meter cannot be asked."""
    if table is None:
        return Identity()
    identity = Identity(
        serial=_number_or_text(table.table("serial"), defaults),
        firmware=_number_or_text(table.table("firmware"), defaults),
        code=_code(table.table("code"), defaults),
        text=_text(table.table("text"), defaults),
    )
    table.done()
    return identity


def read_expected_numbers(table: Table, key: str, registers: int) -> tuple[int, ...]:
    """Read the numbers that identify a model."""
    values = table.take(key, list, "a list of numbers")
    for value in values:
        if type(value) is not int or not 0 <= value < 1 << 16 * registers:
            table.fail(key, f"numbers of {registers} registers", value)
    if not values:
        table.fail(key, "at least one number", "none")
    return tuple(values)


def read_expected_texts(table: Table, key: str) -> tuple[str, ...]:
    """Read the text, or texts, that identify a model."""
    if isinstance(table.data.get(key), str):
        return (table.text(key),)
    texts = table.texts(key)
    if not texts:
        table.fail(key, 'a text such as "B23 ", or a list of texts', "nothing")
    return texts


def _number_or_text(table: Table | None, defaults: Defaults) -> Field | Text | None:
    if table is None:
        return None
    found: Field | Text
    if table.data.get("type") == _ASCII:
        table.has("type")
        found = _characters(table, defaults)
    else:
        found = read_field(table, defaults)
    table.done()
    return found


def _characters(table: Table, defaults: Defaults) -> Text:
    return Text(
        function=read_function(table, defaults),
        address=read_address(table, "address", defaults),
        registers=table.integer("registers", 1, _TEXT_REGISTERS_MAX),
    )


def _code(table: Table | None, defaults: Defaults) -> Expectation | None:
    if table is None:
        return None
    field = read_field(table, defaults)
    expect = read_expected_numbers(table, "expect", REGISTERS[field.word_type])
    table.done()
    return Expectation(field=field, expect=expect)


def _text(table: Table | None, defaults: Defaults) -> TextExpectation | None:
    if table is None:
        return None
    if table.has("type"):
        table.choice("type", (_ASCII,))
    field = _characters(table, defaults)
    expect = read_expected_texts(table, "expect")
    for text in expect:
        if len(text) > 2 * field.registers or not text.isascii():
            table.fail("expect", f"up to {2 * field.registers} ASCII characters", text)
    table.done()
    return TextExpectation(field=field, expect=expect)
