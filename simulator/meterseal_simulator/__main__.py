"""The command meterseal-simulator: a house, a recording, a ledger or a broker that answers."""

from __future__ import annotations

import argparse
import asyncio
import importlib
import sys
from contextlib import closing
from dataclasses import asdict
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from meterseal_simulator.errors import SimulatorError
from meterseal_simulator.options import add_line, between, factor, moment, outlet, seed
from meterseal_simulator.serve import serve

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

EXIT_FAILURE = 1
EXIT_USAGE = 64

_EXAMPLES = """examples:
  meterseal-simulator house --pty /tmp/rs485 --speed 60 --start 2026-06-21T09:00:00Z
  meterseal-simulator house --tcp 0 --battery-kwh 5 --truth truth.jsonl
  meterseal-simulator replay recording.json --tcp 0

Each prints one line {"ready": true, ...} when it answers, and runs until SIGTERM or Ctrl-C.
"""

_LATER = {
    "ledger": ("meterseal_simulator.ledger.server", "a chain of blocks with a JSON-RPC port"),
    "broker": ("meterseal_simulator.broker", "an MQTT broker"),
}


class _Parser(argparse.ArgumentParser):
    """Ends with the status for wrong usage that all commands of this project share."""

    def error(self, message: str) -> NoReturn:
        self.print_usage(sys.stderr)
        self.exit(EXIT_USAGE, f"{self.prog}: {message}; see {self.prog} --help\n")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    try:
        options = _parser(words[0] if words else "").parse_args(words)
        run: Callable[[argparse.Namespace], int] = options.run
        return run(options)
    except SimulatorError as error:
        print(f"meterseal-simulator: {error}", file=sys.stderr)
        return EXIT_FAILURE
    except ModuleNotFoundError as error:
        print(
            f"meterseal-simulator: the package {error.name} is not installed here; "
            "install the extra: pip install 'meterseal[simulator]'",
            file=sys.stderr,
        )
        return EXIT_FAILURE


def _parser(wanted: str) -> argparse.ArgumentParser:
    parser = _Parser(
        prog="meterseal-simulator",
        description="Houses, meters, lines, a ledger and a broker that answer as real ones do.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    house = commands.add_parser("house", help="a house with three meters on one line")
    _add_house(house)
    add_line(house)
    house.set_defaults(run=_run_house)
    replay = commands.add_parser("replay", help="recordings of real devices")
    replay.add_argument("files", nargs="+", type=Path, metavar="FILE", help="a recording (JSON)")
    add_line(replay)
    replay.set_defaults(run=_run_replay)
    for name, (module, summary) in _LATER.items():
        command = commands.add_parser(name, help=summary)
        if name == wanted:  # Only then: their imports take long.
            part = importlib.import_module(module)
            part.add_arguments(command)
            command.set_defaults(run=part.run)
    return parser


def _add_house(parser: argparse.ArgumentParser) -> None:
    house = parser.add_argument_group("the house")
    house.add_argument(
        "--speed", type=factor, default=Fraction(1), help="simulated seconds a second"
    )
    house.add_argument("--seed", type=seed, default=1, help="same seed, same house (default 1)")
    house.add_argument("--start", type=moment, default="now", help='UTC, ISO 8601, or "now"')
    house.add_argument("--latitude", type=between(-66, 66), default=52.5)
    house.add_argument("--longitude", type=between(-180, 180), default=13.4)
    house.add_argument("--pv-kwp", type=between(0, 30), default=5.0)
    house.add_argument("--load-kwh-year", type=between(0, 100_000), default=3500.0)
    house.add_argument("--battery-kwh", type=between(0, 100), default=0.0)
    house.add_argument("--pv-meter", choices=("sdm120", "sdm230"), default="sdm230")
    house.add_argument("--state", type=Path, help="keep the house here between two runs")
    house.add_argument("--truth", type=Path, help="append what really happens, as JSON lines")


def _run_house(options: argparse.Namespace) -> int:
    # Imported here: the help must not wait for the physics.
    from meterseal_simulator.site import Site  # noqa: PLC0415
    from meterseal_simulator.wiring import Files, wire_house  # noqa: PLC0415

    site = Site(
        latitude=options.latitude,
        longitude=options.longitude,
        pv_kwp=options.pv_kwp,
        load_kwh_year=options.load_kwh_year,
        battery_kwh=options.battery_kwh,
        seed=options.seed,
    )
    house = wire_house(
        site,
        start_ms=options.start,
        speed=options.speed,
        pv_meter=options.pv_meter,
        files=Files(truth=options.truth, state=options.state),
    )
    with closing(house.live):
        asyncio.run(
            serve(
                house.bus,
                outlet(options),
                units=house.units,
                state=lambda: {"house": asdict(house.live.truth())},
                tick=house.live.read,
            )
        )
    return 0


def _run_replay(options: argparse.Namespace) -> int:
    from meterseal_simulator.bus import Bus  # noqa: PLC0415
    from meterseal_simulator.replay import load_recording, slaves_of  # noqa: PLC0415

    recordings = [load_recording(path) for path in options.files]
    units = {
        str(each.unit): {"model": each.device, "role": "recording", "source": str(each.source)}
        for each in recordings
    }
    bus = Bus(slaves_of(recordings))
    asyncio.run(serve(bus, outlet(options), units=units, state=dict))
    return 0


if __name__ == "__main__":
    sys.exit(main())
