"""What every test of the agent leaves behind is put away."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from support.device import turn_all_off

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(autouse=True)
def benches_are_turned_off() -> Iterator[None]:
    yield
    turn_all_off()
