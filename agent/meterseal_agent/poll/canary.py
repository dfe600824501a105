"""A proof by length: a request whose reply cannot pass for that to any other request.

Modbus RTU has no transaction number. But a meter answers in order, and a reply names how many
bytes it has: when a request that no other equals in function and length gets a reply of its form,
every reply that was owed from before has come or is lost. What is asked behind it gets its own
reply or none.

The canary reads the beginning of something that is read anyway, up to the end of a value where
possible: some meters refuse to give half a value. It may be refused by such a meter; then there is
none.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from meterseal_agent.profiles.model import Text
from meterseal_agent.profiles.sunspec import COMMON_TEXTS, HEADER
from meterseal_agent.profiles.words import REGISTERS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from meterseal_agent.bus.frame import Request
    from meterseal_agent.profiles import Layout, Profile
    from meterseal_agent.profiles.model import Field

Form = tuple[int, int]


def form(request: Request) -> Form:
    """Return what a reply shows of its request: function and number of registers."""
    return request.function, request.count


def canary(layout: Layout, profile: Profile) -> Request | None:
    """Find the shortest request whose form no other request to this meter has."""
    taken = {form(request) for request in layout.requests} | _identity_forms(profile)
    ends = {point.field.address + REGISTERS[point.field.word_type] for point in layout.points}
    found = [
        replace(request, count=count)
        for request in layout.requests
        for count in range(1, request.count)
        if (request.function, count) not in taken and not (profile.limits.even and count % 2)
    ]
    return min(
        found, key=lambda one: (one.address + one.count not in ends, one.count), default=None
    )


def _end(request: Request) -> int:
    return request.address + request.count


def _identity_forms(profile: Profile) -> set[Form]:
    if profile.sunspec:
        counts = {HEADER, *(count for _, count in COMMON_TEXTS.values())}
        return {(3, count) for count in counts}
    return {
        (field.function, field.registers if isinstance(field, Text) else REGISTERS[field.word_type])
        for field in _tellers(profile)
    }


def _tellers(profile: Profile) -> Iterator[Field | Text]:
    """Yield what is read of a meter before its values."""
    yield from (field for field in (profile.serial, profile.firmware) if field is not None)
    settings = (profile.code, profile.text, profile.order_setting, profile.prefix_setting)
    yield from (setting.field for setting in settings if setting is not None)
