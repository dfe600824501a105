"""One batch of messages, one transaction: what came becomes durable, and answers come out.

A batch is acknowledged by the caller after this returns, never before. Killed in between, the
broker delivers it again, and every record in it is KNOWN.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from meterseal.encoding import decode_sequence
from meterseal.errors import EncodingError
from meterseal.merkle import root_from
from meterseal.messages import Ask, Hello, Reject, RejectCode
from meterseal.records import record_hash
from meterseal.topics import CheckpointTopic, DeviceTopic, Leaf, parse_topic
from meterseal_aggregator.admission import Admission
from meterseal_aggregator.receipts import asked, greeted
from meterseal_aggregator.verdict import Outcome

if TYPE_CHECKING:
    from collections.abc import Iterable

    from meterseal.records import CheckpointPointer
    from meterseal.types import DeviceId, UnixMs
    from meterseal_aggregator.broker import Delivery
    from meterseal_aggregator.store import Store
    from meterseal_aggregator.verdict import Verdict

REJECTS_MAX: Final = 16
"""Rejects to one device from one batch; more of them are counted and not sent."""
DEVICES_HELD_MAX: Final = 65_536
"""Devices of which something is remembered; of the least recent one it is forgotten."""
ALARM_EVERY_MS: Final = 600_000
"""The same alarm about the same device is raised again after this time."""
_BOOTS: Final = 3


@dataclass(slots=True)
class Answers:
    """What a batch asks to be sent, once it is durable.

    Attributes:
        hellos: Devices that said hello; the answer they are owed stands in the store.
        asks: Devices that asked for a receipt.
        rejects: Records that were not taken.
        rejected: How many of them each device has.
        known: Devices that sent again what is stored: their head is told again.
        beyond: Where records stood that no key known so far signed: what leads to it is missing.
        stirred: Devices whose records or whose gaps are others than before.
        forked: Devices that were found to contradict themselves anew.
        alarms: (device, sentence) for the log, once for each change of state.
        checkpoints: Notes seen on our own checkpoint topic.
        counts: Outcomes.
    """

    hellos: set[DeviceId] = field(default_factory=set)
    asks: set[DeviceId] = field(default_factory=set)
    rejects: list[tuple[DeviceId, Reject]] = field(default_factory=list)
    rejected: Counter[DeviceId] = field(default_factory=Counter)
    known: set[DeviceId] = field(default_factory=set)
    beyond: dict[DeviceId, tuple[int, int]] = field(default_factory=dict)
    stirred: set[DeviceId] = field(default_factory=set)
    forked: set[DeviceId] = field(default_factory=set)
    alarms: list[tuple[DeviceId, str]] = field(default_factory=list)
    checkpoints: list[bytes] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)


class Intake:
    """Takes batches into the store; owned by the store's thread."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._admission = Admission(store)
        self._boots: OrderedDict[DeviceId, list[bytes]] = OrderedDict()
        self._alarmed: OrderedDict[DeviceId, UnixMs] = OrderedDict()  # foreign checkpoints

    def take(self, batch: Iterable[Delivery], now_ms: UnixMs) -> Answers:
        """Make a batch durable.

        Raises:
            StoreError: Nothing of the batch was kept; it must not be acknowledged.
        """
        answers = Answers()
        try:
            with self._store.write():
                self._admission.begin()
                for delivery in batch:
                    self._take_one(delivery, now_ms, answers)
        except BaseException:
            self._admission.forget()
            raise
        return answers

    def _take_one(self, delivery: Delivery, now_ms: UnixMs, answers: Answers) -> None:
        try:
            topic = parse_topic(delivery.topic)
        except EncodingError:
            answers.counts["foreign topic"] += 1
            return
        if isinstance(topic, CheckpointTopic):
            answers.checkpoints.append(delivery.payload)
            return
        if not delivery.payload and delivery.size:
            answers.counts["oversize"] += 1
            return
        try:
            match topic.leaf:
                case Leaf.RECORD:
                    self._records(topic, delivery.payload, now_ms, answers)
                case Leaf.HELLO if not delivery.retained:
                    self._hello(topic, Hello.decode(delivery.payload), now_ms, answers)
                case Leaf.ASK if not delivery.retained:
                    self._ask(topic, Ask.decode(delivery.payload), now_ms, answers)
                case _:
                    answers.counts["foreign topic"] += 1
        except EncodingError:
            answers.counts["rubbish"] += 1

    def _records(
        self, topic: DeviceTopic, payload: bytes, now_ms: UnixMs, answers: Answers
    ) -> None:
        """Admit a sequence: the valid prefix counts, the first bad item ends it (protocol 2)."""
        items, fault = decode_sequence(payload)
        for item in items:
            verdict = self._admission.admit(topic.device, item, now_ms)
            self._note(topic.device, verdict, answers)
        if fault is not None:
            refused = Reject(hash=record_hash(payload), code=RejectCode.INVALID)
            self._reject(topic.device, refused, answers)
            answers.counts["rubbish"] += 1

    def _note(self, device: DeviceId, verdict: Verdict, answers: Answers) -> None:
        answers.counts[verdict.outcome.value] += 1
        if verdict.outcome is Outcome.KNOWN:
            answers.known.add(device)
        if verdict.beyond is not None:
            answers.beyond[device] = verdict.beyond
        if verdict.outcome in {Outcome.EXTENDS, Outcome.AHEAD} or verdict.beyond is not None:
            answers.stirred.add(device)
        if verdict.fork:
            answers.stirred.add(device)
            answers.forked.add(device)
            answers.alarms.append((device, f"DEVICE FORK: {verdict.fork}"))
        if verdict.reject is not None:
            self._reject(device, Reject(hash=verdict.hash, code=verdict.reject), answers)

    def _reject(self, device: DeviceId, refused: Reject, answers: Answers) -> None:
        if answers.rejected[device] < REJECTS_MAX:
            answers.rejected[device] += 1
            answers.rejects.append((device, refused))

    def _hello(self, topic: DeviceTopic, hello: Hello, now_ms: UnixMs, answers: Answers) -> None:
        device = self._store.devices.get(topic.device)
        if device is None:
            refused = Reject(hash=hello.hash, code=RejectCode.NOT_ENROLLED)
            self._reject(topic.device, refused, answers)
            return
        self._store.greetings.owe(device.id, hello.nonce)
        answers.hellos.add(device.id)
        suspected = device.clone_ms
        if self._alternates(device.id, hello.boot_nonce) and _is_news(suspected, now_ms):
            self._store.devices.suspect_clone(device.id, now_ms)
            answers.alarms.append((device.id, "CLONE SUSPECTED: two boots say hello in turn"))
        self._check_claim(device.id, hello.checkpoint, now_ms, answers)
        claimed = 0 if hello.checkpoint is None else hello.checkpoint.size
        greeted(self._store, device, claimed, now_ms)

    def _check_claim(
        self,
        device: DeviceId,
        claimed: CheckpointPointer | None,
        now_ms: UnixMs,
        answers: Answers,
    ) -> None:
        """Hold the checkpoint that a device says it has against the log.

        Unsigned, so it proves nothing here; the device's own evidence is the signed note.
        """
        if claimed is None:
            return
        ours = self._store.tree
        if claimed.size <= ours.size() and root_from(claimed.size, ours.read) == claimed.root:
            return
        if _is_news(self._alarmed.get(device), now_ms):
            answers.alarms.append(
                (device, f"it holds a checkpoint of size {claimed.size} that is not of this log")
            )
            self._alarmed[device] = now_ms
            if len(self._alarmed) > DEVICES_HELD_MAX:
                self._alarmed.popitem(last=False)

    def _ask(self, topic: DeviceTopic, ask: Ask, now_ms: UnixMs, answers: Answers) -> None:
        device = self._store.devices.get(topic.device)
        if device is not None:
            asked(self._store, device, ask.size, now_ms)
            answers.asks.add(topic.device)

    def _alternates(self, device: DeviceId, boot: bytes) -> bool:
        """Tell whether an earlier boot speaks again after another one did."""
        boots = self._boots.pop(device, [])
        again = boot in boots[:-1]
        if not boots or boots[-1] != boot:
            boots = [*boots, boot][-_BOOTS:]
        self._boots[device] = boots
        if len(self._boots) > DEVICES_HELD_MAX:
            self._boots.popitem(last=False)
        return again


def _is_news(before_ms: int | None, now_ms: int) -> bool:
    return before_ms is None or not 0 <= now_ms - before_ms < ALARM_EVERY_MS
