"""One line, several meters: who is found, how long it takes, and what is said of the wires."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from meterseal_agent.scan.found import Verdict
from meterseal_agent.scan.settings import SERIAL_TIMEOUT_S as TIMEOUT_S
from meterseal_agent.scan.symptoms import hints
from meterseal_simulator.faults import BadChecksum, SecondMaster, Trigger, Unplug, overheard
from meterseal_simulator.line import LineTiming
from meterseal_simulator.modbus import rtu_frame
from support.motley import VirtualScan, golden_slave

if TYPE_CHECKING:
    from meterseal_agent.profiles import Profile
    from meterseal_simulator.reply import Reply

SLOW = (9600, "N")
FAST = (19200, "E")
FIVE = {
    3: (SLOW, "abb-b23"),
    7: (SLOW, "carlo-gavazzi-em340"),
    42: (SLOW, "wago-879-3000"),
    1: (FAST, "eastron-sdm120"),
    5: (FAST, "schneider-iem3155"),
}


def line_of(meters: dict[int, tuple[tuple[int, str], str]], **timing: float) -> VirtualScan:
    slaves = {unit: (setting, golden_slave(name)) for unit, (setting, name) in meters.items()}
    turnaround_s = timing.get("turnaround_s", 0.02)
    return VirtualScan(slaves, LineTiming(turnaround_s=turnaround_s))


def test_five_models_at_two_speeds_are_each_named_exactly(profiles: tuple[Profile, ...]) -> None:
    scan = line_of(FIVE)

    reports = scan.run(SLOW, FAST, units=[*range(1, 11), 42], profiles=profiles)

    found = [one for report in reports for one in report.found]
    assert all(one.verdict is Verdict.EXACT for one in found)
    assert {one.address: one.candidates[0].profile for one in found} == {
        unit: name for unit, (_, name) in FIVE.items()
    }
    assert [sorted(report.answers) for report in reports] == [[3, 7, 42], [1, 5]]


def test_only_reads_leave_the_scan(profiles: tuple[Profile, ...]) -> None:
    everything = {
        1: (SLOW, "abb-b23"),
        2: (SLOW, "eastron-sdm630"),
        3: (SLOW, "chint-dtsu666"),
        4: (SLOW, "goodwe-et"),
    }
    scan = line_of(everything)

    scan.run(SLOW, FAST, units=range(1, 11), profiles=profiles)

    assert scan.meters.functions == {3, 4}
    assert all(len(request.pdu) == 5 for request in scan.meters.requests)


def test_a_dead_address_costs_one_timeout(profiles: tuple[Profile, ...]) -> None:
    scan = line_of({})

    (report,) = scan.run(SLOW, units=range(1, 101), profiles=profiles)

    frames_s = (8 + 9 + 4) * 10 / 9600
    assert len(scan.meters.requests) == report.asked == report.silent == 100
    assert scan.seconds < 100 * (TIMEOUT_S + frames_s + 0.01) + 1


def test_the_quick_settings_take_seconds(profiles: tuple[Profile, ...]) -> None:
    scan = line_of({1: (SLOW, "abb-b23")})

    scan.run(SLOW, (9600, "E"), FAST, (19200, "N"), (2400, "N"), units=range(1, 11),
             profiles=profiles)  # fmt: skip

    assert scan.seconds < 25


def test_a_meter_slower_than_the_timeout_is_found_all_the_same(
    profiles: tuple[Profile, ...],
) -> None:
    scan = line_of({2: (SLOW, "abb-b23"), 3: (SLOW, "wago-879-3000")}, turnaround_s=0.35)

    (report,) = scan.run(SLOW, units=range(1, 6), profiles=profiles)

    assert [one.candidates[0].profile for one in report.found] == ["abb-b23", "wago-879-3000"]
    assert report.found[0].latency_s > TIMEOUT_S
    assert not report.broken
    assert not report.strangers


def test_a_meter_that_does_not_mind_the_parity_is_found_once(
    profiles: tuple[Profile, ...],
) -> None:
    scan = line_of({1: (SLOW, "abb-b23")})
    scan.meters.current = lambda: (9600, None)

    reports = scan.run(SLOW, (9600, "E"), units=[1, 2], profiles=profiles)

    assert [report.answers for report in reports] == [[1], []]


def test_two_meters_that_garble_each_other_at_one_address_are_warned_of(
    profiles: tuple[Profile, ...],
) -> None:
    scan = line_of({2: (SLOW, "abb-b23"), 3: (SLOW, "wago-879-3000")})
    scan.meters.bus.faults.arm(BadChecksum(), Trigger(unit=3, times=None))

    reports = scan.run(SLOW, FAST, units=range(1, 11), profiles=profiles)

    assert [one.address for one in reports[0].found] == [2]
    (hint,) = hints(reports)
    assert "address 3 answers garbled" in hint
    assert "two meters have this address" in hint


def test_a_meter_that_breaks_now_and_then_while_others_do_not_is_warned_of(
    profiles: tuple[Profile, ...],
) -> None:
    """Two fresh meters refuse alike at the same time; only their serial numbers collide."""
    scan = line_of({2: (SLOW, "abb-b23"), 3: (SLOW, "wago-879-3000")})
    scan.meters.bus.faults.arm(BadChecksum(), Trigger(unit=3, after=1, every=3, times=None))

    reports = scan.run(SLOW, units=range(1, 5), profiles=profiles)

    assert reports[0].answers == [2, 3]
    (hint,) = hints(reports)
    assert "address 3" in hint
    assert "Perhaps two meters have this address" in hint


@dataclass(frozen=True, kw_only=True)
class Twin:
    """A second meter at the address answers too, when the first has ended."""

    after_s: float

    def change(self, reply: Reply) -> Reply:
        frame = rtu_frame(reply.unit, reply.pdu)
        return replace(reply, after=frame, after_s=self.after_s)


def test_two_meters_that_answer_one_after_the_other_are_warned_of(
    profiles: tuple[Profile, ...],
) -> None:
    for after_s in (0.0, 0.01, 0.03):
        scan = line_of({3: (SLOW, "wago-879-3000")})
        scan.meters.bus.faults.arm(Twin(after_s=after_s), Trigger(times=None))

        reports = scan.run(SLOW, units=range(1, 6), profiles=profiles)

        assert reports[0].doubled == [3]
        assert any("address 3 answered one question twice" in hint for hint in hints(reports))


def test_noise_under_every_setting_speaks_for_swapped_wires(
    profiles: tuple[Profile, ...],
) -> None:
    scan = line_of(dict.fromkeys(range(1, 11), (SLOW, "abb-b23")))
    scan.meters.bus.faults.arm(BadChecksum(), Trigger(times=None))

    reports = scan.run(SLOW, units=range(1, 11), profiles=profiles)

    (hint,) = hints(reports)
    assert "A and B are swapped" in hint
    assert not reports[0].found


def test_silence_under_every_setting_is_told_with_what_to_check(
    profiles: tuple[Profile, ...],
) -> None:
    reports = line_of({}).run(SLOW, FAST, units=range(1, 11), profiles=profiles)

    (hint,) = hints(reports)
    assert "no byte came back under any setting (9600 8N1, 19200 8E1)" in hint
    assert "not swapped" in hint


@dataclass(frozen=True, kw_only=True)
class LongBreaks:
    """Reflections spoil every long frame."""

    def change(self, reply: Reply) -> Reply:
        return replace(reply, crc_flip=1) if len(reply.pdu) > 30 else reply


def test_long_replies_that_break_speak_for_a_missing_termination(
    profiles: tuple[Profile, ...],
) -> None:
    scan = line_of({3: (SLOW, "wago-879-3000"), 4: (SLOW, "abb-b23")})
    scan.meters.bus.faults.arm(LongBreaks(), Trigger(times=None))

    reports = scan.run(SLOW, units=range(1, 6), profiles=profiles)

    assert any("not terminated" in hint and "120 ohms" in hint for hint in hints(reports))
    assert all(one.verdict is Verdict.CHOICE for one in reports[0].found)


def test_meters_of_different_speeds_cannot_share_a_line_and_that_is_said(
    profiles: tuple[Profile, ...],
) -> None:
    scan = line_of({1: (SLOW, "abb-b23"), 2: (FAST, "wago-879-3000")})

    reports = scan.run(SLOW, FAST, units=[1, 2], profiles=profiles)

    (hint,) = hints(reports)
    assert "9600 8N1: addresses 1; 19200 8E1: addresses 2" in hint


def test_another_master_on_the_line_is_told_of(profiles: tuple[Profile, ...]) -> None:
    scan = line_of({1: (SLOW, "abb-b23"), 9: (SLOW, "wago-879-3000")})
    bus = scan.meters.bus
    master = SecondMaster(ask=lambda: overheard(bus.tell, unit=9, address=0x5000, after_s=0.1))
    bus.faults.arm(master, Trigger(unit=1, times=1))

    reports = scan.run(SLOW, units=range(1, 4), profiles=profiles)

    assert any("another master is on this line" in hint for hint in hints(reports))
    assert [one.candidates[0].profile for one in reports[0].found] == ["abb-b23"]


def test_an_adapter_that_hears_itself_is_told_of_and_the_meters_are_found(
    profiles: tuple[Profile, ...],
) -> None:
    scan = line_of({3: (SLOW, "wago-879-3000")})
    scan.echoes = True

    reports = scan.run(SLOW, units=range(1, 5), profiles=profiles)

    assert [one.candidates[0].profile for one in reports[0].found] == ["wago-879-3000"]
    assert reports[0].echo
    assert any("echo = true" in hint for hint in hints(reports))


def test_a_plug_that_is_pulled_ends_the_scan_of_its_port(profiles: tuple[Profile, ...]) -> None:
    scan = line_of({1: (SLOW, "abb-b23"), 3: (SLOW, "wago-879-3000")})
    scan.meters.bus.faults.arm(Unplug(absent_s=3600), Trigger(unit=3, after=2, times=1))

    reports = scan.run(SLOW, units=range(1, 5), profiles=profiles)

    assert [one.candidates[0].profile for one in reports[0].found] == ["abb-b23"]
    assert any("no such device" in hint for hint in hints(reports))


def test_a_plug_that_is_pulled_for_a_moment_costs_one_meter_its_name(
    profiles: tuple[Profile, ...],
) -> None:
    scan = line_of({1: (SLOW, "abb-b23"), 3: (SLOW, "wago-879-3000")})
    scan.meters.bus.faults.arm(Unplug(absent_s=0.0001), Trigger(unit=1, after=2, times=1))

    reports = scan.run(SLOW, units=range(1, 5), profiles=profiles)

    assert [(one.address, one.verdict) for one in reports[0].found] == [
        (1, Verdict.UNKNOWN),
        (3, Verdict.EXACT),
    ]


def test_a_port_that_is_not_there_is_told_once(profiles: tuple[Profile, ...]) -> None:
    scan = line_of({})
    scan.plugged = False

    reports = scan.run(SLOW, FAST, units=range(1, 11), profiles=profiles)

    assert len(reports) == 1
    (hint,) = hints(reports)
    assert "expected a serial port" in hint
