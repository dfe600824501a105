"""`scripts/demo`: bring everything up, show it, prove one interval, report, end every child."""

from __future__ import annotations

import argparse
import fcntl
import signal
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from rich.live import Live

from meterseal_simulator.demo import facts as ask
from meterseal_simulator.demo import picture, proof, tamper
from meterseal_simulator.demo.child import ChildError
from meterseal_simulator.demo.facts import Facts
from meterseal_simulator.demo.report import Report
from meterseal_simulator.demo.stage import Settings, Stage

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.console import Console

EXIT_FAILED = 1
EXIT_USAGE = 64
LINE_EVERY_S = 5.0
LOOK_EVERY_S = 1.0
CATCH_UP_WITHIN_S = 20.0

EPILOG = """examples:
  scripts/demo                                  run until Ctrl-C
  scripts/demo --seconds 90 --report demo.json  stop after 90 s and report
  scripts/demo --tamper                         stage three forgeries and catch each
  scripts/demo --fresh                          forget the data of former runs first
"""


class _Interrupted(Exception):  # noqa: N818 named as what happened
    """Ctrl-C or SIGTERM."""


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


def main(arguments: list[str] | None = None) -> int:
    """Run the demonstration; return the exit status."""
    options = parser().parse_args(arguments)
    if options.seconds is not None and options.seconds <= 0:
        print("--seconds: expected a positive number of seconds.", file=sys.stderr)
        return EXIT_USAGE
    # What is forged must never mix with what is kept, so the staged cases have data of their own.
    data = (options.data / "tamper" if options.tamper else options.data / "house").resolve()
    settings = Settings(
        page_port=options.page_port, interval_s=options.interval, speed=options.speed
    )
    console = picture.console()
    stage = Stage(data, settings, lambda text: console.print(text, style="dim"))
    options.data.mkdir(parents=True, exist_ok=True)
    report = Report()
    try:
        with _alone(options.data), _signals(report):
            if options.fresh or options.tamper:
                stage.clear()
            _run(stage, options, report, console)
    except ChildError as error:
        print(f"demo: {error}", file=sys.stderr)
        report.refused.append(str(error))
        return EXIT_FAILED
    finally:
        if options.report is not None:
            report.write(options.report)
    return _judge(report, options, console)


def _run(stage: Stage, options: argparse.Namespace, report: Report, console: Console) -> None:
    begun = time.monotonic()
    try:
        stage.start()
        report.page, report.device, report.trust = stage.page, stage.device, str(stage.trust)
        _show(stage, options, report, console, begun)
        _count(stage, report)
        if options.tamper:
            report.tamper = tamper.stage_all(stage, console)
    finally:
        report.seconds = round(time.monotonic() - begun, 1)
        stage.stop()


def _show(
    stage: Stage,
    options: argparse.Namespace,
    report: Report,
    console: Console,
    begun: float,
) -> None:
    """The live picture, until the time is up or somebody interrupts."""
    news = "the first interval is on its way to the ledger …"
    until = None if options.seconds is None else begun + options.seconds
    printed = 0.0
    with Live(console=console, auto_refresh=False, transient=False) as live:
        while until is None or time.monotonic() < until:
            stage.check()
            facts = Facts(view=ask.status(stage), height=ask.height(stage))
            seconds = time.monotonic() - begun
            if console.is_terminal:
                live.update(picture.draw(stage, facts, seconds, news), refresh=True)
            elif seconds - printed >= LINE_EVERY_S:
                printed = seconds
                console.print(picture.line(facts, seconds))
            if not report.verdict and _prove(stage, report, console):
                news = f"proved: {report.evidence}"
            try:
                time.sleep(LOOK_EVERY_S)
            except _Interrupted:
                report.interrupted = True
                if not report.verdict:
                    console.print("interrupted before an interval was anchored")
                return


def _prove(stage: Stage, report: Report, console: Console) -> bool:
    """When an interval is anchored: write the evidence of a reading in it, and judge it."""
    seq = ask.anchored_reading(stage)
    if seq is None:
        return False
    out = proof.export(stage, stage.evidence / f"reading-{seq}.evidence", seq=seq)
    if out is None:
        return False
    judged = proof.judge(out, stage.trust)
    report.verdict, report.evidence = judged.verdict, str(out)
    console.print(judged.text)
    console.print(
        f"Check it yourself: .venv/bin/meterseal verify {out} --trust {stage.trust}", style="bold"
    )
    return True


def _count(stage: Stage, report: Report) -> None:
    """Stop reading, let the aggregator catch up, and count in both stores."""
    stage.children["agent"].stop()
    kinds = ask.counts(stage)
    report.readings_signed = sum(kinds.get("reading", {}).values())
    intervals = kinds.get("interval", {})
    report.intervals_signed = sum(intervals.values())
    report.intervals_logged = ask.reached(intervals, "logged")
    report.intervals_anchored = ask.reached(intervals, "anchored")
    until = time.monotonic() + CATCH_UP_WITHIN_S
    while True:
        report.readings_stored = ask.readings_stored(stage)
        if report.readings_stored >= report.readings_signed or time.monotonic() > until:
            break
        time.sleep(0.2)
    ready = stage.children["ledger"].ready
    report.ledger = str(ask.call(stage.ledger_url, "web3_clientVersion"))
    report.chain_id = int(ready["chain_id"])
    report.height = ask.height(stage) or 0
    report.refused += ask.refused(stage)


def _judge(report: Report, options: argparse.Namespace, console: Console) -> int:
    """Say what came of it; the status is 0 only if it all held."""
    console.print(
        f"{report.readings_signed} readings signed, {report.readings_stored} stored, "
        f"{report.intervals_logged} intervals logged, {report.intervals_anchored} anchored; "
        f"verdict {report.verdict or 'none yet'}"
    )
    for text in report.refused:
        console.print(f"refused: {text}")
    held = report.readings_stored == report.readings_signed
    if not report.interrupted:
        # Who gave it time gets a proof, or is told that there was none.
        held = held and report.readings_signed > 0 and report.verdict == "OK"
    if options.tamper:
        held = held and tamper.as_expected(report.tamper)
    if not held:
        console.print("not everything held; --report FILE tells more, and .demo holds the logs")
    return 0 if held else EXIT_FAILED


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """One demonstration at a time below one folder."""
    with (folder / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise ChildError(
                f"another demonstration runs on {folder}; end it first, or name another --data"
            ) from error
        yield


@contextmanager
def _signals(report: Report) -> Iterator[None]:
    """Ctrl-C and SIGTERM end the picture, and with it the children, in order."""

    def interrupt(*_: object) -> None:
        raise _Interrupted

    before = {one: signal.signal(one, interrupt) for one in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    except _Interrupted:
        report.interrupted = True
        print("interrupted")
    finally:
        for one, handler in before.items():
            signal.signal(one, handler)


if __name__ == "__main__":
    sys.exit(main())
