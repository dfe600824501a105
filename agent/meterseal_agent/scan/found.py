"""What a scan finds, as frozen values."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING

from meterseal_agent.bus.settings import SerialLine

if TYPE_CHECKING:
    from collections.abc import Mapping

    from meterseal_agent.bus.settings import Line


class Verdict(Enum):
    """How sure the scan is of a meter's model."""

    EXACT = "exact"
    CHOICE = "choice"
    UNKNOWN = "unknown"


class Proof(Enum):
    """Why a model is thought of."""

    IDENTITY = "identity"
    SERIAL = "serial number alone"
    VALUES = "values alone"


@dataclass(frozen=True, kw_only=True, slots=True)
class Candidate:
    """A model that a meter may be.

    Attributes:
        make: As the device says, else as the profile is called.
        flaw: Why its plan could not be read; empty where it was read once and came out whole.
    """

    profile: str
    make: str
    model: str
    direction: str
    proof: Proof
    serial: str = ""
    firmware: str = ""
    values: Mapping[str, int] = field(default_factory=dict)
    flaw: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Found:
    """One address that answers.

    Attributes:
        line: The settings under which it answers, with the timeout that it needs.
        candidates: What it may be, the likeliest first.
        tried: What it was asked about itself.
        also_at: Further addresses at which the same device answers (Modbus TCP without units).
    """

    line: Line
    address: int
    latency_s: float
    candidates: tuple[Candidate, ...] = ()
    tried: tuple[str, ...] = ()
    also_at: tuple[int, ...] = ()

    @property
    def verdict(self) -> Verdict:
        """Exact only where its identity names one model and that model's plan was read."""
        if not self.candidates:
            return Verdict.UNKNOWN
        first = self.candidates[0]
        sure = len(self.candidates) == 1 and first.proof is Proof.IDENTITY and not first.flaw
        return Verdict.EXACT if sure else Verdict.CHOICE


@dataclass(kw_only=True, slots=True)
class Tally:
    """How the requests of one kind ended.

    Attributes:
        broken: Bytes came that are no frame.
    """

    whole: int = 0
    broken: int = 0

    @property
    def rate(self) -> float:
        """Part of the replies that broke."""
        replies = self.whole + self.broken
        return self.broken / replies if replies else 0.0


@dataclass(kw_only=True, slots=True)
class LineReport:
    """What was heard under one setting. Filled by the scan of that line.

    Attributes:
        asked: Addresses.
        answers: Addresses that answered whole.
        broken: Addresses at which bytes came and never a whole reply alone.
        doubled: Addresses that answered one request twice.
        tallies: By the number of registers asked.
        units: The same by address.
        strangers: What another master was heard to do.
        fault: Why the port or connection could not be used.
        finished: The sweep came to its end.
    """

    line: Line
    asked: int = 0
    answers: list[int] = field(default_factory=list)
    broken: list[int] = field(default_factory=list)
    doubled: list[int] = field(default_factory=list)
    tallies: dict[int, Tally] = field(default_factory=dict)
    units: dict[int, Tally] = field(default_factory=dict)
    noise_bytes: int = 0
    strangers: list[str] = field(default_factory=list)
    found: list[Found] = field(default_factory=list)
    notices: list[str] = field(default_factory=list)
    echo: bool = False
    fault: str = ""
    finished: bool = False

    @property
    def silent(self) -> int:
        """Addresses at which nothing was heard."""
        return self.asked - len(self.answers) - len(self.broken)


def setting(line: Line) -> str:
    """Name a line's settings as people do: `9600 8N1`."""
    if isinstance(line, SerialLine):
        return f"{line.baud} 8{line.parity}{line.stop_bits}"
    return "Modbus RTU over TCP" if line.rtu else "Modbus TCP"
