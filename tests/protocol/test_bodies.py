"""Numbers and letters that stand in signed bytes and never change."""

from __future__ import annotations

from dataclasses import FrozenInstanceError, fields
from typing import TYPE_CHECKING

import pytest

from meterseal.bodies import (
    Clock,
    EventCode,
    GapReason,
    Kind,
    MeterState,
    Publishes,
    RestoreReason,
)
from support.records import BODIES

if TYPE_CHECKING:
    from enum import IntEnum

    from meterseal.bodies import Body


@pytest.mark.parametrize(
    ("enumeration", "numbers"),
    [
        (Kind, range(7)),
        (Clock, range(4)),
        (RestoreReason, range(1, 5)),
        (EventCode, range(1, 9)),
        (GapReason, range(1, 6)),
        (Publishes, range(2)),
    ],
)
def test_numbers_are_those_of_the_specification(enumeration: type[IntEnum], numbers: range) -> None:
    assert [int(member) for member in enumeration] == [*numbers]


def test_meter_states_are_ocmfs_letters() -> None:
    assert "".join(MeterState) == "GTDFXOSN"


def test_a_body_knows_its_kind() -> None:
    assert {body.kind for body in BODIES} == {*Kind}


@pytest.mark.parametrize("body", BODIES, ids=lambda body: body.kind.name.lower())
def test_a_body_is_frozen(body: Body) -> None:
    name = fields(body)[0].name

    with pytest.raises(FrozenInstanceError):
        setattr(body, name, None)
