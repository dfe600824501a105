"""What the gate lets through, holds and believes: meters with glitches, resets and wraps."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from fractions import Fraction
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meterseal.records import MeterIdentity, MeterState, RowFlag
from meterseal_agent.alarm import row_flags
from meterseal_agent.gate import Gate, Known, Rating
from meterseal_agent.gate.gate import second_look
from meterseal_agent.poll.snapshot import MeterSample, Snapshot
from meterseal_agent.profiles import Counter
from support.device import METER

if TYPE_CHECKING:
    from meterseal_agent.gate import Judged

IMPORT, EXPORT, POWER, VOLTAGE = 1, 2, 16, 24
TEN_S, HOUR = 10_000, 3_600_000
FELL, JUMPED = RowFlag.COUNTER_FELL, RowFlag.COUNTER_JUMPED


@dataclass
class Meter:
    """A meter in front of the gate, and what has come through it.

    Attributes:
        wrap: Where its register begins again at 0, in watt-hours.
        out: What was signed of the import counter, None where it was held.
    """

    rating: Rating = field(default_factory=lambda: Rating(power_w=20_000))
    wrap: Fraction | None = None
    step: Fraction = Fraction(1)
    identity: MeterIdentity = METER
    known: Known = field(default_factory=Known)
    up_ms: int = 1_000_000
    out: list[int | None] = field(default_factory=list)
    flags: list[RowFlag] = field(default_factory=list)
    whats: list[object] = field(default_factory=list)

    @property
    def gate(self) -> Gate:
        return Gate(ratings=(self.rating,))

    def snapshot(self, count: Fraction | int | None, power_w: int | None = None) -> Snapshot:
        at_ms = 1_795_435_200_000 + self.up_ms
        values: dict[int, int | None] = {IMPORT: None if count is None else round(count)}
        if power_w is not None:
            values[POWER] = power_w
        counters = {}
        if count is not None:
            counters[IMPORT] = Counter(count=Fraction(count), step=self.step, wrap=self.wrap)
        sample = MeterSample(
            meter=0,
            state=MeterState.GOOD,
            at_ms=at_ms,
            values=values,
            raw={IMPORT: None if count is None else b"\0\1"},
            counters=counters,
        )
        return Snapshot(
            started_ms=at_ms, at_ms=at_ms, up_ms=self.up_ms, boundary=False, samples=(sample,)
        )

    def say(
        self,
        count: Fraction | int | None,
        after_ms: int = TEN_S,
        power_w: int | None = None,
        again: Fraction | int | None = None,
    ) -> Judged:
        """Let it answer, and answer `again` (or the same) if it is asked a second time."""
        self.up_ms += after_ms
        snapshot = self.snapshot(count, power_w)
        doubtful = self.gate.doubtful(snapshot, [self.identity], self.known)
        if doubtful:
            second = self.snapshot(count if again is None else again, power_w)
            snapshot = second_look(snapshot, second, doubtful)
        judged = self.gate.judge(snapshot, [self.identity], self.known)
        self.known = judged.known
        sample = judged.snapshot.samples[0]
        self.out.append(sample.values.get(IMPORT))
        self.whats += [event.detail[0] for event in judged.events]
        self.flags += [found[1] for one in judged.events if (found := row_flags(one))]
        return judged


def test_a_zero_that_stays_for_a_night_is_held_and_the_morning_goes_on() -> None:
    """kbialek/deye-inverter-mqtt#189: total energy is 0 in the evening and in the morning."""
    meter = Meter()
    meter.say(5_000_000)

    for _ in range(12 * 60):
        meter.say(0, after_ms=60_000)
    meter.say(5_000_010, after_ms=60_000)
    meter.say(5_000_020, after_ms=60_000)

    assert meter.out[0] == 5_000_000
    assert set(meter.out[1:-2]) == {None}
    assert meter.out[-2:] == [5_000_010, 5_000_020]
    assert meter.flags == []


def test_a_value_that_is_held_is_state_o_without_values_and_an_event_with_what_came() -> None:
    meter = Meter()
    meter.say(5_000_000)

    judged = meter.say(0)

    (sample,) = judged.snapshot.samples
    assert (sample.state, sample.values, sample.raw) == (MeterState.OUT_OF_RANGE, {}, {})
    assert [event.detail for event in judged.events] == [
        ("held", 0, int(FELL), IMPORT, 5_000_000, 0, b"\0\1")
    ]
    assert "5000000 Wh" in judged.held[0]


def test_a_spike_is_gone_when_the_meter_is_read_again() -> None:
    """HomeAutomation.CoDeSys3#114: 180.2, 5000, 180.4 kWh."""
    meter = Meter()
    meter.say(180_200)

    meter.say(5_000_000, again=180_300)
    meter.say(180_400)

    assert meter.out == [180_200, 180_300, 180_400]
    assert meter.whats == []


def test_a_spike_that_stays_for_a_round_is_held_for_that_round() -> None:
    meter = Meter()
    for count in (180_200, 5_000_000, 180_400, 180_410):
        meter.say(count)

    assert meter.out == [180_200, None, 180_400, 180_410]
    assert meter.flags == []


def test_a_meter_that_was_reset_is_believed_once_it_counts_and_its_interval_is_flagged() -> None:
    meter = Meter()
    meter.say(5_000_000)

    for count in (0, 0, 0, 5, 9):
        meter.say(count)

    assert meter.out == [5_000_000, None, None, None, 5, 9]
    assert meter.flags == [FELL]
    assert meter.whats == ["held", "taken"]


def test_a_register_that_was_set_back_and_never_moves_again_is_believed_after_a_day() -> None:
    meter = Meter()
    meter.say(5)

    for _ in range(25):
        meter.say(0, after_ms=HOUR)

    assert meter.out[24] is None
    assert meter.out[25] == 0
    assert meter.flags == [FELL]


def test_a_counter_that_really_jumped_goes_on_behind_a_flag() -> None:
    meter = Meter()
    meter.say(100_000)

    for count in (900_000, 900_010, 900_020, 900_030):
        meter.say(count)

    assert meter.out == [100_000, None, None, 900_020, 900_030]
    assert meter.flags == [JUMPED]


def test_a_suspicion_is_read_again_once_and_not_in_every_round() -> None:
    meter = Meter()
    meter.say(5_000_000)
    meter.up_ms += TEN_S
    first = meter.gate.doubtful(meter.snapshot(0), [METER], meter.known)
    meter.say(0, after_ms=0)
    meter.up_ms += TEN_S

    second = meter.gate.doubtful(meter.snapshot(0), [METER], meter.known)

    assert (first, second) == (frozenset({0}), frozenset())


def test_events_of_one_meter_are_written_down_every_quarter_hour_at_most() -> None:
    meter = Meter()
    for _ in range(90):
        meter.say(5_000_000)
        meter.say(0)

    assert meter.whats == ["held"] * 2


@pytest.mark.parametrize(
    ("power_w", "out"),
    [
        pytest.param(None, [100_000, None], id="beyond the rating"),
        pytest.param(500_000, [100_000, 101_390], id="behind transformers, as its power says"),
    ],
)
def test_power_that_the_meter_shows_widens_a_rating_that_was_only_assumed(
    power_w: int | None, out: list[int | None]
) -> None:
    meter = Meter()
    meter.say(100_000, power_w=power_w)
    meter.say(101_390, power_w=power_w)

    assert meter.out == out


def test_a_configured_rating_is_not_widened_by_what_the_meter_shows() -> None:
    meter = Meter(rating=Rating(power_w=20_000, configured=True))
    meter.say(100_000, power_w=500_000)
    meter.say(101_390, power_w=500_000)

    assert meter.out == [100_000, None]


def test_a_counter_that_is_refreshed_every_five_minutes_does_not_jump() -> None:
    meter = Meter(rating=Rating(power_w=40_000, configured=True))
    for tick in range(90):
        meter.say(100_000 + tick // 30 * 3300)

    assert None not in meter.out


def test_a_coarse_register_moves_by_its_step_at_any_time() -> None:
    meter = Meter(step=Fraction(10_000))
    for count in (500_000, 510_000, 510_000, 520_000):
        meter.say(count)

    assert None not in meter.out


def test_values_that_do_not_move_under_load_are_no_values_of_now() -> None:
    """EVerest#2673: a dead meter's last values, again and again."""
    meter = Meter()
    for _ in range(120):
        meter.say(100_000, power_w=3000)
    whats = [*meter.whats]
    meter.say(101_001, power_w=2900)

    assert meter.out[89] == 100_000
    assert meter.out[-2:] == [None, 101_001]
    assert whats == ["frozen"]


@pytest.mark.parametrize("power_w", [None, 0, 20, -3000])
def test_a_meter_that_rests_is_not_frozen(power_w: int | None) -> None:
    """At -3000 W the counter of import stands still rightly; nobody reads that of export."""
    meter = Meter()
    for _ in range(600):
        meter.say(100_000, power_w=power_w)

    assert None not in meter.out


def test_no_value_is_no_zero_and_the_counter_goes_on_behind_it() -> None:
    """A SunSpec accumulator that holds 0 is not implemented, or not awake."""
    meter = Meter()
    for count in (100_000, None, None, 100_010):
        meter.say(count)

    assert meter.out == [100_000, None, None, 100_010]
    assert meter.known.suspects == {}
    assert meter.whats == []


def test_another_serial_number_has_a_base_of_its_own_and_never_a_negative_difference() -> None:
    meter = Meter()
    meter.say(5_000_000)
    meter.identity = replace(METER, serial="9999")

    meter.say(3)
    meter.identity = METER
    meter.say(5_000_010, after_ms=60_000)

    assert meter.out == [5_000_000, 3, 5_000_010]
    assert meter.flags == []


def test_sixteen_bits_wrap() -> None:
    """victronenergy/dbus_modbustcp#5: overflow at 655.36 kWh."""
    meter = Meter(wrap=Fraction(655_360), step=Fraction(10))
    for count in (655_340, 655_350, 0, 10):
        meter.say(count)

    assert meter.out == [655_340, 655_350, 655_360, 655_370]
    assert meter.whats == []


def test_twenty_three_bits_wrap_at_a_width_that_is_no_whole_number() -> None:
    """ioBroker.sourceanalytix#594: 838.8607 kWh."""
    meter = Meter(wrap=Fraction(8_388_608, 10), step=Fraction(1, 10))
    for count in (8_388_606, 8_388_607, 0, 7):
        meter.say(Fraction(count, 10))
    for _ in range(3):
        meter.say(Fraction(8_388_600, 10), after_ms=30 * HOUR)
        meter.say(Fraction(0))

    # 2 * 838,860.8 - 0.8, 2 * 838,860.8, and so on, each rounded by itself.
    assert meter.out == [
        838_861, 838_861, 838_861, 838_862,
        1_677_721, 1_677_722, 2_516_582, 2_516_582, 3_355_442, 3_355_443,
    ]  # fmt: skip


def test_a_reset_is_no_wrap() -> None:
    meter = Meter(wrap=Fraction(655_360), step=Fraction(10))
    meter.say(300_000)

    for count in (0, 10, 20, 30):
        meter.say(count)

    assert meter.out == [300_000, None, None, 20, 30]
    assert meter.flags == [FELL]


def test_a_zero_just_below_the_wrap_is_read_again_before_it_is_a_wrap() -> None:
    meter = Meter(wrap=Fraction(655_360), step=Fraction(10))
    meter.say(655_000)

    meter.say(0, again=655_010)

    assert meter.out == [655_000, 655_010]


def test_a_rollover_while_the_agent_was_off_is_followed() -> None:
    meter = Meter(wrap=Fraction(655_360), step=Fraction(10), rating=Rating(power_w=20_000))
    meter.say(650_000)

    meter.say(14_640, after_ms=3 * HOUR)

    assert meter.out == [650_000, 670_000]
    assert meter.flags == []


def test_off_for_so_long_that_it_may_have_turned_twice_is_flagged() -> None:
    meter = Meter(wrap=Fraction(655_360), step=Fraction(10), rating=Rating(power_w=20_000))
    meter.say(650_000)

    meter.say(14_640, after_ms=40 * HOUR)

    assert meter.out == [650_000, 670_000]
    assert meter.flags == [JUMPED]


WRAPS = st.sampled_from([None, Fraction(655_360), Fraction(8_388_608, 10), Fraction(2**32)])


@given(
    start=st.integers(2_000, 10_000_000),
    wrap=WRAPS,
    rounds=st.lists(
        st.tuples(
            st.integers(0, 50),  # true watt-hours in ten seconds: up to 18 kW of 20
            st.sampled_from([None, None, None, "zero", "ten times", "a tenth", "one more digit"]),
            st.booleans(),  # gone when read again
        ),
        max_size=60,
    ),
)
def test_what_is_signed_is_true_whatever_glitches_come(
    start: int, wrap: Fraction | None, rounds: list[tuple[int, str | None, bool]]
) -> None:
    """A glitch stands for two rounds at most, or never moves: it does not count like a meter."""
    meter = Meter(wrap=wrap)
    true = start
    register = Fraction(true) % wrap if wrap else Fraction(true)
    offset = true - register  # turns that nobody has seen
    meter.say(register)
    expected: list[int] = [round(register)]
    run = 0
    for energy, wanted, gone in rounds:
        true += energy
        register = Fraction(true) % wrap if wrap else Fraction(true)
        shown = glitched(register, wanted) if run < 2 else register
        believable = abs(shown - register) <= 2_500 or (wrap and wrap - register <= 2_500)
        run = run + 1 if shown != register else 0
        meter.say(register if believable else shown, again=register if gone else None)
        expected.append(round(true - offset))

    signed = [(want, got) for want, got in zip(expected, meter.out, strict=True) if got is not None]
    assert all(want == got for want, got in signed)
    assert all(last[1] >= first[1] for first, last in pairwise(signed))
    assert sum(b[1] - a[1] for a, b in pairwise(signed)) == signed[-1][1] - signed[0][1]
    assert meter.flags == []


def glitched(register: Fraction, wanted: str | None) -> Fraction:
    match wanted:
        case "zero":
            return Fraction(0)
        case "ten times":
            return register * 10
        case "a tenth":
            return register / 10
        case "one more digit":
            return register + 10_000_000
        case _:
            return register
