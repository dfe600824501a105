from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from meterseal.policy import format_policy, parse_policy
from meterseal_verifier.verify import verify

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="session")
def known(repository: Path) -> dict[str, Any]:
    text = (repository / "protocol" / "vectors" / "evidence.json").read_text()
    return dict(json.loads(text))


def test_every_known_answer_is_given(known: dict[str, Any]) -> None:
    policies = {name: parse_policy(text) for name, text in known["policies"].items()}

    for case in known["cases"]:
        report = verify(bytes.fromhex(case["evidence"]), policies[case["policy"]])
        given = {
            "verdict": report.verdict.words,
            "offence": report.offence and report.offence.value,
            "exit_status": int(report.verdict),
            "steps": [step.state.value for step in report.steps],
        }
        assert given == {key: case[key] for key in given}, case["name"]


def test_the_policies_are_written_as_we_write_them(known: dict[str, Any]) -> None:
    for text in known["policies"].values():
        assert format_policy(parse_policy(text)) == text
