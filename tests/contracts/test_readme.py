"""The gas table of contracts/README.md is what the contract costs."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


def test_the_gas_table_is_measured(repository: Path, tmp_path: Path) -> None:
    rows = tmp_path / "gas.json"
    subprocess.run(  # noqa: S603 - our own program; its goals are not ours to judge here
        [sys.executable, repository / "benchmarks/__main__.py", "gas", "--json", rows],
        check=False,
        capture_output=True,
    )

    measured = [
        f"| {row['figure']} | {row['value']:,.0f} |" for row in json.loads(rows.read_text())
    ]
    text = (repository / "contracts/README.md").read_text()
    table = text.split("<!-- gas: scripts/bench gas -->\n")[1].split("<!-- /gas -->")[0]
    assert table.splitlines() == ["| what | gas |", "|---|---|", *measured]
