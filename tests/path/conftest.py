"""One fixture per state of the whole path."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from support.staged import QUICK, MosquittoStage, QuickStage, await_true, state_counts

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(params=[MosquittoStage, QuickStage], ids=["mosquitto", "nats"])
def running(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[QuickStage]:
    """House, line, broker, ledger, aggregator and agent, all up, with an interval anchored."""
    stage: QuickStage = request.param(tmp_path, QUICK, print)
    try:
        stage.start()
        await_true("a record is anchored", lambda: state_counts(stage).get("anchored"), 90)
        yield stage
    finally:
        stage.stop()
