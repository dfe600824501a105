"""A serial line or socket with simulated slaves, and a poller that reads it."""

from __future__ import annotations

import asyncio
import contextlib
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from meterseal.quantities import BY_NAME
from meterseal.records import Clock, MeterState
from meterseal_agent.config import parse
from meterseal_agent.poll import Poller
from meterseal_simulator.bus import Bus
from meterseal_simulator.line import Line, LineTiming
from meterseal_simulator.port import PtyPort
from meterseal_simulator.registers import RegisterSlave, f32, place, u32
from meterseal_simulator.tcp import TcpPort

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Mapping

    from meterseal_agent.poll import MeterSample, Snapshot
    from meterseal_simulator.registers import Slave
    from meterseal_simulator.tcp import Framing

# What the SDM630's profile asks for, and one and a half times that.
TIMEOUT_S = 0.3
QUIET_S = 0.45
SERIAL_NUMBER = 21978347
# Register values that an SDM630 of the tests holds: kWh, V and W no two alike.
SDM630_VALUES = {0x0000: 230.5, 0x0034: -1500.0, 0x0048: 1234.5, 0x004A: 77.25, 0x0156: 1311.75}
SDM630_TRUTH = {
    "voltage_l1_mv": 230_500,
    "power_w": -1500,
    "energy_import_wh": 1_234_500,
    "energy_export_wh": 77_250,
    "energy_total_wh": 1_311_750,
}


@dataclass(kw_only=True, slots=True)
class FakeTime:
    """Clocks that are moved by hand."""

    utc_ms: int = 1_795_000_000_000
    boot_ms: int = 5_000
    clock: Clock = Clock.SYNCHRONISED

    def now_ms(self) -> int:
        return self.utc_ms

    def up_ms(self) -> int:
        return self.boot_ms

    def state(self) -> Clock:
        return self.clock

    @property
    def source(self) -> str:
        return "the test"


def sdm630(
    values: Mapping[int, float] = SDM630_VALUES,
    *,
    serial: int | None = SERIAL_NUMBER,
    holding: Mapping[int, int] | None = None,
    reverse: bool = False,
) -> RegisterSlave:
    """Make a meter whose registers stand still.

    Args:
        serial: None for a meter that refuses to tell.
        holding: Further holding registers.
        reverse: Send the least significant word first.
    """
    inputs = dict.fromkeys(range(0x0182), 0)
    for address, value in values.items():
        high, low = f32(value)
        place(inputs, address, (low, high) if reverse else (high, low))
    settings = dict(holding or {})
    if serial is not None:
        place(settings, 0xFC00, u32(serial))
    return RegisterSlave({4: lambda: inputs, 3: lambda: settings}, limit=80, even=frozenset({4}))


@contextmanager
def serial_wire(folder: Path, slaves: Mapping[int, Slave]) -> Iterator[tuple[Path, Bus]]:
    """Serve slaves at a pseudo-terminal, fast but paced."""
    bus = Bus(slaves)
    port = PtyPort(Line(LineTiming(baud=115200), bus.answer), folder / "ttyRS485")
    port.start()
    try:
        yield folder / "ttyRS485", bus
    finally:
        port.close()


@asynccontextmanager
async def tcp_wire(slaves: Mapping[int, Slave], framing: Framing) -> AsyncIterator[tuple[int, Bus]]:
    """Serve slaves at a TCP port that the system chose."""
    bus = Bus(slaves)
    port = TcpPort(bus, port=0, framing=framing)
    await port.start()
    try:
        yield port.port, bus
    finally:
        await port.close()


def serial_bus(port: Path, name: str = "rs485") -> str:
    return (
        f'[[bus]]\nname = "{name}"\nport = "{port}"\nbaud = 115200\n'
        f"timeout_s = {TIMEOUT_S}\nquiet_s = {QUIET_S}\n"
    )


def tcp_bus(port: int, kind: str, name: str = "lan") -> str:
    return (
        f'[[bus]]\nname = "{name}"\nkind = "{kind}"\nhost = "127.0.0.1"\ntcp_port = {port}\n'
        f"timeout_s = {TIMEOUT_S}\nquiet_s = {QUIET_S}\n"
    )


def meter(*lines: str, name: str = "grid", bus: str = "rs485", address: int = 1) -> str:
    return (
        f'[[meter]]\nname = "{name}"\nbus = "{bus}"\naddress = {address}\nrole = "grid"\n'
        + "\n".join(lines)
        + "\n"
    )


def poller_of(*parts: str, time: FakeTime | None = None) -> Poller:
    text = '[agent]\ndata_dir = "data"\nmarker_dir = "/run/meterseal"\n' + "".join(parts)
    return Poller.from_config(parse(text, Path("/etc/meterseal.toml")), time or FakeTime())


@asynccontextmanager
async def running(poller: Poller) -> AsyncIterator[Poller]:
    task = asyncio.create_task(poller.run(), name="poller under test")
    try:
        yield poller
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def first_good(poller: Poller, index: int = 0, rounds: int = 12) -> Snapshot:
    """Take snapshots until a meter is good."""
    for _ in range(rounds):
        snapshot = await poller.snapshot(10)
        if snapshot.samples[index].state is MeterState.GOOD:
            return snapshot
    raise AssertionError(poller.health()[index].message)


def by_name(sample: MeterSample, names: Mapping[str, object]) -> dict[str, int | None]:
    return {name: sample.values[BY_NAME[name].code] for name in names}
