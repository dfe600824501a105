"""`scripts/demo`: bring everything up, show it, prove one interval, report, end every child."""

from __future__ import annotations

import fcntl
import signal
import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

from rich.live import Live

from meterseal_simulator.demo import facts as ask
from meterseal_simulator.demo import picture, proof, tamper
from meterseal_simulator.demo.child import ChildError
from meterseal_simulator.demo.facts import Facts
from meterseal_simulator.demo.options import parser, wrong
from meterseal_simulator.demo.report import TOTALS, Report, Totals
from meterseal_simulator.demo.stage import Settings, Stage

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator
    from pathlib import Path

    from rich.console import Console

EXIT_FAILED = 1
EXIT_USAGE = 64
LINE_EVERY_S = 5.0
LOOK_EVERY_S = 1.0
CATCH_UP_WITHIN_S = 20.0


class Begun(NamedTuple):
    """When this run began, on both clocks."""

    monotonic_s: float
    utc_ms: int


class _Interrupted(Exception):  # noqa: N818 named as what happened
    """Ctrl-C or SIGTERM."""


def main(arguments: list[str] | None = None) -> int:
    """Run the demonstration; return the exit status."""
    options = parser().parse_args(arguments)
    fault = wrong(options)
    if fault:
        print(f"demo: {fault}", file=sys.stderr)
        return EXIT_USAGE
    # What is forged must never mix with what is kept, so the staged cases have data of their own.
    data = (options.data / "tamper" if options.tamper else options.data / "house").resolve()
    settings = Settings(
        page_port=options.page_port, interval_s=options.interval, speed=options.speed
    )
    console = picture.console()
    stage = Stage(data, settings, lambda text: console.print(text, style="dim"))
    report = Report()
    try:
        options.data.mkdir(parents=True, exist_ok=True)
        with _alone(options.data), _signals(report):
            if options.fresh or options.tamper:
                stage.clear()
            _run(stage, options, report, console)
    except ChildError as error:
        print(f"demo: {error}", file=sys.stderr)
        report.refused.append(str(error))
        return EXIT_FAILED
    except OSError as error:
        where = error.filename or options.data
        print(f"demo: {where}: {error.strerror}; name another folder with --data", file=sys.stderr)
        return EXIT_FAILED
    finally:
        if options.report is not None:
            report.write(options.report)
    return _judge(report, options, console)


def _run(stage: Stage, options: argparse.Namespace, report: Report, console: Console) -> None:
    begun = Begun(time.monotonic(), time.time_ns() // 1_000_000)
    try:
        stage.start()
        report.page, report.device, report.trust = stage.page, stage.device, str(stage.trust)
        report.contract = stage.contract
        _show(stage, options, report, console, begun)
        stage.check()
        _count(stage, report)
        if options.tamper:
            report.tamper = tamper.stage_all(stage, console)
    finally:
        report.seconds = round(time.monotonic() - begun.monotonic_s, 1)
        stage.stop()


def _show(
    stage: Stage,
    options: argparse.Namespace,
    report: Report,
    console: Console,
    begun: Begun,
) -> None:
    """The live picture, until the time is up or somebody interrupts."""
    news = "the first interval is on its way to the ledger …"
    until = None if options.seconds is None else begun.monotonic_s + options.seconds
    printed = 0.0
    with Live(console=console, auto_refresh=False, transient=False) as live:
        while until is None or time.monotonic() < until:
            stage.check()
            facts = Facts(view=ask.status(stage), height=ask.height(stage))
            seconds = time.monotonic() - begun.monotonic_s
            if console.is_terminal:
                live.update(picture.draw(stage, facts, seconds, news), refresh=True)
            elif seconds - printed >= LINE_EVERY_S:
                printed = seconds
                console.print(picture.line(facts, seconds), soft_wrap=True)
            if not report.verdict and _prove(stage, report, console, begun):
                news = f"proved: {report.evidence}"
            try:
                time.sleep(LOOK_EVERY_S)
            except _Interrupted:
                report.interrupted = True
                if not report.verdict:
                    console.print("interrupted before an interval was anchored")
                return


def _prove(stage: Stage, report: Report, console: Console, begun: Begun) -> bool:
    """When an interval of this run is anchored: write the evidence of a reading, and judge it."""
    seq = ask.anchored_reading(stage, since_ms=begun.utc_ms)
    if seq is None:
        return False
    out = proof.export(stage, stage.evidence / f"reading-{seq}.evidence", seq=seq)
    if out is None:
        return False
    judged = proof.judge(out, stage.trust)
    report.verdict, report.evidence = judged.verdict, str(out)
    console.print(judged.text, soft_wrap=True)
    console.print(
        f"Check it yourself: .venv/bin/meterseal verify {out} --trust {stage.trust}",
        style="bold",
        soft_wrap=True,
    )
    return True


def _count(stage: Stage, report: Report) -> None:
    """Stop reading, let the aggregator catch up, and count in both stores."""
    view = ask.status(stage) or {}
    stage.children["agent"].stop()
    kinds = ask.counts(stage)
    intervals = kinds.get("interval", {})
    signed = sum(kinds.get("reading", {}).values())
    until = time.monotonic() + CATCH_UP_WITHIN_S
    while (stored := ask.readings_stored(stage)) < signed and time.monotonic() < until:
        time.sleep(0.2)
    total = Totals(
        readings_signed=signed,
        readings_stored=stored,
        intervals_signed=sum(intervals.values()),
        intervals_logged=ask.reached(intervals, "logged"),
        intervals_anchored=ask.reached(intervals, "anchored"),
    )
    report.count(total, before=Totals.read(stage.root / TOTALS))
    total.write(stage.root / TOTALS)
    ready = stage.children["ledger"].ready
    report.ledger = str(ask.call(stage.ledger_url, "web3_clientVersion"))
    report.chain_id = int(ready["chain_id"])
    report.height = ask.height(stage) or 0
    report.refused += [notice["text"] for notice in view.get("notices", ())]
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
