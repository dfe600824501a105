"""A store, its keys, and an auditor that runs after every test that used them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from support.aggregator_stage import Stage
from support.mosquitto import mosquitto

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


__all__ = ["mosquitto", "stage"]


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    """A fresh aggregator's store and keys; fsck must find it sound when the test ends."""
    made = Stage(tmp_path / "data")
    yield made
    made.close()
    if made.audited:
        again = Stage(tmp_path / "data")
        faults = again.fsck()
        again.close()
        assert faults == []
