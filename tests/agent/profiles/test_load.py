"""A wrong profile is named with file, key and remedy, and never half used."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meterseal.quantities import BY_NAME
from meterseal_agent.errors import ProfileError
from meterseal_agent.profiles import load_profile, make_layout, shipped
from meterseal_agent.profiles.load import parse_profile

GOOD = (
    (resources.files("meterseal_agent.profiles") / "data" / "eastron-sdm120.toml")
    .read_bytes()
    .decode()
)
HERE = Path("eastron-sdm120.toml")


@pytest.mark.parametrize("name", shipped())
def test_a_shipped_profile_names_its_sources_and_keeps_to_its_limits(name: str) -> None:
    profile = load_profile(name)

    assert profile.sources
    assert len(profile.hash) == 32
    if not profile.sunspec:
        layout = make_layout(1, profile.points, profile.limits)
        assert all(request.count <= profile.limits.registers_max for request in layout.requests)


@pytest.mark.parametrize("name", shipped())
def test_every_quantity_has_one_place_in_a_profile(name: str) -> None:
    points = load_profile(name).quantities()

    assert len({point.code for point in points}) == len(points)
    assert all(point.name in BY_NAME for point in points)


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ('unit = "kWh", billing', 'unit = "kilowatthours", billing', ("unit", '"kWh"')),
        (', unit = "V" }', " }", ("unit", "required")),
        ("voltage_l1_mv", "voltage_l1", ("name of a quantity", "voltage_l1")),
        ("address = 0x0006", "address = 0x0001", ("current_l1_ma", "voltage_l1_mv", "register 1")),
        ('unit = "A" }', 'unit = "A", scale = 0.1 }', ("scale", "decimal text")),
        ('unit = "A" }', 'unit = "A", scale = "1_0" }', ("scale", "1_0")),
        ('unit = "A" }', 'unit = "A", sign = 0 }', ("sign",)),
        ('type = "f32"', 'type = "float"', ("type", '"f32"')),
        ('order = "big"', 'order = "middle"', ("order", '"little"')),
        ("registers_max = 60", "registers_max = 126", ("registers_max", "125")),
        ('id = "eastron-sdm120"', 'id = "eastron-sdm121"', ("id", "eastron-sdm120")),
        ("verified_on_hardware = false", "verified = false", ("verified_on_hardware",)),
        ("silence_ms = 60", "silence_ms = 60\nsilense_ms = 1", ("silense_ms", "silence_ms")),
        ("[map]", "[maps]", ("[map]",)),
        ('kind = "code"', 'kind = "hearsay"', ("hearsay", "vendor document")),
    ],
)
def test_a_wrong_profile_is_refused_by_name(old: str, new: str, words: tuple[str, ...]) -> None:
    assert old in GOOD

    with pytest.raises(ProfileError) as caught:
        parse_profile(GOOD.replace(old, new, 1).encode(), HERE)

    message = str(caught.value)
    assert "eastron-sdm120.toml" in message
    assert all(word in message for word in words), message


@given(st.binary(max_size=200))
def test_any_bytes_are_a_profile_or_a_profile_error(data: bytes) -> None:
    with pytest.raises(ProfileError):
        parse_profile(data, HERE)


@given(st.integers(0, len(GOOD) - 1), st.sampled_from(["", "\0", "x", "9", '"', "[", "="]))
def test_a_changed_profile_is_a_profile_or_a_profile_error(at: int, text: str) -> None:
    changed = GOOD[:at] + text + GOOD[at + 1 :]
    try:
        parse_profile(changed.encode(), HERE)
    except ProfileError:
        return
