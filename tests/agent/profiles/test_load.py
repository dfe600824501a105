"""A wrong profile is named with file, key and remedy, and never half used."""

from __future__ import annotations

import re
from fractions import Fraction
from importlib import resources
from itertools import chain
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meterseal.quantities import BY_NAME
from meterseal_agent.errors import ProfileError
from meterseal_agent.profiles import make_layout
from meterseal_agent.profiles.catalogue import load_all, load_map, shipped_maps
from meterseal_agent.profiles.load import parse_profile, parse_profiles

GOOD = """\
id = "acme-m1"
kind = "registers"
make = "Acme"
model = "M1"
verified_on_hardware = false

[[also]]
id = "acme-m2"
model = "M2"
code = [0x0022]

[[source]]
kind = "vendor document"
name = "M1 Modbus"
where = "page 1"

[[source]]
kind = "code"
name = "a reader"
where = "somewhere"

[line]
registers_max = 60
even = true
silence_ms = 60
timeout_ms = 300
barriers = [0x0100]
defaults = { baud = 9600, parity = "N", stop_bits = 1, address = 1 }

[map]
base = 0
function = 4
type = "f32"
order = "big"

[not_available]
u32 = ["ffffffff"]

[identity]
serial = { function = 3, address = 0xFC00, type = "u32" }
code = { function = 3, address = 0xFC02, type = "u16", expect = [0x0020] }

[quantities]
voltage_l1_mv = { address = 0x0000, unit = "V" }
current_l1_ma = { address = 0x0006, unit = "A" }
power_w = { address = 0x000C, unit = "W" }
energy_import_wh = { address = 0x0048, unit = "kWh", billing = true }
energy_export_wh = { address = 0x004A, type = "u32", unit = "kWh", billing = true }
energy_total_wh = { address = 0x0050, type = "u16", unit = "kWh", scale = "0.1", wrap = 65536 }
"""
HERE = Path("acme-m1.toml")


@pytest.mark.parametrize("name", shipped_maps())
def test_a_shipped_profile_names_its_sources_and_keeps_to_its_limits(name: str) -> None:
    profile = load_map(name)[0]

    assert profile.sources
    assert len(profile.hash) == 32
    if not profile.sunspec:
        layout = make_layout(1, profile.points, profile.limits)
        assert all(request.count <= profile.limits.registers_max for request in layout.requests)


@pytest.mark.parametrize("name", shipped_maps())
def test_every_quantity_has_one_place_in_a_profile(name: str) -> None:
    """In each model of SunSpec: those a device has are told apart by discovery."""
    profile = load_map(name)[0]
    models = [(*model.points, *chain(*model.groups)) for model in profile.models]

    for points in (profile.points, *models):
        assert len({point.code for point in points}) == len(points)
        assert all(point.name in BY_NAME for point in points)


def test_every_model_has_a_name_of_its_own() -> None:
    names = [profile.name for profile in load_all()]

    assert len(set(names)) == len(names)


def test_a_further_model_shares_the_map_and_has_its_own_code() -> None:
    first, second = parse_profiles(GOOD.encode(), HERE)

    assert (second.name, second.make, second.model) == ("acme-m2", "Acme", "M2")
    assert first.code is not None
    assert second.code is not None
    assert (first.code.expect, second.code.expect) == ((0x20,), (0x22,))
    assert second.points == first.points
    assert (second.map, second.map_hash) == ("acme-m1", first.map_hash)


def test_a_wrap_is_told_in_the_quantitys_unit() -> None:
    profile = parse_profile(GOOD.encode(), HERE)

    widths = {point.name: point.wrap_width for point in profile.points}

    assert widths["energy_total_wh"] == 65536 * 100
    assert widths["energy_import_wh"] is None


def test_a_counter_of_23_bits_tells_the_exact_width_at_which_it_wraps() -> None:
    """A counter of 0.1 Wh that begins again at 838.8608 kWh (ioBroker.sourceanalytix issue 594)."""
    text = GOOD.replace(
        'unit = "kWh", scale = "0.1", wrap = 65536', 'unit = "Wh", scale = "0.1", wrap = "8388608"'
    )
    profile = parse_profile(text.encode(), HERE)
    point = next(one for one in profile.points if one.name == "energy_total_wh")
    layout = make_layout(1, [point], profile.limits)

    decoded = layout.decode([b"\x27\x10" * request.count for request in layout.requests])

    assert decoded.values[point.code] == 1000
    assert decoded.wraps[point.code] == Fraction(8_388_608, 10)


def test_a_scale_factor_in_a_register_of_its_own_is_read_with_the_value() -> None:
    line = 'voltage_l1_mv = { address = 0x0000, unit = "V" }'
    scaled = line.replace(" }", ', type = "u16", scale_address = 0x0005 }')
    profile = parse_profile(GOOD.replace(line, scaled).encode(), HERE)
    layout = make_layout(1, profile.points[:1], profile.limits)
    words = bytes.fromhex("08fd 0000 0000 0000 0000 ffff")

    (request,) = layout.requests
    decoded = layout.decode([words])

    assert (request.address, request.count) == (0, 6)
    assert decoded.values == {24: 230_100}


def test_power_in_two_registers_is_their_difference() -> None:
    line = 'power_w = { address = 0x000C, unit = "W" }'
    both = line.replace(" }", ', type = "u16", minus_address = 0x000E, absent = ["ffff"] }')
    profile = parse_profile(GOOD.replace(line, both).encode(), HERE)
    point = next(one for one in profile.points if one.name == "power_w")
    layout = make_layout(1, [point], profile.limits)

    (request,) = layout.requests
    feed_in = layout.decode([bytes.fromhex("0005 0000 00ff 0000")])
    silent = layout.decode([bytes.fromhex("0005 0000 ffff 0000")])

    assert (request.address, request.count) == (0x000C, 4)
    assert feed_in.values == {16: -250}
    assert silent.values == {16: None}


def test_maps_that_differ_in_name_only_hash_alike() -> None:
    first = parse_profile(GOOD.encode(), HERE)
    renamed = parse_profile(GOOD.replace("acme-m1", "b-m1").encode(), Path("b-m1.toml"))
    moved = parse_profile(GOOD.replace("0x000C", "0x000E").encode(), HERE)

    assert first.map_hash == renamed.map_hash
    assert first.map_hash != moved.map_hash
    assert first.hash != renamed.hash


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
        ('id = "acme-m1"', 'id = "acme-m3"', ("id", "acme-m1")),
        ('id = "acme-m2"', 'id = "acme-m1"', ("[[also]]", "name of its own")),
        ("code = [0x0022]", "code = [0x10022]", ("[[also]]", "code", "registers")),
        ("code = [0x0022]", 'code = ["M2"]', ("[[also]]", "code", "[identity]")),
        ("code = [0x0022]", 'kode = ["M2"]', ("[[also]]", "kode", '"code"')),
        ("expect = [0x0020]", "expect = []", ("[identity] [code] expect", "at least one")),
        ("barriers = [0x0100]", "barriers = [0x0049]", ("energy_import_wh", "barrier")),
        ("barriers = [0x0100]", 'barriers = ["0x0100"]', ("barriers", "addresses on the wire")),
        ('parity = "N"', 'parity = "none"', ("defaults", "parity", '"E"')),
        ("wrap = 65536", 'wrap = "many"', ("energy_total_wh", "wrap", "integer")),
        ("wrap = 65536", "wrap = 0", ("energy_total_wh", "wrap", "integer")),
        ('unit = "A" }', 'unit = "A", wrap = 10 }', ("current_l1_ma", "wrap", "counters")),
        ('unit = "kWh", billing', 'unit = "kWh", minus_address = 90, billing', ("minus_address",)),
        ('unit = "W" }', 'unit = "W", minus_address = 6 }', ("current_l1_ma", "register 6")),
        ('unit = "A" }', 'unit = "A", billing = true }', ("current_l1_ma", "billing", "Wh")),
        ('unit = "A" }', 'unit = "A", absent = ["ff"] }', ("current_l1_ma", "absent")),
        ('unit = "A" }', 'unit = "A", scale_address = 70 }', ("current_l1_ma", "60", "request")),
        ('u32 = ["ffffffff"]', 'u32 = ["ffff"]', ("[not_available] u32", "8 hexadecimal")),
        ('kind = "vendor document"', 'kind = "recording"', ("[[source]]", "two code sources")),
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
    assert "acme-m1.toml" in message
    assert all(word in message for word in words), message


def test_the_documented_profile_is_one() -> None:
    """The example in the README is read as it stands; its `text` expects what `code` says."""
    document = Path(str(resources.files("meterseal_agent.profiles") / "README.md"))
    (example,) = re.findall(r"```toml\n(.*?)```", document.read_text(encoding="utf-8"), re.DOTALL)

    first, second = parse_profiles(example.encode(), HERE)

    assert (first.name, second.name) == ("acme-m1", "acme-m2")
    assert first.text is not None
    assert first.limits.barriers == (0x100,)
    assert first.factory.baud == 9600


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
