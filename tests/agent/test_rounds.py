"""From the poller through the gate into the real store, and back at the next start."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from meterseal.interval import energy_wh
from meterseal.records import (
    Clock,
    Event,
    EventCode,
    Interval,
    Kind,
    MeterState,
    Reading,
    RowFlag,
    S0Input,
)
from meterseal_agent.gate import Gate, Rating
from meterseal_agent.poll.snapshot import MeterHealth, MeterSample, Snapshot
from meterseal_agent.profiles import Counter
from meterseal_agent.rounds import Rounds
from meterseal_agent.store.last import last_values
from support.device import EVERY_MS, METER, NOON_MS, Bench, manifest

if TYPE_CHECKING:
    from pathlib import Path

    from meterseal.records import MeterIdentity, Record
    from meterseal_agent.gate import Judged

WRAP = Fraction(655_360)
HEATER = S0Input(name="heater", pulses_per_kwh=1000)
GOOD, SILENT, HELD = MeterState.GOOD, MeterState.TIMEOUT, MeterState.OUT_OF_RANGE


@dataclass
class Pins:
    """Pulse inputs that are counted by hand."""

    inputs: tuple[S0Input, ...] = (HEATER,)
    counts: tuple[int | None, ...] = (0,)

    def pulses(self) -> tuple[int | None, ...]:
        return self.counts


@dataclass
class Meters:
    """A poller whose meters answer what is in `says`; the clocks are the bench's.

    Attributes:
        says: What the next asking gives, then the one after that; the last stays.
        asked: How often they were asked.
    """

    bench: Bench
    identity: MeterIdentity = METER
    wrap: Fraction | None = None
    says: list[int | None] = field(default_factory=list)
    asked: int = 0

    def identities(self) -> tuple[MeterIdentity, ...]:
        return (self.identity,)

    def health(self) -> tuple[MeterHealth, ...]:
        return (MeterHealth(meter=0, state=GOOD, since_ms=0, message="", last_good=None),)

    async def snapshot(self, deadline_s: float, *, boundary: bool = False) -> Snapshot:
        assert deadline_s > 0
        self.asked += 1
        count = self.says.pop(0) if len(self.says) > 1 else self.says[0]
        at_ms = self.bench.now_ms
        sample = MeterSample(meter=0, state=SILENT, at_ms=at_ms)
        if count is not None:
            counter = Counter(count=Fraction(count), step=Fraction(10), wrap=self.wrap)
            raw = (count // 10 % 65_536).to_bytes(2, "big")
            sample = replace(
                sample, state=GOOD, values={1: count}, raw={1: raw}, counters={1: counter}
            )
        return Snapshot(
            started_ms=at_ms,
            at_ms=at_ms,
            up_ms=self.up_ms(),
            boundary=boundary,
            samples=(sample,),
        )

    # The clocks.

    def now_ms(self) -> int:
        return self.bench.now_ms

    def up_ms(self) -> int:
        return self.bench.now_ms - self.bench.booted_ms

    def state(self) -> Clock:
        return self.bench.clock

    @property
    def source(self) -> str:
        return "a hand"


@dataclass
class Gateway:
    """A bench whose readings come through `Rounds`, as the recorder does it."""

    bench: Bench
    meters: Meters
    pins: Pins | None = None
    rating: Rating = field(default_factory=lambda: Rating(power_w=20_000, configured=True))
    rounds: Rounds = field(init=False)

    def turn_on(self, *, answered: bool = False) -> None:
        self.rounds = Rounds(
            self.meters,  # type: ignore[arg-type] # the part of a Poller that rounds ask
            Gate(ratings=(self.rating,)),
            self.meters,
            self.pins,
        )
        wanted = manifest(self.meters.identity)
        self.bench.wanted = replace(wanted, s0=self.rounds.inputs)
        self.bench.turn_on(answered=answered)
        names = [one.name for one in self.rounds.inputs]
        self.rounds.take_up(
            last_values(self.bench.store.connection, self.meters.identities(), names)
        )

    def cut_power(self, dark_ms: int) -> None:
        self.bench.cut_power(dark_ms=dark_ms)

    async def read(self, *says: int | None, after_ms: int = EVERY_MS) -> list[Record]:
        """Let time pass and read; the meter says these, one asking after the other."""
        self.bench.now_ms += after_ms
        self.meters.says = list(says)
        judged: Judged = await self.rounds.read(10.0, boundary=False)
        records = self.bench._append(
            lambda tip: self.bench.planner.snapshot(
                tip,
                judged.snapshot,
                clock=self.bench.clock,
                manifest=self.bench.wanted,
                memory=self.bench.memory,
                checkpoint=None,
                events=judged.events,
            )
        )
        self.rounds.keep(judged)
        return records

    def signed(self) -> list[int | None]:
        """The import counter of every reading, None where it was held."""
        bodies = [record.body for record in self.bench.records()]
        return [body.meters[0].values.get(1) for body in bodies if isinstance(body, Reading)]

    def raw(self) -> list[bytes | None]:
        bodies = [record.body for record in self.bench.records()]
        return [body.meters[0].raw.get(1) for body in bodies if isinstance(body, Reading)]


@pytest.fixture
def gateway(tmp_path: Path) -> Gateway:
    bench = Bench(folder=tmp_path)
    return Gateway(bench=bench, meters=Meters(bench=bench))


async def test_turns_of_a_register_survive_a_power_cut_and_raw_words_are_kept(
    gateway: Gateway,
) -> None:
    gateway.meters.wrap = WRAP
    gateway.turn_on()
    await gateway.read(655_350)
    await gateway.read(0)
    gateway.cut_power(dark_ms=60_000)
    gateway.turn_on(answered=True)
    await gateway.read(20)

    assert gateway.signed() == [655_350, 655_360, 655_380]
    assert gateway.raw() == [b"\xff\xff", b"\0\0", b"\0\2"]


async def test_a_register_that_turned_while_the_agent_was_off_is_followed(
    gateway: Gateway,
) -> None:
    gateway.meters.wrap = WRAP
    gateway.turn_on()
    await gateway.read(650_000)
    gateway.cut_power(dark_ms=3 * 3_600_000)
    gateway.turn_on(answered=True)

    await gateway.read(14_640)

    assert gateway.signed() == [650_000, 670_000]


async def test_a_meter_that_was_reset_while_the_agent_was_off_is_held_and_flagged(
    gateway: Gateway,
) -> None:
    gateway.turn_on()
    await gateway.read(650_000)
    gateway.cut_power(dark_ms=60_000)
    gateway.turn_on(answered=True)
    for count in (10, 20, 30, 40):
        await gateway.read(count)

    assert gateway.signed() == [650_000, None, None, 30, 40]


async def test_turns_survive_where_only_intervals_remember_them(gateway: Gateway) -> None:
    """The readings were pruned, or the meter was silent for longer than we look back."""
    gateway.meters.wrap = WRAP
    gateway.turn_on()
    for count in (655_350, 0, 10, 20, 30, 40, 50):
        await gateway.read(count)
    gateway.bench.auditing = False
    store = gateway.bench.store
    store.connection.execute("DELETE FROM record WHERE kind = ?", (Kind.READING,))

    last = last_values(store.connection, [METER], [])

    assert [one.values for one in last.meters.values()] == [{1: 655_400}]


async def test_a_held_value_is_a_reading_of_state_o_and_no_gap(gateway: Gateway) -> None:
    gateway.turn_on()
    await gateway.read(5_000_000)

    records = await gateway.read(0)

    assert [record.kind for record in records] == [Kind.EVENT, Kind.READING]
    assert records[0].body == Event(
        code=EventCode.ALARM, detail=("held", 0, 1, 1, 5_000_000, 0, b"\0\0")
    )
    body = records[1].body
    assert isinstance(body, Reading)
    assert (body.meters[0].state, body.meters[0].values) == (HELD, {})


async def test_a_doubt_is_asked_again_at_once_and_the_answer_is_signed(gateway: Gateway) -> None:
    gateway.turn_on()
    await gateway.read(180_200)
    asked = gateway.meters.asked

    await gateway.read(5_000_000, 180_210)

    assert gateway.signed() == [180_200, 180_210]
    assert gateway.meters.asked == asked + 2


async def test_an_interval_with_a_held_round_is_billed_if_its_ends_are_true(
    gateway: Gateway,
) -> None:
    gateway.turn_on()
    counts = [1000, 1010, 0, 0, 1040, 1050, 1060, 1070, 9_000_000, 1090, 1100, 1110]
    for count in [*counts, 1120, 1130]:
        await gateway.read(count)

    rows = [interval.rows[0] for interval in gateway.bench.intervals()]

    assert rows[1].flags == 0
    assert energy_wh(rows[1])[0] == 1110 - 1050


async def test_an_interval_across_a_reset_is_flagged_and_the_next_is_billed(
    gateway: Gateway,
) -> None:
    gateway.turn_on()
    for count in (1000, 1010, 1020, 1030, 1040, 1050, 1060, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11):
        await gateway.read(count)

    rows = [interval.rows[0] for interval in gateway.bench.intervals()]

    assert rows[1].flags & RowFlag.COUNTER_FELL
    assert energy_wh(rows[1]) == (None, None)
    assert rows[2].flags == 0
    assert rows[2].opening_import_wh == rows[1].closing_import_wh == 5
    assert energy_wh(rows[2])[0] == 6


async def test_the_flag_of_an_interval_survives_a_restart(gateway: Gateway) -> None:
    gateway.turn_on()
    for count in (1000, 1010, 1020, 1030, 1040, 1050, 1060, 1, 2, 3):
        await gateway.read(count)
    gateway.bench.turn_off()
    gateway.turn_on()
    for count in (4, 5):
        await gateway.read(count)

    body = gateway.bench.records()[-1].body

    assert isinstance(body, Interval)
    assert body.rows[0].flags & RowFlag.COUNTER_FELL


async def test_an_exchanged_meter_begins_anew_and_the_old_one_goes_on_when_it_returns(
    gateway: Gateway,
) -> None:
    gateway.turn_on()
    await gateway.read(5_000_000)
    for identity, count in ((replace(METER, serial="9999"), 3), (METER, 5_000_010)):
        gateway.bench.turn_off()
        gateway.meters.identity = identity
        gateway.turn_on()
        await gateway.read(count)

    assert gateway.signed() == [5_000_000, 3, 5_000_010]


async def test_the_page_shows_what_was_judged(gateway: Gateway) -> None:
    gateway.turn_on()
    await gateway.read(5_000_000)
    await gateway.read(0)

    (health,) = gateway.rounds.health()

    assert health.state is HELD
    assert health.since_ms == gateway.bench.now_ms
    assert "energy_import_wh" in health.message
    assert health.last_good is not None
    assert health.last_good.values == {1: 5_000_000}


async def test_pulses_go_on_from_the_last_signed_reading(gateway: Gateway) -> None:
    """A power cut loses the pulses since then, and none before."""
    gateway.pins = Pins()
    gateway.turn_on()
    gateway.pins.counts = (7,)
    await gateway.read(1000)
    gateway.pins.counts = (9,)  # two more, and then the power goes
    gateway.cut_power(dark_ms=60_000)
    gateway.pins.counts = (0,)
    gateway.turn_on(answered=True)
    gateway.pins.counts = (1,)

    record = (await gateway.read(1010))[-1]

    assert isinstance(record.body, Reading)
    pulses = record.body.meters[1]
    assert (pulses.meter, pulses.state, pulses.values) == (1, GOOD, {56: 8})


async def test_a_card_from_last_week_goes_on_from_what_the_aggregator_holds(
    gateway: Gateway, tmp_path: Path
) -> None:
    """Two benches of one key: one runs ahead, the other gets its last record back."""
    bench = Bench(folder=tmp_path / "ahead")
    ahead = Gateway(bench=bench, meters=Meters(bench=bench, wrap=WRAP), pins=Pins(counts=(50,)))
    ahead.turn_on()
    for count in (655_350, 0):
        await ahead.read(count)
    gateway.meters.wrap, gateway.pins = WRAP, Pins(counts=(9,))
    gateway.turn_on()
    await gateway.read(655_340)
    gateway.bench.store.keep_recovered(ahead.bench.released[-1].data)

    last = last_values(gateway.bench.store.connection, [METER], ["heater"])

    assert [one.values for one in last.meters.values()] == [{1: 655_360}]
    assert last.pulses == {"heater": 50}


async def test_an_input_that_cannot_be_read_is_not_present_and_keeps_its_count(
    gateway: Gateway,
) -> None:
    gateway.pins = Pins()
    gateway.turn_on()
    states = []
    for counts in ((7,), (None,)):
        gateway.bench.turn_off()
        gateway.turn_on()
        gateway.pins.counts = counts
        record = (await gateway.read(1000))[-1]
        assert isinstance(record.body, Reading)
        states.append(record.body.meters[1].state)
    gateway.bench.turn_off()
    gateway.turn_on()
    gateway.pins.counts = (2,)

    record = (await gateway.read(1000))[-1]

    assert states == [GOOD, MeterState.NOT_PRESENT]
    assert isinstance(record.body, Reading)
    assert record.body.meters[1].values == {56: 9}


async def test_pulses_are_counted_while_no_meter_answers(gateway: Gateway) -> None:
    gateway.pins = Pins(counts=(3,))
    gateway.turn_on()

    record = (await gateway.read(None))[-1]

    assert isinstance(record.body, Reading)
    assert [one.state for one in record.body.meters] == [SILENT, GOOD]


async def test_an_event_behind_a_boundary_does_not_take_the_interval_its_ends(
    gateway: Gateway,
) -> None:
    """The case is opened between the boundary and the round that reads at it."""
    gateway.turn_on()
    event = Event(code=EventCode.TAMPER_CONTACT, detail=("open", 1))
    for tick in range(1, 13):
        if tick == 6:
            gateway.bench.now_ms += 1000
            moment = replace(gateway.bench.moment, utc_ms=NOON_MS + 60_000)
            memory = gateway.bench.memory
            gateway.bench._append(
                lambda tip, moment=moment, memory=memory: gateway.bench.planner.events(
                    tip, [event], moment, memory
                )
            )
            await gateway.read(1000 + tick, after_ms=EVERY_MS - 1000 + 200)
        else:
            await gateway.read(1000 + tick, after_ms=EVERY_MS - (200 if tick == 7 else 0))

    rows = [interval.rows[0] for interval in gateway.bench.intervals()]

    assert rows[0].closing_import_wh == rows[1].opening_import_wh == 1006
    assert energy_wh(rows[1])[0] == 6


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    st.lists(
        st.tuples(
            st.integers(0, 50),
            st.sampled_from(["", "", "", "", "", "zero", "spike", "silent", "off"]),
        ),
        max_size=40,
    )
)
async def test_what_is_billed_is_what_flowed_whatever_glitches_come(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[int, str]]
) -> None:
    """Goal: an unflagged interval's energy is the true one. Method: glitches never move."""
    bench = Bench(folder=tmp_path_factory.mktemp("bench"), auditing=False)
    gateway = Gateway(bench=bench, meters=Meters(bench=bench))
    gateway.turn_on()
    true = 500_000
    await gateway.read(true)
    truth = {bench.now_ms: true}
    for energy, what in steps:
        true += energy
        match what:
            case "off":
                gateway.bench.turn_off()
                gateway.turn_on()
                continue
            case "silent":
                await gateway.read(None)
            case "zero" | "spike":
                await gateway.read(0 if what == "zero" else 9_000_000)
            case _:
                await gateway.read(true)
        truth[bench.now_ms] = true

    for record in bench.records():
        if isinstance(record.body, Reading):
            assert record.body.meters[0].values.get(1) in {None, truth[record.time]}
    for interval in bench.intervals():
        (row,) = interval.rows
        assert not row.flags & (RowFlag.COUNTER_FELL | RowFlag.COUNTER_JUMPED)
        billed, _ = energy_wh(row)
        if billed is not None:
            assert billed == truth[interval.end] - truth[interval.start]
    bench.turn_off()
