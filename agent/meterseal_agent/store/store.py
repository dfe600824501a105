"""The append transaction: durable before released, one head, never two.

Order of work, and what is on disk when power fails behind each step:

1. sign: nothing; the signatures lived in memory and are gone.
2. insert and move the head: nothing; SQLite discards what was not committed.
3. commit: records and head, together. They are unsent; publishing finds them in the store.
4. marker: the same, and the proof that this store is the newest.
5. return: only now may anybody see the records.

Everything here blocks and runs in the store's one thread (`thread`), or in a command line.
"""

from __future__ import annotations

import contextlib
import sqlite3
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from meterseal.errors import ProtocolError
from meterseal.keys import SigningKey, device_id
from meterseal.records import Record, open_record, record_hash
from meterseal_agent.errors import StoreError
from meterseal_agent.sign import Draft, Signed, Stamp, sign
from meterseal_agent.store import schema
from meterseal_agent.store.errors import StoreBroken, translated
from meterseal_agent.store.load import load
from meterseal_agent.store.lock import StoreLock
from meterseal_agent.store.marker import Mark, Marker
from meterseal_agent.store.schema import NOWHERE, Connect, Place, place

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator
    from pathlib import Path

    from meterseal_agent.tip import Tip


T = TypeVar("T")


@dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """One record to be made: what it says and when."""

    draft: Draft
    stamp: Stamp


class Store:
    """The device's chain, held by the one process that may extend it.

    Attributes:
        tip: What the next record depends on; always what is committed.
    """

    def __init__(
        self,
        folder: Path,
        key: SigningKey,
        marker: Marker,
        boot_id: str,
        connect: Connect = schema.connect,
    ) -> None:
        """Take the lock, open, check the end of the chain, set aside what does not fit.

        Args:
            folder: The data directory; the store must have been made.
            key: The device's record key.
            marker: Where the proof of being newest lies.
            boot_id: The kernel's name of this boot.
            connect: Opens the database; tests put one with faults in its place.

        Raises:
            StoreError: If the store is foreign, another device's, in use, or beyond reading.
        """
        self._key = key
        self._marker = marker
        self._boot_id = boot_id
        self._path = folder / schema.STORE_NAME
        self._lock = StoreLock(folder / "store.lock")
        try:
            schema.check_header(self._path)
            with translated("opening"):
                self.connection = connect(self._path)
            self._open()
        except BaseException:
            self.close()
            raise

    def _open(self) -> None:
        with translated("reading back"):
            schema.complete(self.connection)
            self.born_with_key = self._check_device()
            loaded = load(self.connection, device_id(self._key.public), self._key.public)
        self.tip = loaded.tip
        if loaded.fault is not None:
            self._set_aside(loaded.last, loaded.fault)

    def close(self) -> None:
        """Close the database and let go of the lock."""
        connection = getattr(self, "connection", None)
        if connection is not None:
            with contextlib.suppress(sqlite3.Error):
                connection.close()
        self._lock.close()

    def append(self, plan: Callable[[Tip], Generator[Entry, Tip, T]]) -> tuple[list[Signed], T]:
        """Sign and store what a plan asks for, in one transaction.

        Args:
            plan: Called with the tip; yields what to sign next, receives the tip behind it.

        Returns:
            The records, which may be released from now on, and what the plan returned.

        Raises:
            StoreFull: Nothing was written; try again when there is room.
            StoreBusy: Nothing was written; try again.
            StoreBroken: Unknown how much was written: end the process, the marker is untouched.
            ProtocolError: A record would break the chain; nothing was written.
        """
        signed, tip, result = self._sign(plan)
        if not signed:
            return signed, result
        with self.transaction("appending"):
            self._check_head_unmoved()
            for one in signed:
                self._insert(one)
            self._move_head(tip)
        # Killed here, the records are on disk and unsent, and the marker is one commit behind:
        # the next start finds the marked record below its head, which proves the store newest.
        self.tip = tip
        self._mark()
        return signed, result

    def _sign(self, plan: Callable[[Tip], Generator[Entry, Tip, T]]) -> tuple[list[Signed], Tip, T]:
        tip, signed = self.tip, list[Signed]()
        steps = plan(tip)
        try:
            entry = next(steps)
            while True:
                one, tip = sign(tip, entry.draft, entry.stamp, self._key)
                signed.append(one)
                entry = steps.send(tip)
        except StopIteration as end:
            return signed, tip, end.value

    def proved_newest(self) -> bool:
        """Tell whether this store holds all that was ever released, without asking anybody.

        The marker was written in this boot, behind a commit and before its release, and names a
        record that we hold. A chain that lost its end proves nothing.
        """
        mark = self._marker.read()
        if self.lost_end() is not None or mark is None or mark.boot_id != self._boot_id:
            return False
        return self.holds(place(mark.epoch, mark.seq), mark.hash)

    def lost_end(self) -> str | None:
        """What was wrong with the chain's end, until a new epoch has been opened behind it.

        Its records may have been released, so their numbers must not be used again.
        """
        head = self.tip.head
        row = self.connection.execute(
            "SELECT reason FROM aside WHERE place > ? ORDER BY place DESC LIMIT 1",
            (NOWHERE if head is None else place(head.epoch, head.seq),),
        ).fetchone()
        return None if row is None else str(row[0])

    def holds(self, at: Place, hashed: bytes) -> bool:
        """Tell whether exactly this record stands at this place."""
        row = self.connection.execute("SELECT hash FROM record WHERE place = ?", (at,)).fetchone()
        return row is not None and bool(row[0] == hashed)

    def keep_recovered(self, data: bytes) -> Record:
        """Keep a record of ours that came back from the aggregator, so that the chain can name it.

        Raises:
            ProtocolError: If it is not by our key.
        """
        record = open_record(data, self._key.public)
        if record.device != self.tip.device:
            message = f"record of device {record.device.hex()}, this is {self.tip.device.hex()}"
            raise ProtocolError(message)
        with self.transaction("keeping a recovered record"):
            self.connection.execute(
                "INSERT OR IGNORE INTO recovered VALUES (?, ?)", (record_hash(data), data)
            )
        return record

    @contextlib.contextmanager
    def transaction(self, what: str) -> Iterator[None]:
        """One write transaction; whatever fails in it leaves nothing behind.

        Raises:
            StoreFull: No room.
            StoreBusy: Another process is in the way.
            StoreBroken: Anything else that SQLite says.
        """
        with translated(what):
            self.connection.execute("BEGIN IMMEDIATE")
            try:
                yield
                self.connection.execute("COMMIT")
            except BaseException:
                # Some errors have rolled back already; then this one says so, and nothing is lost.
                with contextlib.suppress(sqlite3.Error):
                    self.connection.execute("ROLLBACK")
                raise

    def _check_device(self) -> bool:
        row = self.connection.execute("SELECT device, born_with_key FROM device").fetchone()
        ours = device_id(self._key.public)
        if row is None or row[0] != ours:
            theirs = "nobody" if row is None else row[0].hex()
            message = (
                f"store {self._path}: belongs to device {theirs}, the key is that of {ours.hex()}; "
                "put the right device.key beside it, or use another data_dir"
            )
            raise StoreError(message)
        return bool(row[1])

    def _check_head_unmoved(self) -> None:
        row = self.connection.execute("SELECT epoch, seq, hash FROM head").fetchone()
        head = self.tip.head
        ours = None if head is None else (head.epoch, head.seq, head.hash)
        if row != ours:
            raise StoreBroken("store: the head on disk is not ours; another process wrote it")

    def _insert(self, one: Signed) -> None:
        record = one.record
        self.connection.execute(
            "INSERT INTO record VALUES (?, ?, ?, ?, ?, ?)",
            (
                place(record.epoch, record.seq),
                one.hash,
                record.kind,
                None if record.light is None else record.light.n,
                record.time,
                one.data,
            ),
        )

    def _move_head(self, tip: Tip) -> None:
        head = tip.head
        if head is None:
            self.connection.execute("DELETE FROM head")
            return
        self.connection.execute(
            "INSERT OR REPLACE INTO head VALUES (1, ?, ?, ?, ?, ?, ?)",
            (head.epoch, head.seq, head.hash, head.light_n, head.light_hash, head.time),
        )

    def _mark(self) -> None:
        head = self.tip.head
        if head is not None:
            self._marker.write(
                Mark(boot_id=self._boot_id, epoch=head.epoch, seq=head.seq, hash=head.hash)
            )

    def _set_aside(self, last: Place, fault: str) -> None:
        """Move what stands behind `last` to its own table and put the head where the chain ends."""
        # The marker goes first: killed in between, the next start finds the same fault again.
        self._marker.remove()
        with self.transaction("setting a broken end aside"):
            # Where the head stood, too: that much may have been released.
            self.connection.execute(
                "INSERT INTO aside (place, bytes, reason)"
                " SELECT place, bytes, ?1 FROM record WHERE place > ?2"
                " UNION ALL SELECT epoch << 40 | seq, x'', ?1 FROM head",
                (fault, last),
            )
            self.connection.execute("DELETE FROM logged WHERE place > ?", (last,))
            self.connection.execute("DELETE FROM record WHERE place > ?", (last,))
            self._move_head(self.tip)
