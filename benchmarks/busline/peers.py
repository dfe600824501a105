"""Other clients on the same lines, with the plan that is best: what they cost beside the agent.

pymodbus and libmodbus as they come, and pymodbus's async client with a sleep of t3.5 before each
request, which is what it takes to keep the silence with it. libmodbus is called through its
shared library, so that no compiler is needed; a call costs some microseconds more than from C.
"""

from __future__ import annotations

import asyncio
import ctypes
import ctypes.util
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pymodbus.client import AsyncModbusSerialClient, ModbusSerialClient

from busline.meters import BAUD

if TYPE_CHECKING:
    from collections.abc import Sequence

    from meterseal_agent.bus.frame import Request

TIMEOUT_S = 1
T35_S = 3.5 * 10 / BAUD
LIBMODBUS = "libmodbus.so.5"


@dataclass(frozen=True, kw_only=True, slots=True)
class Peer:
    """What one client took.

    Attributes:
        cycle_s: Shortest of its cycles.
        cpu_s: Processor time of a cycle.
    """

    cycle_s: float
    cpu_s: float


class _Stopwatch:
    """Collects cycles."""

    def __init__(self) -> None:
        self._periods_s: list[float] = []
        self._begun_cpu_s = time.process_time()
        self._begun_s = time.perf_counter()

    def lap(self) -> None:
        now_s = time.perf_counter()
        self._periods_s.append(now_s - self._begun_s)
        self._begun_s = now_s

    def peer(self) -> Peer:
        cpu_s = time.process_time() - self._begun_cpu_s
        return Peer(cycle_s=min(self._periods_s), cpu_s=cpu_s / len(self._periods_s))


def pymodbus_sync(port: str, requests: Sequence[Request], count: int) -> Peer:
    """Read with pymodbus's blocking client."""
    client = ModbusSerialClient(port, baudrate=BAUD, timeout=TIMEOUT_S, retries=0)
    if not client.connect():
        raise RuntimeError(f"pymodbus cannot open {port}")
    try:
        watch = _Stopwatch()
        for _ in range(count):
            for request in requests:
                reply = client.read_input_registers(
                    request.address, count=request.count, device_id=request.unit
                )
                _check(reply.registers, request)
            watch.lap()
        return watch.peer()
    finally:
        client.close()  # type: ignore[no-untyped-call]


async def pymodbus_async(
    port: str, requests: Sequence[Request], count: int, silence_s: float
) -> Peer:
    """Read with pymodbus's asyncio client, with a sleep before each request."""
    client = AsyncModbusSerialClient(port, baudrate=BAUD, timeout=TIMEOUT_S, retries=0)
    if not await client.connect():
        raise RuntimeError(f"pymodbus cannot open {port}")
    try:
        watch = _Stopwatch()
        for _ in range(count):
            for request in requests:
                if silence_s:
                    await asyncio.sleep(silence_s)
                reply = await client.read_input_registers(
                    request.address, count=request.count, device_id=request.unit
                )
                _check(reply.registers, request)
            watch.lap()
        return watch.peer()
    finally:
        client.close()


def libmodbus(port: str, requests: Sequence[Request], count: int) -> Peer | None:
    """Read with libmodbus, or return None where it is not installed."""
    try:
        library = ctypes.CDLL(LIBMODBUS, use_errno=True)
    except OSError:
        return None
    library.modbus_new_rtu.restype = ctypes.c_void_p
    context = ctypes.c_void_p(
        library.modbus_new_rtu(port.encode(), BAUD, ctypes.c_char(b"N"), 8, 1)
    )
    library.modbus_set_response_timeout(context, ctypes.c_uint32(TIMEOUT_S), ctypes.c_uint32(0))
    if library.modbus_connect(context) != 0:
        raise RuntimeError(f"libmodbus cannot open {port}")
    words = (ctypes.c_uint16 * 125)()
    try:
        watch = _Stopwatch()
        for _ in range(count):
            for request in requests:
                library.modbus_set_slave(context, request.unit)
                got = library.modbus_read_input_registers(
                    context, request.address, request.count, words
                )
                _check(words[: max(0, got)], request)
            watch.lap()
        return watch.peer()
    finally:
        library.modbus_close(context)
        library.modbus_free(context)


def _check(registers: Sequence[int], request: Request) -> None:
    if len(registers) != request.count:
        raise RuntimeError(f"{request}: expected {request.count} registers, got {registers}")
