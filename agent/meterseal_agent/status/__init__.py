"""The status page: what flows now, what today brought, and whether the record is safe."""

from meterseal_agent.status.server import StatusServer
from meterseal_agent.status.view import (
    ClockView,
    EnergyToday,
    MeterView,
    Notice,
    RecordView,
    StateCount,
    StatusSource,
    StatusView,
)

__all__ = [
    "ClockView",
    "EnergyToday",
    "MeterView",
    "Notice",
    "RecordView",
    "StateCount",
    "StatusServer",
    "StatusSource",
    "StatusView",
]
