"""The whole path as processes: the demonstration's stage, with mosquitto as the broker."""

from __future__ import annotations

import json
import sqlite3
import time
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from meterseal.records import Kind, Record, decode_record
from meterseal_simulator.demo import facts
from meterseal_simulator.demo.stage import Settings, Stage, python
from support.mosquitto import executable

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

T = TypeVar("T")
QUICK = Settings(read_every_s=1, interval_s=5, anchor_every_s=2)


class QuickStage(Stage):
    """The demonstration's stage with its own broker, and little to read."""

    def meters(self) -> str:
        """Few quantities, so that a round takes little of the 9600 baud."""
        few = 'quantities = ["energy_import_wh", "energy_export_wh", "power_w"]\n'
        two, _, _ = super().meters().partition('[[meter]]\nname = "inverter"')
        return two.replace('role = "', f'{few}role = "')


class MosquittoStage(QuickStage):
    """A real mosquitto takes the broker's place by configuration alone.

    It is the default mosquitto: what it acknowledged is gone when it is killed.
    """

    def start_broker(self) -> None:
        configuration = self.root / "broker" / "mosquitto.conf"
        configuration.write_text(
            f"listener {self.broker_port} 127.0.0.1\nallow_anonymous true\n"
            "max_queued_messages 0\nmax_inflight_messages 0\n"
        )
        self.start_child("broker", executable(), "-c", str(configuration), announces=False)


class ReplayStage(MosquittoStage):
    """Recordings of real devices take the house's place."""

    recordings: tuple[Path, ...] = ()
    tables = ""

    def start_house(self) -> None:
        self.start_child(
            "house", *python("meterseal_simulator"), "replay",
            *(str(one) for one in self.recordings),
            "--pty", str(self.root / "house" / "ttyRS485"), announces=True,
        )  # fmt: skip

    def meters(self) -> str:
        return self.tables.replace("PORT", str(self.root / "house" / "ttyRS485"))


def await_true(what: str, condition: Callable[[], T | None], within_s: float = 60.0) -> T:
    """Return the condition's value as soon as it is true."""
    until = time.monotonic() + within_s
    while not (value := condition()):
        assert time.monotonic() < until, f"not within {within_s} s: {what}"
        time.sleep(0.1)
    return value


def state_counts(stage: Stage) -> dict[str, int]:
    """How many records the agent's page shows in each state."""
    view = facts.status(stage)
    record = view["record"] if view else None
    return {one["state"]: one["count"] for one in record["states"]} if record else {}


@dataclass(frozen=True, slots=True)
class Stored:
    """One record as a store has it."""

    data: bytes
    record: Record


def device_records(stage: Stage) -> list[Stored]:
    """What lies on the device, in order."""
    with closing(sqlite3.connect(stage.root / "agent" / "data" / "store.sqlite3")) as store:
        rows = store.execute("SELECT bytes FROM record ORDER BY place").fetchall()
    return [Stored(data, decode_record(data)) for (data,) in rows]


def aggregator_rows(stage: Stage, query: str) -> list[tuple[Any, ...]]:
    """Rows of the aggregator's store."""
    with closing(sqlite3.connect(stage.root / "aggregator" / "data" / "store.sqlite3")) as store:
        return store.execute(query).fetchall()


def audit(stage: Stage) -> None:
    """Both fsck commands find nothing."""
    stage.command("meterseal_agent", "fsck", "--config", str(stage.agent_config))
    stage.command("meterseal_aggregator", "fsck", "--config", str(stage.aggregator_config))


def assert_nothing_lost_doubled_or_forked(stage: Stage) -> None:
    """Each record is once in the aggregator's store, each light one once in the log."""
    audit(stage)
    device = device_records(stage)
    stored = [row[0] for row in aggregator_rows(stage, "SELECT data FROM record WHERE status = 1")]
    places = [(one.record.epoch, one.record.seq) for one in device]
    light = [one.data for one in device if one.record.kind is not Kind.READING]
    logged = [
        row[0]
        for row in aggregator_rows(
            stage,
            "SELECT record.data FROM leaf JOIN record ON record.hash = leaf.hash ORDER BY leaf.idx",
        )
    ]
    assert sorted(stored) == sorted(one.data for one in device)
    assert places == sorted(set(places))
    assert [seq for _, seq in places] == list(range(len(places)))
    assert logged == light
    assert not aggregator_rows(stage, "SELECT 1 FROM contradiction")


def shown(stage: Stage, *arguments: str) -> dict[str, Any]:
    """`meterseal-agent show --json`."""
    said: dict[str, Any] = json.loads(
        stage.command(
            "meterseal_agent", "show", "--config", str(stage.agent_config), "--json", *arguments
        )
    )
    return said
