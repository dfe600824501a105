"""Whom we talk to, from a configuration that may be half finished."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from meterseal_agent.config import parse
from meterseal_agent.errors import ConfigError
from meterseal_agent.publish.settings import peer_of
from support.device import DEVICE, KEY
from support.small_log import SmallLog

LOG = SmallLog()
HALF = """
[agent]
data_dir = "data"
marker_dir = "run"
[[bus]]
name = "b"
kind = "tcp"
host = "127.0.0.1"
[[meter]]
name = "grid"
bus = "b"
address = 1
profile = "eastron-sdm630"
role = "grid"
[mqtt]
host = "broker.example"
"""
WHOLE = f"""{HALF}
[aggregator]
origin = "{LOG.log.name}"
head_key = "{LOG.head_key.public.hex()}"
log_key = "{LOG.log.verifier.vkey}"
witnesses = [{{ key = "{LOG.witness.verifier.vkey}", owner = "the operator" }}]
operator = "{LOG.witness.verifier.vkey}"
"""


def test_a_broker_without_an_aggregators_keys_is_refused_by_run_and_not_by_init() -> None:
    config = parse(HALF, Path("meterseal.toml"), {})  # what init reads

    with pytest.raises(ConfigError, match=r"\[mqtt\].*meterseal-aggregator trust"):
        peer_of(config, DEVICE, KEY.public)


def test_without_a_broker_nothing_is_published() -> None:
    config = parse(WHOLE, Path("meterseal.toml"), {})

    assert peer_of(replace(config, mqtt=None), DEVICE, KEY.public) is None


def test_the_operators_cosignature_key_is_pinned_so_that_a_rollback_is_seen() -> None:
    peer = peer_of(parse(WHOLE, Path("meterseal.toml"), {}), DEVICE, KEY.public)

    assert peer is not None
    assert peer.policy.operator == LOG.witness.verifier


def test_a_key_that_is_none_names_the_table_and_the_remedy() -> None:
    spoilt = WHOLE.replace("operator = ", 'operator = "x" # ')

    with pytest.raises(ConfigError, match=r"\[aggregator\]: .*meterseal-aggregator trust"):
        peer_of(parse(spoilt, Path("meterseal.toml"), {}), DEVICE, KEY.public)
