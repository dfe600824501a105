"""A log with one witness and an acknowledgement key, for the device's side of the talk."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from meterseal import merkle
from meterseal.checkpoint import Checkpoint, LogPolicy, Witness, sign_checkpoint
from meterseal.keys import SigningKey
from meterseal.note import Cosigner, Signer
from meterseal.receipt import Consistency, Inclusion, Receipt
from meterseal.records import Kind, decode_record, record_hash
from meterseal.statements import HeadStatement, encode_head
from meterseal.types import DeviceId, Hash, UnixMs
from support.small_ledger import SmallLedger

if TYPE_CHECKING:
    from meterseal.ledger.proof import LedgerPolicy

NOW_MS = UnixMs(1_795_435_300_000)


def _key(seed: int) -> SigningKey:
    return SigningKey.from_seed(bytes([seed]) * 32)


@dataclass(kw_only=True)
class SmallLog:
    """What an aggregator says, made by hand: nothing here checks anything."""

    log: Signer = field(default_factory=lambda: Signer(name="log.example", key=_key(1)))
    witness: Cosigner = field(default_factory=lambda: Cosigner(name="w.example", key=_key(2)))
    second: Cosigner = field(default_factory=lambda: Cosigner(name="v.example", key=_key(4)))
    head_key: SigningKey = field(default_factory=lambda: _key(3))
    ledger: SmallLedger = field(default_factory=SmallLedger)
    leaves: list[Hash] = field(default_factory=list)

    def policy(self, quorum: int = 1) -> LogPolicy:
        """One witness, or with a quorum of two both, of two owners."""
        owners = ((self.witness, "somebody else"), (self.second, "a third"))
        return LogPolicy(
            origin=self.log.name,
            log=self.log.verifier,
            witnesses=tuple(
                Witness(verifier=each.verifier, owner=owner)
                for each, owner in owners[: max(1, quorum)]
            ),
            quorum=quorum,
        )

    @property
    def ledger_policy(self) -> LedgerPolicy:
        return self.ledger.policy

    def take(self, *records: bytes) -> None:
        """Log what is to be logged of these records."""
        self.leaves += [
            record_hash(data)
            for data in records
            if decode_record(data).kind is not Kind.READING and record_hash(data) not in self.leaves
        ]

    def note(
        self,
        size: int | None = None,
        *,
        cosigners: tuple[Cosigner, ...] | None = None,
        time_s: int = 1_795_435_300,
        root: Hash | None = None,
    ) -> bytes:
        """A signed checkpoint, cosigned by the witness if nobody else is named."""
        end = len(self.leaves) if size is None else size
        found = merkle.root(self.leaves[:end]) if root is None else root
        checkpoint = Checkpoint(origin=self.log.name, size=end, root=found)
        signers = (self.witness,) if cosigners is None else cosigners
        return sign_checkpoint(checkpoint, self.log, *((each, time_s) for each in signers))

    def receipt(
        self,
        *,
        since: int = 0,
        size: int | None = None,
        anchored: bool = False,
        cosigners: tuple[Cosigner, ...] | None = None,
        all_leaves: bool = False,
    ) -> Receipt:
        """A receipt for the leaves behind `since`, with the proof from there."""
        end = len(self.leaves) if size is None else size
        leaves = self.leaves[:end]
        first, second = sorted((since, end))
        consistency = None
        if first:
            path = merkle.consistency_path(first, self.leaves[:second])
            consistency = Consistency(old_size=first, path=path)
        begin = 0 if all_leaves or since >= end else since
        inclusions = tuple(
            Inclusion(record=leaves[at], index=at, path=merkle.inclusion_path(at, leaves))
            for at in range(begin, end)
        )
        proof = None
        if anchored:
            proof = self.ledger.prove(self.log.name, end, {end: merkle.root(leaves)})
        return Receipt(
            checkpoint=self.note(end, cosigners=cosigners),
            consistency=consistency,
            inclusions=inclusions,
            ledger=proof,
        )

    def head(
        self,
        device: DeviceId,
        last: bytes | None,
        *,
        nonce: bytes | None = None,
        light: bytes | None = None,
        key: SigningKey | None = None,
    ) -> bytes:
        statement = HeadStatement(
            device=device,
            nonce=nonce,
            time=NOW_MS,
            last_record=last,
            last_light=light,
            longest_delay_ms=60_000,
        )
        return encode_head(statement, key or self.head_key)
