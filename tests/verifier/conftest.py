"""One honest world for all tests of the checker."""

from __future__ import annotations

import pytest

from support.world import World


@pytest.fixture(scope="session")
def world() -> World:
    return World.build()


@pytest.fixture(scope="session")
def foreign() -> World:
    """Another world: it shares no key with ours."""
    return World.build("foreign")
