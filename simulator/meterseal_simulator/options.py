"""The options that subcommands share, parsed once into what the code works with."""

from __future__ import annotations

import argparse
from datetime import UTC, datetime
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

from meterseal_simulator.line import LineTiming
from meterseal_simulator.serve import Outlet

if TYPE_CHECKING:
    from collections.abc import Callable

_BAUDS = (1200, 2400, 4800, 9600, 19_200, 38_400, 57_600, 115_200)
_PORT_MAX = 65_535
_SPEED_MAX = 1_000_000
_SEED_MAX = 2**32 - 1


def add_line(parser: argparse.ArgumentParser) -> None:
    """Add the options that say where and how the slaves answer."""
    line = parser.add_argument_group("the line")
    where = line.add_mutually_exclusive_group(required=True)
    where.add_argument("--pty", type=Path, metavar="PATH", help="serial line under this name")
    where.add_argument("--tcp", type=_port, metavar="PORT", help="port of 127.0.0.1, 0 picks one")
    line.add_argument(
        "--framing", choices=("tcp", "rtu-over-tcp"), default="tcp", help="frames on --tcp"
    )
    line.add_argument("--baud", type=int, default=9600, choices=_BAUDS)
    line.add_argument("--parity", default="N", choices=("N", "E", "O"))
    line.add_argument("--stop-bits", type=int, default=1, choices=(1, 2))
    line.add_argument(
        "--turnaround-ms",
        type=between(0, 10_000),
        default=20.0,
        metavar="MS",
        help="how long a meter thinks (default 20)",
    )
    line.add_argument(
        "--control", type=Path, metavar="PATH", help="Unix socket for faults and state"
    )


def outlet(options: argparse.Namespace) -> Outlet:
    """Turn the options of `add_line` into an outlet."""
    timing = LineTiming(
        baud=options.baud,
        parity=options.parity,
        stop_bits=options.stop_bits,
        turnaround_s=options.turnaround_ms / 1000,
    )
    return Outlet(
        pty=options.pty,
        tcp=options.tcp,
        framing=options.framing,
        timing=timing,
        control=options.control,
    )


def between(least: float, most: float) -> Callable[[str], float]:
    """Make a parser for a number in a range."""

    def number(word: str) -> float:
        try:
            value = float(word)
        except ValueError:
            value = float("nan")
        if not least <= value <= most:
            msg = f"expected a number of {least} to {most}, got {word!r}"
            raise argparse.ArgumentTypeError(msg)
        return value

    return number


def seed(word: str) -> int:
    """Parse what the house's chance begins with."""
    if not word.isascii() or not word.isdecimal() or int(word) > _SEED_MAX:
        msg = f"expected a whole number of 0 to {_SEED_MAX}, got {word!r}"
        raise argparse.ArgumentTypeError(msg)
    return int(word)


def factor(word: str) -> Fraction:
    """Parse a speed, e.g. 60 or 0.5 or 1/4."""
    try:
        speed = Fraction(word)
    except (ValueError, ZeroDivisionError):
        speed = Fraction(0)
    if not 0 < speed <= _SPEED_MAX:
        msg = f"expected a factor above 0 and up to {_SPEED_MAX}, got {word!r}"
        raise argparse.ArgumentTypeError(msg)
    return speed


def moment(word: str) -> int:
    """Parse "now" or a moment in ISO 8601, UTC where it names no zone, into milliseconds."""
    if word == "now":
        return int(datetime.now(UTC).timestamp() * 1000)
    try:
        found = datetime.fromisoformat(word)
    except ValueError as error:
        msg = f"expected now or a moment such as 2026-06-21T09:00:00Z, got {word!r}"
        raise argparse.ArgumentTypeError(msg) from error
    if found.tzinfo is None:
        found = found.replace(tzinfo=UTC)
    return int(found.timestamp() * 1000)


def _port(word: str) -> int:
    if not (word.isascii() and word.isdecimal() and int(word) <= _PORT_MAX):
        msg = f"expected a port of 0 to {_PORT_MAX}, got {word!r}"
        raise argparse.ArgumentTypeError(msg)
    return int(word)
