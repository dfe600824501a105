"""What a person sees while it runs."""

from __future__ import annotations

import io

from meterseal_agent.bus.settings import SerialLine
from meterseal_agent.scan.found import LineReport
from meterseal_agent.scan.progress import Bar, Lines

REPORT = LineReport(line=SerialLine(port="/dev/ttyUSB0"), asked=4, answers=[3], broken=[4])


def test_a_terminal_has_one_line_that_moves_and_one_for_each_setting_done() -> None:
    stream = io.StringIO()
    bar = Bar(stream, 5)

    bar.begin(REPORT, 4)
    for address in (1, 2, 3, 4):
        bar.step(address)
    bar.identify(3)
    bar.end(REPORT)

    rows = stream.getvalue().split("\r")
    assert "[1/5] /dev/ttyUSB0 9600 8N1 [........................]" in rows[1]
    assert "[######..................] address 2" in rows[3]
    assert "[########################] address 3 answers: which model?" in rows[6]
    assert rows[7].rstrip() == "/dev/ttyUSB0 9600 8N1: 1 of 4 addresses answer, 1 garbled"
    assert stream.getvalue().count("\n") == 1
    assert len({len(row.rstrip("\n")) for row in rows[1:]}) == 1


def test_elsewhere_there_is_one_line_for_each_setting() -> None:
    stream = io.StringIO()
    lines = Lines(stream)

    lines.begin(REPORT, 4)
    lines.step(1)
    lines.end(REPORT)

    assert stream.getvalue() == ("/dev/ttyUSB0 9600 8N1: 1 of 4 addresses answer, 1 garbled\n")
