"""Three forgeries, each by somebody who holds the real thing, and each named by the checker.

1. The card: one byte of a stored reading is flipped.              SIGNATURE INVALID
2. The device key: an anchored reading is changed and signed anew.  DEVICE FORK
3. The log key: the log is rewritten and its checkpoint signed anew. ANCHOR MISMATCH

The forger works below the product's interfaces, on its files and with its keys; the culprit is
found by the product alone.
"""

from __future__ import annotations

import shutil
import sqlite3
import time
from contextlib import closing
from dataclasses import replace
from typing import TYPE_CHECKING

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion

from meterseal.checkpoint import Checkpoint, sign_checkpoint
from meterseal.evidence import ReadingEvidence, decode_evidence, encode_evidence
from meterseal.keys import SigningKey
from meterseal.merkle import inclusion_path, root
from meterseal.note import Cosigner, Signer, parse_note
from meterseal.policy import parse_policy
from meterseal.records import Reading, decode_record, encode_record, record_hash
from meterseal.topics import device_topic
from meterseal.types import DeviceId, Hash
from meterseal_simulator.demo import facts as ask
from meterseal_simulator.demo import proof
from meterseal_simulator.demo.child import ChildError
from meterseal_simulator.demo.report import TamperCase

if TYPE_CHECKING:
    from pathlib import Path

    from rich.console import Console

    from meterseal_simulator.demo.stage import Stage

EXIT_TAMPERED = 14
EXPECTED = ("SIGNATURE INVALID", "DEVICE FORK", "ANCHOR MISMATCH")
EVIDENCE_WITHIN_S = 20.0
FORGED_WH = 1000


def as_expected(cases: list[TamperCase]) -> bool:
    """Whether every case was caught, each by its own verdict."""
    told = tuple(case.verdict for case in cases)
    return told == EXPECTED and all(case.status == EXIT_TAMPERED for case in cases)


def stage_all(stage: Stage, console: Console) -> list[TamperCase]:
    """Stage the three cases on an anchored reading.

    Raises:
        ChildError: No reading was anchored in time, or a case could not be staged.
    """
    seq = ask.anchored_reading(stage)
    if seq is None:
        raise ChildError("no interval was anchored yet; give --seconds more time")
    cases = []
    for forge in (flip_a_stored_byte, sign_another_reading, rewrite_the_log):
        case = forge(stage, seq)
        console.print(
            f"[bold]{case.what}[/bold]\n  {case.verdict}: {case.culprit}\n  {case.evidence}"
        )
        cases.append(case)
    return cases


def _case(stage: Stage, case: str, what: str, record: Hash, evidence: Path) -> TamperCase:
    judged = proof.judge(evidence, stage.trust)
    return TamperCase(
        case=case, what=what, record=record.hex(), verdict=judged.verdict, culprit=judged.culprit,
        status=judged.status, evidence=str(evidence),
    )  # fmt: skip


def flip_a_stored_byte(stage: Stage, seq: int) -> TamperCase:
    """Whoever holds the card changes a raw word of a stored reading."""
    stolen = stage.root / "stolen-card"
    shutil.copytree(stage.root / "agent" / "data", stolen)
    config = stage.root / "stolen-card.toml"
    text = stage.agent_config.read_text()
    config.write_text(text.replace(str(stage.root / "agent" / "data"), str(stolen)))
    with closing(sqlite3.connect(stolen / "store.sqlite3")) as store:
        place, data = _stored_reading(store, seq)
        body = decode_record(data).body
        if not isinstance(body, Reading):
            raise ChildError(f"record {seq} is no reading")
        words = next(words for meter in body.meters for words in meter.raw.values() if words)
        at = data.index(words) + len(words) - 1
        forged = data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]
        store.execute("UPDATE record SET bytes = ? WHERE place = ?", (forged, place))
        store.commit()
    out = proof.export(stage, stage.evidence / "flipped-byte.evidence", seq=seq, config=config)
    if out is None:
        raise ChildError("the agent did not export the reading with the flipped byte")
    what = "a byte of a stored reading was flipped on the device's card"
    return _case(stage, "flipped byte", what, record_hash(forged), out)


def _stored_reading(store: sqlite3.Connection, seq: int) -> tuple[int, bytes]:
    rows = store.execute("SELECT place, bytes FROM record ORDER BY place DESC")
    return next((place, data) for place, data in rows if decode_record(data).seq == seq)


def sign_another_reading(stage: Stage, seq: int) -> TamperCase:
    """Whoever holds the device key signs the anchored reading anew, with more energy sold."""
    data_dir = stage.root / "agent" / "data"
    key = SigningKey.from_seed(bytes.fromhex((data_dir / "device.key").read_text().strip()))
    with closing(sqlite3.connect(data_dir / "store.sqlite3")) as store:
        _, data = _stored_reading(store, seq)
    record = decode_record(data)
    if not isinstance(record.body, Reading):
        raise ChildError(f"record {seq} is no reading")
    first = record.body.meters[0]
    values = {code: value and value + FORGED_WH for code, value in first.values.items()}
    meters = (replace(first, values=values), *record.body.meters[1:])
    forged = encode_record(replace(record, body=Reading(meters=meters)), key)
    _publish(stage, device_topic(record.device, "record"), forged)
    evidence = _await_evidence(stage, record.device)
    what = "a reading was changed and signed again with the device's own key, after anchoring"
    return _case(stage, "second signature", what, record_hash(forged), evidence)


def _publish(stage: Stage, topic: str, payload: bytes) -> None:
    client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id="forger")
    client.connect("127.0.0.1", stage.broker_port)
    client.loop_start()
    client.publish(topic, payload, qos=1).wait_for_publish(EVIDENCE_WITHIN_S)
    client.disconnect()
    client.loop_stop()


def _await_evidence(stage: Stage, device: DeviceId) -> Path:
    """The aggregator writes a fork's evidence by itself."""
    folder = stage.root / "aggregator" / "data" / "evidence"
    until = time.monotonic() + EVIDENCE_WITHIN_S
    while time.monotonic() < until:
        for path in sorted(folder.glob(f"{device.hex()}-*.evidence")):
            return path
        time.sleep(0.1)
    raise ChildError(f"the aggregator wrote no evidence of the fork to {folder}")


def rewrite_the_log(stage: Stage, seq: int) -> TamperCase:
    """Whoever holds the log's keys replaces a leaf and signs the same size with another root."""
    honest = proof.export(stage, stage.evidence / "before-rewrite.evidence", seq=seq)
    if honest is None:
        raise ChildError("the agent did not export the anchored reading")
    evidence = decode_evidence(honest.read_bytes())
    if not isinstance(evidence, ReadingEvidence):
        raise ChildError("the agent exported another claim than a reading")
    logged = evidence.interval.interval
    with closing(sqlite3.connect(stage.root / "aggregator" / "data" / "store.sqlite3")) as store:
        leaves = [Hash(row[0]) for row in store.execute("SELECT hash FROM leaf ORDER BY idx")]
    text, _ = parse_note(evidence.interval.checkpoint)
    checkpoint = Checkpoint.parse(text)
    leaves = leaves[: checkpoint.size]
    victim = 0 if logged.index else 1
    leaves[victim] = Hash(bytes(32))
    forged = replace(checkpoint, root=root(leaves))
    note = _sign(stage, forged)
    rewritten = replace(
        evidence,
        interval=replace(
            evidence.interval,
            interval=replace(logged, path=tuple(inclusion_path(logged.index, leaves))),
            checkpoint=note,
        ),
    )
    out = stage.evidence / "rewritten-log.evidence"
    out.write_bytes(encode_evidence(rewritten))
    what = "the log was rewritten and its checkpoint signed again with the log's own key"
    return _case(stage, "rewritten log", what, record_hash(evidence.reading), out)


def _sign(stage: Stage, forged: Checkpoint) -> bytes:
    """Sign and cosign as the log's operator does, with the operator's own keys."""
    folder = stage.root / "aggregator" / "data" / "keys"
    policy = parse_policy(stage.trust.read_text()).log
    log = Signer(name=policy.log.name, key=_key(folder / "log.key"))
    witness = _key(folder / "operator-witness.key")
    cosigners = [Cosigner(name=one.name, key=witness) for one in policy.cosigners]
    return sign_checkpoint(forged, log, *((one, int(time.time())) for one in cosigners))


def _key(path: Path) -> SigningKey:
    return SigningKey.from_seed(bytes.fromhex(path.read_text().strip()))
