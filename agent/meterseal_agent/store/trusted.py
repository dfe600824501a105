"""The newest checkpoint that this device accepted: what every later one is held against.

- It only grows, and a policy that asks for more than yesterday's is no reason to forget it: the
  quorum is asked for where a checkpoint comes in, never again where it is read back.
- A device follows one log for life. What another log signed is no yardstick for this one, so a
  device that is pointed at another log stops talking, and goes on signing.
- Cosignatures are only ever added to a note: a broker that cuts a line takes nothing from what
  is kept, and one that adds a line by a stranger brings nothing into an evidence file.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from meterseal.errors import ProtocolError
from meterseal.note import open_note, parse_note, write_note
from meterseal.receipt import Trusted
from meterseal.records import CheckpointPointer
from meterseal.types import Hash
from meterseal_agent.store.errors import OtherLog

if TYPE_CHECKING:
    import sqlite3

    from meterseal.checkpoint import LogPolicy


def load_trusted(connection: sqlite3.Connection, policy: LogPolicy) -> Trusted:
    """Read the held checkpoint back, by today's keys and without asking for today's quorum.

    Raises:
        OtherLog: It is not this log's: the device was pointed at another, or the card changed.
    """
    row = connection.execute("SELECT note FROM trusted").fetchone()
    try:
        held = Trusted.restore(None if row is None else row[0], policy)
    except ProtocolError as error:
        raise OtherLog(_other(f"({error})")) from error
    if held.checkpoint is not None and held.checkpoint.checkpoint.origin != policy.origin:
        raise OtherLog(_other(f"of {held.checkpoint.checkpoint.origin!r}"))
    return held


def pointer(connection: sqlite3.Connection) -> CheckpointPointer | None:
    """Size and root of the held checkpoint."""
    row = connection.execute("SELECT size, root FROM trusted").fetchone()
    return None if row is None else CheckpointPointer(size=row[0], root=Hash(row[1]))


def size(connection: sqlite3.Connection) -> int:
    """Size of the held checkpoint, 0 before the first."""
    at = pointer(connection)
    return 0 if at is None else at.size


def merged(note: bytes, kept: bytes | None, policy: LogPolicy) -> bytes:
    """One note with the signatures of both: what is in the store, and what a receipt adds to it.

    Args:
        note: What came, accepted under the policy.
        kept: The note of the same tree that the store holds, or None.
        policy: Whose lines may come in; a checker refuses a note with a line that it cannot name.
    """
    opened = open_note(note, (policy.log, *policy.cosigners))
    lines = {(each.line.name, each.line.key_id): each.line for each in opened.signed}
    if kept is not None:
        text, present = parse_note(kept)
        if text != opened.text:  # the receipt was held against our tree: this log has no two
            return kept
        lines |= {(each.name, each.key_id): each for each in present}
    return write_note(opened.text, lines.values())


def _other(what: str) -> str:
    return (
        f"the store holds a checkpoint that is not of the log in [aggregator] {what}: a device "
        "follows one log for life; put the old pins back, or begin with a new data_dir"
    )
