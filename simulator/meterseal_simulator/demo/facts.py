"""What is true now, asked of each part through its public interface."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from meterseal_simulator.demo.stage import Stage

ANSWER_WITHIN_S = 3.0
# Each state implies those before it, so "at least logged" is logged, witnessed and anchored.
STATES = ("signed", "sent", "stored", "logged", "witnessed", "anchored")


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """One moment of the demonstration.

    Attributes:
        view: The agent's status as its page's JSON interface gives it; None before it answers.
        height: Number of the ledger's newest block; None when the ledger does not answer.
    """

    view: dict[str, Any] | None
    height: int | None
    intervals: dict[str, int] = field(default_factory=dict)


def status(stage: Stage) -> dict[str, Any] | None:
    """What the agent's page shows, or None while it does not answer."""
    url = f"{stage.page}api/v1/status"
    try:
        with urllib.request.urlopen(url, timeout=ANSWER_WITHIN_S) as answer:  # noqa: S310 loopback
            view: dict[str, Any] = json.load(answer)
            return view
    except (OSError, ValueError):
        return None


def call(url: str, method: str, *parameters: object) -> Any:  # noqa: ANN401 JSON is what it is
    """One JSON-RPC call to the ledger; None when it does not answer."""
    question = {"jsonrpc": "2.0", "id": 1, "method": method, "params": list(parameters)}
    request = urllib.request.Request(  # noqa: S310 loopback
        url, json.dumps(question).encode(), {"Content-Type": "application/json"}
    )
    try:
        with urllib.request.urlopen(request, timeout=ANSWER_WITHIN_S) as answer:  # noqa: S310
            return json.load(answer).get("result")
    except (OSError, ValueError):
        return None


def height(stage: Stage) -> int | None:
    """Number of the newest block."""
    number = call(stage.ledger_url, "eth_blockNumber")
    return None if number is None else int(number, 16)


def reached(counts: dict[str, int], state: str) -> int:
    """How many have reached `state` or a later one."""
    return sum(counts.get(one, 0) for one in STATES[STATES.index(state) :])


def counts(stage: Stage) -> dict[str, dict[str, int]]:
    """From the device's store: per kind ("reading", "interval"), how many are in which state."""
    shown = json.loads(
        stage.command(
            "meterseal_agent", "show", "--config", str(stage.agent_config), "--json", "--counts"
        )
    )
    kinds: dict[str, dict[str, int]] = shown["counts"]
    return kinds


def anchored_reading(stage: Stage, since_ms: int = 0) -> int | None:
    """Sequence number of the newest anchored reading, if it was taken since, or None."""
    shown = json.loads(
        stage.command(
            "meterseal_agent", "show", "--config", str(stage.agent_config), "--json",
            "--kind", "reading", "--state", "anchored", "--last", "1",
        )
    )  # fmt: skip
    records = shown["records"]
    return records[0]["seq"] if records and records[0]["time_ms"] >= since_ms else None


def devices(stage: Stage) -> list[dict[str, Any]]:
    """The aggregator's view of its devices."""
    told: list[dict[str, Any]] = json.loads(
        stage.command(
            "meterseal_aggregator", "devices", "--config", str(stage.aggregator_config), "--json"
        )
    )
    return told


def readings_stored(stage: Stage) -> int:
    """Readings of our device in the aggregator's store."""
    return sum(one["readings"] for one in devices(stage) if one["device"] == stage.device)


def refused(stage: Stage) -> list[str]:
    """What the aggregator holds against our device."""
    ours = [one for one in devices(stage) if one["device"] == stage.device]
    return [one["frozen"] for one in ours if one["frozen"]]
