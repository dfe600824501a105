"""In which order speeds, parities and addresses are tried.

- Quick: the usual ones, 9600 8N1 first, and the addresses at which meters are left: 1 to 10.
- Full: what the profiles know to be factory settings, the commonest first, then every other speed
  and parity; every address.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING, Final, cast

from meterseal_agent.bus.settings import SerialLine

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from meterseal_agent.bus.settings import Line, Parity
    from meterseal_agent.profiles import Profile

BAUDS: Final = (9600, 19200, 2400, 38400, 4800, 115200, 57600, 1200)
PARITIES: Final[tuple[Parity, ...]] = ("N", "E", "O")
QUICK_UNITS: Final = tuple(range(1, 11))
ALL_UNITS: Final = tuple(range(1, 248))
_QUICK: Final[tuple[tuple[int, Parity], ...]] = (
    (9600, "N"),
    (9600, "E"),
    (19200, "N"),
    (19200, "E"),
    (2400, "N"),
)
# Longest wait for the first byte of an answer. Meters take 10 to 150 ms (the profiles' own limits
# are far above what they need); who is slower is heard while the next is asked, and asked again.
SERIAL_TIMEOUT_S: Final = 0.2
# A gateway waits for its own serial side first.
TCP_TIMEOUT_S: Final = 0.5
_QUIET: Final = 1.5


def lines(
    port: str,
    profiles: Iterable[Profile],
    *,
    quick: bool,
    bauds: Sequence[int] = (),
    parities: Sequence[Parity] = (),
) -> tuple[Line, ...]:
    """List the settings to try at a port, in order.

    Args:
        port: Its name.
        profiles: Whose factory settings are tried first.
        quick: Only the usual ones.
        bauds: Only these; with `quick`, each with parities N and E.
        parities: Only these.
    """
    if quick and not bauds and not parities:
        pairs = list(_QUICK)
    elif quick:
        pairs = [(b, p) for b in bauds or (9600, 19200, 2400) for p in parities or ("N", "E")]
    else:
        wanted = [(b, p) for b in bauds or BAUDS for p in parities or PARITIES]
        known = [pair for pair in _factory_settings(profiles) if pair in wanted]
        pairs = list(dict.fromkeys([*known, *wanted]))
    return tuple(
        patient(SerialLine(port=port, baud=baud, parity=parity), SERIAL_TIMEOUT_S)
        for baud, parity in pairs
    )


def units(profiles: Iterable[Profile], *, quick: bool, only: Sequence[int] = ()) -> tuple[int, ...]:
    """List the addresses to ask: those of `only`, or factory addresses first."""
    if only:
        return tuple(dict.fromkeys(only))
    if quick:
        return QUICK_UNITS
    known = Counter(p.factory.address for p in profiles if p.factory.address is not None)
    usual = [address for address, _ in known.most_common() if address in ALL_UNITS]
    return tuple(dict.fromkeys([*QUICK_UNITS, *usual, *ALL_UNITS]))


def patient(line: Line, timeout_s: float) -> Line:
    """Give a line another timeout, and the silence after a doubt that goes with it."""
    return replace(line, timeout_s=timeout_s, quiet_s=_QUIET * timeout_s)


def _factory_settings(profiles: Iterable[Profile]) -> list[tuple[int, Parity]]:
    known = Counter(
        (one.factory.baud, one.factory.parity or "N")
        for one in profiles
        if one.factory.baud is not None
    )
    # The profiles' reader lets only "N", "E" and "O" through.
    return [(baud, cast("Parity", parity)) for (baud, parity), _ in known.most_common()]
