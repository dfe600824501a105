"""From what was found to a configuration that the agent starts with.

- One [[bus]] a port: a port has one speed, so the one at which most meters answer. Meters of
  another speed, and those whose model is a person's choice, stand there as comments.
- Roles are left to choose: the first meter is written as "grid", an inverter as "pv", the rest as
  "load".
- An existing configuration keeps every word that it has; what is new is added behind it. The file
  named by --write must not be there yet.
- The text is read by the agent's own strict reader before it is written.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from meterseal_agent.bus.settings import SerialLine
from meterseal_agent.config import parse
from meterseal_agent.errors import AgentError
from meterseal_agent.scan.found import Verdict, setting

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from meterseal_agent.bus.settings import Line
    from meterseal_agent.config import Config
    from meterseal_agent.scan.found import Candidate, Found, LineReport

_HEAD = """\
# Written by `meterseal-agent scan`. Look at each `role` and at what stands as a comment.
# docs/configuration.md explains every key, and the tables [mqtt] and [aggregator] that publish.

[agent]
data_dir = "/data/meterseal"
marker_dir = "/run/meterseal"
"""
_ADDED = (
    "\n# Added by `meterseal-agent scan`. Look at each `role` and at what stands as a comment.\n"
)
_ROLES = "# choose: grid, pv, load or battery"


@dataclass(kw_only=True, slots=True)
class _Names:
    """Names that are taken."""

    taken: set[str] = field(default_factory=set)

    def free(self, wanted: str) -> str:
        """Take a name, with a number behind it where there is one like it."""
        name, number = wanted, 1
        while name in self.taken:
            number += 1
            name = f"{wanted}{number}"
        self.taken.add(name)
        return name


def document(
    ports: Sequence[Sequence[LineReport]], before: str = "", config: Config | None = None
) -> str:
    """Write the configuration.

    Args:
        ports: What was found.
        before: Text of the configuration that there is.
        config: The same, read.
    """
    names = _Names()
    roles: set[str] = {meter.role for meter in config.meters} if config else set()
    known = {bus.name: bus.line for bus in config.buses} if config else {}
    names.taken |= {*known, *(meter.name for meter in config.meters)} if config else set()
    tables = []
    for reports in ports:
        found = [one for report in reports for one in report.found if not _configured(one, config)]
        if not found:
            continue
        line = _line_of(found)
        bus = next((name for name, its in known.items() if its.label == line.label), None)
        if bus is None:
            bus = names.free("rs485" if isinstance(line, SerialLine) else "tcp")
            tables.append(_bus(bus, line, reports))
        else:
            line = known[bus]
        tables += [_meter(one, bus, line, names, roles) for one in found]
    if config is None:
        return "\n".join([_HEAD, *tables])
    return "\n".join([before.rstrip() + "\n" + _ADDED, *tables]) if tables else before


def save(path: Path, content: str) -> None:
    """Write a new file, once the agent's own reader has accepted it.

    After a power failure the file is there whole, or not at all.

    Raises:
        ConfigError: The reader does not accept it.
        AgentError: The file is there already, or cannot be written.
    """
    parse(content, path.absolute())
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with fresh.open("x", encoding="utf-8") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        # A link fails where a rename would replace a file that somebody wrote meanwhile.
        path.hardlink_to(fresh)
    except FileExistsError as error:
        raise AgentError(
            f"{path}: expected no such file, got one. Choose another --write; nothing is replaced."
        ) from error
    except OSError as error:
        raise AgentError(
            f"{path}: cannot be written ({error.strerror}). Choose another --write."
        ) from error
    finally:
        with suppress(OSError):
            fresh.unlink()


def _configured(found: Found, config: Config | None) -> bool:
    if config is None:
        return False
    labels = {bus.name: bus.line.label for bus in config.buses}
    return any(
        labels[meter.bus] == found.line.label and meter.address == found.address
        for meter in config.meters
    )


def _line_of(found: Sequence[Found]) -> Line:
    """Choose the settings of most meters, those whose model is sure counted first."""
    votes: Counter[str] = Counter()
    for one in found:
        votes[setting(one.line)] += len(found) if one.verdict is Verdict.EXACT else 1
    best = votes.most_common(1)[0][0]
    return next(one.line for one in found if setting(one.line) == best)


def _bus(name: str, line: Line, reports: Sequence[LineReport]) -> str:
    rows = [f"name = {_toml(name)}"]
    if isinstance(line, SerialLine):
        rows += [
            f"port = {_toml(line.port)}",
            f"baud = {line.baud}",
            f"parity = {_toml(line.parity)}",
            f"stop_bits = {line.stop_bits}",
        ]
        if any(report.echo for report in reports):
            rows.append("echo = true")
    else:
        rows += [f"host = {_toml(line.host)}", f"tcp_port = {line.tcp_port}"]
        if line.rtu:
            rows.append('kind = "rtu-over-tcp"')
    return "[[bus]]\n" + "\n".join(rows) + "\n"


def _meter(found: Found, bus: str, line: Line, names: _Names, roles: set[str]) -> str:
    if found.verdict is not Verdict.EXACT:
        return _open(found, bus)
    one = found.candidates[0]
    if setting(found.line) != setting(line):
        return _commented(
            _table(names.free("other"), bus, found.address, one, "load"),
            f"It answers at {setting(found.line)}. Set it to {setting(line)} at its display, "
            "then take the comment signs away.",
        )
    role = "pv" if one.direction == "inverter" else "load" if "grid" in roles else "grid"
    roles.add(role)
    return _table(names.free(role), bus, found.address, one, role)


def _open(found: Found, bus: str) -> str:
    """Leave to a person which model it is: a wrong one would bill wrong numbers."""
    if not found.candidates:
        return (
            f"# Address {found.address} on bus {_toml(bus)} answers Modbus, its model is unknown: "
            "add a [[meter]] with its profile.\n"
        )
    profiles = " or ".join(_toml(one.profile) for one in found.candidates)
    remark = (
        f"Address {found.address} is one of these: profile = {profiles}. Write the right one, "
        "choose the role, then take the comment signs away."
    )
    one = found.candidates[0]
    return _commented(_table(f"meter-{found.address}", bus, found.address, one, "load"), remark)


def _table(name: str, bus: str, address: int, one: Candidate, role: str) -> str:
    serial = f", serial number {one.serial}" if one.serial else ""
    return (
        f"# {_plain(f'{one.make} {one.model}{serial}')}\n"
        "[[meter]]\n"
        f"name = {_toml(name)}\n"
        f"bus = {_toml(bus)}\n"
        f"address = {address}\n"
        f"profile = {_toml(one.profile)}\n"
        f"role = {_toml(role)}  {_ROLES}\n"
    )


def _commented(table: str, remark: str) -> str:
    rows = [
        f"# {remark}",
        *(row if row.startswith("#") else f"# {row}" for row in table.split("\n")),
    ]
    return "\n".join(rows[:-1]) + "\n"


def _plain(told: str) -> str:
    """Keep what a device calls itself within its comment."""
    return "".join(one if one.isprintable() else " " for one in told)


def _toml(value: str) -> str:
    # A JSON string of printable characters is a TOML basic string.
    return json.dumps(value, ensure_ascii=False)
