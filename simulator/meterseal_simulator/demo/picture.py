"""The calm picture in the terminal: what flows, how far the records have come, where to look."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.console import Console, Group
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from meterseal_simulator.demo.facts import STATES, reached

if TYPE_CHECKING:
    from meterseal_simulator.demo.facts import Facts
    from meterseal_simulator.demo.stage import Stage

DEAD_BAND_W = 20
_MEANING = {
    "signed": "by this device's key, chained, on its disk",
    "sent": "handed to the broker",
    "stored": "the aggregator promised, under signature",
    "logged": "in the append-only log, path checked here",
    "witnessed": "the checkpoint carries its witnesses",
    "anchored": "on the ledger: seals and storage proof checked here",
}


def draw(stage: Stage, facts: Facts, seconds: float, news: str) -> Group:
    """Everything the picture shows at this moment."""
    view = facts.view
    if view is None:
        return Group(Text("waiting for the agent …", style="dim"))
    return Group(
        Panel(_flow(view), title="the house now", title_align="left", border_style="dim"),
        Panel(_states(view), title="the record", title_align="left", border_style="dim"),
        Text.assemble(
            ("page ", "dim"), (stage.page, "bold"), ("   device ", "dim"), stage.device[:8],
            ("   ledger block ", "dim"), "-" if facts.height is None else str(facts.height),
            ("   ", ""), (f"{seconds:.0f} s", "dim"),
        ),
        Text(news, style="dim"),
    )  # fmt: skip


def _flow(view: dict[str, Any]) -> Table:
    table = Table(box=None, padding=(0, 2), show_header=False)
    table.add_column(style="bold")
    table.add_column(justify="right")
    table.add_column(style="dim")
    for meter in view["meters"]:
        power = meter["values"].get("power_w")
        read_ms = meter["at_ms"]
        age = "" if read_ms is None else f"{(view['now_ms'] - read_ms) / 1000:.0f} s ago"
        watts = "-" if power is None else f"{abs(power):,} W"
        said = meter["message"] or f"{_direction(meter['role'], power)}, {age}"
        table.add_row(meter["name"], watts, said)
    return table


def _direction(role: str, power: int | None) -> str:
    """In words, since a sign or a colour is read wrongly."""
    if power is None:
        return "no value"
    if role == "pv":
        return "from the sun" if power < -DEAD_BAND_W else "no sun"
    if abs(power) <= DEAD_BAND_W:
        return "nothing bought, nothing sold"
    return "bought from the grid" if power > 0 else "sold to the grid"


def _states(view: dict[str, Any]) -> Table:
    table = Table(box=None, padding=(0, 2), show_header=False)
    table.add_column(style="bold")
    table.add_column(justify="right")
    table.add_column(style="dim")
    record = view["record"]
    counts = {one["state"]: one["count"] for one in record["states"]} if record else {}
    for state in STATES:
        table.add_row(state, str(reached(counts, state)), _MEANING[state])
    return table


def line(facts: Facts, seconds: float) -> str:
    """The picture as one line, where there is no terminal."""
    if facts.view is None:
        return f"{seconds:5.0f} s  waiting for the agent"
    record = facts.view["record"]
    counts = {one["state"]: one["count"] for one in record["states"]} if record else {}
    states = "  ".join(f"{state} {reached(counts, state)}" for state in STATES)
    return f"{seconds:5.0f} s  {states}  block {facts.height}"


def console() -> Console:
    """The terminal, or plain text where there is none."""
    return Console(highlight=False)
