"""Virtual time: the real libraries run in it unchanged, and nobody waits."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, TypeVar

import pytest
import serial
from pymodbus.client import AsyncModbusSerialClient
from pymodbus.exceptions import ModbusIOException

from meterseal_simulator.bus import Bus
from meterseal_simulator.faults import Dead, Late, Trigger, Unplug
from meterseal_simulator.line import Line, LineTiming
from meterseal_simulator.modbus import rtu_frame
from meterseal_simulator.registers import RegisterSlave
from meterseal_simulator.virtual import VirtualLoop, VirtualTerminal

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator

T = TypeVar("T")
TIMING = LineTiming(turnaround_s=0.02)
READ = b"\x04\0\0\0\x02"


def make_bus() -> Bus:
    image = {address: 1000 + address for address in range(100)}
    return Bus({1: RegisterSlave({4: lambda: image}, limit=50)})


@pytest.fixture
def runner() -> Iterator[asyncio.Runner]:
    with asyncio.Runner(loop_factory=VirtualLoop) as made:
        yield made


def loop_of(runner: asyncio.Runner) -> VirtualLoop:
    loop = runner.get_loop()
    assert isinstance(loop, VirtualLoop)
    return loop


def plug(runner: asyncio.Runner, bus: Bus, latency_s: float = 0.0) -> VirtualTerminal:
    terminal = VirtualTerminal(Line(TIMING, bus.answer), latency_s=latency_s)
    loop_of(runner).plug("line", terminal)
    return terminal


async def with_client(work: Callable[[AsyncModbusSerialClient], Coroutine[None, None, T]]) -> T:
    client = AsyncModbusSerialClient("virtual://line", timeout=0.5, retries=0)
    assert await client.connect()
    try:
        return await work(client)
    finally:
        client.close()


def test_a_day_of_sleep_takes_no_time(runner: asyncio.Runner) -> None:
    begun = time.monotonic()

    runner.run(asyncio.sleep(86_400))

    assert loop_of(runner).time() == pytest.approx(86_400)
    assert time.monotonic() - begun < 5


def test_pymodbus_reads_a_slave_at_the_speed_of_its_line(runner: asyncio.Runner) -> None:
    plug(runner, make_bus())

    async def read(client: AsyncModbusSerialClient) -> tuple[list[int], float]:
        began = loop_of(runner).time()
        reply = await client.read_input_registers(5, count=3, device_id=1)
        return list(reply.registers), loop_of(runner).time() - began

    registers, took = runner.run(with_client(read))

    assert registers == [1005, 1006, 1007]
    c, g = TIMING.character_s, TIMING.silence_s
    assert took == pytest.approx(8 * c + g + 0.02 + 11 * c, abs=0.0005)


def test_an_adapter_hands_bytes_on_in_lumps(runner: asyncio.Runner) -> None:
    plug(runner, make_bus(), latency_s=0.016)

    async def arrivals() -> list[tuple[float, bytes]]:
        port = serial.serial_for_url("virtual://line")
        loop, lumps = loop_of(runner), []
        loop.add_reader(port.fileno(), lambda: lumps.append((loop.time(), port.read(64))))
        port.write(rtu_frame(1, READ))
        await asyncio.sleep(1)
        loop.remove_reader(port.fileno())
        port.close()
        return lumps

    lumps = runner.run(arrivals())

    assert all(at / 0.016 == pytest.approx(round(at / 0.016)) for at, _ in lumps)
    assert b"".join(lump for _, lump in lumps)[:3] == b"\x01\x04\x04"


def test_a_late_and_a_lost_reply_are_missed_after_the_masters_timeout(
    runner: asyncio.Runner,
) -> None:
    bus = make_bus()
    bus.faults.arm(Dead())
    bus.faults.arm(Late(delay_s=2.0), Trigger(after=1))
    plug(runner, bus)

    async def read(client: AsyncModbusSerialClient) -> float:
        for _ in range(2):
            with pytest.raises(ModbusIOException):
                await client.read_input_registers(5, count=3, device_id=1)
        return loop_of(runner).time()

    assert 1.0 <= runner.run(with_client(read)) < 1.5


def test_bytes_pile_up_while_the_computer_is_busy(runner: asyncio.Runner) -> None:
    plug(runner, make_bus())

    async def busy() -> bytes:
        port = serial.serial_for_url("virtual://line")
        port.write(rtu_frame(1, READ))
        loop_of(runner).stall(1.0)
        heard = port.read(64)
        port.close()
        return heard

    assert len(runner.run(busy())) == 9


def test_a_pulled_plug_is_an_error_to_who_has_it_open_and_absent_until_it_is_back(
    runner: asyncio.Runner,
) -> None:
    bus = make_bus()
    bus.faults.arm(Unplug(absent_s=2.0))
    plug(runner, bus)

    async def pulled() -> tuple[bool, bool]:
        port = serial.serial_for_url("virtual://line")
        port.write(rtu_frame(1, READ))
        await asyncio.sleep(0.5)
        with pytest.raises(serial.SerialException, match="gone"):
            port.read(1)
        port.close()
        with pytest.raises(serial.SerialException, match="no such device"):
            serial.serial_for_url("virtual://line")
        await asyncio.sleep(2)
        again = serial.serial_for_url("virtual://line")
        with pytest.raises(serial.SerialException, match="exclusively"):
            serial.serial_for_url("virtual://line")
        again.close()
        return port.is_open, again.is_open

    assert runner.run(pulled()) == (False, False)


def test_waiting_for_what_will_never_happen_is_an_error(runner: asyncio.Runner) -> None:
    async def forever() -> None:
        await asyncio.get_running_loop().create_future()

    with pytest.raises(RuntimeError, match="nothing will ever happen"):
        runner.run(forever())
