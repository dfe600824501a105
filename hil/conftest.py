"""One fixture for each state of the hardware: off, booted, provisioned, polling."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hil.description import Description, read_description
from hil.gateway import Gateway, all_good
from hil.lines import BenchLine, line_of

if TYPE_CHECKING:
    from collections.abc import Iterator

_HERE = Path(__file__).parent


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--bench",
        type=Path,
        default=_HERE / "loopback.yaml",
        help="which bench: hil/loopback.yaml (default), hil/qemu.yaml, hil/bench.yaml or your own",
    )


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "needs(ability, ...): what the bench must be able to do")


@pytest.fixture(scope="session")
def bench(request: pytest.FixtureRequest) -> Description:
    return read_description(request.config.getoption("--bench"))


@pytest.fixture
def needs(bench: Description, request: pytest.FixtureRequest) -> None:
    """Skip a test that asks more of the bench than it can do."""
    marker = request.node.get_closest_marker("needs")
    missing = set(marker.args if marker else ()) - bench.abilities
    if missing:
        pytest.skip(f"{bench.source}: this bench has no {', '.join(sorted(missing))}")


@pytest.fixture(autouse=True)
def _needs(needs: None) -> None:
    """Ask of every test."""


@pytest.fixture(scope="session")
def line(bench: Description, tmp_path_factory: pytest.TempPathFactory) -> Iterator[BenchLine]:
    made = line_of(bench, tmp_path_factory.mktemp("line"))
    made.start()
    yield made
    made.stop()


@pytest.fixture
def off(bench: Description, line: BenchLine, tmp_path: Path) -> Iterator[Gateway]:
    """The gateway is there and does nothing; the line waits."""
    gateway = Gateway(bench, line.port, tmp_path / "gateway")
    yield gateway
    gateway.stop()


@pytest.fixture
def booted(off: Gateway) -> Gateway:
    """Its commands answer."""
    off.call("--help")
    return off


@pytest.fixture
def provisioned(booted: Gateway) -> Gateway:
    """It has a configuration, a key and a store."""
    booted.provision()
    return booted


@pytest.fixture(scope="session")
def _started(
    bench: Description, line: BenchLine, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Gateway]:
    """One gateway for all tests that only watch it: an agent takes seconds to trust a line."""
    gateway = Gateway(bench, line.port, tmp_path_factory.mktemp("polling"))
    gateway.provision()
    gateway.start()
    yield gateway
    gateway.stop()
    gateway.call("fsck", "--config", str(gateway.config))


@pytest.fixture
def polling(_started: Gateway, line: BenchLine) -> Iterator[Gateway]:
    """It reads every meter well.

    A meter that was dead in the test before is asked again after minutes only: the gateway is
    started anew then, as an installer would who does not want to wait.
    """
    line.clear()
    try:
        _started.watch(all_good, within_s=5)
    except AssertionError:
        _started.stop()
        _started.start()
        _started.watch(all_good, within_s=30)
    yield _started
    line.clear()
