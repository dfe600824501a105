"""Tables [mqtt], [aggregator], [ledger] and [status]: whom the agent talks to, and its pins."""

from __future__ import annotations

from typing import TYPE_CHECKING

from meterseal_agent.config.model import (
    AggregatorConfig,
    LedgerConfig,
    MqttConfig,
    StatusConfig,
    TlsConfig,
    WitnessConfig,
)

if TYPE_CHECKING:
    from meterseal_agent.tables import Table

_PLAIN_PORT = 1883
_TLS_PORT = 8883
_WEEK_S = 7 * 86400
_CHAIN_ID_MAX = (1 << 63) - 1


def read_mqtt(table: Table | None) -> MqttConfig | None:
    """Read [mqtt]."""
    if table is None:
        return None
    tls = _read_tls(table.table("tls"))
    config = MqttConfig(
        host=table.text("host"),
        port=table.integer("port", 1, 65535, _PLAIN_PORT if tls is None else _TLS_PORT),
        username=table.optional_text("username"),
        password_file=table.path("password_file") if table.has("password_file") else None,
        tls=tls,
    )
    if config.password_file is not None and config.username is None:
        table.fail("username", "a user name beside password_file", "nothing")
    table.done()
    return config


def _read_tls(table: Table | None) -> TlsConfig | None:
    if table is None:
        return None
    config = TlsConfig(
        ca=table.path("ca"),
        cert=table.path("cert") if table.has("cert") else None,
        key=table.path("key") if table.has("key") else None,
    )
    if (config.cert is None) != (config.key is None):
        missing = "cert" if config.cert is None else "key"
        table.fail(missing, "cert and key together", "one of them")
    table.done()
    return config


def read_aggregator(table: Table | None) -> AggregatorConfig | None:
    """Read [aggregator]; the verifier keys themselves are parsed where they are used."""
    if table is None:
        return None
    witnesses = tuple(_read_witness(witness) for witness in table.tables("witnesses"))
    config = AggregatorConfig(
        origin=table.text("origin"),
        head_key=table.hexadecimal("head_key", 32),
        log_key=table.text("log_key"),
        witnesses=witnesses,
        quorum=table.integer("quorum", 0, len(witnesses), len(witnesses)),
        operator=table.optional_text("operator"),
        anchor_every_s=table.integer("anchor_every_s", 1, _WEEK_S, 900),
    )
    table.done()
    return config


def _read_witness(table: Table) -> WitnessConfig:
    witness = WitnessConfig(key=table.text("key"), owner=table.text("owner"))
    table.done()
    return witness


def read_ledger(table: Table | None) -> LedgerConfig | None:
    """Read [ledger]."""
    if table is None:
        return None
    names = table.texts("validators")
    validators = tuple(table.as_bytes("validators", name, 20, "0x") for name in names)
    if not validators or len(set(validators)) != len(validators):
        table.fail("validators", "at least one address, each once", list(names))
    config = LedgerConfig(
        chain_id=table.integer("chain_id", 1, _CHAIN_ID_MAX),
        contract=table.hexadecimal("contract", 20, "0x"),
        registrant=table.hexadecimal("registrant", 20, "0x"),
        code_hash=table.hexadecimal("code_hash", 32, "0x"),
        validators=validators,
    )
    table.done()
    return config


def read_status(table: Table | None) -> StatusConfig | None:
    """Read [status]."""
    if table is None:
        return None
    config = StatusConfig(
        host=table.text("host", "127.0.0.1"),
        port=table.integer("port", 0, 65535, 8080),
        names=table.texts("names"),
    )
    table.done()
    return config
