"""Snapshots: what a round over all meters says when things are as they should be, and not."""

from __future__ import annotations

import asyncio
import fcntl
import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from meterseal.quantities import BY_NAME
from meterseal.records import MeterState
from meterseal_agent.errors import ConfigError
from meterseal_simulator.faults import Dead, Late, Trigger
from meterseal_simulator.replay import load_recording, slaves_of
from support.wire import (
    SDM630_TRUTH,
    SDM630_VALUES,
    SERIAL_NUMBER,
    FakeTime,
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
    from collections.abc import Callable

PROFILE = 'profile = "eastron-sdm630"'
FEW = f"quantities = {list(SDM630_TRUTH)}"
IMPORT = BY_NAME["energy_import_wh"].code


async def test_a_snapshot_holds_the_meters_values_and_the_counters_raw_words(
    tmp_path: Path,
) -> None:
    with serial_wire(tmp_path, {1: sdm630()}) as (port, _):
        async with running(poller_of(serial_bus(port), meter(PROFILE, FEW))) as poller:
            snapshot = await first_good(poller)
            identity = poller.identities()[0]

    sample = snapshot.samples[0]
    assert by_name(sample, SDM630_TRUTH) == SDM630_TRUTH
    # 1234.5 kWh as IEEE 754 single precision, by hand: 0x449A5000.
    assert sample.raw[IMPORT] == bytes.fromhex("44 9A 50 00")
    assert identity.serial == str(SERIAL_NUMBER)
    assert sample.at_ms == snapshot.at_ms > snapshot.started_ms
    assert snapshot.up_ms == FakeTime().up_ms() + snapshot.at_ms - snapshot.started_ms


async def test_a_silent_meter_leaves_an_empty_sample_beside_a_full_one(tmp_path: Path) -> None:
    with serial_wire(tmp_path, {1: sdm630()}) as (port, _):
        parts = (
            serial_bus(port),
            meter(PROFILE, FEW, name="gone", address=7),
            meter(PROFILE, FEW, name="grid"),
        )
        async with running(poller_of(*parts)) as poller:
            snapshot = await first_good(poller, 1)

    gone, grid = snapshot.samples
    assert (gone.state, gone.values, gone.raw) == (MeterState.TIMEOUT, {}, {})
    assert by_name(grid, SDM630_TRUTH) == SDM630_TRUTH
    assert snapshot.at_ms == grid.at_ms <= gone.at_ms


async def test_a_silent_meter_is_asked_less_and_less_often(tmp_path: Path) -> None:
    with serial_wire(tmp_path, {1: sdm630(), 7: sdm630()}) as (port, bus):
        bus.faults.arm(Dead(), Trigger(unit=7, times=None))
        parts = (serial_bus(port), meter(PROFILE, FEW), meter(PROFILE, FEW, name="b", address=7))
        async with running(poller_of(*parts)) as poller:
            for _ in range(8):
                await poller.snapshot(5)

    assert bus.requests()[7] == 3


async def test_buses_are_read_in_parallel_and_the_first_counter_stamps_the_time(
    tmp_path: Path,
) -> None:
    with serial_wire(tmp_path, {1: sdm630()}) as (serial_port, serial):
        async with tcp_wire({1: sdm630()}, "tcp") as (tcp_port, _):
            parts = (
                serial_bus(serial_port),
                tcp_bus(tcp_port, "tcp"),
                meter(PROFILE, FEW),
                meter(PROFILE, FEW, name="b", bus="lan"),
            )
            async with running(poller_of(*parts)) as poller:
                await first_good(poller)
                serial.faults.arm(Late(delay_s=0.1), Trigger(function=4))
                snapshot = await poller.snapshot(5)

    late, prompt = snapshot.samples
    assert late.state is prompt.state is MeterState.GOOD
    assert snapshot.at_ms == prompt.at_ms < late.at_ms


async def test_meters_not_reached_by_the_deadline_count_as_timed_out(tmp_path: Path) -> None:
    with serial_wire(tmp_path, {1: sdm630()}) as (port, _):
        async with running(poller_of(serial_bus(port), meter(PROFILE, FEW))) as poller:
            snapshot = await poller.snapshot(0.05)
            recovered = await first_good(poller)

    assert snapshot.samples[0].state is MeterState.TIMEOUT
    assert snapshot.at_ms == snapshot.started_ms
    assert by_name(recovered.samples[0], SDM630_TRUTH) == SDM630_TRUTH


async def test_an_absent_port_is_named_and_opened_when_it_comes(tmp_path: Path) -> None:
    port = tmp_path / "ttyRS485"
    async with running(poller_of(serial_bus(port), meter(PROFILE, FEW))) as poller:
        absent = await poller.snapshot(5)
        message = poller.health()[0].message
        with serial_wire(tmp_path, {1: sdm630()}):
            async with asyncio.timeout(20):
                while (await poller.snapshot(5)).samples[0].state is not MeterState.GOOD:  # noqa: ASYNC110 - back-off runs
                    await asyncio.sleep(0.1)

    assert absent.samples[0].state is MeterState.DISCONNECTED
    assert str(port) in message
    assert "no such device" in message
    assert "Plug the adapter in" in message


async def test_an_adapter_that_is_unplugged_is_found_again_by_its_name(tmp_path: Path) -> None:
    """The first terminal dies with an input/output error; the second has its stable name."""
    poller = poller_of(serial_bus(tmp_path / "ttyRS485"), meter(PROFILE, FEW))
    async with running(poller):
        with serial_wire(tmp_path, {1: sdm630()}):
            await first_good(poller)
        unplugged = (await poller.snapshot(5)).samples[0]
        with serial_wire(tmp_path, {1: sdm630()}):
            async with asyncio.timeout(20):
                while (await poller.snapshot(5)).samples[0].state is not MeterState.GOOD:  # noqa: ASYNC110 - back-off runs
                    await asyncio.sleep(0.1)

    assert unplugged.state is MeterState.DISCONNECTED
    assert unplugged.values == {}


async def test_a_port_that_another_program_holds_is_named_busy(tmp_path: Path) -> None:
    with serial_wire(tmp_path, {1: sdm630()}) as (port, _):
        held = os.open(port, os.O_RDWR | os.O_NOCTTY)
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        async with running(poller_of(serial_bus(port), meter(PROFILE, FEW))) as poller:
            busy = await poller.snapshot(5)
            message = poller.health()[0].message
        os.close(held)

    assert busy.samples[0].state is MeterState.DISCONNECTED
    assert "busy" in message
    assert str(port) in message


async def test_a_refused_connection_is_named_with_its_remedy() -> None:
    async with tcp_wire({}, "tcp") as (port, _):
        pass
    async with running(poller_of(tcp_bus(port, "tcp"), meter(PROFILE, FEW, bus="lan"))) as poller:
        refused = await poller.snapshot(5)

        assert refused.samples[0].state is MeterState.DISCONNECTED
        assert "refused" in poller.health()[0].message
        assert f"127.0.0.1:{port}" in poller.health()[0].message


async def test_an_energy_prefix_of_mega_multiplies_the_counters(tmp_path: Path) -> None:
    # 0x001E holds 1.0, IEEE 754 0x3F800000: the energy registers are in MWh.
    slave = sdm630(holding={0x001E: 0x3F80, 0x001F: 0})
    with serial_wire(tmp_path, {1: slave}) as (port, _):
        async with running(poller_of(serial_bus(port), meter(PROFILE, FEW))) as poller:
            sample = (await first_good(poller)).samples[0]

    assert sample.values[IMPORT] == 1_234_500_000
    assert sample.values[BY_NAME["power_w"].code] == -1500


async def test_an_unknown_energy_prefix_is_refused_and_nothing_is_read(tmp_path: Path) -> None:
    slave = sdm630(holding={0x001E: 0x4040, 0x001F: 0})  # 3.0
    with serial_wire(tmp_path, {1: slave}) as (port, _):
        async with running(poller_of(serial_bus(port), meter(PROFILE, FEW))) as poller:
            sample = (await poller.snapshot(5)).samples[0]
            message = poller.health()[0].message

    assert sample.state is MeterState.READ_ERROR
    assert "energy prefix" in message


async def test_a_reversed_word_order_is_found_out_and_followed(tmp_path: Path) -> None:
    # 0x0028 shows 2141.0 (0x4505D000) in the order in force: here the low word first.
    slave = sdm630(reverse=True, holding={0x0028: 0xD000, 0x0029: 0x4505, 0x001E: 0, 0x001F: 0})
    with serial_wire(tmp_path, {1: slave}) as (port, _):
        async with running(poller_of(serial_bus(port), meter(PROFILE, FEW))) as poller:
            sample = (await first_good(poller)).samples[0]

    assert by_name(sample, SDM630_TRUTH) == SDM630_TRUTH
    # Raw words stay in wire order.
    assert sample.raw[IMPORT] == bytes.fromhex("50 00 44 9A")


async def test_a_meter_that_is_exchanged_shows_once_and_then_counts(tmp_path: Path) -> None:
    slaves = {1: sdm630()}
    with serial_wire(tmp_path, slaves) as (port, _):
        async with running(poller_of(serial_bus(port), meter(PROFILE, FEW))) as poller:
            await first_good(poller)
            slaves[1] = sdm630(serial=999, values={**SDM630_VALUES, 0x0048: 5.0})
            states = [(await poller.snapshot(5, boundary=True)).samples[0].state for _ in range(3)]
            after = await first_good(poller)
            identity = poller.identities()[0]

    assert states[:2] == [MeterState.READ_ERROR, MeterState.EXCHANGED]
    assert after.samples[0].values[IMPORT] == 5000
    assert identity.serial == "999"


async def test_a_meter_with_another_serial_than_configured_is_never_read(tmp_path: Path) -> None:
    with serial_wire(tmp_path, {1: sdm630()}) as (port, _):
        parts = (serial_bus(port), meter(PROFILE, FEW, 'serial = "12345678"'))
        async with running(poller_of(*parts)) as poller:
            samples = [(await poller.snapshot(5)).samples[0] for _ in range(2)]
            message = poller.health()[0].message

    assert [sample.state for sample in samples] == [MeterState.EXCHANGED] * 2
    assert all(sample.values == {} for sample in samples)
    assert "12345678" in message
    assert str(SERIAL_NUMBER) in message


async def test_not_a_number_is_absent_and_not_zero(tmp_path: Path) -> None:
    values = {**SDM630_VALUES, 0x004A: float("nan")}
    with serial_wire(tmp_path, {1: sdm630(values)}) as (port, _):
        async with running(poller_of(serial_bus(port), meter(PROFILE, FEW))) as poller:
            sample = (await first_good(poller)).samples[0]

    export = BY_NAME["energy_export_wh"].code
    assert sample.values[export] is None
    assert sample.raw[export] is None
    assert sample.values[IMPORT] == 1_234_500


async def test_a_negative_counter_is_refused(tmp_path: Path) -> None:
    values = {**SDM630_VALUES, 0x0048: -1.0}
    with serial_wire(tmp_path, {1: sdm630(values)}) as (port, _):
        async with running(poller_of(serial_bus(port), meter(PROFILE, FEW))) as poller:
            sample = (await poller.snapshot(5)).samples[0]

    assert sample.state is MeterState.READ_ERROR
    assert sample.values == {}


async def test_the_recorded_sdm630_reads_as_its_recorder_did(
    vectors: Callable[[str], Path], tmp_path: Path
) -> None:
    recording = load_recording(vectors("dumps/normalised/eastron_sdm630_meterproxy16.json"))
    wanted = {
        "energy_total_wh": 1_307_690,
        "energy_import_l1_wh": 549_902,
        "energy_import_l2_wh": 420_205,
        "energy_import_l3_wh": 337_583,
    }
    with serial_wire(tmp_path, slaves_of([recording])) as (port, _):
        lines = (PROFILE, f"quantities = {list(wanted)}", 'serial = "recorded"')
        parts = (serial_bus(port), meter(*lines, address=recording.unit))
        async with running(poller_of(*parts)) as poller:
            sample = (await first_good(poller)).samples[0]
            identity = poller.identities()[0]

    assert by_name(sample, wanted) == wanted
    assert set(sample.values) == {BY_NAME[name].code for name in wanted}
    assert sample.raw[BY_NAME["energy_total_wh"].code] == bytes.fromhex("44A3 7614")
    assert identity.serial == "recorded"


async def test_the_recorded_solaredge_reads_as_its_recorder_did(
    vectors: Callable[[str], Path],
) -> None:
    recording = load_recording(
        vectors("dumps/normalised/sunspec_solaredge_se10k_rws_evcc12708.json")
    )
    async with tcp_wire(slaves_of([recording]), "tcp") as (port, _):
        parts = (
            tcp_bus(port, "tcp"),
            meter('profile = "sunspec-inverter"', "models = { 103 = 40069 }", name="pv", bus="lan"),
            meter('profile = "solaredge-meter"', "models = { 203 = 40188 }", bus="lan"),
        )
        async with running(poller_of(*parts)) as poller:
            await first_good(poller, 1)
            inverter, grid = (await first_good(poller, 0)).samples

    assert by_name(inverter, dict.fromkeys(("power_w", "energy_export_wh", "dc_power_w"))) == {
        "power_w": -5520,
        "energy_export_wh": 33_319_778,
        "dc_power_w": 5604,
    }
    assert inverter.values[BY_NAME["temperature_mc"].code] is None  # TmpCab 0x8000
    # The counter's two words, and behind them its scale factor.
    assert inverter.raw[BY_NAME["energy_export_wh"].code] == bytes.fromhex("01FC 6B62 0000")
    truth = {
        "power_w": -4857,
        "energy_import_wh": 24_334_166,
        "energy_export_wh": 16_414_867,
        "energy_import_l1_wh": 8_243_868,
        "voltage_l1_mv": 230_700,
        "frequency_mhz": 49_950,
        "current_ma": 4300,
        "power_factor_permille": -113,
    }
    assert by_name(grid, truth) == truth


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ('profile = "eastron-sdm999"', ("eastron-sdm999", "eastron-sdm630")),
        (f"{PROFILE}\nquantities = ['dc_power_w']", ("dc_power_w", "energy_import_wh")),
        (f"{PROFILE}\nmodels = {{ 103 = 40069 }}", ("models", "SunSpec")),
        ('profile = "solaredge-meter"\nmodels = { 103 = 40069 }', ("103", "203")),
        ('profile = "solaredge-meter"\nregisters = { power_w = 1 }', ("registers", "models")),
    ],
)
def test_a_wish_that_the_profile_lacks_is_refused_before_the_start(
    line: str, words: tuple[str, ...]
) -> None:
    with pytest.raises(ConfigError) as caught:
        poller_of(serial_bus(Path("/dev/ttyRS485")), meter(line))

    message = str(caught.value)
    assert all(word in message for word in ("/etc/meterseal.toml, line", *words))
