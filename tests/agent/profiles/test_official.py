"""The SunSpec definitions that the profiles use are the official ones."""

from __future__ import annotations

import json
from importlib import resources
from typing import Any

import pytest

from meterseal_agent.profiles.catalogue import load_map
from meterseal_agent.profiles.official import label, official_models

NUMBERS = (
    1, 101, 102, 103, 111, 112, 113, 120, 121, 122, 123, 124, 160, 201, 202, 203, 204,
    211, 212, 213, 214, *range(701, 715), 802,
)  # fmt: skip
KINDS = {
    "u16": "uint16", "i16": "int16", "u32": "uint32", "i32": "int32", "u64": "uint64",
    "i64": "int64", "f32": "float32", "f64": "float64",
}  # fmt: skip


def official(number: int) -> dict[str, Any]:
    """Read a definition as pysunspec2 carries it."""
    pytest.importorskip("sunspec2", reason="pysunspec2 carries the official definitions")
    path = resources.files("sunspec2") / "models" / "json" / f"model_{number}.json"
    group: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))["group"]
    return group


def test_every_model_that_is_promised_is_there() -> None:
    assert set(official_models()) == set(NUMBERS)


@pytest.mark.parametrize("number", NUMBERS)
def test_each_point_stands_where_the_official_definition_has_it(number: int) -> None:
    definition = official(number)
    ours = official_models()[number]

    at = 0
    for point in definition["points"]:
        mine = ours.points[point["name"]]
        assert (mine.offset, mine.registers) == (at, point["size"])
        assert mine.scale == point.get("sf")
        if mine.word_type is not None:
            assert KINDS.get(mine.word_type, mine.word_type) == point["type"]
        at += point["size"]

    assert ours.length == at - 2
    assert label(number) == definition["label"]
    assert len(ours.points) == len(definition["points"])


@pytest.mark.parametrize("number", [160, 714])
def test_each_point_of_a_repeated_group_stands_where_the_definition_has_it(number: int) -> None:
    (group,) = official(number)["groups"]
    ours = official_models()[number]

    at = 0
    for point in group["points"]:
        assert (ours.group[point["name"]].offset, at) == (at, at)
        at += point["size"]

    assert ours.group_length == at


@pytest.mark.parametrize("name", ["sunspec-inverter", "solaredge-meter", "fronius-meter"])
def test_a_map_takes_types_and_scale_factors_from_the_definitions(name: str) -> None:
    """A type that a profile could not name, or a scale factor elsewhere, would show here."""
    for model in load_map(name)[0].models:
        for number in model.ids:
            points = official_models()[number].points.values()
            places = {point.offset: point for point in points}
            for point in model.points:
                definition = places[point.field.address]
                assert point.field.word_type == definition.word_type
                scale = None if definition.scale is None else point.scale
                assert point.scale == scale
                if scale is not None:
                    assert official_models()[number].points[definition.scale or ""].offset == scale


def test_a_model_that_nobody_defined_has_no_name() -> None:
    assert label(64001) == "not known"
