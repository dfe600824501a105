"""Reading from a profile's [line] what a meter demands of requests, and its factory settings."""

from __future__ import annotations

from typing import TYPE_CHECKING

from meterseal_agent.bus.frame import REGISTERS_MAX
from meterseal_agent.bus.plan import Limits
from meterseal_agent.bus.settings import Pace
from meterseal_agent.profiles.model import Factory

if TYPE_CHECKING:
    from meterseal_agent.tables import Table

_ADDRESS_MAX = 0xFFFF
_BAUDS = (110, 1_000_000)


def read_line(top: Table) -> tuple[Limits, Pace, Factory, str]:
    """Read [line]: what a request may ask, how slowly, the factory's settings, and a note."""
    table = top.table("line")
    if table is None:
        top.fail("[line]", "a table with registers_max and silence_ms", "nothing")
    limits = Limits(
        registers_max=table.integer("registers_max", 1, REGISTERS_MAX),
        gap_max=table.integer("gap_max", 0, REGISTERS_MAX, 10),
        even=table.take("even", bool, "true or false", default=False),
        barriers=_read_barriers(table),
    )
    pace = Pace(
        silence_s=table.integer("silence_ms", 0, 10_000, 0) / 1000,
        timeout_s=table.integer("timeout_ms", 0, 60_000, 0) / 1000,
    )
    factory = _read_factory(table.table("defaults"))
    note = table.text("registers_max_note") if table.has("registers_max_note") else ""
    table.done()
    return limits, pace, factory, note


def _read_barriers(table: Table) -> tuple[int, ...]:
    values = table.take("barriers", list, "a list of addresses", [])
    for value in values:
        if type(value) is not int or not 0 < value <= _ADDRESS_MAX:
            table.fail("barriers", "addresses on the wire from 1 to 0xffff", value)
    return tuple(sorted(values))


def _read_factory(table: Table | None) -> Factory:
    if table is None:
        return Factory()
    factory = Factory(
        baud=table.integer("baud", *_BAUDS) if table.has("baud") else None,
        parity=table.choice("parity", ("N", "E", "O")) if table.has("parity") else None,
        stop_bits=table.integer("stop_bits", 1, 2) if table.has("stop_bits") else None,
        address=table.integer("address", 1, 247) if table.has("address") else None,
    )
    table.done()
    return factory
