"""The command lists what can be read, and counts maps apart from models."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from meterseal_agent.__main__ import main
from meterseal_agent.profiles.catalogue import load_all, load_map
from meterseal_agent.profiles.listing import listed, maps, summary

if TYPE_CHECKING:
    import pytest


def test_a_model_that_shares_its_map_is_no_further_map() -> None:
    rows = listed(load_map("sunspec-inverter"))

    assert len(rows) > 1
    assert maps(rows) == 1
    assert summary(rows).startswith(f"{len(rows)} models over 1 maps; 0 of them verified")


def test_a_quantity_in_several_models_of_sunspec_is_listed_once() -> None:
    (row, *_) = listed(load_map("sunspec-inverter"))

    assert len(set(row.quantities)) == len(row.quantities)
    assert row.quantities[0] == "energy_import_wh"
    assert row.direction == "inverter"


def test_the_command_prints_every_model_and_the_counts(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["profiles"]) == 0

    lines = capsys.readouterr().out.splitlines()
    profiles = load_all()
    assert [line.split()[0] for line in lines[1:-1]] == [one.name for one in profiles]
    assert lines[-1].startswith(f"{len(profiles)} models over ")


def test_sixty_models_over_thirty_maps_are_promised_and_kept() -> None:
    rows = listed(load_all())

    assert len(rows) >= 60
    assert maps(rows) >= 30


def test_the_command_prints_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["profiles", "--json"]) == 0

    found = json.loads(capsys.readouterr().out)
    assert found["maps"] == len({one.map_hash for one in load_all()})
    sdm = next(one for one in found["models"] if one["id"] == "eastron-sdm630")
    assert sdm["make"] == "Eastron"
    assert "energy_import_wh" in sdm["quantities"]
    assert sdm["sources"]
    assert sdm["verified_on_hardware"] is False
