"""A period that no round can fit is refused, with the numbers and what would fit."""

from __future__ import annotations

from pathlib import Path

import pytest

from meterseal_agent.config import parse
from meterseal_agent.errors import ConfigError
from meterseal_agent.poll import Poller
from support.wire import FakeTime, meter

VOLTS_AND_COUNTERS = "quantities = ['voltage_l1_mv', 'energy_import_wh', 'energy_export_wh']"
SDM630 = 'profile = "eastron-sdm630"'


def poller_at(*meters: str, baud: int = 9600, every_s: int = 10, interval_s: int = 900) -> Poller:
    text = (
        f'[agent]\ndata_dir = "data"\nmarker_dir = "/run/meterseal"\n'
        f"read_every_s = {every_s}\ninterval_s = {interval_s}\n"
        f'[[bus]]\nname = "rs485"\nport = "/dev/ttyRS485"\nbaud = {baud}\n' + "".join(meters)
    )
    return Poller.from_config(parse(text, Path("/etc/meterseal.toml")), FakeTime())


def several(count: int, *lines: str) -> list[str]:
    return [meter(SDM630, *lines, name=f"m{n}", address=n) for n in range(1, count + 1)]


def test_a_round_is_budgeted_as_the_formula_says() -> None:
    """Two requests of an SDM630 by hand: volts at 0x0000, counters at 0x0048 to 0x004B.

    Each: 8c + 3.5c + (5 + 2n)c + 60 ms of silence, c = 1.0417 ms, n = 2 and 4; the serial number
    at 0xFC00 is one of n = 2 more.
    """
    poller = poller_at(meter(SDM630, VOLTS_AND_COUNTERS))

    (budget,) = poller.budget()

    c = 10 / 9600
    read_2, read_4 = (16.5 + 2 * 2) * c + 0.06, (16.5 + 2 * 4) * c + 0.06
    assert budget.cycle_s == pytest.approx(read_2 + read_4)
    assert budget.boundary_s == pytest.approx(2 * read_2 + read_4)
    assert str(budget) == (
        "bus rs485 (/dev/ttyRS485): a round of 1 meters, 2 requests and 6 registers takes 0.17 s "
        "of 10 s; one that closes an interval 0.25 s"
    )


def test_a_round_that_cannot_fit_is_refused_and_the_remedies_are_named() -> None:
    """Twelve requests and 576 registers at 9600 baud; six serial numbers more at a boundary.

    12 * (16.5c + 60 ms) + 576 * 2c = 2.13 s, and 6 * (20.5c + 60 ms) = 0.49 s.
    """
    with pytest.raises(ConfigError) as caught:
        poller_at(*several(6), every_s=2)

    message = str(caught.value)
    assert "/etc/meterseal.toml [agent] read_every_s" in message
    assert "got read_every_s = 2: the cycle needs 2.1 s, and 2.6 s where" in message
    assert "read_every_s = 3 or baud = 19200 at the bus and its meters (1.8 s)" in message
    assert "fewer `quantities`" in message


def test_the_remedy_that_is_named_is_accepted() -> None:
    assert poller_at(*several(6), every_s=3).budget()[0].boundary_s < 3
    assert poller_at(*several(6), every_s=2, baud=19200).budget()[0].boundary_s < 2


def test_the_round_that_closes_an_interval_must_fit_too() -> None:
    """The values alone fit the period; with a proof of identity for each meter they do not."""
    few = several(9, VOLTS_AND_COUNTERS)
    budget = poller_at(*few, every_s=3).budget()[0]
    assert budget.cycle_s < 2 < budget.boundary_s

    with pytest.raises(ConfigError, match="where it closes an interval"):
        poller_at(*few, every_s=2)


def test_a_period_that_just_fits_is_called_tight() -> None:
    assert poller_at(*several(6), every_s=3).budget()[0].tight
    assert not poller_at(*several(6), every_s=10).budget()[0].tight


def test_a_sunspec_device_that_was_not_asked_yet_costs_nothing() -> None:
    poller = poller_at(meter('profile = "sunspec-inverter"'), every_s=1)

    assert poller.budget()[0].boundary_s == 0
