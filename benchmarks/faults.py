"""How many wrong values a bad line can make the agent believe: none, of a hundred thousand faults.

The agent's own poller, reader, guard and port run over pymodbus and pyserial on a clock that is
turned (`faultline/world.py`); 300 faults more happen over real pseudo-terminals in real time. The
same weather over a client without a guard must lead it astray, or it proves nothing.

- A wrong value is one in a good sample that the meter did not say of that register in that round.
- Late replies count as fitting when they find a request of their own unit, function and length
  waiting; a fifth of all faults must. Those that find a later request than theirs count again.
- A frame that noise has changed and whose CRC fits all the same (one in 65,536 of the longer
  bursts) cannot be found by anybody; it is counted in a row of its own.
"""

from __future__ import annotations

import os
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from typing import TYPE_CHECKING

from faultline.credulous import run_credulous
from faultline.wire import run_wire
from faultline.witness import Tally
from faultline.world import run_virtual, scenes
from harness import Row

if TYPE_CHECKING:
    import argparse

COUNT = 100_000
WIRE_COUNT = 300
UNGUARDED_COUNT = 1_000
# Faults of one line; a line is a process's piece of work.
SHARD = 1_500
FINDINGS_SHOWN = 3
LATE_SHARE, MASTER_SHARE = 0.20, 0.05


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what can be chosen."""
    parser.add_argument("--count", type=int, default=COUNT, help=f"faults (default {COUNT})")
    parser.add_argument("--wire", type=int, default=WIRE_COUNT, help="of those in real time")
    parser.add_argument("--seed", default="1", help="same seed, same faults (default 1)")


def run(options: argparse.Namespace) -> list[Row]:
    """Let it rain on the agent, then on a client without a guard, then in real time."""
    begun = time.monotonic()
    guarded = rain(options.seed, options.count)
    minutes = (time.monotonic() - begun) / 60
    unguarded = run_credulous(scenes()[0], options.seed, UNGUARDED_COUNT)
    wire = run_wire(options.seed, options.wire)
    show(guarded)
    show(wire)
    return [
        *rows(guarded, unguarded, options.count),
        *wire_rows(wire, options.wire),
        *(kind_row(guarded, kind) for kind in sorted(guarded.injected)),
        Row(
            figure="minutes for all of it",
            value=minutes,
            unit="min",
            reference="five minutes",
            reference_value=5,
        ),
    ]


def rain(seed: str, count: int) -> Tally:
    """Share the faults out to lines, and the lines to processors; the seed decides everything."""
    lines = scenes()
    shards = -(-count // SHARD)
    total = Tally()
    with ProcessPoolExecutor(max_workers=os.cpu_count()) as pool:
        futures = [
            pool.submit(
                run_virtual,
                lines[number % len(lines)],
                f"{seed}:{number}",
                count // shards + (number < count % shards),
            )
            for number in range(shards)
        ]
        for future in futures:
            total.add(future.result())
    return total


def rows(guarded: Tally, unguarded: Tally, count: int) -> list[Row]:
    """Judge the run in virtual time."""
    return [
        Row(
            figure="wrong values believed",
            value=guarded.wrong,
            unit="values",
            reference=f"without a guard, {unguarded.faults} faults",
            reference_value=max(1, unguarded.wrong),
            goal_of="value",
            goal_op="<=",
            goal_limit=0,
        ),
        Row(
            figure="wrong values without a guard",
            value=unguarded.wrong,
            unit="values",
            reference="values it believed",
            reference_value=unguarded.values,
            goal_of="value",
            goal_op=">=",
            goal_limit=1,
        ),
        at_least("faults injected", guarded.faults, "asked for", count),
        at_least(
            "late replies that fit the pending request",
            guarded.late_fits,
            "a fifth of the faults",
            LATE_SHARE * count,
        ),
        informs(
            "late replies that fit a later request",
            guarded.late_fits_later,
            "late replies that fit",
            guarded.late_fits,
        ),
        at_least(
            "faults from a second master",
            guarded.injected.get("second master", 0),
            "a twentieth of the faults",
            MASTER_SHARE * count,
        ),
        at_least("true values believed", guarded.values - guarded.wrong, "one a fault", count),
        informs(
            "wrong frames with a valid CRC", guarded.valid_wrong_frames, "faults", guarded.faults
        ),
        informs(
            "noise whose CRC fits by chance", guarded.chance_frames, "longer bursts in", 65_536
        ),
    ]


def wire_rows(wire: Tally, count: int) -> list[Row]:
    """Judge the run in real time."""
    return [
        Row(
            figure="wrong values believed, real time",
            value=wire.wrong,
            unit="values",
            reference="true values believed",
            reference_value=max(1, wire.values - wire.wrong),
            goal_of="value",
            goal_op="<=",
            goal_limit=0,
        ),
        at_least("faults injected, real time", wire.faults, "asked for", count),
    ]


def kind_row(tally: Tally, kind: str) -> Row:
    """Say how many samples one kind of fault cost."""
    return Row(
        figure=f"samples dropped: {kind}",
        value=tally.dropped.get(kind, 0),
        unit="samples",
        reference="such faults",
        reference_value=tally.injected[kind],
    )


def at_least(figure: str, value: float, reference: str, least: float) -> Row:
    """Make a row whose value must reach its reference."""
    return Row(
        figure=figure,
        value=value,
        unit="count",
        reference=reference,
        reference_value=least,
        goal_of="ratio",
        goal_op=">=",
        goal_limit=1,
    )


def informs(figure: str, value: float, reference: str, of: float) -> Row:
    """Make a row without a goal."""
    return Row(figure=figure, value=value, unit="count", reference=reference, reference_value=of)


def show(tally: Tally) -> None:
    """Print the first values that were believed and are not true, with what led to them."""
    for finding in tally.findings[:FINDINGS_SHOWN]:
        print(
            f"{finding.scene}, seed {finding.seed}, {finding.at_s:.3f} s: unit {finding.unit} "
            f"{finding.quantity} is {finding.true}, believed {finding.got}; before that:",
            *finding.trace[-30:],
            sep="\n  ",
            file=sys.stderr,
        )
