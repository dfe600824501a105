"""What the configuration says, as frozen values: read once at start, never changed.

Every duration carries its unit in its name. Paths are absolute after loading.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from meterseal.records import Publishes

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from meterseal_agent.bus.settings import SerialLine, TcpLine
    from meterseal_agent.gpio.settings import GpioSettings, S0Settings

Role = Literal["grid", "pv", "load", "battery"]
ClockTrust = Literal["kernel", "trusted"]


@dataclass(frozen=True, kw_only=True, slots=True)
class AgentConfig:
    """Table [agent].

    Attributes:
        marker_dir: A tmpfs folder for the marker that proves the store newest after a restart.
        interval_s: Length of a billing interval; divides a day.
        tolerance_ms: How far from a boundary an opening or closing value may lie.
        read_every_s: Time between readings; divides `interval_s`.
        publishes: Whether readings leave the house or stay at home.
        clock: Ask the kernel whether the clock is synchronised, or trust the operator's word.
    """

    data_dir: Path
    marker_dir: Path
    interval_s: int = 900
    tolerance_ms: int = 5000
    read_every_s: int = 10
    publishes: Publishes = Publishes.READINGS
    clock: ClockTrust = "kernel"


@dataclass(frozen=True, kw_only=True, slots=True)
class BusConfig:
    """Table [[bus]]: one line and its settings."""

    name: str
    line: SerialLine | TcpLine


@dataclass(frozen=True, kw_only=True, slots=True)
class MeterConfig:
    """Table [[meter]].

    Attributes:
        where: File, table and line, for messages.
        serial: The serial number to insist on; also the one recorded where none can be read.
        registers: Register addresses that replace the profile's, by quantity name.
        quantities: The quantities to read, or None for all that the profile has.
        models: SunSpec: address of the id register of each model, instead of discovery.
        rated_w: Most power that the meter can carry; None to assume what its profile suggests.
    """

    name: str
    bus: str
    address: int
    profile: str
    role: Role
    where: str
    serial: str | None = None
    registers: Mapping[str, int] = field(default_factory=dict)
    quantities: tuple[str, ...] | None = None
    models: Mapping[int, int] = field(default_factory=dict)
    rated_w: int | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class TlsConfig:
    """Key `tls` of [mqtt]: paths of PEM files."""

    ca: Path
    cert: Path | None = None
    key: Path | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class MqttConfig:
    """Table [mqtt]: the broker."""

    host: str
    port: int
    username: str | None = None
    password_file: Path | None = None
    tls: TlsConfig | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class WitnessConfig:
    """One pinned witness: its verifier key (C2SP vkey) and who owns it."""

    key: str
    owner: str


@dataclass(frozen=True, kw_only=True, slots=True)
class AggregatorConfig:
    """Table [aggregator]: the pins from which every receipt is judged.

    Attributes:
        operator: The operator's own cosignature key, whose times convict a rollback.
        anchor_every_s: How often the log is anchored; three times that is overdue.
    """

    origin: str
    head_key: bytes
    log_key: str
    witnesses: tuple[WitnessConfig, ...] = ()
    quorum: int = 0
    operator: str | None = None
    anchor_every_s: int = 900


@dataclass(frozen=True, kw_only=True, slots=True)
class LedgerConfig:
    """Table [ledger]: the pins from which every anchor is judged."""

    chain_id: int
    contract: bytes
    registrant: bytes
    code_hash: bytes
    validators: tuple[bytes, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class StatusConfig:
    """Table [status]: where the status page listens."""

    host: str = "127.0.0.1"
    port: int = 8080
    names: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Config:
    """The whole file. A missing table is None: that part of the agent does not run."""

    source: Path
    agent: AgentConfig
    buses: tuple[BusConfig, ...]
    meters: tuple[MeterConfig, ...]
    mqtt: MqttConfig | None = None
    aggregator: AggregatorConfig | None = None
    ledger: LedgerConfig | None = None
    status: StatusConfig | None = None
    gpio: GpioSettings | None = None
    s0: tuple[S0Settings, ...] = ()
