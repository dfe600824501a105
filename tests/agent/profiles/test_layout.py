"""What is billed on and the power are of one moment, where the map allows it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from meterseal.quantities import BY_NAME
from meterseal_agent.bus.plan import Cost, Limits
from meterseal_agent.profiles import load_profile
from meterseal_agent.profiles.layout import Layout, make_layout

BILLED_ON = ("energy_import_wh", "energy_export_wh", "power_w")
FAST = Cost(request_s=0.0, register_s=1.0)


def layout_of(limits: Limits, names: tuple[str, ...] = BILLED_ON, **moved: int) -> Layout:
    """Take quantities of the SDM630, some of them moved to another address."""
    points = []
    for point in load_profile("eastron-sdm630").points:
        if point.name in names:
            address = moved.get(point.name, point.field.address)
            points.append(replace(point, field=replace(point.field, address=address)))
    return make_layout(1, points, limits)


def requests_of(layout: Layout) -> list[tuple[int, int]]:
    return [(request.address, request.count) for request in layout.requests]


def test_counters_and_power_come_from_one_request_although_two_were_cheaper() -> None:
    # The SDM630 has the power at 0x0034 and the counters at 0x0048 and 0x004A.
    layout = layout_of(Limits(registers_max=80, gap_max=40)).planned(FAST)

    assert requests_of(layout) == [(0x0034, 0x4C - 0x34)]


def test_where_power_is_too_far_the_counters_still_come_together() -> None:
    layout = layout_of(
        Limits(registers_max=80, gap_max=80), power_w=0x0100, energy_export_wh=0x0060
    ).planned(FAST)

    assert requests_of(layout) == [(0x0048, 0x62 - 0x48), (0x0100, 2)]


@pytest.mark.parametrize(
    "limits",
    [
        Limits(registers_max=4, gap_max=40),
        Limits(registers_max=80, gap_max=17),
        Limits(registers_max=80, gap_max=40, barriers=(0x40,)),
    ],
    ids=["length", "hole", "barrier"],
)
def test_the_meters_limits_come_first(limits: Limits) -> None:
    assert requests_of(layout_of(limits).planned(FAST)) == [(0x34, 2), (0x48, 4)]


def test_the_sample_is_stamped_by_the_request_with_its_first_counter() -> None:
    layout = layout_of(Limits(registers_max=4, gap_max=0), (*BILLED_ON, "voltage_l1_mv"))

    assert requests_of(layout) == [(0, 2), (0x34, 2), (0x48, 4)]
    assert layout.stamp == 2


def test_a_plan_for_a_meter_that_refuses_holes_has_none() -> None:
    layout = layout_of(Limits(registers_max=80, gap_max=40))

    narrower = layout.planned(FAST, Limits(registers_max=80, gap_max=0))

    assert requests_of(narrower) == [(0x34, 2), (0x48, 4)]
    # Twelve bytes of words: volts 0, then import 1.0 kWh and export 2.0 kWh, IEEE 754 by hand.
    words = [bytes(4), bytes.fromhex("3F80 0000 4000 0000")]
    assert narrower.decode(words).values[BY_NAME["energy_export_wh"].code] == 2000
