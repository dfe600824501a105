"""The command line of the demonstration, checked before anything is started."""

from __future__ import annotations

import argparse
import math
from pathlib import Path
from typing import Final

from meterseal_simulator.demo.stage import Settings

MIN_INTERVAL_S: Final = 10
MAX_INTERVAL_S: Final = 3600
MAX_SPEED: Final = 3600
MAX_PORT: Final = 65_535
_DAY_S: Final = 86_400

EPILOG = """examples:
  scripts/demo                                  run until Ctrl-C
  scripts/demo --seconds 90 --report demo.json  stop after 90 s and report
  scripts/demo --tamper                         stage three forgeries and catch each
  scripts/demo --fresh                          forget the data of former runs first
"""


def parser() -> argparse.ArgumentParser:
    """The command line."""
    one = argparse.ArgumentParser(
        prog="scripts/demo",
        description="From a simulated house on RS-485 to a ledger anchor and back.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    one.add_argument("--seconds", type=float, metavar="N", help="stop after N seconds")
    one.add_argument("--report", type=Path, metavar="FILE", help="write what happened as JSON")
    one.add_argument("--tamper", action="store_true", help="stage three forgeries at the end")
    one.add_argument("--fresh", action="store_true", help="forget the data of former runs")
    one.add_argument(
        "--data", type=Path, default=Path(".demo"), metavar="DIR", help="default: .demo"
    )
    one.add_argument("--page-port", type=int, default=0, metavar="PORT", help="default: any")
    one.add_argument(
        "--interval", type=int, default=10, metavar="S", help="interval length in seconds"
    )
    one.add_argument("--speed", type=float, default=1.0, help="simulated seconds per second")
    return one


def wrong(options: argparse.Namespace) -> str | None:
    """Say what is wrong with the options, or None."""
    every_s = Settings().read_every_s
    if options.seconds is not None and not (math.isfinite(options.seconds) and options.seconds > 0):
        return f"--seconds: expected a positive number of seconds, got {options.seconds}"
    if (
        not MIN_INTERVAL_S <= options.interval <= MAX_INTERVAL_S
        or _DAY_S % options.interval
        or options.interval % every_s
    ):
        return (
            f"--interval: expected {MIN_INTERVAL_S} to {MAX_INTERVAL_S} s, a multiple of {every_s} "
            f"that divides a day, got {options.interval}"
        )
    if not 0 < options.speed <= MAX_SPEED:
        return f"--speed: expected more than 0 and at most {MAX_SPEED}, got {options.speed}"
    if not 0 <= options.page_port <= MAX_PORT:
        return f"--page-port: expected 0 to {MAX_PORT}, got {options.page_port}"
    if options.report is not None and not options.report.resolve().parent.is_dir():
        return f"--report: {options.report.parent} is no folder; name one that exists"
    return None
