"""The table of quantities: codes, names, units and signs that never change their meaning."""

from __future__ import annotations

import json
import re
from dataclasses import asdict
from typing import TYPE_CHECKING

from meterseal.quantities import BY_CODE, BY_NAME, QUANTITIES, UNSIGNED_CODES

if TYPE_CHECKING:
    from pathlib import Path

SUFFIXES = {
    "Wh": "wh",
    "varh": "varh",
    "W": "w",
    "var": "var",
    "VA": "va",
    "mV": "mv",
    "mA": "ma",
    "mHz": "mhz",
    "permille": "permille",
    "m°C": "mc",
    "pulses": "count",
}


def test_codes_and_names_are_unique() -> None:
    assert len(BY_CODE) == len(BY_NAME) == len(QUANTITIES)
    assert [q.code for q in QUANTITIES] == sorted(BY_CODE)


def test_every_name_ends_with_its_unit() -> None:
    for quantity in QUANTITIES:
        assert quantity.name.endswith("_" + SUFFIXES[quantity.unit]), quantity


def test_counters_have_no_sign_and_obis_codes_their_form() -> None:
    for quantity in QUANTITIES:
        if quantity.name.startswith("energy_"):
            assert quantity.code in UNSIGNED_CODES
            assert re.fullmatch(r"1-0:\d+\.8\.0", quantity.obis)
        assert re.fullmatch(r"(1-0:\d+\.[78]\.0)?", quantity.obis)


def test_the_table_is_the_published_one(repository: Path) -> None:
    """A code is for ever: the frozen table may grow at its end and never change."""
    published = json.loads((repository / "protocol/vectors/quantities.json").read_text())

    assert [asdict(q) for q in QUANTITIES] == published["quantities"]
