"""What publishing needs to know: whom we talk to, and the pins from which answers are judged."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from meterseal.checkpoint import LogPolicy, Witness
from meterseal.errors import ProtocolError
from meterseal.ledger.proof import LedgerPolicy
from meterseal.note import Verifier
from meterseal.records import Publishes
from meterseal.types import DeviceId, Hash, PublicKey
from meterseal_agent.errors import ConfigError

if TYPE_CHECKING:
    from meterseal_agent.config.model import AggregatorConfig, Config, LedgerConfig, MqttConfig


@dataclass(frozen=True, kw_only=True, slots=True)
class Peer:
    """The aggregator as this device knows it.

    Attributes:
        mqtt: The broker.
        head_key: The acknowledgement key.
        policy: The log and its witnesses.
        ledger: The ledger, or None if no anchor is to be checked.
        light_only: Readings stay at home.
    """

    mqtt: MqttConfig
    device: DeviceId
    public: PublicKey
    head_key: PublicKey
    policy: LogPolicy
    ledger: LedgerPolicy | None
    light_only: bool


def peer_of(config: Config, device: DeviceId, public: PublicKey) -> Peer | None:
    """Build the peer from the configuration; None where nothing is to be published.

    Raises:
        ConfigError: A verifier key is none, or the quorum cannot be met, or [mqtt] stands alone.
    """
    if config.mqtt is None:
        return None
    if config.aggregator is None:
        # `init` does without: who enrols a device needs its key before there are pins to copy.
        message = (
            f"{config.source}: [mqtt]: expected an [aggregator] table beside it, got nothing. "
            "Without its keys no receipt counts; `meterseal-aggregator trust` prints them."
        )
        raise ConfigError(message)
    return Peer(
        mqtt=config.mqtt,
        device=device,
        public=public,
        head_key=PublicKey(config.aggregator.head_key),
        policy=log_policy(config.aggregator, config),
        ledger=None if config.ledger is None else _ledger_policy(config.ledger),
        light_only=config.agent.publishes is Publishes.INTERVALS,
    )


def log_policy(aggregator: AggregatorConfig, config: Config) -> LogPolicy:
    """Build the log's policy from [aggregator].

    Raises:
        ConfigError: As `peer_of`.
    """
    try:
        return LogPolicy(
            origin=aggregator.origin,
            log=Verifier.parse(aggregator.log_key),
            witnesses=tuple(
                Witness(verifier=Verifier.parse(each.key), owner=each.owner)
                for each in aggregator.witnesses
            ),
            quorum=aggregator.quorum,
            operator=None if aggregator.operator is None else Verifier.parse(aggregator.operator),
        )
    except ProtocolError as error:
        message = (
            f"{config.source}: [aggregator]: {error}; copy the keys from the output of "
            "`meterseal-aggregator trust`"
        )
        raise ConfigError(message) from error


def _ledger_policy(ledger: LedgerConfig) -> LedgerPolicy:
    return LedgerPolicy(
        chain_id=ledger.chain_id,
        contract=ledger.contract,
        registrant=ledger.registrant,
        code_hash=Hash(ledger.code_hash),
        validators=frozenset(ledger.validators),
    )
