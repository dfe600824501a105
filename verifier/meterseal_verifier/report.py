"""How a report is written: for people, and as JSON that does not change.

The JSON, one object (`protocol/evidence.md` has it field by field):

    {"schema": "meterseal-report/1", "verdict": "OK", "exit_status": 0, "offence": null,
     "sentence": "…", "culprit": null, "expected": null, "got": null,
     "claim": "reading", "vouched_by": "…",
     "steps": [{"step": 1, "title": "the file", "state": "passed", "line": "…"}, …],
     "proved": {…} | null}

`proved` is what `meterseal show --json` says of the file, and stands there only under OK: nothing
else was proved.
"""

from __future__ import annotations

import json
import textwrap
from typing import TYPE_CHECKING, Final

from meterseal_verifier.content import Section, as_json, as_lines

if TYPE_CHECKING:
    from collections.abc import Iterator

    from meterseal_verifier.verdict import Report

REPORT_SCHEMA: Final = "meterseal-report/1"
_WIDTH: Final = 96


def report_text(report: Report, proved: Section | None) -> str:
    """Write a report for people.

    Args:
        report: The outcome.
        proved: What the file says, if the verdict is OK; only the part that it claims is printed.
    """
    return "\n".join(_lines(report, proved))


def report_json(report: Report, proved: Section | None) -> str:
    """Write a report as one JSON object."""
    fields = {
        "schema": REPORT_SCHEMA,
        "verdict": report.verdict.words,
        "exit_status": int(report.verdict),
        "offence": report.offence and report.offence.value,
        "sentence": report.sentence,
        "culprit": report.culprit,
        "expected": report.expected,
        "got": report.got,
        "claim": report.claim,
        "vouched_by": report.vouched_by,
        "steps": [
            {"step": each.number, "title": each.title, "state": each.state.value, "line": each.line}
            for each in report.steps
        ],
        "proved": proved and as_json(proved),
    }
    return json.dumps(fields, indent=2, ensure_ascii=False)


def _lines(report: Report, proved: Section | None) -> Iterator[str]:
    for step in report.steps:
        yield from _wrapped(f"({step.number}) {step.state.value:<12} {step.title}: {step.line}", 17)
    if proved is not None:
        claimed = next(each for each in proved.entries if isinstance(each, Section))
        yield ""
        yield from as_lines(claimed)
    yield ""
    yield report.heading
    yield from _wrapped(report.sentence, 0)
    named = (("culprit", report.culprit), ("expected", report.expected), ("got", report.got))
    for name, value in named:
        if value is not None:
            yield from _wrapped(f"{name + ':':<10}{value}", 10)


def _wrapped(line: str, indent: int) -> list[str]:
    return textwrap.wrap(
        line,
        width=_WIDTH,
        subsequent_indent=" " * indent,
        break_long_words=False,
        break_on_hyphens=False,
    )
