"""Goal: whatever the bytes are, the check ends in a verdict of a file that proves nothing.

Method: bytes of all sorts, and honest files whose parts are exchanged, cut or grown and then
written again as flawless CBOR, so that the damage gets behind step (1).
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from meterseal.encoding import decode, encode
from meterseal.errors import EncodingError
from meterseal.evidence import encode_evidence
from meterseal_verifier.verdict import Verdict
from meterseal_verifier.verify import verify
from support.world import World

OURS, OTHER = World.build(key_changes=1), World.build("foreign", key_changes=1)
POLICIES = [
    OURS.policy(ledger=asked, pinned=pin) for asked in (True, False) for pin in (True, False)
]


def fields(world: World) -> dict[int, object]:
    value = decode(encode_evidence(world.reading_evidence(full=True)))
    assert isinstance(value, dict)
    return value


HONEST, FOREIGN = fields(OURS), fields(OTHER)
RECORDS = [*OURS.records, *OTHER.records, OURS.note(), OURS.enrolment]
PIECES = st.sampled_from([*HONEST.values(), *FOREIGN.values(), *RECORDS])
CHANGES = st.dictionaries(st.integers(1, 12), PIECES | st.binary(max_size=64), max_size=3)


@given(st.binary(max_size=300))
def test_any_bytes_are_bad_input(data: bytes) -> None:
    assert verify(data, POLICIES[0]).verdict is Verdict.BAD_INPUT


@pytest.mark.parametrize("nested", [b"\x81", b"\xa1\x00", b"\xa1", b"\xc1"])
def test_nesting_beyond_all_bounds_is_bad_input_and_leaves_no_trace(nested: bytes) -> None:
    """Goal: a malicious file does not change how the next one is judged.

    Method: a thread of its own, since the CBOR reader is one a thread: should a file spoil it,
    this test fails and no other.
    """

    def judge() -> tuple[Verdict, Verdict]:
        malicious = verify(nested * 2000 + b"\x00", POLICIES[0])
        honest = verify(encode(HONEST), POLICIES[0])
        return malicious.verdict, honest.verdict

    with ThreadPoolExecutor(max_workers=1) as own_thread:
        assert own_thread.submit(judge).result() == (Verdict.BAD_INPUT, Verdict.OK)


@pytest.mark.timeout(120)
@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(CHANGES, st.sets(st.integers(0, 12), max_size=2), st.sampled_from(POLICIES))
def test_exchanged_parts_never_prove_anything_new(
    changes: dict[int, object], missing: set[int], policy: object
) -> None:
    changed = {key: value for key, value in (HONEST | changes).items() if key not in missing}
    try:
        data = encode(changed)
    except EncodingError:
        return

    report = verify(data, policy)  # type: ignore[arg-type]

    if report.verdict is Verdict.OK:
        # Optional parts may be left out where the policy does not need them; nothing else.
        assert all(HONEST[key] == value for key, value in changed.items())
    assert (report.verdict is Verdict.TAMPERED) == (report.culprit is not None)
