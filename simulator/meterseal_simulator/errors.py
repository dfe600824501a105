"""What can go wrong when a simulator is set up, in words for who started it."""

from __future__ import annotations


class SimulatorError(Exception):
    """The simulator cannot do what was asked: names the thing, what was found, and the remedy."""
