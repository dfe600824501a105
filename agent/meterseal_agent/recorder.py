"""The record task: a round over the meters, a plan, a commit, a release; then the next slot.

It alone appends to the store and alone owns what is remembered between rounds. An answer that
proves the aggregator ahead is followed before the next round begins, so that no reading is older
than the restore in front of it.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections import deque
from typing import TYPE_CHECKING

from meterseal.interval import interval_start
from meterseal.records import GapReason, Manifest, RestoreReason
from meterseal_agent.picture import Today, midnight_ms, openings_since
from meterseal_agent.publish.answer import is_news
from meterseal_agent.record import Memory, Moment, Planner
from meterseal_agent.start import decide_start, reopening
from meterseal_agent.store import trusted
from meterseal_agent.store.errors import StoreBusy, StoreFull
from meterseal_agent.store.last import last_values
from meterseal_agent.store.marker import boot_id
from meterseal_agent.store.schema import NOWHERE, place

if TYPE_CHECKING:
    from collections.abc import Callable

    from meterseal.records import Event
    from meterseal.types import PublicKey
    from meterseal_agent.clock import TimeSource
    from meterseal_agent.config import AgentConfig
    from meterseal_agent.gate import Judged
    from meterseal_agent.publish.answer import Answer
    from meterseal_agent.publish.publisher import Publisher
    from meterseal_agent.record import Plan
    from meterseal_agent.rounds import Rounds
    from meterseal_agent.store.marker import Marker
    from meterseal_agent.store.schema import Place
    from meterseal_agent.store.store import Store
    from meterseal_agent.store.thread import StoreThread
    from meterseal_agent.tip import Tip

_log = logging.getLogger(__name__)

# Who a meter is takes several reads more than what it counts.
_FIRST_ROUND_S = 5.0
_PENDING_MAX = 64
_WAITING = (
    "Waiting for the aggregator: nothing is recorded, because this card's store is new and only "
    "the aggregator knows where this device's chain ended. Check broker and enrolment."
)


class Recorder:
    """Owns the chain's growth.

    Attributes:
        today: Energy since midnight, for the page.
        trouble: Since when nothing is recorded, and why; None while all is well.
        waiting: Nothing is recorded before the aggregator answers; that is no stall.
        progress_s: Loop time at which the last round came to its end.
    """

    def __init__(  # noqa: PLR0913 -- the parts it joins, each by its name
        self,
        *,
        config: AgentConfig,
        public: PublicKey,
        software: str,
        store: Store,
        thread: StoreThread,
        marker: Marker,
        rounds: Rounds,
        time: TimeSource,
        on_release: Callable[[Place], None],
    ) -> None:
        self._config = config
        self._public = public
        self._software = software
        self._store = store
        self._thread = thread
        self._marker = marker
        self._rounds = rounds
        self._time = time
        self._on_release = on_release
        span_ms = config.interval_s * 1000 + config.tolerance_ms
        self._planner = Planner(
            read_every_ms=config.read_every_s * 1000,
            randomness=os.urandom,
            highest_wh=rounds.gate.highest_wh(span_ms),
        )
        self._memory = Memory()
        self._ahead: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._pending: deque[Event] = deque()
        self._happened = asyncio.Event()
        self._nothing_waits = asyncio.Event()
        self._nothing_waits.set()
        self.today = Today()
        self.trouble: tuple[int, str] | None = None
        self.waiting = False
        self.progress_s = asyncio.get_running_loop().time()

    def note_ahead(self, answer: Answer) -> None:
        """The aggregator proved that it holds more of us than we do."""
        if not self._ahead.done():
            self._ahead.set_result(answer)

    def note_event(self, event: Event) -> None:
        """Something happened: it is recorded as soon as no round is under way.

        While the disk is full the first ones are kept; further ones are only in the log.
        """
        if len(self._pending) >= _PENDING_MAX:
            _log.error("not recorded, too many events wait for the disk: %s", event)
            return
        self._pending.append(event)
        self._happened.set()
        self._nothing_waits.clear()

    async def all_recorded(self) -> None:
        """Return once no event waits."""
        await self._nothing_waits.wait()

    async def run(self, publisher: Publisher | None, on_ready: Callable[[], None]) -> None:
        """Begin, then go round until cancelled.

        Raises:
            StoreError: The store cannot be trusted any more.
        """
        # A round that takes longer than the period skips slots; cut short, it would read nothing.
        round_s = max(self._config.read_every_s, self._config.tolerance_ms / 1000)
        self._release()
        # A first round before anything is signed: the manifest names the meters it met.
        await self._rounds.meet(max(round_s, _FIRST_ROUND_S))
        day_ms = midnight_ms(self._time.now_ms())
        self.today.begin(
            day_ms, await self._thread.run(openings_since, self._store.connection, day_ms)
        )
        await self._begin(publisher, on_ready)
        await self._take_up()
        on_ready()
        boundary = False
        while True:
            await self._follow_answer()
            judged = await self._rounds.read(round_s, boundary=boundary)
            self.today.take(judged.snapshot.samples)
            await self._keep(judged)
            await self._write_events()
            self.progress_s = asyncio.get_running_loop().time()
            boundary = await self._next_slot()

    async def _begin(self, publisher: Publisher | None, on_ready: Callable[[], None]) -> None:
        def wait() -> None:
            # We are up, and nothing but an answer can get us further: no reason to start us again.
            self.waiting, self.trouble = True, (self._time.now_ms(), _WAITING)
            self._release()
            on_ready()

        start = await decide_start(
            self._store,
            self._thread,
            self._marker,
            boot_id(),
            publisher=publisher,
            ahead=self._ahead,
            on_wait=wait,
        )
        self.waiting = False
        if start.reopen is not None and start.reopen.reason is RestoreReason.AGGREGATOR_AHEAD:
            # Followed; a proof that came since then stays, and is followed before the first round.
            self._ahead = asyncio.get_running_loop().create_future()
        manifest = self._manifest()
        await self._insist(lambda tip: self._planner.begin(tip, start, manifest, self._moment()))

    async def _follow_answer(self) -> None:
        if not self._ahead.done():
            return
        answer = self._ahead.result()
        self._ahead = asyncio.get_running_loop().create_future()
        if not is_news(answer, self._store.tip.head):
            return
        reopen = reopening(self._store, answer)
        memory, manifest = self._memory, self._manifest()
        await self._insist(
            lambda tip: self._planner.reopen(tip, reopen, manifest, self._moment(), memory)
        )

    async def _take_up(self) -> None:
        """What is signed next continues what was signed last, also where it was by another run."""
        inputs = [one.name for one in self._rounds.inputs]
        self._rounds.take_up(
            await self._thread.run(
                last_values, self._store.connection, self._rounds.identities(), inputs
            )
        )

    async def _keep(self, judged: Judged) -> None:
        """Sign and store one round; a full disk is waited out, and the silence written down."""
        clock, manifest, memory = self._time.state(), self._manifest(), self._memory
        try:
            await self._append(
                lambda tip: self._planner.snapshot(
                    tip,
                    judged.snapshot,
                    events=judged.events,
                    clock=clock,
                    manifest=manifest,
                    memory=memory,
                    checkpoint=trusted.pointer(self._store.connection),
                )
            )
        except (StoreFull, StoreBusy) as error:
            self._note_trouble(error)
            self._memory = self._planner.lost(memory, judged.snapshot, GapReason.DISK_FULL)
        else:
            self._rounds.keep(judged)

    async def _insist(self, plan: Callable[[Tip], Plan]) -> None:
        """Append what must stand in front of everything else, however long the disk is full."""
        while True:
            try:
                return await self._append(plan)
            except (StoreFull, StoreBusy) as error:
                self._note_trouble(error)
                self.progress_s = asyncio.get_running_loop().time()
                await asyncio.sleep(self._config.read_every_s)

    async def _append(self, plan: Callable[[Tip], Plan]) -> None:
        _, self._memory = await self._thread.run(self._store.append, plan)
        if self.trouble is not None:
            _log.info("signing goes on")
            self.trouble = None
        self._release()

    def _release(self) -> None:
        head = self._store.tip.head
        self._on_release(NOWHERE if head is None else place(head.epoch, head.seq))

    def _note_trouble(self, error: StoreFull | StoreBusy) -> None:
        if self.trouble is None:
            _log.error("signing pauses: %s", error)
            self.trouble = (self._time.now_ms(), f"Signing pauses: {error}")
        self._release()

    async def _next_slot(self) -> bool:
        """Wait for the next whole multiple of the period; tell whether it closes the interval."""
        every_ms = self._config.read_every_s * 1000
        now_ms = self._time.now_ms() + self._memory.shift_ms
        slot_ms = now_ms - now_ms % every_ms + every_ms
        await self._pause((slot_ms - now_ms) / 1000)
        if midnight_ms(slot_ms) != self.today.midnight_ms:
            self.today.begin(midnight_ms(slot_ms), {})
        # A boundary whose own slot was skipped: a later round closes the interval.
        end = self._store.tip.end
        overdue = end is not None and slot_ms >= end
        return overdue or interval_start(slot_ms, self._config.interval_s) == slot_ms

    async def _pause(self, for_s: float) -> None:
        """Wait, and write down at once what happens meanwhile."""
        until_s = asyncio.get_running_loop().time() + for_s
        while True:
            try:
                async with asyncio.timeout_at(until_s):
                    await self._happened.wait()
            except TimeoutError:
                return
            await self._write_events()

    async def _write_events(self) -> None:
        self._happened.clear()
        events, memory = tuple(self._pending), self._memory
        if not events:
            return
        try:
            await self._append(
                lambda tip: self._planner.events(tip, events, self._moment(), memory)
            )
        except (StoreFull, StoreBusy) as error:
            self._note_trouble(error)  # they wait for the next round
            return
        for _ in events:
            self._pending.popleft()
        if not self._pending:
            self._nothing_waits.set()

    def _manifest(self) -> Manifest:
        return Manifest(
            public_key=self._public,
            software=self._software,
            meters=self._rounds.identities(),
            s0=self._rounds.inputs,
            interval_s=self._config.interval_s,
            tolerance_ms=self._config.tolerance_ms,
            publishes=self._config.publishes,
        )

    def _moment(self) -> Moment:
        return Moment(
            utc_ms=self._time.now_ms(), up_ms=self._time.up_ms(), clock=self._time.state()
        )
