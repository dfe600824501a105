"""What is wrong with the wires, as far as what was heard tells; hints in plain words.

Decides on the reports of all settings of one port, and asks nobody.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

from meterseal_agent.bus.settings import SerialLine
from meterseal_agent.scan.found import Tally, setting

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from meterseal_agent.scan.found import LineReport

# Replies to so few registers are short, to so many long: 9 to 13 and 37 bytes and more.
_SHORT_MAX = 4
_LONG_MIN = 16
# Long replies suffer when so many of them broke, and so much oftener than short ones.
_BROKEN_MIN = 2
_OFTENER = 3.0
# Bytes at more than this part of the addresses are noise, not meters.
_EVERYWHERE = 0.5


def hints(reports: Sequence[LineReport]) -> tuple[str, ...]:
    """Say what should be looked after at one port.

    Args:
        reports: Of each setting that was tried there.
    """
    used = [report for report in reports if not report.fault]
    faults = dict.fromkeys(report.fault for report in reports if report.fault)
    said = [*faults, *_notices(used)]
    if used:
        said += [*_nobody(used), *_two_at_one(used), *_termination(used), *_speeds(used)]
    return tuple(dict.fromkeys(said))


def _notices(reports: Sequence[LineReport]) -> Iterator[str]:
    for report in reports:
        yield from report.notices
        if report.echo:
            yield (
                f"{report.line.label}: the adapter hears what it sends. `echo = true` is written "
                "for this bus; better, switch the adapter's receiver off while it sends."
            )
        for stranger in report.strangers:
            yield (
                f"{report.line.label} at {setting(report.line)}: another master is on this line "
                f"({stranger}). Disconnect it: two masters garble each other."
            )


def _nobody(reports: Sequence[LineReport]) -> Iterator[str]:
    """Tell a line on which no setting finds anybody."""
    if any(report.answers or report.doubled for report in reports):
        return
    label = reports[0].line.label
    tried = ", ".join(setting(report.line) for report in reports)
    if not isinstance(reports[0].line, SerialLine):
        yield (
            f"{label}: connected, but no unit answers ({tried}). Check that Modbus is enabled in "
            "the device and which unit id it has; behind a gateway, check the gateway's speed."
        )
        return
    if all(_noisy(report) for report in reports):
        yield (
            f"{label}: bytes come under every setting, and no whole frame among them ({tried}). "
            "Most often wires A and B are swapped (exchange them), or the reference wire or the "
            "bias resistors are missing."
        )
    elif not any(report.broken or report.noise_bytes for report in reports):
        yield (
            f"{label}: no byte came back under any setting ({tried}). Check that the meter has "
            "power, that A and B are connected and not swapped (exchange them and scan again), "
            "and that this is the right port. Without --quick, all speeds and addresses are tried."
        )
    elif not any(_few(report) for report in reports):
        yield (
            f"{label}: broken bytes under some settings, whole frames under none ({tried}). Try "
            "the other speeds and parities (without --quick); check wires A and B."
        )


def _noisy(report: LineReport) -> bool:
    return bool(report.asked) and len(report.broken) > _EVERYWHERE * report.asked


def _few(report: LineReport) -> bool:
    return bool(report.broken) and not _noisy(report)


def _two_at_one(reports: Sequence[LineReport]) -> Iterator[str]:
    """Tell addresses at which several meters talk into each other."""
    answering = {address for report in reports for address in report.answers}
    for report in reports:
        where = f"{report.line.label} at {setting(report.line)}"
        for address in report.doubled:
            yield (
                f"{where}: address {address} answered one question twice. Two meters have this "
                "address: give one of them another, at its display, with the other one off."
            )
        never = report.broken if _few(report) else ()
        wrong = [one for one in never if one not in (*answering, *report.doubled)]
        others = "while others answer well" if report.answers else "and nothing else answers"
        for address in wrong:
            yield (
                f"{where}: address {address} answers garbled, each time, {others}. Probably two "
                "meters have this address: switch one off and scan again, then give it another."
            )
        for address in _suspects(report):
            yield (
                f"{where}: {report.units[address].broken} replies of address {address} were "
                "garbled, while others answer well. Perhaps two meters have this address; or its "
                "connection is loose."
            )


def _suspects(report: LineReport) -> tuple[int, ...]:
    """List addresses whose replies break although those of others do not."""
    rates = {one: report.units[one].rate for one in report.answers if one in report.units}
    return tuple(
        one
        for one, rate in rates.items()
        if report.units[one].broken >= _BROKEN_MIN
        and len(rates) > 1
        and rate > _OFTENER * max(its for other, its in rates.items() if other != one)
    )


def _termination(reports: Sequence[LineReport]) -> Iterator[str]:
    """Tell a line on which the longer a reply is, the oftener it breaks."""
    rates = []
    for report in sorted(reports, key=_baud):
        if not report.answers:
            continue
        short, long = _sum(report, 1, _SHORT_MAX), _sum(report, _LONG_MIN, 0xFFFF)
        spread = not _suspects(report)
        if spread and long.broken >= _BROKEN_MIN and long.rate > _OFTENER * short.rate:
            yield (
                f"{report.line.label} at {setting(report.line)}: {long.broken} of "
                f"{long.broken + long.whole} long replies broke, {short.broken} of "
                f"{short.broken + short.whole} short ones. Probably the line is not terminated: "
                "120 ohms between A and B at each of its two ends and nowhere else; or it is too "
                "long for this speed."
            )
        rates.append((_baud(report), _sum(report, 1, 0xFFFF).rate, report))
    for (slow, few, _), (fast, many, report) in pairwise(rates):
        if fast > slow and many > max(0.05, _OFTENER * few):
            yield (
                f"{report.line.label}: {many:.0%} of the replies broke at {fast} baud, {few:.0%} "
                f"at {slow}. Set the meters to the lower speed, or check the termination."
            )


def _speeds(reports: Sequence[LineReport]) -> Iterator[str]:
    """Tell meters on one line that do not talk at the same speed."""
    used = {setting(report.line): report.found for report in reports if report.found}
    if len(used) < 2:  # noqa: PLR2004 - two are one too many
        return
    listed = "; ".join(
        f"{name}: addresses {', '.join(str(one.address) for one in found)}"
        for name, found in used.items()
    )
    yield (
        f"{reports[0].line.label}: meters on one line talk at different settings ({listed}). Only "
        "those of one setting can be read: set the others to it at their displays."
    )


def _baud(report: LineReport) -> int:
    return report.line.baud if isinstance(report.line, SerialLine) else 0


def _sum(report: LineReport, least: int, most: int) -> Tally:
    chosen = [one for count, one in report.tallies.items() if least <= count <= most]
    return Tally(whole=sum(one.whole for one in chosen), broken=sum(one.broken for one in chosen))
