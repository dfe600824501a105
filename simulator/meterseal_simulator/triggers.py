"""Which requests a fault meets: by slave, by number, by chance.

Chance is drawn from the trigger's seed and the request's ordinal alone, so that a run can be
repeated and a case cut out of it.
"""

from __future__ import annotations

import random
import threading
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from meterseal_simulator.modbus import Request
    from meterseal_simulator.reply import Reply


class Fault(Protocol):
    """One way in which a reply goes wrong."""

    def change(self, reply: Reply) -> Reply | None:
        """Return the reply as it really goes out; None is silence."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class Trigger:
    """Which requests a fault meets.

    Attributes:
        unit: Only requests to this slave; None for any.
        function: Only this function; None for any.
        address: Only reads that start here; None for any.
        after: How many matching requests pass unharmed first.
        times: How many of those that follow may be hit; None for all.
        every: Of these only each so-manieth, beginning with the first.
        probability: Of these again only so many, from 0 to 1.
        seed: What chance is drawn from.
    """

    unit: int | None = None
    function: int | None = None
    address: int | None = None
    after: int = 0
    times: int | None = 1
    every: int = 1
    probability: float = 1.0
    seed: int = 0

    def matches(self, request: Request) -> bool:
        """Tell whether the request is one that this trigger counts."""
        return (
            self.unit in (None, request.unit)
            and self.function in (None, request.function)
            and self.address in (None, int.from_bytes(request.pdu[1:3]))
        )

    def hits(self, ordinal: int) -> bool:
        """Tell whether the matching request of this ordinal, from 0, is hit."""
        beyond = ordinal - self.after
        if beyond < 0 or (self.times is not None and beyond >= self.times * max(1, self.every)):
            return False
        if beyond % max(1, self.every):
            return False
        return self.probability >= 1 or self._draw(ordinal) < self.probability

    def _draw(self, ordinal: int) -> float:
        return random.Random(f"{self.seed}:{ordinal}").random()  # noqa: S311 - not a secret


@dataclass(kw_only=True, slots=True)
class Armed:
    """A fault in place, and what it has done so far."""

    number: int
    fault: Fault
    trigger: Trigger
    matched: int = 0
    hit: int = 0


class Faults:
    """The faults in place; safe to change while lines are answering."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._armed: list[Armed] = []  # guarded by _lock
        self._number = 0  # guarded by _lock

    def arm(self, fault: Fault, trigger: Trigger | None = None) -> int:
        """Put a fault in place and return its number; by default it hits the next request."""
        with self._lock:
            self._number += 1
            armed = Armed(number=self._number, fault=fault, trigger=trigger or Trigger())
            self._armed.append(armed)
            return armed.number

    def disarm(self, number: int) -> bool:
        """Take one fault away; tell whether it was there."""
        with self._lock:
            before = len(self._armed)
            self._armed = [armed for armed in self._armed if armed.number != number]
            return len(self._armed) < before

    def clear(self) -> None:
        """Take all faults away."""
        with self._lock:
            self._armed.clear()

    def armed(self) -> list[Armed]:
        """Return a copy of what is in place, with its counts."""
        with self._lock:
            return [replace(one) for one in self._armed]

    def apply(self, request: Request, reply: Reply) -> Reply | None:
        """Let a reply pass through every fault whose trigger it meets, in order of arming."""
        changed: Reply | None = reply
        with self._lock:
            for armed in self._armed:
                if not armed.trigger.matches(request):
                    continue
                ordinal, armed.matched = armed.matched, armed.matched + 1
                if armed.trigger.hits(ordinal) and changed is not None:
                    armed.hit += 1
                    changed = armed.fault.change(changed)
        return changed
