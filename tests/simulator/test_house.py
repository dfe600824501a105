"""Energy is neither made nor lost, whatever happens and however time is cut."""

from __future__ import annotations

from datetime import UTC, date, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from meterseal_simulator.day import SiteAlmanac
from meterseal_simulator.house import MS_PER_DAY, UJ_PER_WH, Energies, House, HouseState
from meterseal_simulator.site import Site
from support.days import MIDSUMMER_MS, wild_almanac

STEPS_MS = st.lists(st.integers(0, 200_000), min_size=1, max_size=20)
STARTS_MS = st.integers(MIDSUMMER_MS, MIDSUMMER_MS + 2 * MS_PER_DAY)
BATTERIES_KWH = st.sampled_from([0.0, 0.01, 5.0])


def make(start_ms: int, battery_kwh: float) -> House:
    return House(wild_almanac, start_ms=start_ms, battery_kwh=battery_kwh)


def assert_balanced(state: HouseState) -> None:
    energies = state.energies
    came = energies.pv + energies.imported + energies.discharged
    went = energies.load + energies.exported + energies.charged
    assert came == went


def counters(energies: Energies) -> list[int]:
    return [
        energies.pv,
        energies.load,
        energies.imported,
        energies.exported,
        energies.charged,
        energies.discharged,
        *energies.dc,
        *energies.load_phase,
        *energies.import_phase,
        *energies.export_phase,
    ]


@settings(max_examples=40, deadline=None)
@given(start_ms=STARTS_MS, steps_ms=STEPS_MS, battery_kwh=BATTERIES_KWH)
def test_energy_balances_to_the_microjoule_at_every_moment(
    start_ms: int, steps_ms: list[int], battery_kwh: float
) -> None:
    house = make(start_ms, battery_kwh)
    now_ms = start_ms

    for step_ms in steps_ms:
        now_ms += step_ms
        house.advance(now_ms)
        assert_balanced(house.state)


@settings(max_examples=40, deadline=None)
@given(start_ms=STARTS_MS, steps_ms=STEPS_MS, battery_kwh=BATTERIES_KWH)
def test_no_counter_ever_runs_backwards(
    start_ms: int, steps_ms: list[int], battery_kwh: float
) -> None:
    house = make(start_ms, battery_kwh)
    now_ms = start_ms
    before = counters(house.state.energies)

    for step_ms in steps_ms:
        now_ms += step_ms
        house.advance(now_ms)
        after = counters(house.state.energies)
        assert all(new >= old for old, new in zip(before, after, strict=True))
        before = after


@settings(max_examples=40, deadline=None)
@given(start_ms=STARTS_MS, steps_ms=STEPS_MS, battery_kwh=BATTERIES_KWH)
def test_how_time_is_cut_makes_no_difference(
    start_ms: int, steps_ms: list[int], battery_kwh: float
) -> None:
    stepped, leapt = make(start_ms, battery_kwh), make(start_ms, battery_kwh)
    now_ms = start_ms

    for step_ms in steps_ms:
        now_ms += step_ms
        stepped.advance(now_ms)
    leapt.advance(now_ms)

    assert stepped.state == leapt.state


@settings(max_examples=40, deadline=None)
@given(start_ms=STARTS_MS, steps_ms=STEPS_MS)
def test_a_battery_neither_overflows_nor_runs_dry(start_ms: int, steps_ms: list[int]) -> None:
    capacity_kwh = 0.05
    house = make(start_ms, capacity_kwh)
    now_ms = start_ms

    for step_ms in steps_ms:
        now_ms += step_ms
        house.advance(now_ms)
        stored_uj = house.state.stored_uj
        assert stored_uj is not None
        assert 0 <= stored_uj <= capacity_kwh * 1000 * UJ_PER_WH


def test_the_registers_of_a_real_day_balance_to_the_watt_hour() -> None:
    house = House(SiteAlmanac(Site(battery_kwh=5)), start_ms=MIDSUMMER_MS, battery_kwh=5)

    house.advance(MIDSUMMER_MS + MS_PER_DAY)

    energies = house.state.energies
    came = [energies.pv, energies.imported, energies.discharged]
    went = [energies.load, energies.exported, energies.charged]
    # Each register is rounded down by less than one watt-hour, three on either side.
    assert abs(sum(uj // UJ_PER_WH for uj in came) - sum(uj // UJ_PER_WH for uj in went)) <= 2
    assert_balanced(house.state)


def test_the_phases_of_the_grid_meter_add_up_to_the_net_flow() -> None:
    house = make(MIDSUMMER_MS, 5.0)

    house.advance(MIDSUMMER_MS + 3_600_000)

    energies = house.state.energies
    net = sum(energies.import_phase) - sum(energies.export_phase)
    assert net == energies.imported - energies.exported


def test_a_moment_that_is_past_changes_nothing() -> None:
    house = make(MIDSUMMER_MS, 0.0)
    house.advance(MIDSUMMER_MS + 5_500)
    before = house.state

    house.advance(MIDSUMMER_MS)

    assert house.state == before


def test_the_same_seed_makes_the_same_house_and_another_seed_another() -> None:
    day = date(2026, 4, 7)

    first, same, other = (SiteAlmanac(Site(seed=seed))(day) for seed in (7, 7, 8))

    assert first == same
    assert first.load_mw != other.load_mw


def test_the_sun_shines_by_day_and_never_at_night() -> None:
    day = SiteAlmanac(Site())(date(2026, 6, 21))

    assert all(power == 0 for power in day.pv_mw[: 2 * 3600])
    assert sum(day.pv_mw[9 * 3600 : 13 * 3600]) > 0
    assert max(day.pv_mw) <= 4_600_000


def test_winter_yields_less_than_summer() -> None:
    almanac = SiteAlmanac(Site())

    winter = sum(sum(almanac(date(2026, 12, number)).pv_mw) for number in range(1, 8))
    summer = sum(sum(almanac(date(2026, 6, number)).pv_mw) for number in range(1, 8))

    assert 0 < winter < summer / 3


def test_a_house_without_pv_or_people_stays_still() -> None:
    day = SiteAlmanac(Site(pv_kwp=0, load_kwh_year=0))(date(2026, 6, 21))

    assert set(day.pv_mw) == {0}
    assert set(day.load_mw[0]) == {0}


@pytest.mark.parametrize("seed", [1, 2])
def test_a_household_uses_about_what_the_profile_says(seed: int) -> None:
    almanac = SiteAlmanac(Site(load_kwh_year=3650, seed=seed))
    days = 28

    used_mj = sum(
        sum(map(sum, almanac(datetime(2026, 4, 1 + number, tzinfo=UTC).date()).load_mw))
        for number in range(days)
    )

    # 3650 kWh a year is 10 kWh a day; April lies near the mean of the year.
    assert 8 < used_mj / 1e6 / 3600 / days < 12
