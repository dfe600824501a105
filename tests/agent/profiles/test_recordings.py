"""Recordings of real meters decode as their recorders read them; the dumps stay where they are.

Which recorder's name is which quantity is typed here by hand, with the unit that the recorder
used and the direction that he counted in.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from fnmatch import fnmatch
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import pytest

from meterseal.quantities import BY_NAME
from meterseal_agent.errors import MeterError
from meterseal_agent.profiles import load_profile
from meterseal_agent.profiles.layout import make_layout
from meterseal_agent.profiles.sunspec import sunspec_layout
from meterseal_agent.profiles.words import REGISTERS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from meterseal_agent.profiles.layout import Layout
    from meterseal_agent.profiles.model import Point, Profile

Words = dict[int, bytes]
Told = dict[str, tuple[str, int]]
"""The recorder's name -> our quantity, and how many of its unit his unit is, with sign."""

K, M = 1000, 1_000_000
THREE_PHASES: Told = {
    f"{theirs}{phase}": (f"{ours}_l{phase}_{unit}", K)
    for phase in (1, 2, 3)
    for theirs, ours, unit in (("vgrid", "voltage", "mv"), ("igrid", "current", "ma"))
}
STRINGS: Told = {
    f"{theirs}{string}": (f"dc_string_{string}_{ours}", K)
    for string in (1, 2)
    for theirs, ours in (("vpv", "voltage_mv"), ("ipv", "current_ma"))
}
GOODWE_DT: Told = {
    **STRINGS,
    **THREE_PHASES,
    "fgrid1": ("frequency_mhz", K),
    "total_inverter_power": ("power_w", -1),
    "temperature": ("temperature_mc", K),
    "e_total": ("energy_export_wh", K),
}
GOODWE_ET: Told = {
    **STRINGS,
    "ppv1": ("dc_string_1_power_w", 1),
    "ppv2": ("dc_string_2_power_w", 1),
    "vgrid": ("voltage_l1_mv", K),
    "igrid": ("current_l1_ma", K),
    "fgrid": ("frequency_mhz", K),
    "vgrid2": ("voltage_l2_mv", K),
    "igrid2": ("current_l2_ma", K),
    "vgrid3": ("voltage_l3_mv", K),
    "igrid3": ("current_l3_ma", K),
    "total_inverter_power": ("power_w", -1),
    "temperature": ("temperature_mc", K),
    "battery_soc": ("state_of_charge_permille", 10),
}
GOODWE_METER: Told = {
    "meter_freq": ("frequency_mhz", K),
    "meter_e_total_exp": ("energy_export_wh", K),
    "meter_e_total_imp": ("energy_import_wh", K),
    "meter_active_power1": ("power_l1_w", -1),
    "meter_active_power2": ("power_l2_w", -1),
    "meter_active_power3": ("power_l3_w", -1),
    "meter_active_power_total": ("power_w", -1),
}
SDM630: Told = {
    "0x0156": ("energy_total_wh", K),
    "0x015a": ("energy_import_l1_wh", K),
    "0x015c": ("energy_import_l2_wh", K),
    "0x015e": ("energy_import_l3_wh", K),
}
SDM72: Told = {
    "l1_voltage": ("voltage_l1_mv", K),
    "l1_current": ("current_l1_ma", K),
    "l1_power": ("power_l1_w", 1),
}
ABB: Told = {"0x5000": ("energy_import_wh", K), "0x5004": ("energy_export_wh", K)}
FAMILIES: dict[str, list[tuple[str, Told]]] = {
    "goodwe_dt_*": [("goodwe-dt", GOODWE_DT)],
    "goodwe_et_*": [("goodwe-et", GOODWE_ET), ("goodwe-et-meter", GOODWE_METER)],
    "eastron_sdm630_*": [("eastron-sdm630", SDM630)],
    "eastron_sdm72_*": [("eastron-sdm72-v2", SDM72)],
    "abb_a43_*": [("abb-a43", ABB)],
    # No values were printed for this one; what they must be is typed in its golden vector.
    "intelbras_*": [("sungrow-sg", {})],
}


def words_of(recorded: dict[str, Any]) -> Words:
    return {int(at): word.to_bytes(2, "big") for at, word in recorded["registers"].items()}


def held(point: Point, words: Words) -> bool:
    first = point.field.address
    return all(at in words for at in range(first, first + REGISTERS[point.field.word_type]))


def decode(layout: Layout, words: Words) -> Mapping[int, int | None]:
    replies = [
        b"".join(words.get(request.address + at, b"\x7a\x7a") for at in range(request.count))
        for request in layout.requests
    ]
    return layout.decode(replies).values


def decoded(profile: Profile, function: int, words: Words) -> Mapping[int, int | None]:
    """Decode every quantity whose registers were recorded."""
    points = [
        point for point in profile.points if point.field.function == function and held(point, words)
    ]
    return decode(make_layout(1, points, profile.limits), words)


def agrees(value: int, printed: object, factor: int) -> bool:
    """Tell whether a value is what was printed, as far as its digits tell."""
    text = str(printed)
    decimals = len(text.partition(".")[2])
    last_digit = Fraction(abs(factor), 10**decimals)
    return abs(value - Fraction(text) * factor) <= max(last_digit, Fraction(1))


def differences(
    values: Mapping[int, int | None], told: Told, expected: dict[str, Any]
) -> list[str]:
    """Compare with what was printed; what either side has not got is left out."""
    found = []
    for theirs, (ours, factor) in told.items():
        printed = expected.get(theirs)
        printed = printed[0] if isinstance(printed, list) else printed
        value = values.get(BY_NAME[ours].code)
        if printed is not None and value is not None and not agrees(value, printed, factor):
            found.append(f"{ours}: printed was {theirs} = {printed}, got {value}")
    return found


@pytest.mark.parametrize(
    ("pattern", "name", "told"),
    [(pattern, name, told) for pattern, maps in FAMILIES.items() for name, told in maps],
)
def test_every_recording_of_a_family_decodes_as_it_was_read(
    vectors: Callable[[str], Path], pattern: str, name: str, told: Told
) -> None:
    paths = sorted(vectors("dumps/normalised").glob(f"{pattern}.json"))
    profile = load_profile(name)

    faults = []
    compared = 0
    for path in paths:
        recorded = json.loads(path.read_text(encoding="utf-8"))
        words = words_of(recorded)
        try:
            values = decoded(profile, recorded["function"], words)
        except MeterError as error:
            faults.append(f"{path.stem}: {error}")
            continue
        compared += len(told.keys() & recorded["expected"].keys())
        found = differences(values, told, recorded["expected"])
        faults += [f"{path.stem} {one}" for one in found]

    assert paths
    assert compared or not told
    assert not faults, "\n".join(faults)


@dataclass(frozen=True, kw_only=True)
class Recorded:
    """A model in a recording; `key` is where what was printed stands."""

    stem: str
    profile: str
    model: int
    address: int
    length: int
    key: str
    told: Told


SUNSPEC = [
    Recorded(
        stem="sunspec_solaredge_se10k_rws_evcc12708",
        profile="solaredge-inverter",
        model=103,
        address=40069,
        length=50,
        key="inverter_103",
        told={
            "A": ("current_ma", K),
            "AphA": ("current_l1_ma", K),
            "AphB": ("current_l2_ma", K),
            "AphC": ("current_l3_ma", K),
            "PhVphA": ("voltage_l1_mv", K),
            "PhVphB": ("voltage_l2_mv", K),
            "PhVphC": ("voltage_l3_mv", K),
            "W": ("power_w", -1),
            "Hz": ("frequency_mhz", K),
            "VA": ("power_apparent_va", 1),
            "VAr": ("power_reactive_var", 1),
            "PF": ("power_factor_permille", 10),
            "WH": ("energy_export_wh", 1),
            "DCW": ("dc_power_w", 1),
        },
    ),
    Recorded(
        stem="sunspec_solaredge_se10k_rws_evcc12708",
        profile="solaredge-meter",
        model=203,
        address=40188,
        length=105,
        key="meter_203",
        told={
            "A": ("current_ma", K),
            "AphA": ("current_l1_ma", K),
            "AphC": ("current_l3_ma", K),
            "PhVphB": ("voltage_l2_mv", K),
            "Hz": ("frequency_mhz", K),
            "W": ("power_w", -1),
            "WphA": ("power_l1_w", -1),
            "WphB": ("power_l2_w", -1),
            "WphC": ("power_l3_w", -1),
            "VA": ("power_apparent_va", 1),
            "TotWhExp": ("energy_export_wh", 1),
            "TotWhExpPhA": ("energy_export_l1_wh", 1),
            "TotWhExpPhB": ("energy_export_l2_wh", 1),
            "TotWhExpPhC": ("energy_export_l3_wh", 1),
            "TotWhImp": ("energy_import_wh", 1),
            "TotWhImpPhA": ("energy_import_l1_wh", 1),
            "TotWhImpPhB": ("energy_import_l2_wh", 1),
            "TotWhImpPhC": ("energy_import_l3_wh", 1),
        },
    ),
    Recorded(
        stem="sunspec_fronius_gen24_160_evcc16256",
        profile="fronius-inverter",
        model=160,
        address=40263,
        length=88,
        key="module3",
        told={
            "DCA": ("dc_string_3_current_ma", K),
            "DCV": ("dc_string_3_voltage_mv", K),
            "DCW": ("dc_string_3_power_w", 1),
        },
    ),
]


@pytest.mark.parametrize("case", SUNSPEC, ids=lambda case: case.profile)
def test_a_recorded_sunspec_model_decodes_as_its_recorder_read_it(
    vectors: Callable[[str], Path], case: Recorded
) -> None:
    path = vectors(f"dumps/normalised/{case.stem}.json")
    recorded = json.loads(path.read_text(encoding="utf-8"))
    words = words_of(recorded)
    # The header of the Fronius model was not recorded: 8 registers and four modules of 20.
    words.setdefault(case.address, case.model.to_bytes(2, "big"))
    words.setdefault(case.address + 1, case.length.to_bytes(2, "big"))
    profile = load_profile(case.profile)
    wanted = frozenset(ours for ours, _ in case.told.values())
    found = {case.model: (case.address, case.length)}
    layout = sunspec_layout(1, profile.models, found, profile.limits, wanted)

    values = decode(layout, words)

    assert not differences(values, case.told, recorded["expected"][case.key])
    assert all(values[BY_NAME[ours].code] is not None for ours in wanted)


FRAMES = [
    ("mbmd63-sdm630-scan", "eastron-sdm630"),
    ("solax20-sdm230", "eastron-sdm230"),
    ("tasmota13224-sdm630", "eastron-sdm630"),
    ("manual-sdm630-wiki", "eastron-sdm630"),
    ("manual-eastron-sdm320y", "eastron-sdm630"),
    ("iobroker286-et112", "carlo-gavazzi-em112"),
    ("sma30950-reboot", "sma-inverter"),
    ("sma16972-stp-byd", "sma-inverter"),
]
# How the sets name a decoded number; "scaled" is in the document's unit, the others are raw.
PRINTED = ("float32", "scaled", "int32", "u32", "uint64")


def words_in(reply: bytes, transport: str) -> bytes:
    """Cut the registers out of a frame: behind MBAP header, or between byte count and CRC."""
    return reply[9:] if transport == "tcp" else reply[3:-2]


@pytest.mark.parametrize(("set_id", "name"), FRAMES)
def test_a_recorded_frame_decodes_as_its_recorder_read_it(
    vectors: Callable[[str], Path], set_id: str, name: str
) -> None:
    sets = json.loads(vectors("dumps/frames/frames.json").read_text(encoding="utf-8"))
    (frames,) = [one for one in sets if one["id"] == set_id]
    profile = load_profile(name)
    points = {point.field.address: point for point in profile.points}

    compared = 0
    for exchange in frames["exchanges"]:
        expected = exchange.get("expected")
        if not isinstance(expected, dict) or expected.get("addr") not in points:
            continue
        point = points[expected["addr"]]
        words = words_in(bytes.fromhex(exchange["rsp"]), frames["transport"])
        if len(words) != 2 * REGISTERS[point.field.word_type]:
            continue
        at = point.field.address
        image = {at + step // 2: words[step : step + 2] for step in range(0, len(words), 2)}

        value = decode(make_layout(1, [point], profile.limits), image)[point.code]

        printed = next(expected[key] for key in PRINTED if key in expected)
        assert value is not None
        factor = 1 if point.unit in {"W", "Wh"} else K
        assert agrees(value, printed, -factor if point.factor < 0 else factor)
        compared += 1

    assert compared


# Not decoded: devices that no profile reads, and a meter whose type nobody named.
UNREAD = ("givenergy_*", "pcap_*", "series_pcap_*")
# Walked in tests/agent/poll/test_discover.py.
WALKED = ("sunspec_kostal_*",)


def test_every_recording_is_decoded_or_said_why_not(vectors: Callable[[str], Path]) -> None:
    stems = {path.stem for path in vectors("dumps/normalised").glob("*.json")}
    read = {stem for stem in stems for pattern in FAMILIES if fnmatch(stem, pattern)}
    read |= {case.stem for case in SUNSPEC}

    left = {
        stem
        for stem in stems - read
        if not any(fnmatch(stem, pattern) for pattern in (*UNREAD, *WALKED))
    }

    assert not left
