"""Each fault does what its name says, and to nothing else."""

from __future__ import annotations

import pytest

from meterseal_simulator.bus import Bus
from meterseal_simulator.faults import (
    KINDS,
    BadChecksum,
    Dead,
    Faults,
    ForeignUnit,
    Late,
    Refusal,
    Reply,
    Short,
    Trigger,
    Truncated,
    WrongFunction,
)
from meterseal_simulator.modbus import Request, crc16
from meterseal_simulator.registers import RegisterSlave

REQUEST = Request(unit=1, pdu=bytes.fromhex("0400480004"))
REPLY = Reply(unit=1, pdu=bytes.fromhex("04080001000200030004"))


def test_a_late_reply_is_whole_and_right() -> None:
    late = Late(delay_s=0.4).change(REPLY)

    assert late.delay_s == 0.4
    assert late.on_serial_line() == REPLY.on_serial_line()


def test_a_short_reply_is_consistent_with_itself() -> None:
    short = Short(registers=2).change(REPLY)

    assert short.pdu.hex() == "040400010002"
    assert crc16(short.on_serial_line()) == 0


def test_a_short_reply_to_a_refused_request_is_the_refusal() -> None:
    refused = Reply(unit=1, pdu=b"\x84\x02")

    assert Short().change(refused) == refused


def test_a_truncated_reply_lacks_its_last_bytes() -> None:
    cut = Truncated(missing=3).change(REPLY)

    assert cut.on_serial_line() == REPLY.on_serial_line()[:-3]
    assert cut.on_tcp(7) == REPLY.on_tcp(7)[:-3]


def test_a_reply_with_another_function_or_unit_has_a_right_checksum() -> None:
    function = WrongFunction(function=3).change(REPLY).on_serial_line()
    unit = ForeignUnit(unit=9).change(REPLY).on_serial_line()

    assert function[:2] == b"\x01\x03"
    assert unit[:2] == b"\x09\x04"
    assert crc16(function) == crc16(unit) == 0


def test_a_bad_checksum_spoils_the_frame_and_dies_in_a_tcp_gateway() -> None:
    bad = BadChecksum().change(REPLY)

    assert crc16(bad.on_serial_line()) != 0
    assert bad.on_serial_line()[:-2] == REPLY.on_serial_line()[:-2]
    assert bad.on_tcp(7) == b""


def test_a_refusal_names_the_function_that_was_asked() -> None:
    assert Refusal(code=6).change(REPLY).pdu == b"\x84\x06"


def test_a_fault_hits_the_request_it_was_meant_for_and_no_other() -> None:
    faults = Faults()
    faults.arm(Dead(), Trigger(unit=1, function=4, address=0x48, after=1, times=2))

    outcomes = [faults.apply(REQUEST, REPLY) for _ in range(4)]
    other_unit = faults.apply(Request(unit=2, pdu=REQUEST.pdu), REPLY)
    other_address = faults.apply(Request(unit=1, pdu=bytes.fromhex("0400000004")), REPLY)
    other_function = faults.apply(Request(unit=1, pdu=bytes.fromhex("0300480004")), REPLY)

    assert outcomes == [REPLY, None, None, REPLY]
    assert other_unit == other_address == other_function == REPLY
    assert (faults.armed()[0].matched, faults.armed()[0].hit) == (4, 2)


def test_a_fault_without_an_end_lasts_until_it_is_cleared() -> None:
    faults = Faults()
    faults.arm(Dead(), Trigger(times=None))

    assert [faults.apply(REQUEST, REPLY) for _ in range(3)] == [None] * 3
    faults.clear()

    assert faults.apply(REQUEST, REPLY) == REPLY


def test_faults_add_up_in_the_order_they_were_armed() -> None:
    faults = Faults()
    faults.arm(Late(delay_s=0.2))
    faults.arm(ForeignUnit(unit=5))

    changed = faults.apply(REQUEST, REPLY)

    assert changed is not None
    assert (changed.delay_s, changed.unit) == (0.2, 5)


def test_nobody_answers_for_an_address_where_nobody_sits() -> None:
    image = dict.fromkeys(range(100), 1)
    bus = Bus({1: RegisterSlave({4: lambda: image}, limit=10)})

    assert bus.answer(REQUEST) is not None
    assert bus.answer(Request(unit=2, pdu=REQUEST.pdu)) is None
    assert bus.answer(Request(unit=0, pdu=REQUEST.pdu)) is None


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_fault_leaves_the_original_reply_alone(kind: str) -> None:
    needed: dict[str, dict[str, float]] = {
        "late": {"delay_s": 1.0},
        "slow": {"delay_s": 1.0},
        "foreign-unit": {"unit": 3},
        "counter-reset": {"register": 0x48},
        "rollover": {"register": 0x48},
    }
    before = REPLY.on_serial_line()

    KINDS[kind](**needed.get(kind, {})).change(REPLY)

    assert REPLY.on_serial_line() == before
