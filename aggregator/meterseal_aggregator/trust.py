"""The trust file that the operator hands out: what a checker may choose to believe."""

from __future__ import annotations

from typing import TYPE_CHECKING

from meterseal.checkpoint import LogPolicy, Witness
from meterseal.ledger.proof import LedgerPolicy
from meterseal.policy import TrustPolicy, format_policy
from meterseal_aggregator.enrolment import newest
from meterseal_aggregator.ledger.contract import load_artifact
from meterseal_aggregator.ledger.site import CONTRACT, REGISTRANT, VALIDATORS
from meterseal_aggregator.sequencer import log_signer, operator_witness

if TYPE_CHECKING:
    from collections.abc import Iterator

    from meterseal_aggregator.config import Config
    from meterseal_aggregator.keyfiles import Keys
    from meterseal_aggregator.store import Device, Store

_ADDRESS = 20


def trust_text(store: Store, config: Config, keys: Keys) -> str:
    """Write trust.toml: log, operator's witness, enrolment key, and the ledger once anchored.

    The devices are those that are enrolled and not revoked, by their first keys. The validators are
    those that the operator's node showed first; who checks compares them with the consortium's own
    list.
    """
    operator = operator_witness(config.origin, keys).verifier
    policy = TrustPolicy(
        log=LogPolicy(
            origin=config.origin,
            log=log_signer(config.origin, keys).verifier,
            witnesses=(Witness(verifier=operator, owner="operator"),),
            quorum=1,
            operator=operator,
        ),
        devices={device.id: device.public_key for device in _not_revoked(store)},
        enrolment_keys=frozenset({keys.enrolment}),
        ledger=_ledger(store, config),
    )
    return format_policy(policy)


def _not_revoked(store: Store) -> Iterator[Device]:
    for device in store.devices.all():
        stands = newest(store, device.id)
        if stands is None or stands[1].revoked_after is None:
            yield device


def _ledger(store: Store, config: Config) -> LedgerPolicy | None:
    contract, registrant = store.fact(CONTRACT), store.fact(REGISTRANT)
    validators = store.fact(VALIDATORS)
    if config.ledger is None or contract is None or registrant is None or validators is None:
        return None
    return LedgerPolicy(
        chain_id=config.ledger.chain_id,
        contract=contract,
        code_hash=load_artifact().code_hash,
        registrant=registrant,
        validators=frozenset(
            validators[at : at + _ADDRESS] for at in range(0, len(validators), _ADDRESS)
        ),
        consensus=config.ledger.consensus,
    )
