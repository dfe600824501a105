"""The gateway from off to polling: what each state promises."""

from __future__ import annotations

import json
import stat
import time
from typing import TYPE_CHECKING

import pytest
from hil.gateway import Gateway, meter_of, told

if TYPE_CHECKING:
    from pathlib import Path

    from hil.description import Description
    from hil.lines import BenchLine

# Billing registers of the house by meter: which energy counts which way.
_TRUTHS = {
    "grid": (("energy_import_wh", "grid_import_wh"), ("energy_export_wh", "grid_export_wh")),
    "pv": (("energy_export_wh", "pv_export_wh"),),
    "inverter": (("energy_export_wh", "inverter_wh"),),
}


@pytest.mark.needs("truth")
def test_a_gateway_that_is_off_asks_nothing(off: Gateway, line: BenchLine) -> None:
    before = line.requests()

    assert off.look() is None
    assert line.requests() == before


def test_a_booted_gateway_knows_the_meters_of_this_bench(
    booted: Gateway, bench: Description
) -> None:
    known = booted.call("profiles", "--json")

    for meter in bench.meters:
        assert meter.profile in known


def test_a_provisioned_gateway_has_a_key_that_nobody_else_can_read(provisioned: Gateway) -> None:
    (key,) = (provisioned.folder / "data").rglob("device.key")

    assert stat.S_IMODE(key.stat().st_mode) == 0o400


def test_a_gateway_whose_adapter_is_missing_starts_and_says_so(
    bench: Description, booted: Gateway, tmp_path: Path
) -> None:
    gateway = Gateway(bench, str(tmp_path / "ttyNowhere"), booted.folder)
    gateway.provision()
    began = time.monotonic()
    gateway.start()
    try:
        status = gateway.watch(lambda page: "no such device" in told(page), within_s=15)
        asked_to_end = time.monotonic()
    finally:
        ended = gateway.stop()

    assert asked_to_end - began < 15
    assert time.monotonic() - asked_to_end < 5
    assert ended == 0
    assert {meter["state"] for meter in status["meters"]} == {"D"}


def test_a_polling_gateway_reads_every_meter(polling: Gateway, bench: Description) -> None:
    status = polling.watch(lambda page: page["record"] is not None and page["record"]["seq"] > 0)

    for meter in bench.meters:
        shown = meter_of(status, meter.name)
        assert shown["state"] == "G"
        assert any(name.startswith("energy_") for name in shown["values"])


@pytest.mark.needs("truth")
def test_what_a_polling_gateway_shows_is_what_the_meters_count(
    polling: Gateway, line: BenchLine
) -> None:
    before = line.truth()
    newest = {meter["name"]: meter["at_ms"] for meter in polling.watch(lambda _: True)["meters"]}

    status = polling.watch(
        lambda page: all(meter["at_ms"] > newest[meter["name"]] for meter in page["meters"])
    )

    after = line.truth()
    for name, pairs in _TRUTHS.items():
        values = meter_of(status, name)["values"]
        for shown, true in pairs:
            assert before[true] <= values[shown] <= after[true], (name, shown)


def test_what_was_signed_can_be_checked(polling: Gateway) -> None:
    polling.watch(lambda page: page["record"]["light_n"] > 0, within_s=30)

    records = json.loads(polling.call("show", "--json", "--config", str(polling.config)))

    assert records
