"""The control channel: what it takes, what it refuses and why."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from meterseal_simulator.bus import Bus
from meterseal_simulator.control import ControlPort
from meterseal_simulator.faults import KINDS
from meterseal_simulator.line import Line, LineTiming
from meterseal_simulator.modbus import Request
from meterseal_simulator.port import PtyPort
from meterseal_simulator.registers import RegisterSlave

if TYPE_CHECKING:
    from collections.abc import Iterator

NEEDED: dict[str, dict[str, object]] = {
    "late": {"delay_s": 0.5},
    "slow": {"delay_s": 0.5},
    "foreign-unit": {"as_unit": 9},
    "counter-reset": {"register": 10, "word_type": "u16"},
    "rollover": {"register": 10, "word_type": "u16", "wrap": 4},
    "second-master": {"as_unit": 1, "count": 1},
}


def bus() -> Bus:
    image = {address: 1000 + address for address in range(100)}
    return Bus({1: RegisterSlave({4: lambda: image}, limit=50)})


@pytest.fixture
def pty(tmp_path: Path) -> Iterator[PtyPort]:
    port = PtyPort(Line(LineTiming(baud=115_200), bus().answer), tmp_path / "tty")
    port.start()
    yield port
    port.close()


def obey(port: ControlPort, **words: object) -> dict[str, object]:
    return port.obey(json.dumps(words).encode())


@pytest.mark.parametrize("kind", [*KINDS, "second-master"])
def test_every_kind_of_fault_can_be_armed_and_meets_a_request(kind: str) -> None:
    slaves = bus()
    port = ControlPort(Path("unused"), slaves, dict)

    answer = obey(port, do="inject", fault=kind, unit=1, **NEEDED.get(kind, {}))
    slaves.answer(Request(unit=1, pdu=bytes.fromhex("04000a0002")))

    assert answer["ok"], answer
    assert [one.hit for one in slaves.faults.armed()] == [1]


def test_one_fault_of_several_can_be_taken_away() -> None:
    slaves = bus()
    port = ControlPort(Path("unused"), slaves, dict)
    obey(port, do="inject", fault="dead")
    number = obey(port, do="inject", fault="echo")["number"]

    assert obey(port, do="clear", number=number) == {"ok": True}
    assert [type(one.fault).__name__ for one in slaves.faults.armed()] == ["Dead"]
    assert "not in place" in str(obey(port, do="clear", number=number))


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        ({"do": "inject", "fault": "flood"}, "is none of"),
        ({"do": "inject", "fault": "dead", "probability": 2}, "probability is 2"),
        ({"do": "inject", "fault": "noise-inside", "length": 1000}, "length is 1000"),
        ({"do": "inject", "fault": "rollover", "register": 1, "word_type": "bcd"}, "f32, u16, u32"),
        ({"do": "inject", "fault": "second-master"}, "unit"),
        ({"do": "unplug"}, "expected a serial line"),
        ({"do": "ask", "unit": 1}, "expected a serial line"),
        ({"do": "dance"}, "expected"),
    ],
)
def test_a_refusal_says_what_was_expected(words: dict[str, object], reason: str) -> None:
    answer = obey(ControlPort(Path("unused"), bus(), dict), **words)

    assert answer["ok"] is False
    assert reason in str(answer["error"])


def test_the_adapter_is_pulled_out_and_another_master_asks_on_command(pty: PtyPort) -> None:
    port = ControlPort(Path("unused"), bus(), dict, pty)

    assert obey(port, do="ask", unit=1, count=2) == {"ok": True}
    assert obey(port, do="unplug", absent_s=0.05) == {"ok": True}
    assert obey(port, do="unplug", absent_s="long")["ok"] is False
    assert obey(port, do="ask", unit=1, register=2)["ok"] is False
