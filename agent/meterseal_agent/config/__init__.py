"""The configuration file: read strictly once at start, handed on as frozen values."""

from meterseal_agent.config.load import load, parse
from meterseal_agent.config.model import (
    AgentConfig,
    AggregatorConfig,
    BusConfig,
    Config,
    LedgerConfig,
    MeterConfig,
    MqttConfig,
    StatusConfig,
    TlsConfig,
    WitnessConfig,
)

__all__ = [
    "AgentConfig",
    "AggregatorConfig",
    "BusConfig",
    "Config",
    "LedgerConfig",
    "MeterConfig",
    "MqttConfig",
    "StatusConfig",
    "TlsConfig",
    "WitnessConfig",
    "load",
    "parse",
]
