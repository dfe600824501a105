"""What the aggregator's messages lead to: each is checked, committed, and then told to the page.

Nothing that arrives may stop the agent: a wrong message is counted and named once per kind. Only
a store that is broken goes on to the daemon.
"""

from __future__ import annotations

import logging
from collections import Counter
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Protocol

from meterseal.errors import LedgerError, ProtocolError
from meterseal.messages import Reject, RejectCode, Want
from meterseal.receipt import AgainstHeldError, AnchorMismatch, NoConsistency, Receipt, Stale
from meterseal.topics import CheckpointTopic, Leaf, parse_topic
from meterseal_agent.publish.answer import Answer, proves_ahead, read_answer
from meterseal_agent.store import alarms, receipts
from meterseal_agent.store.errors import OtherLog, StoreBusy, StoreFull
from meterseal_agent.store.overdue import note_promise
from meterseal_agent.store.schema import NOWHERE, Place, place

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from meterseal_agent.publish.link import Message
    from meterseal_agent.publish.settings import Peer
    from meterseal_agent.store.store import Store
    from meterseal_agent.store.thread import StoreThread

_log = logging.getLogger(__name__)


class Effects(Protocol):
    """What messages can cause; the publish task implements it."""

    def nonces(self) -> Collection[bytes]:
        """The nonces of our hellos that no answer has used up."""
        ...

    def answered(self, answer: Answer, at: Place, *, ahead: bool) -> None:
        """A head arrived; `at` is our place of the record that it names."""
        ...

    def wanted(self, ranges: list[tuple[Place, Place]]) -> None:
        """Ranges (behind, up to) are asked for again."""
        ...

    def refused(self, code: RejectCode) -> None:
        """A record was not taken."""
        ...

    def moved(self) -> None:
        """A receipt was committed."""
        ...

    def ask(self, size: int) -> None:
        """A consistency proof from `size` is needed."""
        ...

    def alarmed(self) -> None:
        """An offence was found; a person should see it."""
        ...


@dataclass(kw_only=True, slots=True)
class Inbox:
    """Judges messages; owned by the publish task.

    Attributes:
        wrong: How many messages of each kind were refused.
        alarms: Verdict to since when (UTC milliseconds) and what, for the page.
    """

    peer: Peer
    store: Store
    thread: StoreThread
    effects: Effects
    now_ms: Callable[[], int]
    wrong: Counter[str] = field(default_factory=Counter)
    alarms: dict[str, tuple[int, str]] = field(default_factory=dict)

    async def recall(self) -> None:
        """Take up the alarms of earlier runs: an offence is not over because we restarted."""
        for one in await self.thread.run(alarms.stored, self.store.connection):
            sentence = f"{one.verdict}: {one.detail}. {_REMEDY}"
            self.alarms.setdefault(one.verdict, (one.at_ms, sentence))

    async def take(self, message: Message) -> None:
        """Handle one message.

        Raises:
            StoreBroken: The store failed under it.
        """
        try:
            topic = parse_topic(message.topic)
            if isinstance(topic, CheckpointTopic):
                await self._checkpoint(message.payload)
            elif topic.device == self.peer.device:
                await self._by_leaf(topic.leaf, message.payload)
        except ProtocolError as error:
            kind = message.topic.rpartition("/")[2]
            self.wrong[kind] += 1
            level = logging.WARNING if self.wrong[kind] == 1 else logging.DEBUG
            _log.log(level, "message on %s refused: %s", message.topic, error)
        except (StoreFull, StoreBusy, OtherLog) as error:
            # Not acknowledged anywhere: heads and receipts are asked for again.
            _log.warning("message on %s could not be kept: %s", message.topic, error)

    async def _by_leaf(self, leaf: Leaf, payload: bytes) -> None:
        match leaf:
            case Leaf.HEAD:
                await self._head(payload)
            case Leaf.WANT:
                ranges = Want.decode(payload).ranges
                self.effects.wanted(
                    [(Place(place(e, first) - 1), place(e, last)) for e, first, last in ranges]
                )
            case Leaf.REJECT:
                self._reject(Reject.decode(payload))
            case Leaf.RECEIPT:
                await self._receipt(Receipt.parse(payload))
            case _:
                # Our own topics; a broker that echoes them tells us nothing new.
                return

    async def _head(self, payload: bytes) -> None:
        answer = read_answer(
            payload,
            head_key=self.peer.head_key,
            device=self.peer.device,
            public=self.peer.public,
            nonces=self.effects.nonces(),
        )
        if answer.record is None or answer.hash is None:
            self.effects.answered(answer, NOWHERE, ahead=False)
            return
        at = place(answer.record.epoch, answer.record.seq)
        held = await self.thread.run(self.store.holds, at, answer.hash)
        ahead = proves_ahead(answer, self.store.tip.head, held=held)
        if ahead:
            for data in answer.kept:
                await self.thread.run(self.store.keep_recovered, data)
        if held:
            await self.thread.run(note_promise, self.store, at, answer.due_ms)
        if held and answer.asked:
            await self.thread.run(receipts.note_stored, self.store, at, self.now_ms())
        if held or ahead:
            self.effects.answered(answer, at, ahead=ahead)

    def _reject(self, reject: Reject) -> None:
        if reject.code in {RejectCode.CONTRADICTS, RejectCode.FROZEN}:
            fork = (
                "The aggregator holds two branches of this device's chain and has frozen it. "
                "Was the card copied, or are two devices running? Tell your aggregator."
            )
            self.alarms.setdefault("DEVICE FORK", (self.now_ms(), fork))
        _log.debug("record %s refused: %s", reject.hash.hex(), reject.code.name)
        self.effects.refused(reject.code)

    async def _receipt(self, receipt: Receipt) -> None:
        try:
            await self._accept(receipt)
        except LedgerError as error:
            # The ledger's part does not hold; what the log shows is not worse for it.
            self.wrong["ledger proof"] += 1
            _log.warning("ledger proof of a receipt refused: %s", error)
            await self._accept(replace(receipt, ledger=None))

    async def _accept(self, receipt: Receipt) -> None:
        try:
            await self.thread.run(
                receipts.accept,
                self.store,
                receipt,
                self.peer.policy,
                self.peer.ledger,
                self.now_ms(),
            )
        except Stale as error:
            _log.debug("receipt ignored: %s", error)
        except NoConsistency as error:
            self.effects.ask(error.held_size)
            raise
        except AgainstHeldError as error:
            await self._alarm(_VERDICTS[type(error).__name__], str(error), error.ours, error.theirs)
            raise
        except AnchorMismatch as error:
            await self._alarm(alarms.MISMATCH, str(error), error.note, error.proof.encode())
            raise
        else:
            self.effects.moved()

    async def _checkpoint(self, note: bytes) -> None:
        """Hold the log's public checkpoint against ours: everybody must be shown the same."""
        try:
            await self.thread.run(receipts.compare, self.store, note, self.peer.policy)
        except (Stale, NoConsistency):
            return
        except AgainstHeldError as error:
            await self._alarm(_VERDICTS[type(error).__name__], str(error), error.ours, error.theirs)
            raise

    async def _alarm(self, verdict: str, detail: str, ours: bytes, theirs: bytes) -> None:
        _log.error("%s: %s; what convicts is kept in the store", verdict, detail)
        self.alarms.setdefault(verdict, (self.now_ms(), f"{verdict}: {detail}. {_REMEDY}"))
        self.effects.alarmed()
        await self.thread.run(
            alarms.keep, self.store, verdict, detail, (ours, theirs), self.now_ms()
        )


_REMEDY = "What convicts is kept: see `meterseal-agent show --alarms`"
_VERDICTS = {"SplitView": alarms.SPLIT_VIEW, "Rollback": alarms.ROLLBACK}
