"""Golden vectors: rows typed by hand, and the decoding of one row by one quantity of a profile.

The form of the files is in tests/agent/vectors/README.md.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from meterseal_agent.errors import MeterError
from meterseal_agent.profiles.layout import make_layout
from meterseal_agent.profiles.model import Expectation, Field, Profile, Text, TextExpectation
from meterseal_agent.profiles.words import REGISTERS, number, text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from meterseal_agent.bus.plan import Limits
    from meterseal_agent.profiles.model import Point

FOLDER = Path(__file__).resolve().parent.parent / "agent" / "vectors"
UNIT = 1
MODEL_AT = 40069
# Registers that a vector does not give hold what no row expects.
_FILLER = b"\x7a\x7a"
_HEADER = b"\x7b\x7b\x7c\x7c"
_PIN = 5
_SCALED_PIN = 7

Image = dict[tuple[int, int], bytes]


@dataclass(frozen=True, kw_only=True)
class Row:
    """Words and what they mean; `address` is the offset in its model where there is one."""

    quantity: str
    function: int
    address: int
    words: bytes
    value: int | None
    label: str
    word_type: str | None = None
    refused: bool = False
    scale_address: int | None = None
    scale: bytes = b""
    minus_address: int | None = None
    minus: bytes = b""
    model: int | None = None


@dataclass(frozen=True, kw_only=True)
class Told:
    """What a register of the identity holds."""

    function: int
    address: int
    word_type: str
    words: bytes
    value: int | str


@dataclass(frozen=True, kw_only=True)
class Vector:
    """One file."""

    rows: tuple[Row, ...]
    identity: dict[str, Told]


def load_vector(name: str) -> Vector:
    """Read the vector of a map; a mistake in it is named."""
    path = FOLDER / f"{name}.toml"
    assert path.exists(), f"{path.name}: type the golden vector, as vectors/README.md says"
    data = tomllib.loads(path.read_text(encoding="utf-8"))
    known = {"profile", "value", "pins", "identity"}
    assert set(data) <= known, f"{path.name}: unknown keys {set(data) - known}"
    assert data["profile"] == name, f"{path.name} profile: expected {name}, got {data['profile']}"
    rows = [_pin(path.name, quantity, pin) for quantity, pin in _pins(data.get("pins", {}))]
    rows += [_value(path.name, index, table) for index, table in enumerate(data.get("value", []))]
    identity = {key: _told(path.name, key, row) for key, row in data.get("identity", {}).items()}
    return Vector(rows=tuple(rows), identity=identity)


def _pins(table: dict[str, Any]) -> Iterator[tuple[str, list[Any]]]:
    """A quantity that several models hold has a list of pins."""
    for quantity, pin in table.items():
        several = bool(pin) and all(isinstance(one, list) for one in pin)
        yield from ((quantity, one) for one in (pin if several else [pin]))


def _pin(file: str, quantity: str, pin: list[Any]) -> Row:
    label = f"{file} [pins] {quantity}"
    assert len(pin) in (_PIN - 1, _PIN, _SCALED_PIN), f"{label}: got {len(pin)} elements"
    function, address, word_type, words = pin[:4]
    model = function if function not in (3, 4) else None
    row = Row(
        quantity=quantity,
        function=3 if model else function,
        model=model,
        address=address,
        word_type=word_type,
        words=bytes.fromhex(words),
        value=pin[4] if len(pin) >= _PIN else None,
        label=label,
    )
    if len(pin) == _SCALED_PIN:
        row = replace(row, scale_address=pin[5], scale=bytes.fromhex(pin[6]))
    return _sound(row)


def _value(file: str, index: int, table: dict[str, Any]) -> Row:
    label = f"{file} [[value]] {index + 1} {table.get('quantity')}"
    known = {
        "quantity", "function", "address", "type", "words", "value", "refused", "model",
        "scale_address", "scale", "minus_address", "minus",
    }  # fmt: skip
    assert set(table) <= known, f"{label}: unknown keys {set(table) - known}"
    return _sound(
        Row(
            quantity=table["quantity"],
            function=table.get("function", 3),
            address=table["address"],
            word_type=table.get("type"),
            words=bytes.fromhex(table["words"]),
            value=table.get("value"),
            refused=table.get("refused", False),
            scale_address=table.get("scale_address"),
            scale=bytes.fromhex(table.get("scale", "")),
            minus_address=table.get("minus_address"),
            minus=bytes.fromhex(table.get("minus", "")),
            model=table.get("model"),
            label=label,
        )
    )


def _sound(row: Row) -> Row:
    if row.word_type is not None:
        assert row.word_type in REGISTERS, f"{row.label}: unknown type {row.word_type}"
        size = 2 * REGISTERS[row.word_type]
        assert len(row.words) == size, f"{row.label}: {row.word_type} has {size // 2} words"
    assert row.value is None or type(row.value) is int, f"{row.label}: value is an integer"
    return row


def _told(file: str, key: str, row: list[Any]) -> Told:
    assert len(row) == _PIN, f"{file} [identity] {key}: expected 5 elements, got {len(row)}"
    return Told(
        function=row[0],
        address=row[1],
        word_type=row[2],
        words=bytes.fromhex(row[3]),
        value=row[4],
    )


def image_of(row: Row) -> Image:
    """Place a row's words by function and address, and a header where it is in a model."""
    base = 0 if row.model is None else MODEL_AT
    image: Image = {}
    _place(image, row.function, base + row.address, row.words)
    if row.scale_address is not None:
        _place(image, row.function, base + row.scale_address, row.scale)
    if row.minus_address is not None:
        _place(image, row.function, base + row.minus_address, row.minus)
    return image


def _place(image: Image, function: int, address: int, words: bytes) -> None:
    for index in range(0, len(words), 2):
        image[function, address + index // 2] = words[index : index + 2]


def fetch(image: Image, function: int, address: int, count: int) -> bytes:
    """Answer a request."""
    return b"".join(image.get((function, address + at), _FILLER) for at in range(count))


def fault(point: Point, row: Row, limits: Limits) -> str | None:
    """Say how a quantity fails its row, or None where it decodes as it should."""
    if row.word_type not in (None, point.field.word_type):
        return f"{row.label}: type is {row.word_type}, in the profile {point.field.word_type}"
    if row.model is not None:
        point = moved(point, MODEL_AT)
    layout = make_layout(UNIT, [point], limits)
    image = image_of(row)
    replies = [fetch(image, one.function, one.address, one.count) for one in layout.requests]
    try:
        decoded = layout.decode(replies)
    except MeterError as error:
        return None if row.refused else f"{row.label}: {error}"
    got = decoded.values[point.code]
    if row.refused or got != row.value:
        expected = "a refusal" if row.refused else row.value
        return f"{row.label}: expected {expected}, got {got}"
    raw = decoded.raw.get(point.code)
    if point.billing and got is not None and raw != row.words + row.scale:
        return f"{row.label}: expected the raw words in the record, got {raw!r}"
    return None


def moved(point: Point, address: int) -> Point:
    """Turn offsets in a model into addresses."""
    scale = None if point.scale is None else point.scale + address
    field = replace(point.field, address=point.field.address + address)
    return replace(point, field=field, scale=scale)


def identity_of(profile: Profile) -> dict[str, Field | Text]:
    """List what a profile can ask the meter about itself at fixed addresses."""
    if profile.sunspec:
        return {}
    known = {
        "serial": profile.serial,
        "firmware": profile.firmware,
        "code": profile.code,
        "text": profile.text,
    }
    return {
        key: one.field if isinstance(one, Expectation | TextExpectation) else one
        for key, one in known.items()
        if one is not None
    }


def identity_fault(key: str, field: Field | Text, told: Told) -> str | None:
    """Say how a register of the identity fails its row."""
    word_type = "ascii" if isinstance(field, Text) else field.word_type
    if told.word_type != word_type:
        return f"[identity] {key}: type is {told.word_type}, in the profile {word_type}"
    image: Image = {}
    _place(image, told.function, told.address, told.words)
    if isinstance(field, Text):
        words = fetch(image, field.function, field.address, field.registers)
        got: object = text(words) if len(words) == len(told.words) else words
    else:
        words = fetch(image, field.function, field.address, REGISTERS[field.word_type])
        got = cast("object", number(words, field.word_type, field.order))
    return None if got == told.value else f"[identity] {key}: expected {told.value}, got {got}"
