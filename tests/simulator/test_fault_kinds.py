"""The kinds of fault that change more than one reply's own bytes, and the triggers' choices."""

from __future__ import annotations

import struct
from dataclasses import replace

import pytest

from meterseal_simulator.faults import (
    CounterReset,
    Echo,
    Late,
    Long,
    NoiseAfter,
    NoiseBefore,
    NoiseInside,
    Reply,
    Rollover,
    SecondMaster,
    Slow,
    Trigger,
    overheard,
)
from meterseal_simulator.modbus import Request, crc16, rtu_frame

REQUEST = Request(unit=1, pdu=bytes.fromhex("0400480004"))
REPLY = Reply(unit=1, pdu=b"\x04\x08" + struct.pack(">ff", 1234.5, 77.25), request=REQUEST)


def test_a_long_reply_is_consistent_with_itself() -> None:
    long = Long(registers=2).change(REPLY)

    assert long.pdu[1] == len(long.pdu) - 2 == 12
    assert crc16(long.on_serial_line()) == 0


def test_a_long_reply_is_never_longer_than_a_byte_count_can_say() -> None:
    full = replace(REPLY, pdu=b"\x04\xfa" + bytes(250))

    assert Long(registers=100).change(full).pdu[1] == 254


def test_noise_runs_into_the_frame_or_follows_it() -> None:
    frame = REPLY.on_serial_line()

    before = NoiseBefore(length=3, seed=5).change(REPLY).on_serial_line()
    after = NoiseAfter(length=2, seed=5).change(REPLY).on_serial_line()
    behind = NoiseAfter(length=2, pause_s=0.01).change(REPLY)

    assert (before[3:], len(before)) == (frame, len(frame) + 3)
    assert (after[:-2], len(after)) == (frame, len(frame) + 2)
    assert (behind.on_serial_line(), len(behind.behind())) == (frame, 2)


@pytest.mark.parametrize("seed", range(20))
def test_noise_inside_keeps_the_length_and_never_a_short_burst_passes_the_checksum(
    seed: int,
) -> None:
    spoiled = NoiseInside(length=2, seed=seed).change(REPLY).on_serial_line()

    assert len(spoiled) == len(REPLY.on_serial_line())
    assert crc16(spoiled) != 0


@pytest.mark.parametrize("fault", [NoiseBefore(), NoiseInside(), Echo()])
def test_what_is_spoiled_on_the_serial_side_dies_in_a_tcp_gateway(
    fault: NoiseBefore | NoiseInside | Echo,
) -> None:
    assert fault.change(REPLY).on_tcp(7) == b""


def test_an_echo_hands_the_request_back_before_the_turnaround() -> None:
    assert Echo().change(REPLY).early == rtu_frame(REQUEST.unit, REQUEST.pdu)


def test_a_slow_slave_is_slow_by_chance_and_the_same_again() -> None:
    slow = Slow(delay_s=0.1, spread_s=0.2, seed=3)

    delay_s = slow.change(REPLY).delay_s

    assert 0.1 <= delay_s <= 0.3
    assert slow.change(REPLY).delay_s == delay_s


def test_a_counter_that_was_reset_counts_from_there() -> None:
    reset = CounterReset(register=0x48, base=1000.0).change(REPLY)
    before = CounterReset(register=0x48, base=5000.0).change(REPLY)

    assert struct.unpack(">ff", reset.pdu[2:]) == (234.5, 77.25)
    assert struct.unpack(">ff", before.pdu[2:]) == (0.0, 77.25)


def test_a_counter_rolls_over_and_its_neighbours_do_not() -> None:
    rolled = Rollover(register=0x4A, wrap=10.0).change(REPLY)

    assert struct.unpack(">ff", rolled.pdu[2:]) == (1234.5, 7.25)


@pytest.mark.parametrize("register", [0x47, 0x4B, 0x100])
def test_a_counter_that_the_reply_does_not_hold_whole_passes(register: int) -> None:
    assert CounterReset(register=register).change(REPLY) == REPLY


def test_a_counter_of_one_word_wraps_as_whole_numbers() -> None:
    reply = replace(REPLY, pdu=bytes.fromhex("0402ffff"))

    rolled = Rollover(register=0x48, word_type="u16", wrap=1000).change(reply)

    assert rolled.pdu == b"\x04\x02" + (65535 % 1000).to_bytes(2)


def test_another_master_asks_what_a_slave_tells_it_then() -> None:
    told = iter((b"\x04\x02\x00\x01", b"\x04\x02\x00\x02"))
    fault = SecondMaster(ask=lambda: overheard(lambda _: next(told), unit=2, address=7, count=1))

    (first,) = fault.change(REPLY).overheard
    (second,) = fault.change(REPLY).overheard

    assert first.request == Request(unit=2, pdu=bytes.fromhex("0400070001"))
    assert (first.pdu, second.pdu) == (b"\x04\x02\x00\x01", b"\x04\x02\x00\x02")


def test_a_trigger_takes_each_third_request_and_no_more_than_it_was_told() -> None:
    trigger = Trigger(after=2, every=3, times=2)

    assert [n for n in range(20) if trigger.hits(n)] == [2, 5]


def test_chance_hits_about_as_often_as_it_says_and_the_same_ones_again() -> None:
    trigger = Trigger(times=None, probability=0.25, seed=9)

    hits = [n for n in range(4000) if trigger.hits(n)]

    assert 900 < len(hits) < 1100
    assert hits == [n for n in range(4000) if trigger.hits(n)]
    assert hits != [n for n in range(4000) if replace(trigger, seed=10).hits(n)]


def test_a_late_reply_stays_late_through_every_other_fault() -> None:
    changed: Reply = Late(delay_s=0.4).change(REPLY)
    for fault in (Long(), NoiseBefore(), NoiseInside(), NoiseAfter(), Echo()):
        changed = fault.change(changed)

    assert changed.delay_s == 0.4
