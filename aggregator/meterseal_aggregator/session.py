"""The broker's side of the daemon: connect, take, store, acknowledge, answer; and again."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import random
from functools import partial
from typing import TYPE_CHECKING, Final

from meterseal.topics import Leaf, checkpoint_topic, subscriptions
from meterseal_aggregator.broker import Link
from meterseal_aggregator.errors import BrokerAway, first_of
from meterseal_aggregator.forks import write_evidence
from meterseal_aggregator.sequencer import log_signer
from meterseal_aggregator.standing import check_note

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from meterseal.types import UnixMs
    from meterseal_aggregator.broker import Delivery
    from meterseal_aggregator.config import Config
    from meterseal_aggregator.intake import Answers, Intake
    from meterseal_aggregator.keyfiles import Keys
    from meterseal_aggregator.outbox import Outbox
    from meterseal_aggregator.standing import Standing
    from meterseal_aggregator.store import InStore

log = logging.getLogger(__name__)
BATCH_MAX: Final = 256
"""Messages of one transaction: one sync serves them all."""
RETRY_S: Final = (0.2, 30.0)
STABLE_S: Final = 60.0
"""A connection that lasted this long resets the back-off; a kick right after CONNECT does not."""


class Session:
    """Keeps a connection to the broker; owned by its task."""

    def __init__(  # noqa: PLR0913 -- each is a part of the daemon
        self,
        *,
        config: Config,
        keys: Keys,
        connected: asyncio.Event,
        standing: Standing,
        intake: Intake,
        outbox: Outbox,
        in_store: InStore,
        now_ms: Callable[[], UnixMs],
    ) -> None:
        self._config = config
        self._log_key = log_signer(config.origin, keys).verifier
        self._connected = connected
        self._standing = standing
        self._intake = intake
        self._outbox = outbox
        self._in_store = in_store
        self._now_ms = now_ms
        self._dropped: set[str] = set()

    async def run(self) -> None:
        """Connect and serve, for ever."""
        loop = asyncio.get_running_loop()
        client_id = "meterseal" + hashlib.sha256(self._config.origin.encode()).hexdigest()[:8]
        pause_s, away = RETRY_S[0], False
        await self._in_store(lambda store: write_evidence(store, self._config.evidence_dir))
        while True:
            link = Link(self._config.mqtt, client_id)
            started = loop.time()
            try:
                await link.connect(
                    [
                        *subscriptions((Leaf.HELLO, Leaf.RECORD, Leaf.ASK)),
                        checkpoint_topic(self._config.origin),
                    ]
                )
                log.info("broker %s:%d: connected", self._config.mqtt.host, self._config.mqtt.port)
                self._connected.set()
                away = False
                await self._serve(link)
            except BrokerAway as error:
                if not away:
                    log.warning("%s. Retrying.", error)
                away = True
            finally:
                await link.close()
            if loop.time() - started > STABLE_S:
                pause_s = RETRY_S[0]
            await asyncio.sleep(pause_s * random.uniform(0.5, 1.0))  # noqa: S311 -- jitter
            pause_s = min(2 * pause_s, RETRY_S[1])

    async def _serve(self, link: Link) -> None:
        """Serve one connection until it is lost.

        Raises:
            BrokerAway: It is lost.
            AggregatorError: What waiting does not mend.
        """
        # No task group: told to stop just as the broker goes away, it raises the broker's loss, and
        # the wish to stop is lost in it (Python 3.11).
        tasks = [
            asyncio.create_task(self._speak(link), name="outbox"),
            asyncio.create_task(self._take_all(link), name="intake"),
        ]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            outcomes = await asyncio.gather(*tasks, return_exceptions=True)
        raise _worst(outcomes)

    async def _speak(self, link: Link) -> None:
        await self._standing.may_speak()
        await self._outbox.serve(link)

    async def _take_all(self, link: Link) -> None:
        while True:
            await self._take(link, await link.take(BATCH_MAX))
            self._standing.stirred()

    async def _take(self, link: Link, batch: list[Delivery]) -> None:
        now = self._now_ms()
        answers = await self._in_store(lambda _: self._intake.take(batch, now))
        # Durable. Killed here, the broker delivers the batch again and finds it KNOWN.
        for delivery in batch:
            link.acknowledge(delivery)
        await self._tell(answers)
        self._outbox.answer(answers)

    async def _tell(self, answers: Answers) -> None:
        """Write to the log what somebody has to act on, and keep fork evidence."""
        for device, sentence in answers.alarms:
            log.error("device %s: %s", device.hex(), sentence)
        for device in answers.forked:
            await self._in_store(
                partial(write_evidence, folder=self._config.evidence_dir, device=device)
            )
        for note in answers.checkpoints:
            size = await self._in_store(partial(check_note, note=note, verifier=self._log_key))
            if size is not None:
                self._standing.note_seen(size)
        for what in ("rubbish", "oversize", "foreign topic", "invalid"):
            if answers.counts[what] and what not in self._dropped:
                self._dropped.add(what)  # once; how often stands in the counts
                log.warning("messages dropped: %s (said once)", what)


def _worst(outcomes: Sequence[BaseException | None]) -> BaseException:
    """Choose what is told: a lost broker is mended by waiting, anything else is not."""
    errors = [
        first_of(one)
        for one in outcomes
        if one is not None and not isinstance(one, asyncio.CancelledError)
    ]
    other = (one for one in errors if not isinstance(one, BrokerAway))
    return next(other, errors[0] if errors else BrokerAway("the connection ended"))
