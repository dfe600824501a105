"""What goes wrong on a line, as changes to one reply.

A reply passes through every armed fault that matches its request (`triggers.py`). A fault is a
frozen value with one method, `change`: reply in, changed reply out, or None for silence. It knows
neither serial lines nor sockets: those turn the changed reply into bytes and times. To add a
fault, write such a class and enter it in `KINDS`.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from meterseal_simulator.counters import Counter, CounterReset, Rollover
from meterseal_simulator.modbus import EXCEPTION_BIT, ExceptionCode, Request, refusal, rtu_frame
from meterseal_simulator.reply import Overheard, Reply
from meterseal_simulator.triggers import Armed, Fault, Faults, Trigger

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = [
    "KINDS",
    "Armed",
    "BadChecksum",
    "Counter",
    "CounterReset",
    "Dead",
    "Echo",
    "Fault",
    "Faults",
    "ForeignUnit",
    "Late",
    "Long",
    "NoiseAfter",
    "NoiseBefore",
    "NoiseInside",
    "Rebooting",
    "Refusal",
    "Reply",
    "Rollover",
    "SecondMaster",
    "Short",
    "Slow",
    "Trigger",
    "Truncated",
    "Unplug",
    "WrongFunction",
    "overheard",
]


@dataclass(frozen=True, kw_only=True, slots=True)
class Late:
    """The reply is whole and right, and starts late: it may answer the next request."""

    delay_s: float

    def change(self, reply: Reply) -> Reply:
        """Add to the delay."""
        return replace(reply, delay_s=reply.delay_s + self.delay_s)


@dataclass(frozen=True, kw_only=True, slots=True)
class Slow:
    """The slave thinks longer than others do, each time anew by chance."""

    delay_s: float
    spread_s: float = 0.0
    seed: int = 0

    def change(self, reply: Reply) -> Reply:
        """Add to the delay."""
        chance = _dice(self.seed, reply).random()
        return replace(reply, delay_s=reply.delay_s + self.delay_s + self.spread_s * chance)


@dataclass(frozen=True, kw_only=True, slots=True)
class Short:
    """The reply has fewer registers than asked for, with a byte count and checksum that fit."""

    registers: int = 1

    def change(self, reply: Reply) -> Reply:
        """Drop the last registers; an exception has none to drop."""
        if reply.pdu[0] & EXCEPTION_BIT:
            return reply
        data = reply.pdu[2:][: max(0, len(reply.pdu) - 2 - 2 * self.registers)]
        return replace(reply, pdu=bytes([reply.pdu[0], len(data)]) + data)


@dataclass(frozen=True, kw_only=True, slots=True)
class Long:
    """The reply has more registers than asked for, with a byte count and checksum that fit."""

    registers: int = 1

    def change(self, reply: Reply) -> Reply:
        """Repeat the last register, as far as a byte count goes; an exception has none."""
        if reply.pdu[0] & EXCEPTION_BIT:
            return reply
        room = (0xFF - len(reply.pdu[2:])) // 2
        data = reply.pdu[2:] + reply.pdu[-2:] * min(self.registers, room)
        return replace(reply, pdu=bytes([reply.pdu[0], len(data)]) + data)


@dataclass(frozen=True, kw_only=True, slots=True)
class Truncated:
    """The last bytes of the frame never arrive."""

    missing: int = 1

    def change(self, reply: Reply) -> Reply:
        """Cut the frame."""
        return replace(reply, cut=self.missing)


@dataclass(frozen=True, kw_only=True, slots=True)
class WrongFunction:
    """The reply claims to answer another function; its checksum is right."""

    function: int = 3

    def change(self, reply: Reply) -> Reply:
        """Replace the function code."""
        return replace(reply, pdu=bytes([self.function]) + reply.pdu[1:])


@dataclass(frozen=True, kw_only=True, slots=True)
class ForeignUnit:
    """The reply claims to come from another slave; its checksum is right."""

    unit: int

    def change(self, reply: Reply) -> Reply:
        """Replace the unit."""
        return replace(reply, unit=self.unit)


@dataclass(frozen=True, kw_only=True, slots=True)
class BadChecksum:
    """The checksum does not fit."""

    flip: int = 0x0001

    def change(self, reply: Reply) -> Reply:
        """Flip bits of the checksum."""
        return replace(reply, crc_flip=self.flip)


@dataclass(frozen=True, kw_only=True, slots=True)
class NoiseBefore:
    """Bytes that nobody sent run into the beginning of the frame."""

    length: int = 1
    seed: int = 0

    def change(self, reply: Reply) -> Reply:
        """Put noise before the frame."""
        return replace(reply, before=_dice(self.seed, reply).randbytes(self.length))


@dataclass(frozen=True, kw_only=True, slots=True)
class NoiseInside:
    """A burst of wrong bits in the middle of the frame; its length stays.

    CRC-16 finds every burst of up to two bytes, and one of 65,536 longer ones passes.
    """

    length: int = 1
    seed: int = 0

    def change(self, reply: Reply) -> Reply:
        """Flip at least one bit of each of some neighbouring bytes."""
        dice = _dice(self.seed, reply)
        first = dice.randrange(len(reply.pdu) + 3)
        flips = tuple((first + i, dice.randrange(1, 0x100)) for i in range(self.length))
        return replace(reply, flips=flips)


@dataclass(frozen=True, kw_only=True, slots=True)
class NoiseAfter:
    """Bytes that nobody sent follow the frame, at once or after a pause."""

    length: int = 1
    pause_s: float = 0.0
    seed: int = 0

    def change(self, reply: Reply) -> Reply:
        """Put noise behind the frame."""
        noise = _dice(self.seed, reply).randbytes(self.length)
        return replace(reply, after=noise, after_s=self.pause_s)


@dataclass(frozen=True, kw_only=True, slots=True)
class Echo:
    """The adapter hears what the master sends and hands it back before the reply."""

    def change(self, reply: Reply) -> Reply:
        """Put the request on the line at once."""
        if reply.request is None:
            return reply
        return replace(reply, early=rtu_frame(reply.request.unit, reply.request.pdu))


@dataclass(frozen=True, kw_only=True, slots=True)
class Dead:
    """The slave does not answer."""

    def change(self, reply: Reply) -> None:
        """Return silence."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Refusal:
    """The slave refuses with an exception."""

    code: int = ExceptionCode.DEVICE_FAILURE

    def change(self, reply: Reply) -> Reply:
        """Replace the reply by an exception."""
        function = reply.pdu[0] & ~EXCEPTION_BIT
        return replace(reply, pdu=refusal(function, self.code))


@dataclass(frozen=True, kw_only=True, slots=True)
class Rebooting:
    """The slave restarts: what it was asked is forgotten, and for a while it hears nothing."""

    deaf_s: float = 1.0

    def change(self, reply: Reply) -> Reply:
        """Make the slave deaf; the reply is lost with the rest."""
        return replace(reply, deaf_s=self.deaf_s)


@dataclass(frozen=True, kw_only=True, slots=True)
class Unplug:
    """The adapter is pulled out, and plugged in again later under another device name."""

    absent_s: float = 1.0

    def change(self, reply: Reply) -> Reply:
        """Take the port away; the reply is lost."""
        return replace(reply, unplug_s=self.absent_s)


@dataclass(frozen=True, kw_only=True, slots=True)
class SecondMaster:
    """Another master asks something on the same line, at a time of its own."""

    ask: Callable[[], Overheard]

    def change(self, reply: Reply) -> Reply:
        """Add its talk to what the line carries."""
        return replace(reply, overheard=(*reply.overheard, self.ask()))


def overheard(  # noqa: PLR0913 - the fields of a read
    tell: Callable[[Request], bytes | None],
    *,
    unit: int,
    function: int = 4,
    address: int = 0,
    count: int = 2,
    after_s: float = 0.0,
) -> Overheard:
    """Make a read by another master; `tell` is what a slave answers it (`Bus.tell`)."""
    pdu = bytes([function]) + address.to_bytes(2) + count.to_bytes(2)
    request = Request(unit=unit, pdu=pdu)
    return Overheard(request=request, pdu=tell(request), after_s=after_s)


KINDS: dict[str, type[Fault]] = {
    "late": Late,
    "slow": Slow,
    "short": Short,
    "long": Long,
    "truncated": Truncated,
    "wrong-function": WrongFunction,
    "foreign-unit": ForeignUnit,
    "bad-checksum": BadChecksum,
    "noise-before": NoiseBefore,
    "noise-inside": NoiseInside,
    "noise-after": NoiseAfter,
    "echo": Echo,
    "dead": Dead,
    "exception": Refusal,
    "rebooting": Rebooting,
    "unplug": Unplug,
    "counter-reset": CounterReset,
    "rollover": Rollover,
}


def _dice(seed: int, reply: Reply) -> random.Random:
    """Chance that depends on the seed and on what was asked, and on nothing else."""
    return random.Random(f"{seed}:{reply.unit}:{reply.pdu.hex()}")  # noqa: S311 - not a secret
