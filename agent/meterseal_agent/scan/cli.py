"""The command `meterseal-agent scan`: its arguments, and what it prints.

Exit status: 0 where every device that answers is named exactly, 1 where something is left open, 130
where it was interrupted.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, cast

from meterseal_agent import config as configuration
from meterseal_agent.bus.settings import SerialLine, TcpLine
from meterseal_agent.errors import AgentError, ConfigError
from meterseal_agent.profiles.catalogue import load_all
from meterseal_agent.scan.found import Verdict
from meterseal_agent.scan.ports import has_parity, serial_ports
from meterseal_agent.scan.progress import Bar, Lines, Quiet
from meterseal_agent.scan.report import facts, text
from meterseal_agent.scan.scan import Scan, Target
from meterseal_agent.scan.settings import BAUDS, PARITIES, TCP_TIMEOUT_S, lines, patient, units
from meterseal_agent.scan.write import document, save

if TYPE_CHECKING:
    from collections.abc import Sequence

    from meterseal_agent.bus.settings import Line, Parity
    from meterseal_agent.config import Config
    from meterseal_agent.profiles import Profile
    from meterseal_agent.scan.scan import Progress

_RANGE = re.compile(r"(\d{1,3})(?:-(\d{1,3}))?\Z", re.ASCII)
_UNIT_MAX = 247
_TCP_UNIT_MAX = 255
_TCP_PORT = 502
_EXIT_OK = 0
_EXIT_OPEN = 1
_EXIT_INTERRUPTED = 128 + 2


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add what the command takes."""
    where = parser.add_mutually_exclusive_group()
    where.add_argument(
        "--port", action="append", default=[], metavar="P", help="serial port; default: all"
    )
    where.add_argument("--host", metavar="H", help="a device or gateway with Modbus TCP")
    parser.add_argument("--tcp-port", type=int, default=_TCP_PORT, metavar="N", help="default 502")
    parser.add_argument("--quick", action="store_true", help="usual settings, addresses 1 to 10")
    parser.add_argument("--baud", action="append", type=int, choices=BAUDS, help="only this speed")
    parser.add_argument("--parity", action="append", choices=PARITIES, help="only this parity")
    parser.add_argument(
        "--addresses", type=addresses, default=(), metavar="A-B,C", help="only these addresses"
    )
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout")
    parser.add_argument("--write", type=Path, metavar="FILE", help="write a configuration there")
    parser.add_argument(
        "--config",
        type=Path,
        metavar="FILE",
        help="scan the ports of this configuration; --write adds what is new behind it",
    )


def scan(options: argparse.Namespace) -> int:
    """Find meters, say what they are, and write a configuration."""
    before, config = _existing(options.config)
    _check_free(options.write)
    profiles = load_all()
    targets = _targets(options, config, profiles)
    run = Scan(targets, profiles, _progress(options, targets))
    finished = _run(run, verbose=options.verbose)
    found = [one for reports in run.reports for report in reports for one in report.found]
    print(json.dumps(facts(run.reports)) if options.json else text(run.reports))
    if options.write is not None:
        if not found:
            message = f"{options.write}: not written, for no device was found"
            raise AgentError(message)
        _write(options, document(run.reports, before, config))
    if not finished:
        return _EXIT_INTERRUPTED
    garbled = any(one.broken or one.doubled for reports in run.reports for one in reports)
    sure = bool(found) and all(one.verdict is Verdict.EXACT for one in found) and not garbled
    return _EXIT_OK if sure else _EXIT_OPEN


def _run(run: Scan, *, verbose: bool) -> bool:
    """Run it to its end, or until somebody presses Ctrl-C: false."""
    log = logging.getLogger("meterseal_agent")
    level = log.level
    if not verbose:
        # What a scan expects to go wrong, it says itself.
        log.setLevel(logging.ERROR)
    try:
        asyncio.run(run.run())
    except KeyboardInterrupt:
        print("\nInterrupted: this is what was found so far.", file=sys.stderr)
        return False
    finally:
        log.setLevel(level)
    return True


def addresses(value: str) -> tuple[int, ...]:
    """Read `1-10,42`.

    Raises:
        argparse.ArgumentTypeError: It is not of that form.
    """
    found: list[int] = []
    for part in value.split(","):
        match = _RANGE.match(part)
        first, last = (int(match[1]), int(match[2] or match[1])) if match else (0, 0)
        if not 1 <= first <= last <= _TCP_UNIT_MAX:
            message = f"expected addresses such as 1-{_UNIT_MAX} or 1,5,20-30, got {value!r}"
            raise argparse.ArgumentTypeError(message)
        found += range(first, last + 1)
    return tuple(dict.fromkeys(found))


def _existing(path: Path | None) -> tuple[str, Config | None]:
    if path is None:
        return "", None
    return path.read_text(encoding="utf-8") if path.exists() else "", configuration.load(path)


def _check_free(path: Path | None) -> None:
    if path is not None and path.exists():
        message = f"{path}: expected no such file, got one. Choose another --write."
        raise AgentError(message)


def _targets(
    options: argparse.Namespace, config: Config | None, profiles: Sequence[Profile]
) -> tuple[Target, ...]:
    asked = units(profiles, quick=options.quick, only=options.addresses)
    if options.host is not None:
        return (_tcp_target(TcpLine(host=options.host, tcp_port=options.tcp_port), asked),)
    found = []
    ports = options.port
    if not ports and config is not None:
        buses = [bus.line for bus in config.buses]
        ports = [line.port for line in buses if isinstance(line, SerialLine)]
        found = [_tcp_target(line, asked) for line in buses if isinstance(line, TcpLine)]
    if not ports and not found:
        ports = serial_ports()
    if not ports and not found:
        message = (
            "expected a serial port, got none on this computer. Plug the RS-485 adapter in, name "
            "a port with --port, or a device with --host."
        )
        raise AgentError(message)
    bauds, parities = options.baud or (), cast("Sequence[Parity]", options.parity or ())
    serial = tuple(one for one in asked if one <= _UNIT_MAX)
    for port in dict.fromkeys(ports):
        which = parities if parities or has_parity(port) else PARITIES[:1]
        tried = lines(port, profiles, quick=options.quick, bauds=bauds, parities=which)
        found.append(Target(lines=tried, units=serial))
    return tuple(found)


def _tcp_target(line: TcpLine, asked: tuple[int, ...]) -> Target:
    """Try Modbus TCP, then frames of a serial line carried over TCP, as cheap gateways do."""
    host, port = line.host, line.tcp_port
    both: tuple[Line, ...] = (
        TcpLine(host=host, tcp_port=port),
        TcpLine(host=host, tcp_port=port, rtu=True),
    )
    return Target(
        lines=tuple(patient(one, TCP_TIMEOUT_S) for one in both), units=asked, first_only=True
    )


def _progress(options: argparse.Namespace, targets: Sequence[Target]) -> Progress:
    if options.json:
        return Quiet()
    if sys.stderr.isatty():
        return Bar(sys.stderr, sum(len(target.lines) for target in targets))
    return Lines(sys.stderr)


def _write(options: argparse.Namespace, content: str) -> None:
    try:
        save(options.write, content)
    except ConfigError as error:
        print(content, file=sys.stderr)
        message = (
            f"{error} Nothing was written: no model is certain. Above is what would have been; "
            "complete it by hand."
        )
        raise AgentError(message) from error
    if not options.json:
        print(f"{options.write}: written. Choose the roles in it, then: meterseal-agent init")
