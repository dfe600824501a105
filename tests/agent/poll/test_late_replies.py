"""A late, short, wrong-function or foreign reply never becomes a value.

All of it over a real pseudo-terminal with the simulator's paced line. The meter's plan has two
requests of the same length and its registers hold different values, so that a shifted reply would
pass every check of form.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from pymodbus.client import AsyncModbusSerialClient

from meterseal.records import MeterState
from meterseal_simulator.faults import (
    BadChecksum,
    Dead,
    ForeignUnit,
    Late,
    Refusal,
    Short,
    Trigger,
    Truncated,
    WrongFunction,
)
from support.wire import (
    QUIET_S,
    SDM630_TRUTH,
    SDM630_VALUES,
    TIMEOUT_S,
    by_name,
    first_good,
    meter,
    poller_of,
    running,
    sdm630,
    serial_bus,
    serial_wire,
    tcp_bus,
    tcp_wire,
)

if TYPE_CHECKING:
    from pathlib import Path

    from meterseal_agent.poll import MeterSample, Poller
    from meterseal_simulator.bus import Bus
    from meterseal_simulator.faults import Fault
    from meterseal_simulator.tcp import Framing

# Two requests of two registers each: 0x0000 (volts) and 0x0156 (kilowatt-hours).
TWINS = ("voltage_l1_mv", "energy_total_wh")
PROFILE = 'profile = "eastron-sdm630"'
TWIN_METER = (PROFILE, f"quantities = {list(TWINS)}")


def assert_true_or_absent(sample: MeterSample) -> None:
    """A good sample holds the meter's values; any other holds none."""
    if sample.state is MeterState.GOOD:
        assert by_name(sample, dict.fromkeys(TWINS)) == {name: SDM630_TRUTH[name] for name in TWINS}
    else:
        assert sample.values == {}
        assert sample.raw == {}


async def rounds_with(poller: Poller, bus: Bus, fault: Fault, trigger: Trigger) -> set[MeterState]:
    """Inject a fault into a healthy meter, then read on until it is good again."""
    await first_good(poller)
    bus.faults.arm(fault, trigger)
    states = set()
    for _ in range(8):
        sample = (await poller.snapshot(5)).samples[0]
        assert_true_or_absent(sample)
        states.add(sample.state)
        if MeterState.GOOD in states and len(states) > 1:
            break
    return states


@pytest.mark.parametrize("serial", [4711, None], ids=["sentinel", "no-sentinel"])
@pytest.mark.parametrize(
    "delay_s",
    [
        0.5 * TIMEOUT_S,
        1.2 * TIMEOUT_S,
        2 * TIMEOUT_S,
        TIMEOUT_S + 0.9 * QUIET_S,
        TIMEOUT_S + 1.1 * QUIET_S,
        2 * QUIET_S,
    ],
)
async def test_a_late_reply_never_becomes_a_value(
    tmp_path: Path, delay_s: float, serial: int | None
) -> None:
    with serial_wire(tmp_path, {1: sdm630(serial=serial)}) as (port, bus):
        async with running(poller_of(serial_bus(port), meter(*TWIN_METER))) as poller:
            states = await rounds_with(
                poller, bus, Late(delay_s=delay_s), Trigger(function=4, times=1)
            )

    assert MeterState.GOOD in states


async def test_several_late_replies_in_a_row_never_become_values(tmp_path: Path) -> None:
    with serial_wire(tmp_path, {1: sdm630()}) as (port, bus):
        async with running(poller_of(serial_bus(port), meter(*TWIN_METER))) as poller:
            await first_good(poller)
            bus.faults.arm(Late(delay_s=1.6 * QUIET_S), Trigger(times=2))
            for _ in range(6):
                assert_true_or_absent((await poller.snapshot(5)).samples[0])
            await first_good(poller)


async def test_without_the_guard_the_same_late_reply_becomes_a_wrong_value(tmp_path: Path) -> None:
    """The library alone, with its defaults but for the timeout: so the test can fail."""
    with serial_wire(tmp_path, {1: sdm630()}) as (port, bus):
        client = AsyncModbusSerialClient(str(port), baudrate=115200, timeout=TIMEOUT_S)
        await client.connect()
        bus.faults.arm(Late(delay_s=1.5 * TIMEOUT_S))
        await client.read_input_registers(0x0000, count=2, device_id=1)
        seen = [
            (await client.read_input_registers(address, count=2, device_id=1)).registers
            for address in (0x0156, 0x0000, 0x0156)
        ]
        client.close()

    # Shifted by one from the first read on; a busy computer may lose a reply and so end the shift.
    truths = [SDM630_VALUES[address] for address in (0x0156, 0x0000, 0x0156)]
    values = [client.convert_from_registers(words, client.DATATYPE.FLOAT32) for words in seen]
    assert any(value != truth for value, truth in zip(values, truths, strict=True))


@pytest.mark.parametrize(
    ("fault", "state"),
    [
        (Short(), MeterState.READ_ERROR),
        (WrongFunction(function=3), MeterState.READ_ERROR),
        (ForeignUnit(unit=9), MeterState.READ_ERROR),
        (BadChecksum(), MeterState.READ_ERROR),
        (Truncated(missing=3), MeterState.TIMEOUT),
        (Dead(), MeterState.TIMEOUT),
        (Refusal(code=4), MeterState.READ_ERROR),
        (Refusal(code=11), MeterState.TIMEOUT),
    ],
    ids=lambda value: type(value).__name__,
)
async def test_a_faulty_reply_drops_the_whole_sample(
    tmp_path: Path, fault: Fault, state: MeterState
) -> None:
    """The first request of the sample was answered well; the fault hits the second."""
    with serial_wire(tmp_path, {1: sdm630()}) as (port, bus):
        async with running(poller_of(serial_bus(port), meter(*TWIN_METER))) as poller:
            states = await rounds_with(poller, bus, fault, Trigger(function=4, after=1))

    assert states == {state, MeterState.GOOD}


@pytest.mark.parametrize("framing", ["tcp", "rtu-over-tcp"])
@pytest.mark.parametrize("delay_s", [1.2 * TIMEOUT_S, TIMEOUT_S + 1.1 * QUIET_S])
async def test_a_late_reply_over_tcp_never_becomes_a_value(
    framing: Framing, delay_s: float
) -> None:
    async with tcp_wire({1: sdm630()}, framing) as (port, bus):
        parts = (tcp_bus(port, framing), meter(*TWIN_METER, bus="lan"))
        async with running(poller_of(*parts)) as poller:
            states = await rounds_with(
                poller, bus, Late(delay_s=delay_s), Trigger(function=4, times=1)
            )

    assert {MeterState.TIMEOUT, MeterState.GOOD} <= states


async def test_bytes_that_nobody_asked_for_drop_the_next_sample(tmp_path: Path) -> None:
    with serial_wire(tmp_path, {1: sdm630()}) as (port, bus):
        async with running(poller_of(serial_bus(port), meter(*TWIN_METER))) as poller:
            await first_good(poller)
            await another_master_asks(port, bus)
            doubted = (await poller.snapshot(5)).samples[0]
            message = poller.health()[0].message
            again = await first_good(poller)

    assert doubted.state is MeterState.READ_ERROR
    assert "another master" in message
    assert_true_or_absent(again.samples[0])


async def another_master_asks(port: Path, bus: Bus) -> None:
    """Put a request on the line that is not ours; the reply reaches our port."""
    asked = bus.requests()[1]
    with port.open("wb", buffering=0) as line:
        line.write(bytes.fromhex("01 04 00 00 00 02 71 CB"))
    async with asyncio.timeout(5):
        while bus.requests()[1] == asked:  # noqa: ASYNC110 - the line's thread has no event
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.05)
