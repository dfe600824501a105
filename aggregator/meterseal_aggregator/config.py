"""aggregator.toml, read once into frozen values; an unknown key is an error, never ignored."""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from meterseal.ledger.header import Consensus
from meterseal_aggregator.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping

EXAMPLE = """\
[aggregator]
data_dir = "/var/lib/meterseal-aggregator"  # store, keys/ and evidence/
origin = "log.example.org/meterseal"        # the log's name; devices pin it: it never changes
checkpoint_every_s = 10                     # a grown log gets a signed checkpoint this often
anchor_every_s = 900                        # the newest checkpoint goes to the ledger this often
longest_delay_ms = 60000                    # promised in every head: logged after this at latest
# marker_dir = "/dev/shm"                    # a tmpfs: what lies here must be lost at reboot

[mqtt]
host = "127.0.0.1"
port = 1883
# username = "aggregator"
# password_file = "/etc/meterseal/mqtt.password"
# tls = { ca = "/etc/meterseal/ca.pem", cert = "/etc/…/cert.pem", key = "/etc/…/key.pem" }

# Without this table nothing is anchored.
[ledger]
url = "http://127.0.0.1:8545"
chain_id = 1337260
deploy = true                                # deploy the log contract if `contract` is not given
# contract = "0x…"                           # use this one
# key_file = "/etc/meterseal/ledger.key"     # default: data_dir/keys/ledger.key
# finality = "qbft"                          # "qbft", "ibft2", or "blocks" on any other chain
# confirmations = 12                         # blocks to wait with finality = "blocks"
# gas_limit_max = 3000000
# fee_per_gas_max_wei = 100000000000
"""

_ORIGIN = re.compile(r"[!-*,-~]{1,128}\Z")
_ADDRESS = re.compile(r"0x[0-9a-fA-F]{40}\Z")
_REQUIRED = object()


@dataclass(frozen=True, slots=True, kw_only=True)
class Tls:
    """Files of a TLS client."""

    ca: Path
    cert: Path | None
    key: Path | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Mqtt:
    """The broker, and how to be known to it."""

    host: str
    port: int
    username: str | None = None
    password_file: Path | None = None
    tls: Tls | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Ledger:
    """The chain that roots are anchored on."""

    url: str
    chain_id: int
    contract: str | None
    deploy: bool
    key_file: Path
    finality: str
    confirmations: int
    gas_limit_max: int
    fee_per_gas_max_wei: int

    @property
    def consensus(self) -> Consensus:
        """How sealed blocks are written; asked only where `finality` is not "blocks"."""
        return Consensus(self.finality)


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """All of aggregator.toml."""

    data_dir: Path
    origin: str
    checkpoint_every_s: float
    anchor_every_s: float
    longest_delay_ms: int
    marker_dir: Path
    mqtt: Mqtt
    ledger: Ledger | None

    @property
    def keys_dir(self) -> Path:
        """Where the key files lie."""
        return self.data_dir / "keys"

    @property
    def store_path(self) -> Path:
        """The SQLite database."""
        return self.data_dir / "store.sqlite3"

    @property
    def evidence_dir(self) -> Path:
        """Where fork evidence is written."""
        return self.data_dir / "evidence"


class _Table:
    """One TOML table, from which every key must be taken."""

    def __init__(self, source: str, name: str, values: Mapping[str, object]) -> None:
        self._where = f"{source}: [{name}]"
        self._left = dict(values)
        self._known: list[str] = []

    def take(self, key: str, kind: type | tuple[type, ...], default: object = _REQUIRED) -> object:
        self._known.append(key)
        value = self._left.pop(key, default)
        if value is _REQUIRED:
            raise ConfigError(
                f"{self._where}: {key} is missing. `meterseal-aggregator init --example` shows it."
            )
        if value is default:
            return value
        if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
            kinds = kind if isinstance(kind, tuple) else (kind,)
            expected = " or ".join(_TOML_NAMES[one] for one in kinds)
            raise ConfigError(f"{self._where}: {key}: expected {expected}, got {_said(value)}.")
        return value

    def text(self, key: str, default: object = _REQUIRED) -> str:
        return str(self.take(key, str, default))

    def optional_text(self, key: str) -> str | None:
        value = self.take(key, str, None)
        return None if value is None else str(value)

    def integer(self, key: str, low: int, high: int, default: object = _REQUIRED) -> int:
        value = int(str(self.take(key, int, default)))
        self._within(key, value, low, high)
        return value

    def seconds(self, key: str, low: float, high: float, default: object = _REQUIRED) -> float:
        value = float(str(self.take(key, (int, float), default)))
        self._within(key, value, low, high)
        return value

    def flag(self, key: str, *, default: bool) -> bool:
        return bool(self.take(key, bool, default))

    def table(self, key: str) -> Mapping[str, object] | None:
        value = self.take(key, dict, None)
        return value if isinstance(value, dict) else None

    def refuse(self, key: str, expected: str, got: object) -> ConfigError:
        return ConfigError(f"{self._where}: {key}: expected {expected}, got {_said(got)}.")

    def _within(self, key: str, value: float, low: float, high: float) -> None:
        if not low <= value <= high:
            raise self.refuse(key, f"{low:g} to {high:g}", value)

    def done(self) -> None:
        if self._left:
            unknown = ", ".join(sorted(self._left))
            known = ", ".join(self._known)
            raise ConfigError(
                f"{self._where}: unknown key {unknown}. Known here: {known}. Remove or correct it."
            )


def _said(value: object) -> str:
    """Say a value as TOML writes it."""
    if value is None:
        return "nothing"
    return str(value).lower() if isinstance(value, bool) else repr(value)


_TOML_NAMES = {
    str: "text",
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    dict: "a table",
}


def load(path: Path) -> Config:
    """Read a configuration file.

    Raises:
        ConfigError: The file is missing, is not TOML, or says something unknown or impossible.
    """
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except FileNotFoundError as error:
        raise ConfigError(
            f"{path}: no such configuration file. "
            "Write one from `meterseal-aggregator init --example`, or name it with --config."
        ) from error
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: expected text in UTF-8, got other bytes.") from error
    return parse(text, source=str(path))


def parse(text: str, *, source: str) -> Config:
    """Read the text of a configuration.

    Raises:
        ConfigError: As for `load`.
    """
    try:
        document = tomllib.loads(text.replace("\r\n", "\n"))
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{source}: not TOML: {error}.") from error
    top = _Table(source, "top", document)
    own = top.table("aggregator")
    broker = top.table("mqtt")
    ledger = top.table("ledger")
    top.done()
    if own is None or broker is None:
        missing = "aggregator" if own is None else "mqtt"
        raise ConfigError(f"{source}: the table [{missing}] is missing.")
    table = _Table(source, "aggregator", own)
    data_dir = Path(table.text("data_dir"))
    origin = table.text("origin")
    if not _ORIGIN.match(origin):
        raise table.refuse(
            "origin", "1 to 128 printable ASCII characters, no blank, no plus", origin
        )
    config = Config(
        data_dir=data_dir,
        origin=origin,
        checkpoint_every_s=table.seconds("checkpoint_every_s", 0.05, 3600, 10),
        anchor_every_s=table.seconds("anchor_every_s", 0.05, 86400 * 7, 900),
        longest_delay_ms=table.integer("longest_delay_ms", 1, 86_400_000, 60_000),
        # The same folder for every command, whatever its environment: `confirm` writes there too.
        marker_dir=Path(table.text("marker_dir", "/dev/shm")),  # noqa: S108 -- see marker.py
        mqtt=_mqtt(_Table(source, "mqtt", broker), source),
        ledger=None if ledger is None else _ledger(_Table(source, "ledger", ledger), data_dir),
    )
    table.done()
    return config


def _mqtt(table: _Table, source: str) -> Mqtt:
    password_file = table.optional_text("password_file")
    tls = table.table("tls")
    mqtt = Mqtt(
        host=table.text("host"),
        port=table.integer("port", 1, 65535, 1883),
        username=table.optional_text("username"),
        password_file=None if password_file is None else Path(password_file),
        tls=None if tls is None else _tls(_Table(source, "mqtt.tls", tls)),
    )
    if mqtt.password_file is not None and mqtt.username is None:
        raise table.refuse("username", "a user name beside password_file", None)
    table.done()
    return mqtt


def _tls(table: _Table) -> Tls:
    ca, cert, key = table.text("ca"), table.optional_text("cert"), table.optional_text("key")
    if key is not None and cert is None:
        raise table.refuse("cert", "a certificate beside key", None)
    table.done()
    return Tls(
        ca=Path(ca),
        cert=None if cert is None else Path(cert),
        key=None if key is None else Path(key),
    )


def _ledger(table: _Table, data_dir: Path) -> Ledger:
    contract = table.optional_text("contract")
    if contract is not None and not _ADDRESS.match(contract):
        raise table.refuse("contract", "0x and 40 hex digits", contract)
    finality = table.text("finality", "qbft")
    if finality not in {"qbft", "ibft2", "blocks"}:
        raise table.refuse("finality", '"qbft", "ibft2" or "blocks"', finality)
    ledger = Ledger(
        url=table.text("url"),
        chain_id=table.integer("chain_id", 1, 2**63 - 1),
        contract=contract,
        deploy=table.flag("deploy", default=False),
        key_file=Path(table.text("key_file", str(data_dir / "keys" / "ledger.key"))),
        finality=finality,
        confirmations=table.integer("confirmations", 0, 10_000, 12 if finality == "blocks" else 0),
        gas_limit_max=table.integer("gas_limit_max", 100_000, 30_000_000, 3_000_000),
        fee_per_gas_max_wei=table.integer("fee_per_gas_max_wei", 0, 10**15, 10**11),
    )
    if contract is None and not ledger.deploy:
        raise table.refuse("contract", "an address, or deploy = true", None)
    table.done()
    return ledger
