"""What is known of a meter that has said who it is, and how it is asked."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from meterseal_agent.bus.frame import Request
from meterseal_agent.errors import MeterError

if TYPE_CHECKING:
    from meterseal_agent.profiles.layout import Layout

Read = Callable[[Request], Awaitable[bytes]]

# "I do not have that": illegal function, address or value. Anything else is a fault.
_ABSENT_CODES = frozenset({1, 2, 3})


@dataclass(frozen=True, kw_only=True, slots=True)
class Sentinel:
    """A request whose reply never changes while the meter is the same."""

    request: Request
    words: bytes


@dataclass(frozen=True, kw_only=True, slots=True)
class Known:
    """A meter that has said who it is.

    Attributes:
        sentinel: None when it has nothing that tells it from others.
    """

    make: str
    model: str
    serial: str
    firmware: str
    layout: Layout
    sentinel: Sentinel | None


async def optional(read: Read, request: Request) -> bytes | None:
    """Read registers that the meter may lack; None when it says so."""
    try:
        return await read(request)
    except MeterError as error:
        if error.code in _ABSENT_CODES:
            return None
        raise
