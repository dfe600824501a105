"""From the text of meterseal.toml to a Config.

What this module refuses here is refused before anything starts: a key or type that is not known,
two meters at one address, times that cannot fit together. That a profile exists and that a meter
has the quantities asked of it is checked where profiles are known, by `Poller.from_config`.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, cast

from meterseal.records import Publishes
from meterseal_agent.config.buses import read_bus, read_meters
from meterseal_agent.config.gpio import read_gpio, read_s0
from meterseal_agent.config.model import AgentConfig, Config
from meterseal_agent.config.peers import (
    read_aggregator,
    read_ledger,
    read_mqtt,
    read_status,
)
from meterseal_agent.errors import ConfigError
from meterseal_agent.tables import Table, open_document

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from meterseal_agent.config.model import ClockTrust

_SIZE_MAX = 1 << 20
_DAY_S = 86_400
_PUBLISHES = {"readings": Publishes.READINGS, "intervals": Publishes.INTERVALS}


def load(path: Path, environ: Mapping[str, str] = os.environ) -> Config:
    """Read the configuration file at `path`.

    Args:
        path: The file; relative paths in it start at its folder.
        environ: Where XDG_RUNTIME_DIR is looked up.

    Raises:
        ConfigError: The file is missing or says what cannot be.
    """
    path = path.absolute()
    try:
        with path.open("rb") as file:
            data = file.read(_SIZE_MAX + 1)
        text = data.decode()
    except FileNotFoundError as error:
        raise ConfigError(
            f"{path}: expected the configuration file, got no such file. "
            "Write one (docs/configuration.md has a complete example) or name it with --config."
        ) from error
    except OSError as error:
        raise ConfigError(
            f"{path}: expected a readable configuration file, got {error.strerror}. "
            "Check the path and its permissions."
        ) from error
    except UnicodeDecodeError as error:
        raise ConfigError(
            f"{path}: expected UTF-8 text, got byte 0x{data[error.start]:02x} at offset "
            f"{error.start}. Save the file as UTF-8."
        ) from error
    if len(data) > _SIZE_MAX:
        raise ConfigError(
            f"{path}: expected at most {_SIZE_MAX} bytes, got more. Is this the right file?"
        )
    return parse(text, path, environ)


def parse(text: str, source: Path, environ: Mapping[str, str] = os.environ) -> Config:
    """Read a configuration from its text; relative paths are relative to the file's folder.

    Raises:
        ConfigError: It says what cannot be.
    """
    top = open_document(text, source)
    agent = _read_agent(top, environ)
    buses = tuple(read_bus(table) for table in top.tables("bus"))
    meters = read_meters(top.tables("meter"), buses)
    gpio = read_gpio(top.table("gpio"))
    config = Config(
        source=source,
        agent=agent,
        buses=buses,
        meters=meters,
        mqtt=read_mqtt(top.table("mqtt")),
        aggregator=read_aggregator(top.table("aggregator")),
        ledger=read_ledger(top.table("ledger")),
        status=read_status(top.table("status")),
        gpio=gpio,
        s0=read_s0(top.tables("s0"), gpio, len(meters)),
    )
    top.done()
    if not meters:
        top.fail("[[meter]]", "at least one meter", "none", "Add a [[bus]] and a [[meter]].")
    return config


def _read_agent(top: Table, environ: Mapping[str, str]) -> AgentConfig:
    table = top.table("agent")
    if table is None:
        top.fail("[agent]", "a table with data_dir", "nothing", 'Add [agent] data_dir = "…".')
    config = AgentConfig(
        data_dir=table.path("data_dir"),
        marker_dir=_marker_dir(table, environ),
        interval_s=table.integer("interval_s", 1, _DAY_S, 900),
        tolerance_ms=table.integer("tolerance_ms", 1, _DAY_S * 1000, 5000),
        read_every_s=table.integer("read_every_s", 1, _DAY_S, 10),
        publishes=_PUBLISHES[table.choice("publish", tuple(_PUBLISHES), "readings")],
        clock=cast("ClockTrust", table.choice("clock", ("kernel", "trusted"), "kernel")),
    )
    _check_times(table, config)
    table.done()
    return config


def _marker_dir(table: Table, environ: Mapping[str, str]) -> Path:
    if table.has("marker_dir"):
        return table.path("marker_dir")
    runtime = environ.get("RUNTIME_DIRECTORY") or environ.get("XDG_RUNTIME_DIR")
    if not runtime:
        table.fail(
            "marker_dir",
            "a folder on a tmpfs",
            "neither the key nor XDG_RUNTIME_DIR",
            'Set marker_dir = "/run/meterseal" (it must be lost at reboot).',
        )
    return table.document.source.parent / runtime / "meterseal"


def _check_times(table: Table, config: AgentConfig) -> None:
    if _DAY_S % config.interval_s:
        table.fail(
            "interval_s",
            f"a divisor of a day ({_DAY_S} s)",
            config.interval_s,
            "A quarter-hour is 900.",
        )
    if config.tolerance_ms * 2 >= config.interval_s * 1000:
        table.fail(
            "tolerance_ms",
            f"less than half of interval_s ({config.interval_s * 500} ms)",
            config.tolerance_ms,
            "A value in tolerance of two boundaries would belong to neither.",
        )
    if config.interval_s % config.read_every_s:
        table.fail(
            "read_every_s",
            f"a divisor of interval_s ({config.interval_s} s)",
            config.read_every_s,
            "Else no reading would fall on the end of an interval.",
        )
