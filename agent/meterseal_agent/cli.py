"""What each command of `meterseal-agent` does."""

from __future__ import annotations

import argparse
import asyncio
import json
import re
from collections import Counter
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from meterseal.evidence import claim_of, encode_evidence
from meterseal.records import Kind
from meterseal_agent import config as configuration
from meterseal_agent.device import Device, prepare, reading
from meterseal_agent.errors import AgentError
from meterseal_agent.export import accusation, find_alarm, interval_evidence, reading_evidence
from meterseal_agent.keyfile import KEY_NAME, load_key
from meterseal_agent.profiles.catalogue import load_all
from meterseal_agent.profiles.listing import listed, maps, table
from meterseal_agent.profiles.table import markdown
from meterseal_agent.publish.settings import log_policy
from meterseal_agent.store import alarms, states
from meterseal_agent.store.audit import audit

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from meterseal.evidence import Evidence, IntervalEvidence
    from meterseal_agent.config import Config

_DEFAULTS = (Path("meterseal.toml"), Path("/etc/meterseal/meterseal.toml"))
_MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d(?::\d\d)?Z\Z", re.ASCII)
_MS = re.compile(r"\d{1,15}\Z", re.ASCII)
_EXIT_OK = 0
_EXIT_FAULT = 1


def run(options: argparse.Namespace) -> int:
    """Run the agent until it is told to stop."""
    # The daemon imports the bus, the broker's client and the page: the other commands need none.
    from meterseal_agent.daemon import run_daemon  # noqa: PLC0415

    loaded = _config(options)
    return asyncio.run(run_daemon(loaded, prepare(loaded.agent.data_dir)))


def init(options: argparse.Namespace) -> int:
    """Make key and store where there are none, and print what enrolment needs."""
    device = prepare(_config(options).agent.data_dir)
    facts = _identity(device)
    if options.json:
        print(json.dumps(facts))
        return _EXIT_OK
    print("A new device was born." if device.made else "The device was here already.")
    print(f"  device       {facts['device']}")
    print(f"  name         {facts['name']}")
    print(f"  public key   {facts['public_key']}")
    print(f"  fingerprint  {facts['fingerprint']}")
    print("Give device and public key to your aggregator; compare the fingerprint by eye.")
    return _EXIT_OK


def show(options: argparse.Namespace) -> int:
    """Print the newest records and how far they have come, how many of each, or the alarms."""
    with reading(_config(options).agent.data_dir) as connection:
        if options.alarms:
            return _show_alarms(alarms.stored(connection), as_json=options.json)
        if options.counts:
            return _show_counts(states.walk(connection), as_json=options.json)
        chosen = (
            one
            for one in states.walk(connection)
            if (options.kind is None or one.kind is options.kind)
            and (options.state is None or one.state == options.state)
        )
        records = [one for one, _ in zip(chosen, range(options.last), strict=False)]
    if options.json:
        print(json.dumps({"records": [_record_facts(one) for one in records]}))
        return _EXIT_OK
    for one in records:
        print(
            f"{one.epoch}/{one.seq:<8} {_utc(one.time_ms)}  {_kind_name(one.kind):<10} "
            f"{one.state:<9} {one.size:>5} B  {one.hash.hex()[:16]}"
        )
    if not records:
        print("No such record yet.")
    return _EXIT_OK


def fsck(options: argparse.Namespace) -> int:
    """Check the whole store."""
    # It takes longer to import than all else that this command does on a small store.
    from meterseal_agent.store.health import look  # noqa: PLC0415

    folder = _config(options).agent.data_dir
    public = load_key(folder / KEY_NAME).public
    with reading(folder) as connection:
        report, health = audit(connection, public), look(connection)
    faults = (*health.faults, *report.faults)
    if options.json:
        facts = asdict(report) | asdict(health) | {"faults": [asdict(fault) for fault in faults]}
        print(json.dumps(facts))
    else:
        for fault in faults:
            print(f"{fault.where}: {fault.message}")
        print(
            f"{len(faults)} faults in {report.records} records, {report.intervals} "
            f"intervals, {report.epochs} epochs; {report.logged} logged, "
            f"{report.anchored} anchored, {report.aside} set aside; "
            f"{health.size // 1024} KiB, {health.free // 1024} KiB of it free"
        )
    return _EXIT_FAULT if faults else _EXIT_OK


def export(options: argparse.Namespace) -> int:
    """Write an evidence file."""
    loaded = _config(options)
    with reading(loaded.agent.data_dir) as connection:
        if options.alarm is not None:
            alarm = find_alarm(connection, options.alarm)
            if loaded.aggregator is None:
                message = f"{loaded.source}: [aggregator]: an alarm is shown under its pins"
                raise AgentError(message)
            policy = log_policy(loaded.aggregator, loaded)
            return _write(options, accusation(alarm, policy), state=alarm.verdict)
        if options.seq is not None:
            proof = reading_evidence(connection, options.seq, options.epoch)
            return _write_proof(options, proof, proof.interval)
        logged = interval_evidence(connection, options.interval, options.epoch)
        return _write_proof(options, logged, logged)


def _write_proof(options: argparse.Namespace, proof: Evidence, interval: IntervalEvidence) -> int:
    anchored = interval.ledger is not None
    state = "logged and anchored" if anchored else "logged, not anchored yet"
    return _write(options, proof, state=state, anchored=anchored)


def _write(options: argparse.Namespace, evidence: Evidence, *, state: str, **facts: object) -> int:
    data = encode_evidence(evidence)
    try:
        options.out.write_bytes(data)
    except OSError as error:
        message = f"{options.out}: cannot be written ({error.strerror}); choose another --out"
        raise AgentError(message) from error
    if options.json:
        claim = claim_of(evidence).name.lower().replace("_", " ")
        told = {"file": str(options.out), "bytes": len(data), "claim": claim, **facts}
        print(json.dumps(told))
    else:
        print(
            f"{options.out}: {len(data)} bytes, {state}. Check it: meterseal verify {options.out}"
        )
    return _EXIT_OK


def profiles(options: argparse.Namespace) -> int:
    """List the models that the agent can read, or write docs/meters.md."""
    if options.markdown:
        print(markdown(), end="")
        return _EXIT_OK
    rows = listed(load_all())
    if options.json:
        found = {"models": [asdict(row) for row in rows], "maps": maps(rows)}
        print(json.dumps(found, ensure_ascii=False))
    else:
        print(table(rows))
    return _EXIT_OK


def moment(text: str) -> int:
    """Read a point in time: `2026-11-23T12:15:00Z`, or UTC milliseconds.

    Raises:
        argparse.ArgumentTypeError: It is neither.
    """
    if _MS.match(text):
        return int(text)
    if _MOMENT.match(text):
        try:
            return round(datetime.fromisoformat(text).timestamp() * 1000)
        except ValueError:
            pass
    message = f"expected 2026-11-23T12:15:00Z or UTC milliseconds, got {text!r}"
    raise argparse.ArgumentTypeError(message)


def kind(text: str) -> Kind:
    """Read a record kind by its name, `key-change` for KEY_CHANGE.

    Raises:
        argparse.ArgumentTypeError: There is no such kind.
    """
    try:
        return Kind[text.upper().replace("-", "_")]
    except KeyError:
        names = ", ".join(map(_kind_name, Kind))
        message = f"expected one of {names}, got {text!r}"
        raise argparse.ArgumentTypeError(message) from None


def _show_counts(walked: Iterable[states.RecordState], *, as_json: bool) -> int:
    counts: dict[str, Counter[str]] = {_kind_name(kind): Counter() for kind in Kind}
    for one in walked:
        counts[_kind_name(one.kind)][one.state] += 1
    if as_json:
        print(json.dumps({"counts": counts}))
        return _EXIT_OK
    for name, counted in counts.items():
        if counted:
            shown = ", ".join(f"{number} {state}" for state, number in counted.items())
            print(f"{name:<10} {shown}")
    return _EXIT_OK


def _show_alarms(kept: Sequence[alarms.Alarm], *, as_json: bool) -> int:
    shown = [
        {"number": one.number, "at_ms": one.at_ms, "verdict": one.verdict, "detail": one.detail}
        for one in kept
    ]
    if as_json:
        print(json.dumps({"alarms": shown}))
        return _EXIT_OK
    for one in kept:
        print(f"{one.number:>3}  {_utc(one.at_ms)}  {one.verdict}: {one.detail}")
    advice = "Hand one out: meterseal-agent export --alarm N --out FILE"
    print(advice if shown else "No alarm is kept.")
    return _EXIT_OK


def _config(options: argparse.Namespace) -> Config:
    if options.config is not None:
        return configuration.load(options.config)
    found = next((path for path in _DEFAULTS if path.exists()), _DEFAULTS[-1])
    return configuration.load(found)


def _identity(device: Device) -> dict[str, object]:
    return {
        "device": device.id.hex(),
        "name": device.name,
        "public_key": device.key.public.hex(),
        "fingerprint": device.fingerprint,
        "new": device.made,
    }


def _record_facts(one: states.RecordState) -> dict[str, object]:
    return {
        "epoch": one.epoch,
        "seq": one.seq,
        "hash": one.hash.hex(),
        "kind": _kind_name(one.kind),
        "time_ms": one.time_ms,
        "bytes": one.size,
        "state": one.state,
        "since_ms": one.since_ms,
    }


def _kind_name(kind: Kind) -> str:
    return kind.name.lower().replace("_", "-")


def _utc(time_ms: int) -> str:
    return datetime.fromtimestamp(time_ms / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
