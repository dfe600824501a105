"""Tables [[bus]] and [[meter]]."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from meterseal.quantities import BY_NAME
from meterseal_agent.bus.settings import Parity, SerialLine, TcpLine
from meterseal_agent.config.model import BusConfig, MeterConfig, Role

if TYPE_CHECKING:
    from collections.abc import Sequence

    from meterseal_agent.tables import Table

_UNIT_MAX = 247
_TCP_UNIT_MAX = 255
_REGISTER_MAX = 0xFFFF
_METERS_MAX = 64
_RATED_MAX_W = 1_000_000_000
_BAUDS = (1200, 2400, 4800, 9600, 19200, 38400, 57600, 115200)
_KINDS = ("rtu", "tcp", "rtu-over-tcp")


def read_bus(table: Table) -> BusConfig:
    """Read one [[bus]]."""
    name = table.text("name")
    kind = table.choice("kind", _KINDS, "tcp" if "host" in table.data else "rtu")
    bus = BusConfig(name=name, line=_serial(table) if kind == "rtu" else _tcp(table, kind))
    table.done()
    return bus


def _serial(table: Table) -> SerialLine:
    baud = table.integer("baud", _BAUDS[0], _BAUDS[-1], 9600)
    if baud not in _BAUDS:
        table.fail("baud", "one of " + ", ".join(map(str, _BAUDS)), baud)
    timeout_s = table.seconds("timeout_s", 0.05, 60, 1.0)
    return SerialLine(
        port=table.text("port"),
        baud=baud,
        parity=cast("Parity", table.choice("parity", ("N", "E", "O"), "N")),  # checked by choice
        stop_bits=table.integer("stop_bits", 1, 2, 1),
        timeout_s=timeout_s,
        quiet_s=_quiet_s(table, timeout_s),
        echo=table.take("echo", bool, "true or false", default=False),
    )


def _tcp(table: Table, kind: str) -> TcpLine:
    timeout_s = table.seconds("timeout_s", 0.05, 60, 1.0)
    return TcpLine(
        host=table.text("host"),
        tcp_port=table.integer("tcp_port", 1, 65535, 502),
        rtu=kind == "rtu-over-tcp",
        timeout_s=timeout_s,
        quiet_s=_quiet_s(table, timeout_s),
    )


def _quiet_s(table: Table, timeout_s: float) -> float:
    """Read the silence after a doubt; never shorter than the longest reply that is waited for."""
    quiet_s = table.seconds("quiet_s", 0.05, 120, timeout_s * 1.5)
    if quiet_s <= timeout_s:
        table.fail(
            "quiet_s",
            f"more than timeout_s ({timeout_s:g})",
            quiet_s,
            "A late reply must have come and gone before the next request.",
        )
    return quiet_s


def read_meters(tables: Sequence[Table], buses: Sequence[BusConfig]) -> tuple[MeterConfig, ...]:
    """Read every [[meter]] and hold them against each other and the buses."""
    if len(tables) > _METERS_MAX:
        # protocol 2: a record carries at most 64 meters.
        tables[_METERS_MAX].fail(None, f"at most {_METERS_MAX} meters", len(tables))
    _unique_names(tables, buses)
    lines = {bus.name: bus.line for bus in buses}
    meters: list[MeterConfig] = []
    taken: dict[tuple[str, int], str] = {}
    for table in tables:
        meter = _read_meter(table, lines)
        other = taken.setdefault((meter.bus, meter.address), meter.name)
        shared_map = any(
            (m.bus, m.address) == (meter.bus, meter.address) and m.models and meter.models
            for m in meters
        )
        if other != meter.name and not shared_map:
            table.fail(
                "address",
                f'an address of its own on bus "{meter.bus}"',
                f'{meter.address}, which is that of "{other}"',
                "Two meters at one address garble each other; set one of them anew.",
            )
        meters.append(meter)
    return tuple(meters)


def _unique_names(tables: Sequence[Table], buses: Sequence[BusConfig]) -> None:
    names = [bus.name for bus in buses]
    for index, table in enumerate(tables):
        names_before = [earlier.data.get("name") for earlier in tables[:index]]
        if table.data.get("name") in names_before:
            table.fail("name", "a name of its own", table.data["name"])
    for name in names:
        if names.count(name) > 1 and tables:
            tables[0].fail("bus", "buses with names of their own", name)


def _read_meter(table: Table, lines: dict[str, SerialLine | TcpLine]) -> MeterConfig:
    bus = table.text("bus")
    if bus not in lines:
        known = ", ".join(f'"{name}"' for name in lines) or "none"
        table.fail("bus", f"the name of a [[bus]] ({known})", bus)
    highest = _TCP_UNIT_MAX if isinstance(lines[bus], TcpLine) else _UNIT_MAX
    meter = MeterConfig(
        name=table.text("name"),
        bus=bus,
        address=table.integer("address", 1, highest),
        profile=table.text("profile"),
        role=cast("Role", table.choice("role", ("grid", "pv", "load", "battery"))),  # by choice
        where=table.where(),
        serial=table.optional_text("serial"),
        registers=_registers(table),
        quantities=_quantities(table),
        models=_models(table),
        rated_w=table.integer("rated_w", 1, _RATED_MAX_W) if table.has("rated_w") else None,
    )
    table.done()
    return meter


def _registers(table: Table) -> dict[str, int]:
    below = table.table("registers")
    if below is None:
        return {}
    found = {}
    for name in below.data:
        if name not in BY_NAME:
            below.fail(name, "the name of a quantity", f'"{name}"', "docs/meters.md lists them.")
        found[name] = below.integer(name, 0, _REGISTER_MAX)
    return found


def _quantities(table: Table) -> tuple[str, ...] | None:
    if not table.has("quantities"):
        return None
    names = table.texts("quantities")
    for name in names:
        if name not in BY_NAME:
            table.fail("quantities", "names of quantities", name, "docs/meters.md lists them.")
    if not names:
        table.fail("quantities", "at least one quantity", "none", "Leave the key out to read all.")
    return names


def _models(table: Table) -> dict[int, int]:
    below = table.table("models")
    if below is None:
        return {}
    found = {}
    for text in below.data:
        if not (text.isascii() and text.isdigit()) or not 1 <= int(text) <= _REGISTER_MAX:
            below.fail(text, "the number of a SunSpec model", f'"{text}"')
        found[int(text)] = below.integer(text, 0, _REGISTER_MAX)
    return found
