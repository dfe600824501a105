"""Goal: whatever happens to an evidence file, it never proves what it did not prove before.

Method: a real file of every claim, and every byte of it changed, cut and followed by rubbish.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from meterseal.evidence import Evidence, encode_evidence
from meterseal_verifier.verdict import Offence, Verdict
from meterseal_verifier.verify import verify
from support.world import World

if TYPE_CHECKING:
    from meterseal.policy import TrustPolicy

CONVICTING = {
    Offence.DEVICE_FORK,
    Offence.AGGREGATOR_SPLIT_VIEW,
    Offence.AGGREGATOR_ROLLBACK,
    Offence.ANCHOR_MISMATCH,
}
REFUSED = {Verdict.CANNOT_CHECK, Verdict.BAD_INPUT, Verdict.TAMPERED}


def every_claim() -> list[tuple[str, Evidence, TrustPolicy]]:
    world, changed = World.build(), World.build(key_changes=1)
    return [
        ("reading", world.reading_evidence(), world.policy()),
        ("interval", world.interval_evidence(), world.policy()),
        ("with all parts", world.reading_evidence(full=True), world.policy(ledger=True)),
        (
            "enrolled, after a key change",
            changed.reading_evidence(full=True),
            changed.policy(ledger=True, pinned=False),
        ),
        ("fork", world.fork_evidence(), world.policy()),
        ("split view", world.split_view_evidence(), world.policy()),
        ("rollback", world.rollback_evidence(), world.policy(operator=True)),
        ("anchor mismatch", world.mismatch_evidence(), world.policy(ledger=True)),
    ]


CASES = [
    pytest.param(encode_evidence(evidence), policy, id=name)
    for name, evidence, policy in every_claim()
]


def flipped(data: bytes, at: int, mask: int) -> bytes:
    return data[:at] + bytes([data[at] ^ mask]) + data[at + 1 :]


@pytest.mark.timeout(120)
@pytest.mark.parametrize(("data", "policy"), CASES)
def test_every_changed_byte_is_noticed(data: bytes, policy: TrustPolicy) -> None:
    assert verify(data, policy).verdict in {Verdict.OK, Verdict.TAMPERED}

    for at in range(len(data)):
        report = verify(flipped(data, at, 1 + at * 7 % 255), policy)
        assert report.verdict in REFUSED, f"byte {at}"
        assert report.offence not in CONVICTING, f"byte {at}"


@pytest.mark.timeout(120)
def test_every_changed_bit_of_a_reading_is_noticed(world: World) -> None:
    data, policy = encode_evidence(world.reading_evidence()), world.policy()

    for bit in range(8 * len(data)):
        report = verify(flipped(data, bit // 8, 1 << bit % 8), policy)
        assert report.verdict in REFUSED, f"bit {bit}"


@pytest.mark.timeout(120)
@pytest.mark.parametrize(("data", "policy"), CASES)
def test_every_cut_and_every_byte_more_is_bad_input(data: bytes, policy: TrustPolicy) -> None:
    for cut in range(len(data)):
        assert verify(data[:cut], policy).verdict is Verdict.BAD_INPUT, f"cut at {cut}"
    for more in range(256):
        assert verify(data + bytes([more]), policy).verdict is Verdict.BAD_INPUT
        assert verify(bytes([more]) + data, policy).verdict is Verdict.BAD_INPUT
