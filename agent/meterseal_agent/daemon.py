"""The running agent: the one place that knows the order of work.

    poll → record → (commit, marker) → publish
                        └─────────────→ status

- Tasks: `poll` owns the buses, `record` the chain, `publish` the broker, `status` the page, `view`
  its figures, `watchdog` tells systemd that `record` makes progress. One fails, all end.
- Nothing is released before it is durable: `record` alone appends, and tells the others afterwards.
- An absent meter, broker or aggregator stops nothing. A broken store stops everything.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import os
import random
import signal
from typing import TYPE_CHECKING

import meterseal
from meterseal.interval import interval_start
from meterseal.records import GapReason, Manifest
from meterseal_agent import picture
from meterseal_agent.clock import SystemTime
from meterseal_agent.errors import AgentError, StoreError
from meterseal_agent.poll import Poller
from meterseal_agent.publish.backoff import Backoff
from meterseal_agent.publish.publisher import Parts, Publisher
from meterseal_agent.publish.settings import peer_of
from meterseal_agent.record import Memory, Moment, Planner
from meterseal_agent.sdnotify import Notifier
from meterseal_agent.start import decide_start, reopening
from meterseal_agent.status import ClockView, Notice, StatusServer, StatusView
from meterseal_agent.store import receipts
from meterseal_agent.store.errors import StoreBusy, StoreFull
from meterseal_agent.store.marker import Marker, boot_id
from meterseal_agent.store.schema import NOWHERE, place
from meterseal_agent.store.store import Store
from meterseal_agent.store.thread import StoreThread

if TYPE_CHECKING:
    from collections.abc import Callable

    from meterseal_agent.clock import TimeSource
    from meterseal_agent.config import Config
    from meterseal_agent.device import Device
    from meterseal_agent.poll import Snapshot
    from meterseal_agent.publish.answer import Answer
    from meterseal_agent.record import Plan
    from meterseal_agent.sign import Tip
    from meterseal_agent.status import RecordView

_log = logging.getLogger(__name__)

SOFTWARE = f"meterseal-agent {meterseal.__version__}"
_VIEW_EVERY_S = 0.5
_STALLED_ROUNDS = 6
_STALLED_MIN_S = 60.0
# Who a meter is takes several reads more than what it counts.
_FIRST_ROUND_S = 5.0


async def run_daemon(config: Config, device: Device) -> int:
    """Run until SIGTERM or SIGINT.

    Returns:
        The exit status, 0 after a clean stop.

    Raises:
        AgentError: What ended it, in one sentence.
    """
    _stop_on_signal()
    time = SystemTime(trusted=config.agent.clock == "trusted")
    notifier = Notifier.from_environment(os.environ, os.getpid())
    thread = StoreThread()
    store: Store | None = None
    try:
        _make_folder(config)
        marker = Marker(config.agent.marker_dir, device.id)
        store = await thread.run(Store, device.folder, device.key, marker, boot_id())
        await Agent(config, device, store, thread, marker, time, notifier).run()
    except* asyncio.CancelledError:
        _log.info("stopped")
    except* AgentError as errors:
        raise _first(errors) from None
    finally:
        notifier.stopping()
        if store is not None:
            await thread.run(store.close)
        thread.close()
    return 0


class Agent:
    """One run of the agent; also what the status page asks (`status.StatusSource`)."""

    def __init__(  # noqa: PLR0913, PLR0917 -- the parts that a run is made of, each made by run_daemon
        self,
        config: Config,
        device: Device,
        store: Store,
        thread: StoreThread,
        marker: Marker,
        time: TimeSource,
        notifier: Notifier,
    ) -> None:
        self._config = config
        self._device = device
        self._store = store
        self._thread = thread
        self._marker = marker
        self._time = time
        self._notifier = notifier
        self._poller = Poller.from_config(config, time)
        self._planner = Planner(
            read_every_ms=config.agent.read_every_s * 1000, randomness=os.urandom
        )
        self._ahead: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._stirred = asyncio.Event()
        self._publisher = self._new_publisher()
        self._memory = Memory()  # owned by the record task
        self._today = picture.Today()  # owned by the record task
        self._record_view: RecordView | None = None  # owned by the view task
        self._turned = asyncio.Event()
        self._progress_s = asyncio.get_running_loop().time()
        self._trouble: tuple[int, str] | None = None

    async def run(self) -> None:
        """Start the tasks and wait for their end."""
        server = None
        if self._config.status is not None:
            server = StatusServer(self, self._config.status, (f"{self._device.name}.local",))
            await server.start()
            _log.info("status page: http://%s:%d/", self._config.status.host, server.port)
        async with asyncio.TaskGroup() as group:
            group.create_task(self._poller.run(), name="poll")
            group.create_task(self._record(), name="record")
            group.create_task(self._keep_view(), name="view")
            if self._publisher is not None:
                group.create_task(self._publisher.run(), name="publish")
            if server is not None:
                group.create_task(server.run(), name="status")
            if self._notifier.watchdog_s is not None:
                group.create_task(self._watchdog(self._notifier.watchdog_s), name="watchdog")

    # The record task.

    async def _record(self) -> None:
        config = self._config.agent
        # A round that takes longer than the period skips slots; one that is cut short reads nothing.
        round_s = max(config.read_every_s, config.tolerance_ms / 1000)
        self._release()
        # A first round before anything is signed: the manifest names the meters it met.
        await self._poller.snapshot(max(round_s, _FIRST_ROUND_S), boundary=True)
        self._today.begin(*await self._day())
        start = await decide_start(
            self._store,
            self._thread,
            self._marker,
            boot_id(),
            publisher=self._publisher,
            ahead=self._ahead,
        )
        if start.reopen is not None and self._ahead.done():
            self._ahead = asyncio.get_running_loop().create_future()
        await self._append(
            lambda tip: self._planner.begin(tip, start, self._manifest(), self._moment())
        )
        self._notifier.ready()
        boundary = False
        while True:
            snapshot = await self._poller.snapshot(round_s, boundary=boundary)
            self._today.take(snapshot.samples)
            await self._follow_answer()
            await self._keep(snapshot)
            self._progress_s = asyncio.get_running_loop().time()
            boundary = await self._next_slot()

    async def _next_slot(self) -> bool:
        """Wait for the next whole multiple of the period; tell whether it is a boundary."""
        every_ms = self._config.agent.read_every_s * 1000
        now_ms = self._time.now_ms() + self._memory.shift_ms
        slot_ms = now_ms - now_ms % every_ms + every_ms
        await asyncio.sleep((slot_ms - now_ms) / 1000)
        if picture.midnight_ms(slot_ms) != self._today.midnight_ms:
            self._today.begin(picture.midnight_ms(slot_ms), {})
        return interval_start(slot_ms, self._config.agent.interval_s) == slot_ms

    async def _keep(self, snapshot: Snapshot) -> None:
        """Sign and store one round; a full disk is waited out, and the silence written down."""
        clock, manifest, memory = self._time.state(), self._manifest(), self._memory
        try:
            await self._append(
                lambda tip: self._planner.snapshot(
                    tip,
                    snapshot,
                    clock=clock,
                    manifest=manifest,
                    memory=memory,
                    checkpoint=receipts.trusted_pointer(self._store.connection),
                )
            )
        except (StoreFull, StoreBusy) as error:
            if self._trouble is None:
                _log.error("signing pauses: %s", error)
                self._trouble = (snapshot.at_ms, f"Signing pauses: {error}")
            self._memory = self._planner.lost(memory, snapshot, GapReason.DISK_FULL)
            self._stirred.set()
        else:
            self._trouble = None

    async def _follow_answer(self) -> None:
        if not self._ahead.done():
            return
        reopen = reopening(self._store, self._ahead.result())
        self._ahead = asyncio.get_running_loop().create_future()
        memory, manifest = self._memory, self._manifest()
        await self._append(
            lambda tip: self._planner.reopen(tip, reopen, manifest, self._moment(), memory)
        )

    async def _append(self, plan: Callable[[Tip], Plan]) -> None:
        _, self._memory = await self._thread.run(self._store.append, plan)
        self._release()

    def _release(self) -> None:
        """Tell the others what is durable and marked; nobody is told before."""
        head = self._store.tip.head
        if head is not None and self._publisher is not None:
            self._publisher.released(place(head.epoch, head.seq))
        self._stirred.set()

    def _manifest(self) -> Manifest:
        return Manifest(
            public_key=self._device.key.public,
            software=SOFTWARE,
            meters=self._poller.identities(),
            interval_s=self._config.agent.interval_s,
            tolerance_ms=self._config.agent.tolerance_ms,
            publishes=self._config.agent.publishes,
        )

    def _moment(self) -> Moment:
        return Moment(
            utc_ms=self._time.now_ms(), up_ms=self._time.up_ms(), clock=self._time.state()
        )

    async def _day(self) -> tuple[int, dict[int, picture.Counters]]:
        midnight_ms = picture.midnight_ms(self._time.now_ms())
        return midnight_ms, await self._thread.run(
            picture.openings_since, self._store.connection, midnight_ms
        )

    # The other tasks.

    def _new_publisher(self) -> Publisher | None:
        peer = peer_of(self._config, self._device.id, self._device.key.public)
        if peer is None:
            return None
        return Publisher(
            Parts(
                peer=peer,
                store=self._store,
                thread=self._thread,
                backoff=Backoff(random=random.random),
                randomness=os.urandom,
                boot_nonce=hashlib.sha256(boot_id().encode() + self._device.id).digest()[:16],
                on_ahead=self._note_ahead,
                on_change=self._stirred.set,
                now_ms=self._time.now_ms,
            )
        )

    def _note_ahead(self, answer: Answer) -> None:
        if not self._ahead.done():
            self._ahead.set_result(answer)

    async def _keep_view(self) -> None:
        """Count states anew after changes, at most so often, in the store's thread."""
        while True:
            await self._stirred.wait()
            self._stirred.clear()
            sent = NOWHERE if self._publisher is None else self._publisher.reached
            self._record_view = await self._thread.run(
                picture.record_view, self._store.connection, self._store.tip, sent
            )
            turned, self._turned = self._turned, asyncio.Event()
            turned.set()
            await asyncio.sleep(_VIEW_EVERY_S)

    async def _watchdog(self, watchdog_s: float) -> None:
        """Pat systemd's watchdog for as long as rounds over the meters come to an end."""
        loop = asyncio.get_running_loop()
        stalled_s = max(_STALLED_MIN_S, _STALLED_ROUNDS * self._config.agent.read_every_s)
        while True:
            if loop.time() - self._progress_s < stalled_s:
                self._notifier.alive()
            await asyncio.sleep(watchdog_s / 3)

    # What the status page asks.

    def view(self) -> StatusView:
        """Take the picture of this moment."""
        health, meters = self._poller.health(), self._config.meters
        return StatusView(
            device=self._device.id.hex(),
            fingerprint=self._device.fingerprint,
            software=SOFTWARE,
            now_ms=self._time.now_ms(),
            clock=ClockView(state=self._time.state().name.lower(), source=self._time.source),
            meters=picture.meter_views(meters, self._poller.identities(), health),
            today=self._today.views(meters, health),
            record=self._record_view,
            notices=tuple(self._notices()),
        )

    async def changed(self) -> None:
        """Return at the next change worth showing."""
        await self._turned.wait()

    def _notices(self) -> list[Notice]:
        now_ms = self._time.now_ms()
        found = (
            []
            if self._trouble is None
            else [Notice(since_ms=self._trouble[0], text=self._trouble[1])]
        )
        if self._publisher is not None:
            found += [
                Notice(since_ms=now_ms, text=text)
                for text in (*self._publisher.inbox.alarms.values(), self._publisher.trouble)
                if text
            ]
        return found


def _stop_on_signal() -> None:
    """Cancel this task at the first SIGTERM or SIGINT; further ones find it stopping already."""
    loop, task = asyncio.get_running_loop(), asyncio.current_task()

    def stop() -> None:
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, lambda: None)
        if task is not None:
            task.cancel()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop)


def _make_folder(config: Config) -> None:
    try:
        config.agent.marker_dir.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        message = (
            f"marker_dir {config.agent.marker_dir}: cannot be made ({error.strerror}); "
            "name a tmpfs folder that the agent may write"
        )
        raise StoreError(message) from error


def _first(errors: BaseExceptionGroup[AgentError]) -> AgentError:
    """What ended the run: one sentence is enough, the tasks fail one after the other."""
    error: BaseException = errors
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    if not isinstance(error, AgentError):
        raise TypeError(f"expected an AgentError, got {error!r}")
    return error
