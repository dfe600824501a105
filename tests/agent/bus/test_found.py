"""Cases that `scripts/bench faults` found, cut down to what matters."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from meterseal_agent.bus.adapter import Adapter
from meterseal_agent.bus.frame import Request, crc16
from meterseal_agent.bus.port import ModbusPort
from meterseal_agent.bus.settings import SerialLine
from meterseal_agent.bus.strangers import Strangers
from meterseal_agent.errors import MissingReplyError, WrongReplyError
from meterseal_simulator.bus import Bus
from meterseal_simulator.faults import Late
from meterseal_simulator.line import Line, LineTiming
from meterseal_simulator.registers import RegisterSlave
from meterseal_simulator.virtual import VirtualLoop, VirtualTerminal

if TYPE_CHECKING:
    from pathlib import Path

LATE_S = 0.5


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


@pytest.mark.parametrize("ahead_characters", [1, 3, 5, 7])
def test_a_reply_that_was_on_the_wire_before_we_asked_is_not_the_answer(
    ahead_characters: int,
) -> None:
    """Goal: a late reply is refused although the new request has its form.

    Method: we ask while the meter is talking, so that our request is lost: no second reply ever
    comes, and the proof behind the values would come out right. (Benchmark, seed 1:9.)
    """
    timing = LineTiming(turnaround_s=0.02)
    image = {0: 0x1111, 1: 0x1111, 2: 0x2222, 3: 0x2222}
    bus = Bus({1: RegisterSlave({4: lambda: image}, limit=10)})
    bus.faults.arm(Late(delay_s=LATE_S))
    line = SerialLine(port="virtual://line")
    starts_s = 8 * timing.character_s + timing.silence_s + timing.turnaround_s + LATE_S

    async def read() -> None:
        port = ModbusPort(line)
        await port.open()
        with pytest.raises(MissingReplyError):
            await port.exchange(Request(unit=1, function=4, address=0, count=2), 0.1)
        ahead_s = ahead_characters * timing.character_s
        await asyncio.sleep(starts_s + ahead_s - asyncio.get_running_loop().time())
        try:
            with pytest.raises(WrongReplyError, match="before"):
                await port.exchange(Request(unit=1, function=4, address=2, count=2), 1.0)
        finally:
            port.close()

    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        loop = runner.get_loop()
        assert isinstance(loop, VirtualLoop)
        # The adapter hands the whole late reply on at once, after our request.
        terminal = VirtualTerminal(Line(timing, bus.answer), latency_s=0.016)
        loop.plug("line", terminal)
        runner.run(read())


def test_a_pseudo_terminal_has_no_wire_whose_time_could_be_held_against_it(tmp_path: Path) -> None:
    link, adapter = tmp_path / "by-id", tmp_path / "ttyUSB0"
    (tmp_path / "pts").mkdir()
    link.symlink_to(tmp_path / "pts" / "7")
    adapter.touch()

    assert not Adapter(port=str(link), dev=tmp_path).has_wire()
    assert Adapter(port=str(adapter), dev=tmp_path).has_wire()
