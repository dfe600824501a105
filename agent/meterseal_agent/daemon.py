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
import contextlib
import hashlib
import logging
import os
import random
import signal
from typing import TYPE_CHECKING

import meterseal
from meterseal.records import Clock, MeterState
from meterseal_agent import codes, picture
from meterseal_agent.clock import SystemTime
from meterseal_agent.errors import AgentError, StoreError
from meterseal_agent.gate import Gate, ratings
from meterseal_agent.gpio.board import Board
from meterseal_agent.gpio.press import Press
from meterseal_agent.poll import Poller
from meterseal_agent.publish.backoff import Backoff
from meterseal_agent.publish.publisher import Parts, Publisher
from meterseal_agent.publish.settings import peer_of
from meterseal_agent.recorder import Recorder
from meterseal_agent.rounds import Rounds
from meterseal_agent.sdnotify import Notifier
from meterseal_agent.status import ClockView, Notice, StatusServer, StatusView
from meterseal_agent.store.marker import Marker, boot_id
from meterseal_agent.store.overdue import Overdue, overdue
from meterseal_agent.store.schema import NOWHERE
from meterseal_agent.store.store import Store
from meterseal_agent.store.thread import StoreThread

if TYPE_CHECKING:
    from meterseal_agent.clock import TimeSource
    from meterseal_agent.codes import Code
    from meterseal_agent.config import Config
    from meterseal_agent.device import Device
    from meterseal_agent.status import RecordView
    from meterseal_agent.store.schema import Place

_log = logging.getLogger(__name__)

SOFTWARE = f"meterseal-agent {meterseal.__version__}"
_VIEW_EVERY_S = 0.5
_STALLED_ROUNDS = 6
_STALLED_MIN_S = 60.0
_IDENTIFY_S = 60.0
_LAST_WORDS_S = 10.0
_HEARD = frozenset({MeterState.GOOD, MeterState.OUT_OF_RANGE})

SWITCHED_OFF = 80
"""Exit status after the button asked for a safe shutdown: whoever started us takes the power."""


class SwitchedOff(Exception):  # noqa: N818 -- no error: somebody held the button
    """The button was held for as long as a shutdown takes."""


async def run_daemon(config: Config, device: Device) -> int:
    """Run until SIGTERM or SIGINT.

    Returns:
        The exit status, 0 after a clean stop, `SWITCHED_OFF` after one that the button asked for.

    Raises:
        AgentError: What ended it, in one sentence.
    """
    _stop_on_signal()
    time = SystemTime(trusted=config.agent.clock == "trusted")
    notifier = Notifier.from_environment(os.environ, os.getpid())
    thread = StoreThread()
    store: Store | None = None
    status = 0
    try:
        _make_folder(config)
        marker = Marker(config.agent.marker_dir, device.id)
        store = await thread.run(Store, device.folder, device.key, marker, boot_id())
        await Agent(config, device, store, thread, marker, time, notifier).run()
    except* asyncio.CancelledError:
        _log.info("stopped")
    except* SwitchedOff:
        _log.info("stopped by the button: power may be taken away")
        status = SWITCHED_OFF
    except* AgentError as errors:
        raise _first(errors) from None
    finally:
        notifier.stopping()
        if store is not None:
            await thread.run(store.close)
        thread.close()
    return status


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
        self._started_ms = time.now_ms()
        self._notifier = notifier
        self._poller = Poller.from_config(config, time)
        self._board = Board(config.gpio, config.s0)
        self._rounds = Rounds(self._poller, Gate(ratings=ratings(config)), time, self._board)
        self._stirred = asyncio.Event()
        self._publisher = self._new_publisher()
        self._recorder = Recorder(
            config=config.agent,
            public=device.key.public,
            software=SOFTWARE,
            store=store,
            thread=thread,
            marker=marker,
            rounds=self._rounds,
            time=time,
            on_release=self._release,
        )
        self._record_view: RecordView | None = None  # owned by the view task
        self._overdue = Overdue()  # owned by the view task
        self._turned = asyncio.Event()
        self._switch_off = asyncio.Event()

    async def run(self) -> None:
        """Start the tasks and wait for their end."""
        server = None
        if self._config.status is not None:
            server = StatusServer(self, self._config.status, (f"{self._device.name}.local",))
            await server.start()
            _log.info("status page: http://%s:%d/", self._config.status.host, server.port)
        self._board.open(self._recorder.note_event, self._pressed)
        async with asyncio.TaskGroup() as group:
            group.create_task(self._board.run(), name="gpio")
            group.create_task(self._end_when_switched_off(), name="switch")
            group.create_task(self._poller.run(), name="poll")
            group.create_task(
                self._recorder.run(self._publisher, self._notifier.ready), name="record"
            )
            group.create_task(self._keep_view(), name="view")
            if self._publisher is not None:
                group.create_task(self._publisher.run(), name="publish")
            if server is not None:
                group.create_task(server.run(), name="status")
            if self._notifier.watchdog_s is not None:
                group.create_task(self._watchdog(self._notifier.watchdog_s), name="watchdog")

    def _pressed(self, press: Press) -> None:
        """What the button asks for; its event is on the way into the record."""
        match press:
            case Press.CLAIM if self._board.led is not None:
                self._board.led.identify(_IDENTIFY_S)
            case Press.SHUTDOWN:
                self._switch_off.set()
            case _:
                pass  # who looks for meters finds the wish in the record and in the log

    async def _end_when_switched_off(self) -> None:
        await self._switch_off.wait()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_LAST_WORDS_S):
                await self._recorder.all_recorded()
        raise SwitchedOff

    def _release(self, newest: Place) -> None:
        """Records up to `newest` are durable and marked; nobody is told before."""
        if self._publisher is not None and newest != NOWHERE:
            self._publisher.released(newest)
        self._stirred.set()

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
                on_ahead=lambda answer: self._recorder.note_ahead(answer),  # noqa: PLW0108 -- made later
                on_change=self._stirred.set,
                now_ms=self._time.now_ms,
            )
        )

    async def _keep_view(self) -> None:
        """Count states anew after changes, at most so often, in the store's thread."""
        while True:
            await self._stirred.wait()
            self._stirred.clear()
            sent = NOWHERE if self._publisher is None else self._publisher.reached
            self._record_view = await self._thread.run(
                picture.record_view, self._store.connection, self._store.tip, sent
            )
            await self._look_for_overdue()
            if self._board.led is not None:
                self._board.led.show(self._codes())
            turned, self._turned = self._turned, asyncio.Event()
            turned.set()
            await asyncio.sleep(_VIEW_EVERY_S)

    async def _look_for_overdue(self) -> None:
        if self._publisher is None or self._config.aggregator is None:
            return
        every_s = self._config.aggregator.anchor_every_s
        self._overdue = await self._thread.run(
            overdue,
            self._store.connection,
            self._time.now_ms(),
            None if self._config.ledger is None else every_s,
        )
        self._publisher.tell(self._overdue)

    async def _watchdog(self, watchdog_s: float) -> None:
        """Pat systemd's watchdog for as long as rounds over the meters come to an end."""
        loop = asyncio.get_running_loop()
        stalled_s = max(_STALLED_MIN_S, _STALLED_ROUNDS * self._config.agent.read_every_s)
        while True:
            still_s = loop.time() - self._recorder.progress_s
            if self._recorder.waiting or still_s < stalled_s:
                self._notifier.alive()
            await asyncio.sleep(watchdog_s / 3)

    # What the status page asks.

    def view(self) -> StatusView:
        """Take the picture of this moment."""
        health, meters = self._rounds.health(), self._config.meters
        return StatusView(
            device=self._device.id.hex(),
            fingerprint=self._device.fingerprint,
            software=SOFTWARE,
            now_ms=self._time.now_ms(),
            clock=ClockView(state=self._time.state().name.lower(), source=self._time.source),
            meters=picture.meter_views(meters, self._poller.identities(), health),
            today=self._recorder.today.views(meters, health),
            record=self._record_view,
            notices=tuple(self._notices()),
        )

    async def changed(self) -> None:
        """Return at the next change worth showing."""
        await self._turned.wait()

    def _notices(self) -> list[Notice]:
        """What a person should know, worst first."""
        trouble = self._recorder.trouble
        found = [] if trouble is None else [trouble]
        if self._publisher is not None:
            found += self._publisher.inbox.alarms.values()
            found += [*self._overdue.notices, *self._publisher.troubles.all]
        notices = [Notice(since_ms=since_ms, text=text) for since_ms, text in found]
        return notices + [
            Notice(since_ms=self._started_ms, text=text) for text in self._board.troubles
        ]

    def _codes(self) -> list[Code]:
        """What the LED shows, in no order."""
        publisher = self._publisher
        states = [now.state for now in self._rounds.health()]
        silent = [state for state in states if state not in _HEARD]
        found = {
            codes.SEAL: publisher is not None and bool(publisher.inbox.alarms),
            codes.STORE: self._recorder.trouble is not None,
            codes.NO_METER: len(silent) == len(states),
            codes.METER_SILENT: 0 < len(silent) < len(states),
            codes.METER_HELD: MeterState.OUT_OF_RANGE in states,
            codes.BUS: bool(self._poller.notices()),
            codes.CLOCK: self._time.state() is Clock.UNSYNCHRONISED,
            codes.NETWORK: publisher is not None and bool(publisher.troubles.all),
            codes.GPIO: bool(self._board.troubles),
        }
        return [code for code, holds in found.items() if holds]


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
