"""Evidence of what this device found against its log, put together from a kept alarm.

Into the file goes what convicts and nothing else: a checker refuses a note with a line by a key
that it cannot name, so witnesses, who have no part in an accusation, are left out. (ADR 0039)
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from meterseal.errors import ProtocolError
from meterseal.evidence import AnchorMismatchEvidence, RollbackEvidence, SplitViewEvidence
from meterseal.note import open_note, write_note
from meterseal_agent.export.proof import NotProvable
from meterseal_agent.store import alarms

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Iterable

    from meterseal.checkpoint import LogPolicy
    from meterseal.note import Signed, Verifier
    from meterseal_agent.store.alarms import Alarm

    Accusation = SplitViewEvidence | RollbackEvidence | AnchorMismatchEvidence


def find_alarm(connection: sqlite3.Connection, number: int) -> Alarm:
    """The alarm of this number.

    Raises:
        NotProvable: There is none.
    """
    kept = alarms.stored(connection)
    for one in kept:
        if one.number == number:
            return one
    known = ", ".join(str(one.number) for one in kept) or "none"
    raise NotProvable(f"alarm {number}: not in this store; there are: {known}")


def accusation(alarm: Alarm, policy: LogPolicy) -> Accusation:
    """The evidence that an alarm stands on.

    Args:
        alarm: As it was kept.
        policy: The pins of the log, by which a note's lines are told apart.

    Raises:
        NotProvable: The notes do not stand under these pins.
    """
    try:
        evidence = _by_verdict(alarm, policy)
    except ProtocolError as error:
        raise NotProvable(f"alarm {alarm.number}: {error}; are the old pins in place?") from error
    if evidence is None:
        raise NotProvable(
            f"alarm {alarm.number}: {alarm.verdict} cannot be shown without the key `operator` "
            "under [aggregator]"
        )
    return evidence


def _by_verdict(alarm: Alarm, policy: LogPolicy) -> Accusation | None:
    log, operator = policy.log, policy.operator
    if alarm.verdict == alarms.SPLIT_VIEW:
        return SplitViewEvidence(
            checkpoint=_only(alarm.ours, (log,)), rival=_only(alarm.theirs, (log,))
        )
    if alarm.verdict == alarms.MISMATCH:
        return AnchorMismatchEvidence(checkpoint=_only(alarm.ours, (log,)), ledger=alarm.theirs)
    if operator is None:
        return None
    return RollbackEvidence(
        checkpoint=_only(alarm.ours, (log, operator), min),
        rival=_only(alarm.theirs, (log, operator), max),
    )


def _only(
    note: bytes,
    signers: Iterable[Verifier],
    pick: Callable[[Iterable[int]], int] = max,
) -> bytes:
    """A note with one line of each of these keys: of several, that of the picked time."""
    opened = open_note(note, signers)
    lines: dict[Verifier, list[Signed]] = {}
    for each in opened.signed:
        lines.setdefault(each.by, []).append(each)
    chosen = []
    for several in lines.values():
        time_s = pick(each.time_s or 0 for each in several)
        chosen.append(next(each.line for each in several if (each.time_s or 0) == time_s))
    return write_note(opened.text, chosen)
