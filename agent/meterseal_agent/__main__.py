"""The command `meterseal-agent`: parse, call, and turn errors into one sentence and an exit status.

Exit status: 0 done, 1 something is wrong and the message says what, 64 wrong usage, 70 our defect.
"""

from __future__ import annotations

import argparse
import logging
import sys
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from meterseal.errors import MeterSealError
from meterseal_agent import cli
from meterseal_agent.scan import cli as scanning
from meterseal_agent.store.receipts import STATES

if TYPE_CHECKING:
    from collections.abc import Sequence

_EXIT_WRONG = 1
_EXIT_USAGE = 64
_EXIT_DEFECT = 70

_EXAMPLES = """\
examples:
  meterseal-agent init                        make the device key, print what enrolment needs
  meterseal-agent scan --quick                find meters, say which models they are
  meterseal-agent run                         read, sign, store, publish, show
  meterseal-agent show                        newest records and how far they have come
  meterseal-agent profiles                    meters that can be read, and their sources
  meterseal-agent fsck                        check the whole store, name the first bad record
  meterseal-agent export --seq 4711 --out reading.evidence
  meterseal-agent export --interval 2026-11-23T12:15:00Z --out quarter.evidence
  meterseal-agent show --alarms               what was found against the log, and its evidence:
  meterseal-agent export --alarm 1 --out offence.evidence
"""


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        print(f"{self.prog}: {message}\nTry: {self.prog} --help", file=sys.stderr)
        raise SystemExit(_EXIT_USAGE)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command.

    Returns:
        The exit status.
    """
    options = _parser().parse_args(arguments)
    logging.basicConfig(
        level=logging.DEBUG if options.verbose else logging.INFO,
        format="%(levelname)s %(name)s: %(message)s",
        stream=sys.stderr,
    )
    try:
        status: int = options.command(options)
    except MeterSealError as error:
        print(f"meterseal-agent: {error}", file=sys.stderr)
        return _EXIT_WRONG
    except KeyboardInterrupt:
        return 128 + 2
    except Exception:
        logging.getLogger(__name__).exception("a defect of the agent itself; please report it")
        return _EXIT_DEFECT
    return status


def _parser() -> _Parser:
    parser = _Parser(
        prog="meterseal-agent",
        description="Reads meters over Modbus, signs what they say, and keeps the record.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    verbose = _Parser(add_help=False)
    verbose.add_argument("--verbose", action="store_true", help="log every step")
    common = _Parser(add_help=False, parents=[verbose])
    common.add_argument(
        "--config",
        type=Path,
        metavar="FILE",
        help="default: ./meterseal.toml, else /etc/meterseal/meterseal.toml",
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    run = commands.add_parser("run", parents=[common], help="read, sign, store, publish, show")
    run.set_defaults(command=cli.run)
    init = commands.add_parser("init", parents=[common], help="make the device key and the store")
    _json(init).set_defaults(command=cli.init)
    show = commands.add_parser("show", parents=[common], help="newest records and their states")
    show.add_argument("--last", type=_count, default=10, metavar="N", help="how many, default 10")
    show.add_argument("--kind", type=cli.kind, metavar="KIND", help="reading, interval, gap, …")
    show.add_argument("--state", choices=STATES, help="only records that have come this far")
    show.add_argument("--counts", action="store_true", help="how many of each kind in each state")
    show.add_argument("--alarms", action="store_true", help="what was found against the log")
    _json(show).set_defaults(command=cli.show)
    fsck = commands.add_parser("fsck", parents=[common], help="check the whole store")
    _json(fsck).set_defaults(command=cli.fsck)
    export = commands.add_parser("export", parents=[common], help="write an evidence file")
    _what(export)
    export.add_argument("--out", type=Path, required=True, metavar="FILE", help="file to write")
    _json(export).set_defaults(command=cli.export)
    scan = commands.add_parser("scan", parents=[verbose], help="find meters and name their models")
    scanning.arguments(scan)
    scan.set_defaults(command=scanning.scan)
    profiles = commands.add_parser("profiles", parents=[common], help="meters that can be read")
    profiles.add_argument("--markdown", action="store_true", help="the document docs/meters.md")
    _json(profiles).set_defaults(command=cli.profiles)
    return parser


def _json(parser: argparse.ArgumentParser) -> argparse.ArgumentParser:
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout")
    return parser


def _what(parser: argparse.ArgumentParser) -> None:
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--seq", type=_count, metavar="N", help="prove the reading of this number")
    what.add_argument(
        "--interval",
        type=cli.moment,
        metavar="START",
        help="prove the interval that starts then: 2026-11-23T12:15:00Z, or UTC milliseconds",
    )
    what.add_argument(
        "--alarm", type=_count, metavar="N", help="accuse the log by this alarm of `show --alarms`"
    )
    parser.add_argument("--epoch", type=_count, metavar="E", help="default: the newest that has it")


def _count(text: str) -> int:
    if not (text.isascii() and text.isdigit()):
        message = f"expected a whole number, got {text!r}"
        raise argparse.ArgumentTypeError(message)
    return int(text)


if __name__ == "__main__":
    sys.exit(main())
