"""What a press of the button means, by its length.

Between two meanings lies a stretch that means nothing, so that nobody switches off by counting a
second too long.
"""

from __future__ import annotations

from enum import StrEnum


class Press(StrEnum):
    """What somebody wants."""

    CLAIM = "claim"
    SCAN = "scan"
    SHUTDOWN = "shutdown"


_CLAIM_MAX_S = 2.0
_SCAN_S = (3.0, 7.0)
_SHUTDOWN_S = (10.0, 30.0)  # held for longer, it is stuck or leant on


def meaning(held_s: float) -> Press | None:
    """Tell what a press of this length means; None for nothing."""
    if held_s <= _CLAIM_MAX_S:
        return Press.CLAIM
    if _SCAN_S[0] <= held_s <= _SCAN_S[1]:
        return Press.SCAN
    if _SHUTDOWN_S[0] <= held_s <= _SHUTDOWN_S[1]:
        return Press.SHUTDOWN
    return None
