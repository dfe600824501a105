"""Every profile, read once for all tests of the scan."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from meterseal_agent.profiles.catalogue import load_all

if TYPE_CHECKING:
    from meterseal_agent.profiles import Profile


@pytest.fixture(scope="session")
def profiles() -> tuple[Profile, ...]:
    return load_all()
