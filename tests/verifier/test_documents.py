from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

from meterseal.evidence import Claim
from meterseal.policy import parse_policy
from meterseal_verifier.report import report_json
from meterseal_verifier.verdict import Offence, Verdict
from meterseal_verifier.verify import verify

if TYPE_CHECKING:
    from pathlib import Path

    from support.world import World


def specification(repository: Path) -> str:
    return (repository / "protocol" / "evidence.md").read_text()


def test_the_trust_file_of_the_specification_is_one(repository: Path) -> None:
    (example,) = re.findall(r"```toml\n(.*?)```", specification(repository), re.DOTALL)

    policy = parse_policy(example)

    assert policy.log.quorum == 1
    assert policy.ledger is not None


def test_every_verdict_offence_claim_and_field_is_specified(repository: Path, world: World) -> None:
    text = specification(repository)
    report = verify(b"", world.policy())

    assert all(f"| {int(each)} | {each.words} |" in text for each in Verdict)
    assert all(f"| {each.value} |" in text for each in Offence)
    assert all(f"1: {int(each)}, " in text for each in Claim)
    assert all(f"`{field}`" in text for field in json.loads(report_json(report, None)))
