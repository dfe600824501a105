"""A register map, as frozen values: what a meter is called, how it is asked, what is where."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from fractions import Fraction

    from meterseal.types import Hash
    from meterseal_agent.bus.frame import Function
    from meterseal_agent.bus.plan import Limits
    from meterseal_agent.bus.settings import Pace
    from meterseal_agent.profiles.words import Order, WordType


@dataclass(frozen=True, kw_only=True, slots=True)
class Source:
    """Where a fact was read.

    Attributes:
        kind: "vendor document", "code" or "recording".
    """

    kind: str
    name: str
    where: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Field:
    """One number in the registers.

    Attributes:
        address: Zero-based protocol address; in a SunSpec model, offset from its id register.
        absent: Words that mean "not available", most significant first.
    """

    function: Function
    address: int
    word_type: WordType
    order: Order = "big"
    absent: frozenset[bytes] = frozenset()


@dataclass(frozen=True, kw_only=True, slots=True)
class Text:
    """Characters in the registers, two each."""

    function: Function
    address: int
    registers: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Point:
    """Where a quantity is found.

    Attributes:
        code: The quantity (meterseal.quantities).
        factor: From the register's number to the quantity's unit: unit, scale and sign.
        scale: Address or offset of the scale factor (a power of ten), read with the value.
        minus: Address of a number like this one that is subtracted from it: meters that tell
            power of either direction apart, without a sign.
        wrap: Count at which the register begins again at 0, in the register's own units; None
            where it is not known to wrap in a lifetime.
        billing: A billing counter: its raw words go into the record.
    """

    code: int
    name: str
    field: Field
    factor: Fraction
    unit: str
    scale: int | None = None
    minus: int | None = None
    wrap: int | None = None
    billing: bool = False

    @property
    def counts(self) -> bool:
        """Whether it is a counter whose raw words are kept: one that is billed on, or wraps."""
        return self.billing or self.wrap is not None

    @property
    def wrap_width(self) -> Fraction | None:
        """The wrap in the quantity's unit; with a scale factor in a register, before that."""
        return None if self.wrap is None else self.wrap * abs(self.factor)


@dataclass(frozen=True, kw_only=True, slots=True)
class Expectation:
    """A register that must hold one of some numbers, e.g. the meter's code."""

    field: Field
    expect: tuple[int, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class TextExpectation:
    """Characters that must begin with one of some texts, e.g. the meter's type."""

    field: Text
    expect: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Factory:
    """How the meter leaves the factory, for the scan; None where no source says so.

    Attributes:
        parity: "N", "E" or "O".
    """

    baud: int | None = None
    parity: str | None = None
    stop_bits: int | None = None
    address: int | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class OrderSetting:
    """A register that shows the word order in force.

    Attributes:
        marker: Its words in "big" order; reversed they mean "little"; all zero means the default.
    """

    field: Field
    marker: bytes


@dataclass(frozen=True, kw_only=True, slots=True)
class PrefixSetting:
    """A register that says by what the energy registers are multiplied."""

    field: Field
    factors: Mapping[int, int]


@dataclass(frozen=True, kw_only=True, slots=True)
class Model:
    """A SunSpec model and what we read in it; offsets count from the id register.

    Attributes:
        ids: Model numbers that share these offsets.
        group_first: Offset of the first repeating group, or None.
        group_length: Registers of a group.
        groups: Points of the group, one tuple for each of its repetitions that we know.
    """

    ids: tuple[int, ...]
    points: tuple[Point, ...]
    group_first: int | None = None
    group_length: int = 0
    groups: tuple[tuple[Point, ...], ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Profile:
    """One model: a register map with its sources.

    Attributes:
        hash: SHA-256 of the file's bytes; the manifest names it.
        map: Name of the file; models with exactly the same map share one.
        map_hash: SHA-256 of the map itself, whatever the file calls it.
        verified_on_hardware: Somebody read a real meter with exactly this map.
        direction: "meter", or "inverter" where production leaves the terminals.
        points: Quantities at fixed addresses; empty for SunSpec.
        models: SunSpec models; empty for a map of fixed addresses.
        line_note: What the documents disagree about.
    """

    name: str
    make: str
    model: str
    hash: Hash
    map: str
    map_hash: Hash
    verified_on_hardware: bool
    sources: tuple[Source, ...]
    limits: Limits
    pace: Pace
    direction: str = "meter"
    factory: Factory = field(default_factory=Factory)
    points: tuple[Point, ...] = ()
    models: tuple[Model, ...] = ()
    serial: Field | Text | None = None
    firmware: Field | Text | None = None
    code: Expectation | None = None
    text: TextExpectation | None = None
    order_setting: OrderSetting | None = None
    prefix_setting: PrefixSetting | None = None
    notes: str = ""
    line_note: str = ""

    @property
    def sunspec(self) -> bool:
        """Whether addresses are found by SunSpec discovery."""
        return bool(self.models)

    @property
    def model_numbers(self) -> frozenset[int]:
        """Numbers of the SunSpec models that are read."""
        return frozenset(number for model in self.models for number in model.ids)

    def quantities(self) -> tuple[Point, ...]:
        """Every point that the map knows, groups included."""
        found = list(self.points)
        for model in self.models:
            found += model.points
            found += [point for group in model.groups for point in group]
        return tuple(found)
