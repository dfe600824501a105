"""The documents say what the code does: every key, every meter."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from meterseal_agent.config import parse
from meterseal_agent.errors import ConfigError
from meterseal_agent.profiles.table import markdown

EXAMPLE = re.compile(r"```toml\n(.*?)```", re.DOTALL)
KNOWN = re.compile(r"a known key \(([^)]*)\)")
HERE = Path("/etc/meterseal.toml")
TABLES = (
    "[agent]",
    '[[bus]]\nname = "rs485"',
    '[[bus]]\nname = "roof"',
    '[[meter]]\nname = "garage"',
    "[mqtt]",
    "[mqtt.tls]",
    "[aggregator]",
    "[ledger]",
    "[[s0]]",
    "[gpio]",
    "[status]",
)


@pytest.fixture
def document(repository: Path) -> str:
    return (repository / "docs" / "configuration.md").read_text(encoding="utf-8")


@pytest.fixture
def example(document: str) -> str:
    match = EXAMPLE.search(document)
    assert match is not None
    return match[1]


def test_the_documented_example_is_a_configuration(example: str) -> None:
    config = parse(example, HERE)

    assert [meter.name for meter in config.meters] == ["grid", "garage", "inverter"]


@pytest.mark.parametrize("table", TABLES)
def test_every_key_is_documented_and_in_the_example(
    document: str, example: str, table: str
) -> None:
    """A key that nobody knows makes the reader list those it knows."""
    assert table in example
    with pytest.raises(ConfigError) as caught:
        parse(example.replace(table, f"{table}\nzzz = 1", 1), HERE)
    match = KNOWN.search(str(caught.value))
    assert match is not None, str(caught.value)

    for key in match[1].split(", "):
        assert re.search(rf"`(\[\w+\.)?{key}\]?`", document), key
        assert re.search(rf"(?m)^(\[\w+\.{key}\]|{key} = )", example), key


def test_the_supported_meters_are_those_of_the_profiles(repository: Path) -> None:
    """To write the document anew: meterseal-agent profiles --markdown > docs/meters.md."""
    assert (repository / "docs" / "meters.md").read_text(encoding="utf-8") == markdown()
