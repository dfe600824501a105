"""Run one benchmark, print its table, and judge its goals.

A benchmark is a module with `run()`, or with `add_arguments(parser)` and `run(options)`.

Exit status: 0 when all goals hold, 3 when one is missed, 64 for a benchmark that does not exist.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from harness import Row

HERE = Path(__file__).resolve().parent
NOT_BENCHMARKS = {"__main__", "harness"}
EXIT_GOAL_MISSED = 3
EXIT_USAGE = 64


def names() -> list[str]:
    """The benchmarks there are: one module each in this folder."""
    return sorted(p.stem for p in HERE.glob("*.py") if p.stem not in NOT_BENCHMARKS)


def table(rows: list[Row], load: float) -> str:
    """The rows as aligned text, with what the goals say."""
    head = ("figure", "value", "unit", "reference", "ref. value", "ratio", "goal", "")
    lines = [head]
    for row in rows:
        goal = "" if row.goal_limit is None else f"{row.goal_of} {row.goal_op} {row.goal_limit:g}"
        verdict = row.note or ("" if not goal else "holds" if row.holds else "MISSED")
        numbers = (f"{row.value:.4g}", row.unit, row.reference, f"{row.reference_value:.4g}")
        lines.append((row.figure, *numbers, f"{row.ratio:.3f}", goal, verdict))
    widths = [max(len(line[i]) for line in lines) for i in range(len(head))]
    text = ["  ".join(c.ljust(w) for c, w in zip(x, widths, strict=True)).rstrip() for x in lines]
    processors = os.cpu_count()
    return "\n".join([*text, f"load {load:.2f} on {processors} processors"])


def main(arguments: list[str] | None = None) -> int:
    """Parse the command line and run."""
    words = sys.argv[1:] if arguments is None else arguments
    known = names()
    name = next((word for word in words if word in known), None)
    parser = argparse.ArgumentParser(
        prog="scripts/bench",
        description="Measure one thing against a limit or a peer of the same run.",
        epilog="Example: scripts/bench sign --json sign.json",
    )
    parser.add_argument("name", metavar="NAME", help="one of: " + ", ".join(known))
    parser.add_argument("--json", metavar="FILE", type=Path, help="write the rows to FILE as well")
    if name is None:
        options = parser.parse_args(words)
        print(f"There is no benchmark {options.name!r}; there are: {', '.join(known)}.")
        return EXIT_USAGE
    sys.path.insert(0, str(HERE))
    harness = importlib.import_module("harness")
    module = importlib.import_module(name)
    takes_options = hasattr(module, "add_arguments")
    if takes_options:
        module.add_arguments(parser)
    options = parser.parse_args(words)
    rows: list[Row] = module.run(options) if takes_options else module.run()
    load = harness.load()
    print(table(rows, load))
    if options.json is not None:
        options.json.write_text(json.dumps([row.as_json(load) for row in rows], indent=1) + "\n")
    return 0 if all(row.holds for row in rows) else EXIT_GOAL_MISSED


if __name__ == "__main__":
    sys.exit(main())
