"""Every profile decodes its golden vector, typed by hand from documents and recordings."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from meterseal.quantities import BY_NAME
from meterseal_agent.profiles import load_profile, make_layout, shipped
from meterseal_agent.profiles.catalogue import shipped_maps
from meterseal_agent.profiles.sunspec import sunspec_layout

if TYPE_CHECKING:
    from meterseal_agent.profiles.layout import Layout
    from meterseal_agent.profiles.model import Profile

FOLDER = Path(__file__).resolve().parent.parent / "vectors"
MODEL_AT = 40069
UNIT = 1


def cases() -> list[tuple[str, dict[str, Any]]]:
    found = []
    for path in sorted(FOLDER.glob("*.toml")):
        vector = tomllib.loads(path.read_text(encoding="utf-8"))
        found += [(path.stem, {**value, "model": vector.get("model")}) for value in vector["value"]]
    return found


def layout_of(profile: Profile, case: dict[str, Any]) -> Layout:
    if not profile.sunspec:
        points = [point for point in profile.points if point.name == case["quantity"]]
        return make_layout(UNIT, points, profile.limits)
    found = {case["model"]: (MODEL_AT, 105)}
    names = frozenset({case["quantity"]})
    return sunspec_layout(UNIT, profile.models, found, profile.limits, names)


def image_of(case: dict[str, Any]) -> dict[tuple[int, int], bytes]:
    """Place the vector's words by function and address, and a SunSpec header around them."""
    image: dict[tuple[int, int], bytes] = {}
    base = 0 if case["model"] is None else MODEL_AT
    parts = [(case.get("address", 0) + case.get("offset", 0), case["words"])]
    if case["model"] is not None:
        parts.append((case["scale_offset"], case["scale"]))
        parts.append((0, f"{case['model']:04x} 0069"))
    for start, text in parts:
        data = bytes.fromhex(text)
        for index in range(0, len(data), 2):
            key = (case.get("function", 3), base + start + index // 2)
            image[key] = data[index : index + 2]
    return image


@pytest.mark.parametrize(("name", "case"), cases())
def test_a_profile_decodes_its_golden_vector(name: str, case: dict[str, Any]) -> None:
    layout = layout_of(load_profile(name), case)
    image = image_of(case)
    replies = [
        b"".join(
            # Registers that the vector does not give hold what no test expects.
            image.get((request.function, request.address + index), b"\x7a\x7a")
            for index in range(request.count)
        )
        for request in layout.requests
    ]

    decoded = layout.decode(replies)

    code = BY_NAME[case["quantity"]].code
    assert decoded.values[code] == case.get("value")
    if code in decoded.raw and "value" in case:
        words = bytes.fromhex(case["words"]) + bytes.fromhex(case.get("scale", ""))
        assert decoded.raw[code] == words


def test_every_profile_has_a_golden_vector_and_no_vector_is_an_orphan() -> None:
    assert {path.stem for path in FOLDER.glob("*.toml")} == set(shipped_maps())


@pytest.mark.parametrize("name", shipped())
def test_a_profiles_billing_counters_all_stand_in_its_vector(name: str) -> None:
    """Whoever adds a counter that is billed adds the words that prove it."""
    proven = {case["quantity"] for stem, case in cases() if stem == name}

    totals = {
        point.name
        for point in load_profile(name).quantities()
        if point.billing and point.code in (1, 2)
    }

    assert totals <= proven
