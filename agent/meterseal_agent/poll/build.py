"""From configuration and profiles to bus owners; what cannot be read is refused here."""

from __future__ import annotations

import math
import random
from dataclasses import replace
from typing import TYPE_CHECKING

from meterseal_agent.bus.guard import Guard
from meterseal_agent.bus.port import ModbusPort
from meterseal_agent.bus.settings import SerialLine
from meterseal_agent.errors import ConfigError, ProfileError
from meterseal_agent.poll.budget import BusBudget, check_budget
from meterseal_agent.poll.meter import MeterReader
from meterseal_agent.poll.owner import BusOwner
from meterseal_agent.profiles import load_profile

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from meterseal_agent.bus.port import Port
    from meterseal_agent.bus.settings import Line
    from meterseal_agent.config import BusConfig, Config, MeterConfig
    from meterseal_agent.profiles import Profile

# What nearly every meter can be set to.
_USUAL_BAUDS = (9600, 19200, 38400)


def build_readers(
    config: Config, make_port: Callable[[Line], Port] = ModbusPort
) -> tuple[tuple[BusOwner, ...], tuple[MeterReader, ...]]:
    """Make an owner for each bus that has meters, and a reader for each meter, in order.

    Raises:
        ConfigError: A profile is unknown, or a meter asks for what its profile lacks.
    """
    profiles = [_profile(meter) for meter in config.meters]
    guards = {
        bus.name: _guard(bus, config, profiles, make_port)
        for bus in config.buses
        if any(meter.bus == bus.name for meter in config.meters)
    }
    readers = tuple(
        MeterReader(meter, profile, guards[meter.bus])
        for meter, profile in zip(config.meters, profiles, strict=True)
    )
    owners = tuple(
        BusOwner(
            name,
            guard,
            [(index, reader) for index, reader in enumerate(readers) if reader.meter.bus == name],
            config.agent.read_every_s,
        )
        for name, guard in guards.items()
    )
    return owners, readers


def budgets(readers: Iterable[MeterReader], every_s: float | None) -> tuple[BusBudget, ...]:
    """Add up what the meters of each bus need, in order of the buses' first meters."""
    buses: dict[str, list[MeterReader]] = {}
    for reader in readers:
        buses.setdefault(reader.meter.bus, []).append(reader)
    return tuple(
        BusBudget(
            bus=name,
            line=its[0].line.label,
            every_s=math.inf if every_s is None else every_s,
            meters=tuple(reader.budget() for reader in its),
        )
        for name, its in buses.items()
    )


def check_periods(config: Config, readers: Sequence[MeterReader]) -> None:
    """Refuse a period that the rounds over a bus cannot fit.

    Raises:
        ConfigError: It cannot; the message has the numbers and what would fit.
    """
    for budget in budgets(readers, config.agent.read_every_s):
        its = [reader for reader in readers if reader.meter.bus == budget.bus]
        faster = {
            f"baud = {line.baud} at the bus and its meters": sum(
                (needs := reader.budget(line)).values_s + needs.proof_s for reader in its
            )
            for line in _faster_lines(its[0].line)
        }
        check_budget(budget, f"{config.source} [agent]", config.agent.interval_s, faster)


def _faster_lines(line: Line) -> list[SerialLine]:
    if not isinstance(line, SerialLine):
        return []
    return [replace(line, baud=baud) for baud in _USUAL_BAUDS if baud > line.baud]


def _guard(
    bus: BusConfig,
    config: Config,
    profiles: list[Profile],
    make_port: Callable[[Line], Port],
) -> Guard:
    paces = [
        profile.pace.timeout_s
        for meter, profile in zip(config.meters, profiles, strict=True)
        if meter.bus == bus.name
    ]
    return Guard(
        make_port(bus.line),
        bus.line,
        slowest_s=max(bus.line.timeout_s, *paces),
        jitter=random.random,
    )


def _profile(meter: MeterConfig) -> Profile:
    """Load a meter's profile and hold the meter's wishes against it."""
    try:
        profile = load_profile(meter.profile)
    except ProfileError as error:
        raise ConfigError(f"{meter.where} {error}") from error
    known = {point.name for point in profile.quantities()}
    for name in (*(meter.quantities or ()), *meter.registers):
        if name not in known:
            raise ConfigError(
                f"{meter.where}: expected a quantity of {profile.name} "
                f"({', '.join(sorted(known))}), got {name}. Remove it or choose another profile."
            )
    if meter.models and not profile.sunspec:
        raise ConfigError(
            f"{meter.where} models: expected a SunSpec profile beside it, got {profile.name}. "
            "Remove the key."
        )
    if meter.registers and profile.sunspec:
        raise ConfigError(
            f"{meter.where} registers: expected `models` beside {profile.name}, got register "
            "addresses. SunSpec finds registers by model: give `models` instead."
        )
    _check_models(meter, profile)
    return profile


def _check_models(meter: MeterConfig, profile: Profile) -> None:
    known = {number for model in profile.models for number in model.ids}
    for number in meter.models:
        if number not in known:
            raise ConfigError(
                f"{meter.where} models: expected models of {profile.name} "
                f"({', '.join(map(str, sorted(known)))}), got {number}."
            )
