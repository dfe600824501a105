"""What goes wrong, how often and when: drawn from a seed, one draw a request.

Calm and storm alternate: a guard that is always in doubt believes nothing and errs never, so the
dangerous faults are those that come after a long calm. Delays follow the guard's own patience: of
those of late replies two fifths lie between half the timeout and the timeout, where a reply still
finds its own request waiting, and most others between the end of the silence and twice that, where
it finds a later one.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from meterseal_simulator.faults import (
    BadChecksum,
    Dead,
    Echo,
    ForeignUnit,
    Late,
    Long,
    NoiseAfter,
    NoiseBefore,
    NoiseInside,
    Rebooting,
    Refusal,
    Reply,
    SecondMaster,
    Short,
    Slow,
    Truncated,
    Unplug,
    WrongFunction,
    overheard,
)
from meterseal_simulator.modbus import crc16

if TYPE_CHECKING:
    from collections.abc import Callable

    from faultline.witness import Tally, WatchedBus
    from meterseal_simulator.faults import Fault
    from meterseal_simulator.modbus import Request

# Of a hundred faults. The issue asks for a fifth late and a twentieth from another master.
_WEIGHTS = {
    "late": 56,
    "second master": 11,
    "slow": 2,
    "short": 2,
    "long": 2,
    "truncated": 2,
    "wrong function": 2,
    "wrong unit": 2,
    "checksum": 2,
    "noise before": 3,
    "noise inside": 3,
    "noise after": 3,
    "echo": 2,
    "exception": 3,
    "dead": 3,
    "rebooting": 2,
    "unplugged": 1,
}
# Share of requests that meet a fault, and for how many requests such weather lasts.
_CLIMATE = ((0.03, 80), (0.3, 60), (0.6, 40))
_EXCEPTIONS = (1, 2, 3, 4, 5, 6, 8, 10, 11)
_VALID_WRONG = frozenset({"short", "long", "wrong function", "wrong unit", "exception"})
_SAME_TARGET = 0.7
# The guard's silence after a doubt, in timeouts.
_QUIET = 1.5


@dataclass(kw_only=True, slots=True)
class _Owed:
    """A reply that is on its way late."""

    request: Request
    due_s: float


class Weather:
    """A fault that is a different one each time.

    Args:
        units: Who sits on the line.
        quiet_s: How long the master is silent after a doubt, as of now.
        now: Seconds of the line's clock.
        plugs: Whether the adapter can be pulled out.
    """

    def __init__(  # noqa: PLR0913 - what a fault depends on
        self,
        seed: str,
        bus: WatchedBus,
        tally: Tally,
        *,
        quiet_s: Callable[[], float],
        now: Callable[[], float],
        limit: int,
    ) -> None:
        self._dice = random.Random(seed)  # noqa: S311 - not a secret
        self._bus = bus
        self._tally = tally
        self._quiet_s = quiet_s
        self._now = now
        self._limit = limit
        self._chance, self._lasts = _CLIMATE[0]
        self._owed: dict[int, _Owed] = {}
        self.hit: dict[int, list[str]] = {}  # this round: kinds by unit

    def begin_round(self) -> None:
        """Forget what went wrong before."""
        self.hit.clear()

    def end_round(self, unit: int, *, good: bool) -> None:
        """Count for each fault of a unit whether its sample was dropped."""
        for kind in self.hit.get(unit, ()):
            if not good:
                self._tally.dropped[kind] = self._tally.dropped.get(kind, 0) + 1

    def change(self, reply: Reply) -> Reply | None:
        """Let the weather at a reply."""
        request = reply.request
        assert request is not None  # noqa: S101 - the bus always names it
        self._tally.requests += 1
        self._meet(request)
        self._turn()
        if self._tally.faults >= self._limit or self._dice.random() >= self._chance:
            return reply
        kind = self._dice.choices(list(_WEIGHTS), list(_WEIGHTS.values()))[0]
        fault = self._fault(kind, request)
        changed = fault.change(reply)
        self._count(kind, request, changed)
        return changed

    def _meet(self, request: Request) -> None:
        """Count a late reply that will find a later request of its own form waiting."""
        owed = self._owed.get(request.unit)
        if owed is None or owed.due_s > self._now() + self._patience_s():
            return
        del self._owed[request.unit]
        same = owed.request.pdu[0] == request.pdu[0] and owed.request.pdu[3:] == request.pdu[3:]
        if owed.due_s > self._now() and same:
            self._tally.late_fits += 1
            self._tally.late_fits_later += 1

    def _turn(self) -> None:
        self._lasts -= 1
        if self._lasts <= 0:
            self._chance, lasts = self._dice.choice(_CLIMATE)
            self._lasts = self._dice.randint(1, 2 * lasts)

    def _count(self, kind: str, request: Request, changed: Reply | None) -> None:
        tally = self._tally
        tally.injected[kind] = tally.injected.get(kind, 0) + 1
        self.hit.setdefault(request.unit, []).append(kind)
        if changed is None:
            return
        if kind == "late":
            due_s = self._now() + changed.delay_s
            if changed.delay_s < self._patience_s():
                tally.late_fits += 1
            else:
                self._owed[request.unit] = _Owed(request=request, due_s=due_s)
        tally.valid_wrong_frames += kind in _VALID_WRONG or kind in ("late", "second master")
        if kind == "noise inside" and crc16(changed.on_serial_line()) == 0:
            tally.chance_frames += 1

    def _fault(self, kind: str, request: Request) -> Fault:  # noqa: C901, PLR0911, PLR0912 - a table
        dice, seed = self._dice, self._dice.getrandbits(32)
        match kind:
            case "late":
                return Late(delay_s=self._late_s())
            case "second master":
                return self._second_master(request)
            case "slow":
                return Slow(delay_s=0.05 * self._quiet_s(), spread_s=self._quiet_s() / 2, seed=seed)
            case "short":
                return Short(registers=dice.randint(1, 3))
            case "long":
                return Long(registers=dice.randint(1, 3))
            case "truncated":
                return Truncated(missing=dice.randint(1, 8))
            case "wrong function":
                others = [number for number in (1, 3, 4, 16) if number != request.function]
                return WrongFunction(function=dice.choice(others))
            case "wrong unit":
                return ForeignUnit(unit=dice.choice([n for n in range(1, 12) if n != request.unit]))
            case "checksum":
                return BadChecksum(flip=dice.randint(1, 0xFFFF))
            case "noise before":
                return NoiseBefore(length=dice.randint(1, 12), seed=seed)
            case "noise inside":
                return NoiseInside(length=dice.choice((1, 1, 2, 2, 4)), seed=seed)
            case "noise after":
                pause_s = dice.choice((0.0, 0.002, 0.02, self._quiet_s() * dice.random()))
                return NoiseAfter(length=dice.randint(1, 12), pause_s=pause_s, seed=seed)
            case "echo":
                return Echo()
            case "exception":
                return _LateRefusal(
                    code=dice.choice(_EXCEPTIONS),
                    delay_s=self._late_s() if dice.random() < 0.5 else 0.0,  # noqa: PLR2004
                )
            case "dead":
                return Dead()
            case "rebooting":
                return Rebooting(deaf_s=self._quiet_s() * 2 * dice.random())
            case _:
                return Unplug(absent_s=self._quiet_s() * 2 * dice.random())

    def _patience_s(self) -> float:
        """Return how long the master waits for a reply."""
        return self._quiet_s() / _QUIET

    def _late_s(self) -> float:
        """Draw a delay from half the timeout to twice the silence."""
        quiet_s = self._quiet_s()
        timeout_s = self._patience_s()
        share = self._dice.random()
        if share < 0.42:  # noqa: PLR2004
            return self._dice.uniform(0.5 * timeout_s, timeout_s)
        if share < 0.5:  # noqa: PLR2004
            return self._dice.uniform(timeout_s, timeout_s + quiet_s)
        return self._dice.uniform(timeout_s + quiet_s, 2 * quiet_s)

    def _second_master(self, request: Request) -> SecondMaster:
        dice = self._dice
        function, count = request.pdu[0], int.from_bytes(request.pdu[3:5])
        unit = request.unit
        address = 2 * dice.randrange(0x40)
        if dice.random() > _SAME_TARGET:
            unit = dice.choice([*self._bus.slaves, 99])
            count = 2 * dice.randint(1, 8)
        after_s = dice.choice((0.03, 0.3, 1.3 * self._quiet_s())) * dice.random()
        return SecondMaster(
            ask=lambda: overheard(
                self._bus.tell,
                unit=unit,
                function=function,
                address=address,
                count=count,
                after_s=after_s,
            )
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class _LateRefusal:
    """The slave refuses, and may be late with it."""

    code: int
    delay_s: float

    def change(self, reply: Reply) -> Reply:
        refused = Refusal(code=self.code).change(reply)
        return replace(refused, delay_s=self.delay_s)
