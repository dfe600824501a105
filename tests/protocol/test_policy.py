from __future__ import annotations

from dataclasses import replace

import pytest

from meterseal.ledger.header import Consensus
from meterseal.policy import PolicyError, TrustPolicy, format_policy, parse_policy
from support.world import World, key

WORLD = World.build()
TEXT = format_policy(WORLD.policy(ledger=True))
OPERATOR_KEY = WORLD.witnesses[0].verifier


def policies() -> list[TrustPolicy]:
    full = WORLD.policy(ledger=True)
    assert full.ledger is not None
    return [
        full,
        WORLD.policy(pinned=False),
        replace(full, enrolment_keys=frozenset(), ledger=None),
        replace(full, log=replace(full.log, operator=OPERATOR_KEY)),
        replace(full, log=replace(full.log, origin='a "quoted" \\ name, 名前')),
        replace(full, log=replace(full.log, witnesses=(), quorum=0)),
        replace(full, ledger=replace(full.ledger, consensus=Consensus.IBFT2)),
    ]


@pytest.mark.parametrize("policy", policies())
def test_what_is_written_is_read_back(policy: TrustPolicy) -> None:
    assert parse_policy(format_policy(policy)) == policy


def test_windows_line_ends_are_read() -> None:
    assert parse_policy(TEXT.replace("\n", "\r\n")) == WORLD.policy(ledger=True)


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("[log]\n", "[log]\ncolour = 1\n", r"\[log\]: unknown key 'colour'"),
        ("[quorum]\n", "[quorums]\n", r"the file: 'quorum' is missing"),
        ("witnesses = 2", "witnesses = 4", "quorum 4 is not within 0 and the 3 owners"),
        ("witnesses = 2", "witnesses = -1", r"\[quorum\].witnesses: expected a number from 0"),
        ("witnesses = 2", "witnesses = true", r"\[quorum\].witnesses: expected a number from 0"),
        ("witnesses = 2", 'witnesses = "2"', r"\[quorum\].witnesses: expected a number from 0"),
        ("+ba56c8c2+", "+ba56c8c3+", "is not that of the key"),
        ('owner = "owner 0"', 'owner = ""', r"\[\[witness\]\] number 1.owner: expected a line"),
        ('owner = "owner 0"', 'owner = "a\\u001bb"', "printable"),
        ('contract = "0x', 'contract = "', r"\[ledger\].contract: expected 0x…40 lower-case"),
        ('consensus = "qbft"', 'consensus = "clique"', r"\[ledger\].consensus: expected one of"),
        ("chain_id = 1337260", "chain_id = 0.5", r"\[ledger\].chain_id"),
        ("[[device]]\n", "[device]\n", r"\[\[device\]\]: expected an array of tables"),
        ("public_key", "publickey", r"\[\[device\]\] number 1: 'public_key' is missing"),
        ("[log]", "[log", "not TOML: .*line 1"),
        ("[log]\n", "x = 1\n[log]\n", "the file: unknown key 'x'"),
        ("[log]\n", "x = " + "[" * 10_000 + "\n[log]\n", "not TOML"),
        ("[log]\n", "x = " + "9" * 10_000 + "\n[log]\n", "not TOML"),
    ],
)
def test_a_fault_is_named_with_its_place(old: str, new: str, words: str) -> None:
    assert old in TEXT

    with pytest.raises(PolicyError, match=words):
        parse_policy(TEXT.replace(old, new))


def test_lists_are_not_empty_and_hold_nothing_twice() -> None:
    enrolment = f'"{WORLD.enrolment_key.public.hex()}"'

    with pytest.raises(PolicyError, match="not empty"):
        parse_policy(TEXT.replace(f"[{enrolment}]", "[]"))
    with pytest.raises(PolicyError, match="twice"):
        parse_policy(TEXT.replace(f"[{enrolment}]", f"[{enrolment}, {enrolment}]"))


def test_a_device_or_a_witness_stands_once() -> None:
    device = (
        f'\n[[device]]\nid = "{WORLD.device.hex()}"\npublic_key = "{key("x", "y").public.hex()}"'
    )
    witness = f'\n[[witness]]\nowner = "again"\nkey = "{WORLD.witnesses[0].verifier.vkey}"'

    with pytest.raises(PolicyError, match="twice"):
        parse_policy(TEXT + device)
    with pytest.raises(PolicyError, match="twice"):
        parse_policy(TEXT + witness)


def test_the_empty_policy_names_what_is_missing() -> None:
    with pytest.raises(PolicyError, match="'log' is missing"):
        parse_policy("")
