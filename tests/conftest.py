"""Fixtures that every test may use."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

REPOSITORY = Path(__file__).resolve().parent.parent


NEEDS_A_PROGRAM = {"mosquitto", "broker", "npm"}
IN_REAL_TIME = (
    "agent/poll/",
    "agent/scan/test_cli",
    "agent/store/test_machine",
    "simulator/ledger/test_server",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what `scripts/test --fast` leaves out: programs of the system, and real time."""
    for item in items:
        if NEEDS_A_PROGRAM & set(getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.system)
        if any(part in item.nodeid for part in IN_REAL_TIME):
            item.add_marker(pytest.mark.slow)


@pytest.fixture(autouse=True)
def ordinary_recursion_limit() -> None:
    """Undo what importing eth_account does to the process, wherever a test imported it."""
    sys.setrecursionlimit(1000)


@pytest.fixture(scope="session")
def repository() -> Path:
    return REPOSITORY


@pytest.fixture(scope="session")
def vectors() -> Callable[[str], Path]:
    """Find a shared vector or recording, e.g. `vectors("vectors/rfc8032/rfc8032_7_1.json")`.

    They are read in place below METERSEAL_VECTORS (default: ../shared) and never copied here.
    """
    base = Path(os.environ.get("METERSEAL_VECTORS") or REPOSITORY.parent / "shared")

    def find(relative: str) -> Path:
        path = base / relative
        if not path.exists():
            reason = (
                f"{path} is absent. Set METERSEAL_VECTORS to a folder that holds it; "
                "tests/VECTORS.md names the public original of each set."
            )
            if os.environ.get("METERSEAL_REQUIRE_VECTORS") == "1":
                pytest.fail(reason)
            pytest.skip(reason)
        return path

    return find
