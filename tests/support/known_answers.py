"""The project's own known answers for records, chains, statements and messages.

Everything comes from the seeds and values written here and in `support.records`, so that the
files in protocol/vectors can be made again and compared byte for byte. They are frozen: a
difference is an incompatible change of the protocol. Run as a module, this writes files that are
missing and leaves the others alone:

    PYTHONPATH=tests .venv/bin/python -m support.known_answers
"""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import cbor2

from meterseal import cose, merkle
from meterseal.bodies import Body, Interval, KeyChange, Kind, Restore, RestoreReason
from meterseal.chain import Head, KeyState, advance, genesis_head
from meterseal.encoding import encode
from meterseal.keys import SigningKey, fingerprint
from meterseal.messages import Ask, Hello, Reject, RejectCode, Want
from meterseal.records import Light, Record, encode_record, record_hash
from meterseal.statements import Enrolment, HeadStatement, encode_enrolment, encode_head
from meterseal.topics import Leaf, checkpoint_topic, device_topic
from meterseal.types import DeviceId, Epoch, Seq, UnixMs
from support.records import (
    BODIES,
    DEVICE,
    H1,
    H2,
    INTERVAL,
    KEY,
    MANIFEST,
    NOON,
    OTHER_KEY,
    READING,
    genesis,
    record_of,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

FOLDER: Final = Path(__file__).parents[2] / "protocol" / "vectors"


def jsonable(value: Any) -> Any:  # noqa: ANN401 - any field, any JSON
    """Show a field as JSON: bytes as hex, enumerations as their value, maps with text keys."""
    match value:
        case bytes():
            return value.hex()
        case dict():
            return {str(key): jsonable(item) for key, item in value.items()}
        case list() | tuple():
            return [jsonable(item) for item in value]
        case str():
            return str(value)
        case int():
            return int(value)
        case _:
            return value


def record_fields(record: Record) -> Any:  # noqa: ANN401 - JSON
    """Show a record as JSON, by the names of its fields."""
    return jsonable(asdict(record))


def records_file() -> dict[str, object]:
    """Build one record of each kind, and what a reader must refuse."""
    cases = []
    for body in BODIES:
        record = genesis() if body is MANIFEST else record_of(body)
        data = encode_record(record, KEY)
        cases.append(
            {
                "name": body.kind.name.lower(),
                "fields": record_fields(record),
                "bytes": data.hex(),
                "hash": record_hash(data).hex(),
            }
        )
    return {
        "about": "Records by the key of `seed`. `bytes` is the whole COSE_Sign1 of `fields`, "
        "`hash` the record hash. Each of `refused` carries a right signature over what it says, "
        "except where its name says otherwise, and must be refused.",
        "seed": KEY.seed().hex(),
        "public_key": KEY.public.hex(),
        "fingerprint": fingerprint(KEY.public),
        "device": DEVICE.hex(),
        "accepted": cases,
        "refused": [{"name": name, "bytes": data.hex()} for name, data in _refused().items()],
    }


def _refused() -> dict[str, bytes]:
    good = encode_record(record_of(READING), KEY)
    payload = cose.parse1(good, cose.RECORD).payload
    content: dict[int, Any] = cbor2.loads(payload)
    meter = content[8][0]

    def resigned(changed: Mapping[Any, object]) -> bytes:
        return _signed(cbor2.dumps(dict(changed)))

    def with_meter(at: int, value: object) -> bytes:
        return resigned(content | {8: [[*meter[:at], value, *meter[at + 1 :]]]})

    wrapped = cose.protected_header(cose.RECORD)
    return {
        "an empty file": b"",
        "a changed signature": good[:-1] + bytes([good[-1] ^ 1]),
        "a changed payload": good.replace(DEVICE, H1[:16]),
        "a byte behind it": good + b"\0",
        "the last byte cut off": good[:-1],
        "no tag": good[1:],
        "the tag in two bytes": b"\xd8\x12" + good[1:],
        "a key id in the unprotected header": good.replace(
            wrapped + b"\xa0", wrapped + b"\xa1\x04\x41\x31"
        ),
        "algorithm EdDSA (-8)": _signed(payload, {1: -8, 16: cose.RECORD}),
        "another typ": cose.sign1(KEY, cose.HEAD, payload),
        "keys in descending order": resigned(dict(reversed(content.items()))),
        "a duplicate key": _signed(b"\xaa" + payload[1:18] + payload[1:]),
        "an integer longer than needed": _signed(
            payload.replace(b"\x02\x00\x03", b"\x02\x18\x00\x03")
        ),
        "a map of indefinite length": _signed(b"\xbf" + payload[1:] + b"\xff"),
        "an unknown field": resigned(content | {11: 0}),
        "a missing field": resigned({key: content[key] for key in content if key != 9}),
        "a reading with a light link": resigned(content | {10: [0, bytes(32)]}),
        "an unknown kind": resigned(content | {7: 7}),
        "seq true": resigned(content | {3: True}),
        "key true in place of 1": resigned(
            {(True if key == 1 else key): value for key, value in content.items()}
        ),
        "a time that is a float": resigned(content | {4: float(NOON)}),
        "a time that is a date (tag 1)": resigned(content | {4: cbor2.CBORTag(1, NOON // 1000)}),
        "a time that is a big integer (tag 2)": resigned(content | {4: cbor2.CBORTag(2, b"\5")}),
        "a time of 2^63": resigned(content | {4: 2**63}),
        "a short prev": resigned(content | {6: bytes(31)}),
        "no meter": resigned(content | {8: []}),
        "a meter twice": resigned(content | {8: [meter, meter]}),
        "meter 64": with_meter(0, 64),
        "an unknown state": with_meter(1, "Q"),
        "values in a timeout": with_meter(1, "T"),
        "a negative counter": with_meter(3, {1: -1, 2: 0}),
        "codes in descending order": with_meter(3, {2: 0, 1: 0}),
        "a value that is a float": with_meter(3, {1: 1.0, 2: 0}),
        "raw words of three bytes": with_meter(4, {1: b"\0\0\0"}),
        "raw words without a value": with_meter(4, {3: b"\0\0"}),
        "text with a line break": _text("Eastron\nSDM630"),
        "text of 65 bytes": _text("x" * 65),
        "text that turns its direction": _text("19340712\u202e"),
    }


def _text(serial: str) -> bytes:
    manifest = encode_record(genesis(), KEY)
    content: dict[int, Any] = cbor2.loads(cose.parse1(manifest, cose.RECORD).payload)
    content[8][5][0][2] = serial
    return _signed(cbor2.dumps(content))


def _signed(payload: bytes, header: Mapping[int, object] | None = None) -> bytes:
    protected = cbor2.dumps(dict(header or {1: -19, 16: cose.RECORD}))
    signature = KEY.sign(cbor2.dumps(["Signature1", protected, b"", payload]))
    return cbor2.dumps(cbor2.CBORTag(18, [protected, {}, payload, signature]))


def chain_file() -> dict[str, object]:
    """Build a chain with readings, an interval, a restore and a key change."""
    chain = _Chain()
    chain.add("reading", READING)
    chain.add("reading", READING)
    chain.add("interval", chain.interval())
    chain.add("reading", READING)
    chain.add(
        "restore into epoch 1",
        Restore(reason=RestoreReason.OFFLINE_START, nonce=bytes(range(16)), missing=None),
    )
    chain.add("key-change", KeyChange(public_key=OTHER_KEY.public))
    chain.add("manifest by the new key", replace(MANIFEST, public_key=OTHER_KEY.public), OTHER_KEY)
    chain.add("reading by the new key", READING, OTHER_KEY)
    return {
        "about": "One device's chain. After each record: the head, the key that rules and the "
        "manifest in force. Each of `refused` must not follow the last record.",
        "seeds": [KEY.seed().hex(), OTHER_KEY.seed().hex()],
        "records": chain.steps,
        "refused": [
            {"name": name, "bytes": encode_record(record, key).hex()}
            for name, record, key in chain.refused()
        ],
    }


class _Chain:
    """Builds records that follow each other and notes the state after each."""

    def __init__(self) -> None:
        record = genesis()
        data = encode_record(record, KEY)
        self.head = genesis_head(record, record_hash(data))
        self.keys = KeyState.genesis(record, self.head.hash)
        self.leaves = [self.head.hash]
        self.steps: list[dict[str, object]] = []
        self._note("genesis", data)

    def add(self, name: str, body: Body, key: SigningKey = KEY) -> None:
        record = self.following(body)
        data = encode_record(record, key)
        digest = record_hash(data)
        self.head = advance(self.head, record, digest)
        self.keys = self.keys.advance(record, digest)
        self.leaves.append(digest)
        self._note(name, data)

    def following(self, body: Body, **changes: Any) -> Record:  # noqa: ANN401 - any field
        head = self.head
        light = Light(n=head.light_n + 1, hash=head.light_hash)
        record = record_of(
            body,
            epoch=Epoch(head.epoch + (body.kind is Kind.RESTORE)),
            seq=Seq(head.seq + 1),
            time=UnixMs(head.time + 10_000),
            prev=head.hash,
            up=head.up + 10_000,
            light=None if body.kind is Kind.READING else light,
        )
        return replace(record, **changes)

    def interval(self) -> Interval:
        return replace(
            INTERVAL,
            first_seq=Seq(0),
            count=len(self.leaves),
            root=merkle.root(self.leaves),
            manifest_hash=self.keys.manifest,
        )

    def refused(self) -> list[tuple[str, Record, SigningKey]]:
        restore = Restore(reason=RestoreReason.OPERATOR, nonce=bytes(16), missing=None)
        event = BODIES[4]
        return [
            ("by the old key", self.following(READING), KEY),
            ("seq left out", self.following(READING, seq=Seq(self.head.seq + 2)), OTHER_KEY),
            ("prev of another record", self.following(READING, prev=H1), OTHER_KEY),
            ("epoch without a restore", self.following(READING, epoch=Epoch(2)), OTHER_KEY),
            ("time backwards", self.following(READING, time=UnixMs(5)), OTHER_KEY),
            ("an epoch left out", self.following(restore, epoch=Epoch(3)), OTHER_KEY),
            ("time lowered by an operator", self.following(restore, time=UnixMs(5)), OTHER_KEY),
            ("light n left out", self.following(event, light=Light(n=99, hash=H1)), OTHER_KEY),
            (
                "a light link to another record",
                self.following(event, light=Light(n=self.head.light_n + 1, hash=H1)),
                OTHER_KEY,
            ),
        ]

    def _note(self, name: str, data: bytes) -> None:
        self.steps.append(
            {
                "name": name,
                "bytes": data.hex(),
                "head": head_fields(self.head),
                "key": self.keys.current.hex(),
                "pending_key": jsonable(self.keys.pending),
                "manifest": self.keys.manifest.hex(),
            }
        )


def head_fields(head: Head) -> Any:  # noqa: ANN401 - JSON
    """Show a head as JSON."""
    return jsonable(asdict(head))


def statements_file() -> dict[str, object]:
    """Build an enrolment and a head statement, with and without their optional fields."""
    enrolment = Enrolment(
        device=DEVICE,
        public_key=KEY.public,
        metering_point="DE0001234567890123456789012345678",
        serials=("19340712",),
        role="grid",
        valid_from=NOON,
    )
    revoked = replace(
        enrolment,
        replaces=(DeviceId(bytes(range(16))), H2),
        revoked_after=(Epoch(1), Seq(4711)),
    )
    head = HeadStatement(
        device=DEVICE,
        nonce=None,
        time=NOON,
        last_record=None,
        last_light=None,
        longest_delay_ms=120_000,
    )
    answered = replace(
        head,
        nonce=bytes(range(16)),
        last_record=encode_record(record_of(READING), KEY),
        last_light=encode_record(genesis(), KEY),
    )
    return {
        "about": "Statements signed by the key of `seed`.",
        "seed": OTHER_KEY.seed().hex(),
        "enrolments": [
            {"fields": jsonable(asdict(one)), "bytes": encode_enrolment(one, OTHER_KEY).hex()}
            for one in (enrolment, revoked)
        ],
        "heads": [
            {"fields": jsonable(asdict(one)), "bytes": encode_head(one, OTHER_KEY).hex()}
            for one in (head, answered)
        ],
    }


def messages_file() -> dict[str, object]:
    """Build the unsigned messages and topics."""
    hello = Hello(
        nonce=bytes(range(16)),
        boot_nonce=bytes(range(16, 32)),
        epoch=Epoch(1),
        seq=Seq(4711),
        hash=H1,
        light_n=52,
        checkpoint=None,
    )
    messages: list[Hello | Want | Reject | Ask] = [
        hello,
        replace(hello, checkpoint=INTERVAL.checkpoint),
        Want(ranges=((Epoch(0), Seq(7), Seq(9)), (Epoch(1), Seq(10), Seq(10)))),
        Reject(hash=H1, code=RejectCode.CONTRADICTS),
        Ask(size=4711),
    ]
    origin = "meterseal.example/log"
    return {
        "about": "Unsigned MQTT payloads and topic names.",
        "messages": [
            {
                "name": type(message).__name__.lower(),
                "fields": jsonable(asdict(message)),
                "bytes": message.encode().hex(),
            }
            for message in messages
        ],
        "refused": [
            {"name": "a want that ends before it begins", "bytes": encode({1: [[0, 9, 7]]}).hex()},
            {"name": "a hello with a short nonce", "bytes": encode({1: b"", 2: b""}).hex()},
            {"name": "an unknown code of rejection", "bytes": encode([H1, 6]).hex()},
        ],
        "device_topics": {leaf.value: device_topic(DEVICE, leaf) for leaf in Leaf},
        "checkpoint_topic": {"origin": origin, "topic": checkpoint_topic(origin)},
    }


FILES: Final = {
    "records.json": records_file,
    "chain.json": chain_file,
    "statements.json": statements_file,
    "messages.json": messages_file,
}


def text_of(name: str) -> str:
    """Give the text of a file of known answers."""
    return json.dumps(FILES[name](), indent=1, ensure_ascii=False) + "\n"


def main() -> None:
    """Write the files that are missing."""
    for name in FILES:
        path = FOLDER / name
        if not path.exists():
            path.write_text(text_of(name))


if __name__ == "__main__":
    main()
