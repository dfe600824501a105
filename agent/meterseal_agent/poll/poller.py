"""The round over all buses: one owner task a bus, buses in parallel, one snapshot out."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from meterseal.records import MeterIdentity

    from meterseal_agent.clock import TimeSource
    from meterseal_agent.config import Config
    from meterseal_agent.poll.snapshot import MeterHealth, Snapshot


class Poller:
    """Reads every configured meter; `run` must be running while `snapshot` is awaited."""

    @classmethod
    def from_config(cls, config: Config, time: TimeSource) -> Poller:
        """Build the poller; nothing is opened yet.

        Raises:
            ConfigError: A profile is unknown, or a meter asks for what its profile lacks.
        """
        raise NotImplementedError

    async def run(self) -> None:
        """Own the buses until cancelled: one task each, which alone touches its port."""
        raise NotImplementedError

    async def snapshot(self, deadline_s: float, *, boundary: bool = False) -> Snapshot:
        """Read all meters once.

        Args:
            deadline_s: Seconds from now after which meters not yet read count as timed out.
            boundary: The round closes an interval: every meter's identity is checked in it.
        """
        raise NotImplementedError

    def identities(self) -> tuple[MeterIdentity, ...]:
        """The meters as known now, in order; changes only while `snapshot` runs."""
        raise NotImplementedError

    def health(self) -> tuple[MeterHealth, ...]:
        """The state of each meter since when, in order."""
        raise NotImplementedError
