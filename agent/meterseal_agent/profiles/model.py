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
class Point:
    """Where a quantity is found.

    Attributes:
        code: The quantity (meterseal.quantities).
        factor: From the register's number to the quantity's unit: unit, scale and sign.
        scale: Address or offset of the SunSpec scale factor, read with the value.
        billing: A billing counter: its raw words go into the record.
    """

    code: int
    name: str
    field: Field
    factor: Fraction
    unit: str
    scale: int | None = None
    billing: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Expectation:
    """A register that must hold one of some numbers, e.g. the meter's code."""

    field: Field
    expect: tuple[int, ...]


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
    """A register map with its sources.

    Attributes:
        hash: SHA-256 of the file's bytes; the manifest names it.
        verified_on_hardware: Somebody read a real meter with exactly this map.
        points: Quantities at fixed addresses; empty for SunSpec.
        models: SunSpec models; empty for a map of fixed addresses.
    """

    name: str
    make: str
    model: str
    hash: Hash
    verified_on_hardware: bool
    sources: tuple[Source, ...]
    limits: Limits
    pace: Pace
    points: tuple[Point, ...] = ()
    models: tuple[Model, ...] = ()
    serial: Field | None = None
    code: Expectation | None = None
    order_setting: OrderSetting | None = None
    prefix_setting: PrefixSetting | None = None
    notes: str = field(default="")

    @property
    def sunspec(self) -> bool:
        """Whether addresses are found by SunSpec discovery."""
        return bool(self.models)

    def quantities(self) -> tuple[Point, ...]:
        """Every point that the map knows, groups included."""
        found = list(self.points)
        for model in self.models:
            found += model.points
            found += [point for group in model.groups for point in group]
        return tuple(found)
