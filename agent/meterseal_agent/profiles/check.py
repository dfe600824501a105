"""Holding a register map against itself, and telling distinct maps apart.

- No two quantities on one register, and each fits in a request, with its scale factor.
- Only a counter wraps, and only what may be negative is a difference.
- A production that leaves the terminals is said so by `direction`: nobody has to guess a sign.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from meterseal.quantities import BY_CODE
from meterseal.types import Hash
from meterseal_agent.profiles.words import REGISTERS

if TYPE_CHECKING:
    from collections.abc import Iterable

    from meterseal_agent.profiles.model import Model, Point, Profile
    from meterseal_agent.tables import Table


def check_map(top: Table, profile: Profile) -> None:
    """Refuse a map that contradicts itself.

    Raises:
        ProfileError: Two quantities share a register, or one does not fit in a request.
    """
    owners: dict[tuple[int, int], str] = {}
    for point in profile.points:
        _check_point(top, profile, point)
        for address in registers_of(point):
            other = owners.setdefault((point.field.function, address), point.name)
            if other != point.name:
                top.fail(
                    "[quantities]",
                    f"registers of its own for {point.name}",
                    f"register {address}, which is in {other} too",
                )


def registers_of(point: Point) -> list[int]:
    """List the addresses that a value takes, without its scale factor."""
    starts = [point.field.address] + ([] if point.minus is None else [point.minus])
    registers = REGISTERS[point.field.word_type]
    return [address for first in starts for address in range(first, first + registers)]


def map_hash(points: Iterable[Point], models: Iterable[Model]) -> Hash:
    """Hash what is where and how it is read, whatever the file is called and in which order.

    Two models whose maps hash alike differ in name only.
    """
    lines = [_line(point) for point in points]
    for model in models:
        ids = ",".join(map(str, sorted(model.ids)))
        lines += [f"{ids} {_line(point)}" for point in model.points]
        lines += [f"{ids} {_line(point)}" for group in model.groups for point in group]
    return Hash(hashlib.sha256("\n".join(sorted(lines)).encode()).digest())


def _line(point: Point) -> str:
    field = point.field
    absent = ",".join(sorted(words.hex() for words in field.absent))
    return (
        f"{point.code} {field.function} {field.address} {field.word_type} {field.order} "
        f"{point.factor} {point.scale} {point.minus} {point.wrap} {point.billing} {absent}"
    )


def _check_point(top: Table, profile: Profile, point: Point) -> None:
    taken = registers_of(point)
    ends = (min(taken), max(taken))
    if point.scale is not None:
        ends = (min(ends[0], point.scale), max(ends[1], point.scale))
    registers = ends[1] - ends[0] + 1
    if ends[1] > _REGISTER_LAST:
        top.fail(point.name, f"registers up to {_REGISTER_LAST}", ends[1])
    if registers > profile.limits.registers_max:
        top.fail(
            point.name,
            f"value and scale factor within the {profile.limits.registers_max} registers of a "
            "request",
            registers,
        )
    if any(ends[0] < barrier <= ends[1] for barrier in profile.limits.barriers):
        top.fail(point.name, "no barrier within a value", f"registers {ends[0]} to {ends[1]}")
    if point.minus is not None and not BY_CODE[point.code].signed:
        top.fail(point.name, "minus_address with what may be negative only", "a counter")
    if point.wrap is not None and BY_CODE[point.code].signed:
        top.fail(point.name, "wrap with counters only", f"wrap = {point.wrap}")


_REGISTER_LAST = 0xFFFF
