"""What the demonstration reports: counted at the end, from the stores and the ledger."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


TOTALS = "totals.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class TamperCase:
    """One staged case: what was done, and whom the verifier named."""

    case: str
    what: str
    record: str
    verdict: str
    culprit: str
    status: int
    evidence: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Totals:
    """What both stores hold: kept between runs, so that a run reports its own share.

    Attributes:
        readings_signed: Readings in the device's store.
        readings_stored: Readings of the device in the aggregator's store.
        intervals_logged: Interval records that the device knows to be in the log.
        intervals_anchored: Interval records that the device knows to be anchored.
    """

    readings_signed: int = 0
    readings_stored: int = 0
    intervals_signed: int = 0
    intervals_logged: int = 0
    intervals_anchored: int = 0

    @classmethod
    def read(cls, path: Path) -> Totals:
        """What the last run that ended by itself left; nothing before the first."""
        return cls(**json.loads(path.read_text())) if path.exists() else cls()

    def write(self, path: Path) -> None:
        """Keep the totals for the next run."""
        path.write_text(json.dumps(asdict(self)) + "\n")


@dataclass(slots=True, kw_only=True)
class Report:
    """The report file of `--report`: counts of this run, since the last one that ended.

    Attributes:
        total: What both stores hold, former runs included.
        refused: Whatever a part refused, in its own words.
        interrupted: Somebody ended it by Ctrl-C, before its time.
    """

    device: str = ""
    readings_signed: int = 0
    readings_stored: int = 0
    intervals_signed: int = 0
    intervals_logged: int = 0
    intervals_anchored: int = 0
    ledger: str = ""
    chain_id: int = 0
    height: int = 0
    contract: str = ""
    verdict: str = ""
    evidence: str = ""
    trust: str = ""
    page: str = ""
    seconds: float = 0.0
    interrupted: bool = False
    refused: list[str] = field(default_factory=list)
    tamper: list[TamperCase] = field(default_factory=list)
    total: Totals = field(default_factory=Totals)

    def count(self, total: Totals, before: Totals) -> None:
        """Fill in the counts of this run."""
        self.total = total
        for name, value in asdict(total).items():
            setattr(self, name, value - getattr(before, name))

    def write(self, path: Path) -> None:
        """Write the report as JSON."""
        path.write_text(json.dumps(asdict(self), indent=2) + "\n")
