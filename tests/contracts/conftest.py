"""The compiled log contract on an embedded chain."""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING, Any

import pytest

from support.log_contract import LogContract, deployed, load_artifact, open_log

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(scope="session")
def artifact(repository: Path) -> dict[str, Any]:
    return load_artifact(repository)


@pytest.fixture(scope="session")
def contract(
    tmp_path_factory: pytest.TempPathFactory, artifact: dict[str, Any]
) -> Iterator[LogContract]:
    """One deployed contract; tests keep apart by opening logs of their own."""
    with deployed(tmp_path_factory.mktemp("ledger"), artifact) as contract:
        yield contract


@pytest.fixture(scope="session")
def numbers() -> Iterator[int]:
    return count()


@pytest.fixture
def log_id(contract: LogContract, numbers: Iterator[int]) -> bytes:
    """A fresh log of the owner, at size 0."""
    return open_log(contract, next(numbers))
