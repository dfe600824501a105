"""Cases that `scripts/bench faults` found, cut down to what matters."""

from __future__ import annotations

from meterseal_agent.bus.frame import Request, crc16
from meterseal_agent.bus.settings import SerialLine
from meterseal_agent.bus.strangers import Strangers


def test_two_frames_that_answer_one_late_request_are_both_named_as_late() -> None:
    """Goal: the line's owner survives it.

    Method: a reply that was owed comes twice in one silence, once from the meter and once as what
    another master was told. The second was looked for among those still owed, and not found.
    """
    request = Request(unit=1, function=3, address=0, count=2)
    reply = bytes.fromhex("01 03 04 3f 8d 0e 56")
    strangers = Strangers(SerialLine(port="/dev/ttyTEST"))
    strangers.owes(request, begun_s=1.0)

    late = strangers.hear((reply + crc16(reply)) * 2, at_s=2.0)

    assert late == [(request, 1.0)] * 2
    assert "late reply of unit 1" in strangers.guess
