"""Reading every meter at once: snapshots that are whole, or say what is missing."""

from meterseal_agent.poll.poller import Poller
from meterseal_agent.poll.snapshot import MeterHealth, MeterSample, Snapshot

__all__ = ["MeterHealth", "MeterSample", "Poller", "Snapshot"]
