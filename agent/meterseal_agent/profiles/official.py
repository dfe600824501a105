"""The official SunSpec model definitions: which point stands where, of which type, in which unit.

`scripts/sunspec-models` writes `data/sunspec-models.json` from the definitions that pysunspec2
carries (SunSpec Alliance, Apache-2.0); a test compares the two.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

    from meterseal_agent.profiles.words import WordType

# Types that carry a number of ours; enumerations, bit fields and texts are not read.
_TYPES: Final[dict[str, WordType]] = {
    "uint16": "u16",
    "int16": "i16",
    "acc16": "acc16",
    "uint32": "u32",
    "int32": "i32",
    "acc32": "acc32",
    "float32": "f32",
    "uint64": "u64",
    "int64": "i64",
    "acc64": "acc64",
    "float64": "f64",
}
# What the definitions call their units, and what our documents do.
_UNITS: Final[dict[str, str]] = {
    "A": "A",
    "V": "V",
    "W": "W",
    "VA": "VA",
    "var": "var",
    "Var": "var",
    "VAr": "var",
    "Hz": "Hz",
    "Wh": "Wh",
    "varh": "varh",
    "Varh": "varh",
    "C": "°C",
    "Pct": "%",
    "%": "%",
    "%WHRtg": "%",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class OfficialPoint:
    """One point.

    Attributes:
        offset: From the model's id register; in a group, from the group's first.
        word_type: None for what is no number of ours (texts, states, events).
        scale: Name of the point that holds its scale factor.
        unit: As profiles write it; None where the definition has none or one that we lack.
    """

    offset: int
    word_type: WordType | None
    registers: int
    scale: str | None
    unit: str | None


@dataclass(frozen=True, kw_only=True, slots=True)
class OfficialModel:
    """One model.

    Attributes:
        length: Registers behind the header, without repeated groups.
        group_length: Registers of the repeated group; 0 without one.
    """

    number: int
    label: str
    length: int
    points: Mapping[str, OfficialPoint]
    group_length: int = 0
    group: Mapping[str, OfficialPoint] = field(default_factory=dict)


@cache
def official_models() -> Mapping[int, OfficialModel]:
    """Read the definitions, once."""
    path = resources.files("meterseal_agent.profiles") / "data" / "sunspec-models.json"
    models = json.loads(path.read_text(encoding="utf-8"))["models"]
    return {int(number): _model(int(number), data) for number, data in models.items()}


def label(number: int) -> str:
    """Name a model, e.g. "Inverter (Three Phase)"; vendors' own models have no name."""
    model = official_models().get(number)
    return model.label if model else "not known"


def _model(number: int, data: Mapping[str, Any]) -> OfficialModel:
    group = data.get("group", {})
    return OfficialModel(
        number=number,
        label=data["label"],
        length=data["length"],
        points=_points(data["points"]),
        group_length=group.get("length", 0),
        group=_points(group.get("points", {})),
    )


def _points(data: Mapping[str, Any]) -> dict[str, OfficialPoint]:
    return {
        name: OfficialPoint(
            offset=offset,
            word_type=_TYPES.get(kind),
            registers=registers,
            scale=scale,
            unit=_UNITS.get(unit or ""),
        )
        for name, (offset, kind, registers, scale, unit) in data.items()
    }
