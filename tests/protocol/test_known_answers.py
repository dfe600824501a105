"""The frozen known answers: made again byte for byte, and read as anybody else would read them."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import pytest

from meterseal.chain import KeyState, advance, check_interval, genesis_head
from meterseal.errors import ProtocolError
from meterseal.keys import SigningKey, device_id
from meterseal.messages import Ask, Hello, Reject, Want
from meterseal.records import Kind, decode_record, open_record, record_hash
from meterseal.statements import open_enrolment, open_head
from meterseal.topics import checkpoint_topic, parse_topic
from meterseal.types import Hash, Seq
from support.known_answers import FILES, head_fields, jsonable, record_fields, text_of
from support.records import outcome

if TYPE_CHECKING:
    from pathlib import Path

PARSERS = {"hello": Hello.decode, "want": Want.decode, "reject": Reject.decode, "ask": Ask.decode}


@pytest.fixture(scope="module")
def folder(repository: Path) -> Path:
    return repository / "protocol" / "vectors"


def load(folder: Path, name: str) -> Any:  # noqa: ANN401 - JSON
    return json.loads((folder / name).read_text())


@pytest.mark.parametrize("name", FILES)
def test_the_code_still_writes_the_frozen_bytes(folder: Path, name: str) -> None:
    assert text_of(name) == (folder / name).read_text()


def test_every_record_reads_as_its_fields(folder: Path) -> None:
    file = load(folder, "records.json")
    key = SigningKey.from_seed(bytes.fromhex(file["seed"]))
    assert (key.public.hex(), device_id(key.public).hex()) == (file["public_key"], file["device"])
    assert [case["name"] for case in file["accepted"]] == [kind.name.lower() for kind in Kind]

    for case in file["accepted"]:
        data = bytes.fromhex(case["bytes"])

        assert record_fields(open_record(data, key.public)) == case["fields"], case["name"]
        assert record_hash(data).hex() == case["hash"]


def test_every_refused_record_is_refused(folder: Path) -> None:
    file = load(folder, "records.json")
    public = SigningKey.from_seed(bytes.fromhex(file["seed"])).public
    assert len(file["refused"]) > 30

    for case in file["refused"]:
        got = outcome(lambda d: open_record(d, public), bytes.fromhex(case["bytes"]))

        assert isinstance(got, ProtocolError), case["name"]


def test_the_chain_is_followed_record_by_record(folder: Path) -> None:
    file = load(folder, "chain.json")
    leaves: list[Hash] = []
    head = keys = None
    for step in file["records"]:
        data = bytes.fromhex(step["bytes"])
        record, digest = decode_record(data), record_hash(data)
        if keys is None:
            head, keys = genesis_head(record, digest), KeyState.genesis(record, digest)
        open_record(data, keys.key_for(record))
        if record.seq:
            head, keys = advance(head, record, digest), keys.advance(record, digest)
        if record.kind is Kind.INTERVAL:
            check_interval(record, first_seq=Seq(0), leaves=leaves, manifest=keys.manifest)
        leaves.append(digest)

        assert head_fields(head) == step["head"], step["name"]  # type: ignore[arg-type]
        assert keys.current.hex() == step["key"]
        assert jsonable(keys.pending) == step["pending_key"]
        assert keys.manifest.hex() == step["manifest"]

    for case in file["refused"]:

        def follow(data: bytes) -> object:
            assert keys is not None
            record = open_record(data, keys.key_for(decode_record(data)))
            return advance(head, record, record_hash(data))

        assert isinstance(outcome(follow, bytes.fromhex(case["bytes"])), ProtocolError)


def test_every_statement_reads_as_its_fields(folder: Path) -> None:
    file = load(folder, "statements.json")
    public = SigningKey.from_seed(bytes.fromhex(file["seed"])).public

    for parser, cases in ((open_enrolment, file["enrolments"]), (open_head, file["heads"])):
        for case in cases:
            statement: Any = parser(bytes.fromhex(case["bytes"]), public)

            assert jsonable(asdict(statement)) == case["fields"]


def test_every_message_and_topic_reads_as_its_fields(folder: Path) -> None:
    file = load(folder, "messages.json")

    for case in file["messages"]:
        message: Any = PARSERS[case["name"]](bytes.fromhex(case["bytes"]))
        assert jsonable(asdict(message)) == case["fields"]
    for case in file["refused"]:
        for parser in PARSERS.values():
            assert isinstance(outcome(parser, bytes.fromhex(case["bytes"])), ProtocolError)
    for leaf, topic in file["device_topics"].items():
        assert parse_topic(topic).leaf == leaf  # type: ignore[union-attr]
    assert checkpoint_topic(file["checkpoint_topic"]["origin"]) == file["checkpoint_topic"]["topic"]
