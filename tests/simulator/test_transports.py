"""The slaves over a real pseudo-terminal and real sockets, read by masters we did not write."""

from __future__ import annotations

import asyncio
import contextlib
import os
import struct
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import serial
from pymodbus import FramerType
from pymodbus.client import AsyncModbusTcpClient, ModbusSerialClient
from pymodbus.exceptions import ModbusIOException

from meterseal_simulator.bus import Bus
from meterseal_simulator.errors import SimulatorError
from meterseal_simulator.faults import (
    BadChecksum,
    Dead,
    Echo,
    Fault,
    Late,
    Rebooting,
    SecondMaster,
    Trigger,
    Truncated,
    Unplug,
    overheard,
)
from meterseal_simulator.line import Line, LineTiming
from meterseal_simulator.modbus import rtu_frame
from meterseal_simulator.port import PtyPort
from meterseal_simulator.registers import RegisterSlave
from meterseal_simulator.tcp import Framing, TcpPort

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

FAST = LineTiming(baud=115_200)
READ_TWO = bytes.fromhex("0400000002")


def make_bus() -> Bus:
    """Two slaves whose registers hold their own address, plus the unit times a thousand."""

    def slave(unit: int) -> RegisterSlave:
        image = {address: 1000 * unit + address for address in range(200)}
        return RegisterSlave({3: lambda: image, 4: lambda: image}, limit=125)

    return Bus({unit: slave(unit) for unit in (1, 2)})


@pytest.fixture
def port(tmp_path: Path) -> Iterator[PtyPort]:
    pty = PtyPort(Line(FAST, make_bus().answer), tmp_path / "line" / "ttyRS485")
    pty.start()
    yield pty
    pty.close()


@contextlib.asynccontextmanager
async def tcp(bus: Bus, framing: Framing = "tcp") -> AsyncIterator[int]:
    served = TcpPort(bus, port=0, framing=framing)
    await served.start()
    try:
        yield served.port
    finally:
        await served.close()


def test_pymodbus_reads_both_slaves_over_the_serial_line(port: PtyPort) -> None:
    client = ModbusSerialClient(str(port.link), baudrate=115_200, timeout=5, retries=0)
    assert client.connect()
    try:
        first = client.read_input_registers(5, count=3, device_id=1)
        second = client.read_holding_registers(0, count=125, device_id=2)
        outside = client.read_input_registers(199, count=2, device_id=1)
    finally:
        client.close()  # type: ignore[no-untyped-call]

    assert first.registers == [1005, 1006, 1007]
    assert second.registers == [2000 + address for address in range(125)]
    assert outside.exception_code == 2


def test_a_late_reply_makes_an_unguarded_master_take_one_register_for_another(
    tmp_path: Path,
) -> None:
    """Field lesson 1, so that those who guard against it know that this line can do it."""
    bus = make_bus()
    pty = PtyPort(Line(FAST, bus.answer), tmp_path / "tty")
    pty.start()
    client = ModbusSerialClient(str(pty.link), baudrate=115_200, timeout=0.3, retries=0)
    assert client.connect()
    bus.faults.arm(Late(delay_s=0.4))
    try:
        with pytest.raises(ModbusIOException):
            client.read_input_registers(0, count=1, device_id=1)
        shifted = client.read_input_registers(7, count=1, device_id=1)
    finally:
        client.close()  # type: ignore[no-untyped-call]
        pty.close()

    assert shifted.registers == [1000]


def test_an_answer_over_the_serial_line_is_never_faster_than_the_wire(tmp_path: Path) -> None:
    timing = LineTiming(baud=19_200, turnaround_s=0.005)
    pty = PtyPort(Line(timing, make_bus().answer), tmp_path / "tty")
    pty.start()
    try:
        with serial.Serial(str(pty.link), 19_200, timeout=5) as master:
            asked = time.monotonic()
            master.write(rtu_frame(1, READ_TWO))
            answer = master.read(9)
            took = time.monotonic() - asked
    finally:
        pty.close()

    assert answer == rtu_frame(1, struct.pack(">BBHH", 4, 4, 1000, 1001))
    assert took >= 17 * timing.character_s + timing.silence_s + timing.turnaround_s


def test_the_line_survives_when_its_master_goes_away(port: PtyPort) -> None:
    for _ in range(2):
        with serial.Serial(str(port.link), 115_200, timeout=5) as master:
            master.write(rtu_frame(2, READ_TWO))
            assert len(master.read(9)) == 9


def test_the_stable_name_goes_when_the_line_goes(tmp_path: Path) -> None:
    link = tmp_path / "tty"
    pty = PtyPort(Line(FAST, make_bus().answer), link)
    pty.start()
    assert link.is_symlink()

    pty.close()

    assert not link.is_symlink()


def test_a_name_left_behind_is_taken_over_and_a_file_is_not(tmp_path: Path) -> None:
    stale, file = tmp_path / "stale", tmp_path / "file"
    stale.symlink_to("/dev/pts/nowhere")
    file.write_text("precious")

    pty = PtyPort(Line(FAST, make_bus().answer), stale)
    pty.start()
    pty.close()
    blocked = PtyPort(Line(FAST, make_bus().answer), file)
    with pytest.raises(SimulatorError, match="found a file; choose another --pty"):
        blocked.start()
    blocked.close()

    assert file.read_text() == "precious"


def test_a_port_leaves_no_descriptor_behind(tmp_path: Path) -> None:
    before = {path.name for path in Path("/proc/self/fd").iterdir()}

    pty = PtyPort(Line(FAST, make_bus().answer), tmp_path / "tty")
    pty.start()
    pty.close()

    assert {path.name for path in Path("/proc/self/fd").iterdir()} == before


@pytest.mark.parametrize(
    ("framing", "framer"), [("tcp", FramerType.SOCKET), ("rtu-over-tcp", FramerType.RTU)]
)
async def test_pymodbus_reads_both_slaves_over_tcp(framing: Framing, framer: FramerType) -> None:
    async with tcp(make_bus(), framing) as number:
        client = AsyncModbusTcpClient("127.0.0.1", port=number, framer=framer, retries=0)
        await client.connect()
        first = await client.read_input_registers(5, count=3, device_id=1)
        second = await client.read_holding_registers(0, count=125, device_id=2)
        outside = await client.read_input_registers(199, count=2, device_id=1)
        client.close()

    assert first.registers == [1005, 1006, 1007]
    assert second.registers == [2000 + address for address in range(125)]
    assert outside.exception_code == 2


async def test_a_tcp_request_to_an_empty_address_stays_without_an_answer() -> None:
    async with tcp(make_bus()) as number:
        reader, writer = await asyncio.open_connection("127.0.0.1", number)
        writer.write(bytes.fromhex("000100000006") + b"\x09" + READ_TWO)
        writer.write(bytes.fromhex("000200000006") + b"\x01" + READ_TWO)
        answer = await reader.readexactly(13)
        writer.close()

    assert answer[:2] == b"\x00\x02"


@pytest.mark.parametrize(
    "rubbish", ["000100010006010400000002", "0001000000000104", "00010000ffff01" + "00" * 20]
)
async def test_what_is_not_modbus_closes_the_tcp_connection(rubbish: str) -> None:
    async with tcp(make_bus()) as number:
        reader, writer = await asyncio.open_connection("127.0.0.1", number)
        writer.write(bytes.fromhex(rubbish))
        assert await reader.read() == b""
        writer.close()


async def test_serial_frames_over_tcp_may_arrive_in_pieces_and_with_an_odd_function() -> None:
    async with tcp(make_bus(), "rtu-over-tcp") as number:
        reader, writer = await asyncio.open_connection("127.0.0.1", number)
        for byte in rtu_frame(1, READ_TWO):
            writer.write(bytes([byte]))
            await writer.drain()
        answer = await reader.readexactly(9)
        writer.write(rtu_frame(1, b"\x2b\x0e\x01\x00"))
        refused = await reader.readexactly(5)
        writer.close()

    assert answer == rtu_frame(1, struct.pack(">BBHH", 4, 4, 1000, 1001))
    assert refused == rtu_frame(1, b"\xab\x01")


@pytest.mark.parametrize(
    ("fault", "arrives"),
    [(Dead(), 0), (BadChecksum(), 0), (Late(delay_s=0.01), 13), (Truncated(missing=2), 11)],
)
async def test_a_fault_changes_one_answer_over_tcp_and_not_the_next(
    fault: Fault, arrives: int
) -> None:
    bus = make_bus()
    bus.faults.arm(fault)
    async with tcp(bus) as number:
        reader, writer = await asyncio.open_connection("127.0.0.1", number)
        for transaction in (7, 8):
            writer.write(bytes([0, transaction, 0, 0, 0, 6, 1]) + READ_TWO)
        heard = await reader.readexactly(arrives + 13)
        writer.close()

    assert heard[arrives : arrives + 2] == b"\x00\x08"


async def test_a_taken_port_is_named_with_a_remedy() -> None:
    async with tcp(make_bus()) as number:
        with pytest.raises(SimulatorError, match=f"port {number}: .*choose another --tcp"):
            await TcpPort(make_bus(), port=number).start()


def test_an_adapter_that_is_pulled_out_comes_back_as_another_terminal_of_the_same_name(
    tmp_path: Path,
) -> None:
    link = tmp_path / "tty"
    pty = PtyPort(Line(FAST, make_bus().answer), link)
    pty.start()
    try:
        before = link.readlink()
        client = os.open(link, os.O_RDWR | os.O_NOCTTY)
        pty.unplug(0.1)
        with contextlib.suppress(OSError):  # which of the two, is a race within the kernel
            assert os.read(client, 1) == b""
        os.close(client)
        deadline = time.monotonic() + 5
        while not link.exists() and time.monotonic() < deadline:
            time.sleep(0.005)  # the line's thread has no event for this
        after = link.readlink()
    finally:
        pty.close()

    assert before != after
    assert not link.is_symlink()


def test_another_master_on_a_terminal_is_heard_by_whoever_reads(tmp_path: Path) -> None:
    bus = make_bus()
    pty = PtyPort(Line(FAST, bus.answer), tmp_path / "tty")
    pty.start()
    try:
        client = os.open(tmp_path / "tty", os.O_RDWR | os.O_NOCTTY)
        pty.intrude(overheard(bus.tell, unit=1, address=0, count=2))
        heard = b""
        while len(heard) < 17:
            heard += os.read(client, 64)
        os.close(client)
    finally:
        pty.close()

    assert heard == rtu_frame(1, READ_TWO) + rtu_frame(1, struct.pack(">BBHH", 4, 4, 1000, 1001))


async def test_a_restarting_slave_is_silent_over_tcp_and_its_neighbour_is_not() -> None:
    bus = make_bus()
    bus.faults.arm(Rebooting(deaf_s=60), Trigger(unit=1))
    async with tcp(bus) as number:
        reader, writer = await asyncio.open_connection("127.0.0.1", number)
        for transaction, unit in ((1, 1), (2, 1), (3, 2)):
            request = b"\x03" if unit == 2 else b"\x04"
            writer.write(bytes([0, transaction, 0, 0, 0, 6, unit]) + request + READ_TWO[1:])
        heard = await reader.readexactly(13)
        writer.close()

    assert heard[:2] == b"\x00\x03"


async def test_a_pulled_plug_closes_the_tcp_connection_and_refuses_the_next() -> None:
    bus = make_bus()
    bus.faults.arm(Unplug(absent_s=60))
    async with tcp(bus) as number:
        for _ in range(2):
            reader, writer = await asyncio.open_connection("127.0.0.1", number)
            writer.write(bytes.fromhex("000100000006") + b"\x01" + READ_TWO)
            with contextlib.suppress(ConnectionResetError):
                assert await reader.read() == b""
            writer.close()


async def test_frames_over_tcp_carry_another_masters_talk_and_an_echo() -> None:
    bus = make_bus()
    bus.faults.arm(Echo())
    bus.faults.arm(SecondMaster(ask=lambda: overheard(bus.tell, unit=1, address=4, count=2)))
    async with tcp(bus, "rtu-over-tcp") as number:
        reader, writer = await asyncio.open_connection("127.0.0.1", number)
        writer.write(rtu_frame(1, READ_TWO))
        heard = await reader.readexactly(8 + 9 + 8 + 9)
        writer.close()

    asked, answered = rtu_frame(1, READ_TWO), struct.pack(">BBHH", 4, 4, 1000, 1001)
    other = rtu_frame(1, bytes.fromhex("0400040002"))
    other_answer = rtu_frame(1, struct.pack(">BBHH", 4, 4, 1004, 1005))
    assert heard == asked + rtu_frame(1, answered) + other + other_answer
