"""A checker's own trust policy: the one place where trust begins (protocol 8; `trust.toml`).

Rules:

- A policy pins keys and identities; nothing that is checked can add to it.
- Reading is strict: an unknown table or key, a wrong type or a value twice is a `PolicyError` that
  names the place and the remedy. A policy that was misread would be worse than none.
- `format_policy` writes what `parse_policy` reads, so that a community, the aggregator's `trust`
  command and the demonstration hand out one and the same text.
"""

from __future__ import annotations

import json
import tomllib
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from meterseal.checkpoint import LogPolicy, Witness
from meterseal.errors import ProtocolError
from meterseal.ledger.header import Consensus
from meterseal.ledger.proof import LedgerPolicy
from meterseal.table import PolicyError, Table
from meterseal.types import DeviceId, Hash, PublicKey

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = ["POLICY_SIZE_MAX", "PolicyError", "TrustPolicy", "format_policy", "parse_policy"]

POLICY_SIZE_MAX: Final = 1024 * 1024
"""Longest trust file that is read, in bytes."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TrustPolicy:
    """What one checker believes before looking at anything.

    Attributes:
        log: The log's origin and key, its witnesses and their quorum.
        devices: Pinned devices: id to public key.
        enrolment_keys: Keys whose enrolment statements are believed.
        ledger: The ledger, contract and validators; None where no ledger is asked for.
    """

    log: LogPolicy
    devices: Mapping[DeviceId, PublicKey] = field(default_factory=lambda: MappingProxyType({}))
    enrolment_keys: frozenset[PublicKey] = frozenset()
    ledger: LedgerPolicy | None = None


def parse_policy(text: str) -> TrustPolicy:
    """Read the text of a trust file.

    Raises:
        PolicyError: The text is no trust policy: where, what was expected, and what was found.
    """
    try:
        tables = tomllib.loads(text)
    except (ValueError, RecursionError) as error:  # also numbers and nesting beyond all bounds
        raise PolicyError(f"not TOML: {error}") from error
    root = Table(tables, "the file")
    policy = TrustPolicy(
        log=_log(root),
        devices=_devices(root),
        enrolment_keys=_enrolment_keys(root),
        ledger=_ledger(root),
    )
    root.end()
    return policy


def format_policy(policy: TrustPolicy) -> str:
    """Write a policy as the text of a trust file."""
    return "\n".join(_tables(policy))


def _log(root: Table) -> LogPolicy:
    table = root.table("log")
    origin, key = table.text("origin"), table.vkey("key")
    operator = table.vkey("operator") if "operator" in table else None
    table.end()
    witnesses = tuple(_witness(each) for each in root.tables("witness"))
    names = [(each.name, each.key_id) for each in (key, *(w.verifier for w in witnesses))]
    if len(set(names)) != len(names):
        raise PolicyError("[[witness]]: one key stands there twice; remove one")
    quorum = root.table("quorum")
    needed = quorum.number("witnesses")
    quorum.end()
    try:
        return LogPolicy(
            origin=origin, log=key, witnesses=witnesses, quorum=needed, operator=operator
        )
    except ProtocolError as error:
        raise PolicyError(f"[log], [[witness]], [quorum]: {error}") from error


def _witness(table: Table) -> Witness:
    witness = Witness(verifier=table.vkey("key"), owner=table.text("owner"))
    table.end()
    return witness


def _devices(root: Table) -> Mapping[DeviceId, PublicKey]:
    devices: dict[DeviceId, PublicKey] = {}
    for table in root.tables("device"):
        device = DeviceId(table.raw("id", 16))
        if device in devices:
            raise PolicyError(f"[[device]]: {device.hex()} stands there twice; remove one")
        devices[device] = PublicKey(table.raw("public_key", 32))
        table.end()
    return MappingProxyType(devices)


def _enrolment_keys(root: Table) -> frozenset[PublicKey]:
    if "enrolment" not in root:
        return frozenset()
    table = root.table("enrolment")
    keys = frozenset(PublicKey(key) for key in table.raws("keys", 32))
    table.end()
    return keys


def _ledger(root: Table) -> LedgerPolicy | None:
    if "ledger" not in root:
        return None
    table = root.table("ledger")
    policy = LedgerPolicy(
        chain_id=table.number("chain_id"),
        contract=table.raw("contract", 20, prefix="0x"),
        registrant=table.raw("registrant", 20, prefix="0x"),
        code_hash=Hash(table.raw("code_hash", 32, prefix="0x")),
        validators=table.raws("validators", 20, prefix="0x"),
        consensus=_consensus(table),
    )
    table.end()
    return policy


def _consensus(table: Table) -> Consensus:
    if "consensus" not in table:
        return Consensus.QBFT
    name = table.text("consensus")
    if name not in {each.value for each in Consensus}:
        known = ", ".join(repr(each.value) for each in Consensus)
        raise PolicyError(f"[ledger].consensus: expected one of {known}, got {name!r}")
    return Consensus(name)


def _tables(policy: TrustPolicy) -> Iterator[str]:
    operator = {} if policy.log.operator is None else {"operator": policy.log.operator.vkey}
    yield _table("[log]", origin=policy.log.origin, key=policy.log.log.vkey, **operator)
    for witness in policy.log.witnesses:
        yield _table("[[witness]]", owner=witness.owner, key=witness.verifier.vkey)
    yield _table("[quorum]", witnesses=policy.log.quorum)
    for device, key in sorted(policy.devices.items()):
        yield _table("[[device]]", id=device.hex(), public_key=key.hex())
    if policy.enrolment_keys:
        yield _table("[enrolment]", keys=[key.hex() for key in sorted(policy.enrolment_keys)])
    if policy.ledger is not None:
        yield _table(
            "[ledger]",
            chain_id=policy.ledger.chain_id,
            contract="0x" + policy.ledger.contract.hex(),
            registrant="0x" + policy.ledger.registrant.hex(),
            code_hash="0x" + policy.ledger.code_hash.hex(),
            validators=["0x" + each.hex() for each in sorted(policy.ledger.validators)],
            consensus=policy.ledger.consensus.value,
        )


def _table(heading: str, **values: str | int | list[str]) -> str:
    return "".join(
        [f"{heading}\n", *(f"{key} = {_value(value)}\n" for key, value in values.items())]
    )


def _value(value: str | int | list[str]) -> str:
    # A TOML basic string is a JSON string, but for U+007F and surrogates: `text` refuses both.
    return json.dumps(value, ensure_ascii=False)
