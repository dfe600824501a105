"""The command line: what each command says and with which status it ends."""

from __future__ import annotations

import asyncio
import json
import logging
import signal
import sys
import time
from typing import TYPE_CHECKING, Final

from meterseal.errors import MeterSealError
from meterseal.statements import Enrolment
from meterseal.types import PublicKey, UnixMs
from meterseal_aggregator import config as configuration
from meterseal_aggregator import keyfiles
from meterseal_aggregator.errors import AggregatorError
from meterseal_aggregator.identity import begin, check_identity, open_store, read_keys
from meterseal_aggregator.options import PROGRAM, parser

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Mapping, Sequence

    from meterseal_aggregator.config import Config
    from meterseal_aggregator.daemon import Aggregator

OK = 0
FAILED = 1
FAULTS_FOUND = 14
USAGE = 64


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command.

    Returns:
        0 done; 1 a named failure; 14 fsck found faults; 64 usage.
    """
    try:
        chosen = parser().parse_args(arguments)
    except SystemExit as end:
        return OK if end.code in {0, None} else USAGE
    try:
        return _COMMANDS[chosen.command](chosen)
    except (AggregatorError, MeterSealError) as error:
        print(f"{PROGRAM}: {error}", file=sys.stderr)
        return FAILED
    except OSError as error:
        where = "" if error.filename is None else f"{error.filename}: "
        print(
            f"{PROGRAM}: {where}{error.strerror or error}. Check owner and free space.",
            file=sys.stderr,
        )
        return FAILED
    except KeyboardInterrupt:
        return OK


def _init(chosen: argparse.Namespace) -> int:
    if chosen.example:
        print(configuration.EXAMPLE, end="")
        return OK
    from meterseal_aggregator.sequencer import log_signer, operator_witness  # noqa: PLC0415

    config = configuration.load(chosen.config)
    created = begin(config)
    keys = keyfiles.read_keys(config.keys_dir)
    facts = {
        "data_dir": str(config.data_dir),
        "created": created,
        "origin": config.origin,
        "head_key": keys.head.public.hex(),
        "log_key": log_signer(config.origin, keys).verifier.vkey,
        "operator_witness": operator_witness(config.origin, keys).verifier.vkey,
        "enrolment_key": keys.enrolment.hex(),
        "ledger_account": keyfiles.read_account(config.keys_dir / keyfiles.LEDGER).address,
    }
    _show(facts, as_json=chosen.json)
    return OK


def _run(chosen: argparse.Namespace) -> int:
    from meterseal_aggregator.daemon import Aggregator  # noqa: PLC0415 -- the other commands start faster

    logging.basicConfig(
        level=logging.DEBUG if chosen.verbose else logging.INFO,
        format="%(asctime)s %(levelname)s %(message)s",
        stream=sys.stderr,
    )
    for noisy in ("httpx", "httpcore"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    config = configuration.load(chosen.config)
    asyncio.run(_until_stopped(Aggregator(config)))
    return OK


async def _until_stopped(aggregator: Aggregator) -> None:
    """Run until SIGTERM or SIGINT; a failure of any task ends all of them."""
    loop = asyncio.get_running_loop()
    task = asyncio.create_task(aggregator.run(), name="aggregator")
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, task.cancel)
    try:
        await task
    except asyncio.CancelledError:
        logging.getLogger(__name__).info("stopped")


def _enrol(chosen: argparse.Namespace) -> int:
    from meterseal_aggregator.enrolment import enrol, newest  # noqa: PLC0415 -- see _run

    config = configuration.load(chosen.config)
    enrolment = Enrolment(
        device=chosen.device,
        public_key=PublicKey(chosen.public_key),
        metering_point=chosen.metering_point,
        serials=tuple(chosen.serial),
        role=chosen.role,
        valid_from=UnixMs(time.time_ns() // 1_000_000),
        replaces=chosen.replaces,
    )
    keys = read_keys(config)
    key = keyfiles.read_key(config.keys_dir, keyfiles.ENROLMENT)
    with open_store(config) as store:
        check_identity(store, config.origin, keys)
        before = newest(store, enrolment.device)
        leaf, new = enrol(store, enrolment, key)
    moved_from = _moved_from(enrolment, None if before is None else before[1])
    facts = {
        "device": enrolment.device.hex(),
        "statement": leaf.hex(),
        "new": new,
        "metering_point": enrolment.metering_point,
        "moved_from": moved_from,
    }
    if moved_from is not None and not chosen.json:
        print(
            f"moves device {enrolment.device.hex()} from {moved_from} to {enrolment.metering_point}"
        )
    _show(facts, as_json=chosen.json)
    return OK


def _moved_from(enrolment: Enrolment, before: Enrolment | None) -> str | None:
    """Name the metering point that a device is moved from by a new enrolment."""
    if before is None or before.metering_point == enrolment.metering_point:
        return None
    return before.metering_point


def _revoke(chosen: argparse.Namespace) -> int:
    from meterseal_aggregator.enrolment import revoke  # noqa: PLC0415 -- see _run

    config = configuration.load(chosen.config)
    keys = read_keys(config)
    key = keyfiles.read_key(config.keys_dir, keyfiles.ENROLMENT)
    now_ms = UnixMs(time.time_ns() // 1_000_000)
    with open_store(config) as store:
        check_identity(store, config.origin, keys)
        leaf, new = revoke(store, chosen.device, chosen.after, key, now_ms)
    facts = {"device": chosen.device.hex(), "statement": leaf.hex(), "new": new}
    _show(facts, as_json=chosen.json)
    return OK


def _devices(chosen: argparse.Namespace) -> int:
    from meterseal_aggregator.overview import overview  # noqa: PLC0415 -- see _run

    with open_store(configuration.load(chosen.config)) as store:
        rows = overview(store)
    if chosen.json:
        print(json.dumps(rows))
        return OK
    print(
        f"{'device':<32}  {'state':<15}  {'head':>12}"
        f"  {'stored':>9}  {'logged':>8}  {'anchored':>8}"
    )
    for row in rows:
        head = row["head"]
        place = f"{head['epoch']}/{head['seq']}" if isinstance(head, dict) else "-"
        print(
            f"{row['device']}  {row['state']:<15}  {place:>12}  {row['stored']:>9}"
            f"  {row['logged']:>8}  {row['anchored']:>8}"
        )
        if row["frozen"]:
            print(f"  frozen: {row['frozen']}")
    return OK


def _log(chosen: argparse.Namespace) -> int:
    from meterseal_aggregator.overview import log_overview  # noqa: PLC0415 -- see _run

    with open_store(configuration.load(chosen.config)) as store:
        _show(log_overview(store), as_json=chosen.json)
    return OK


def _confirm(chosen: argparse.Namespace) -> int:
    from meterseal_aggregator.daemon import alone, now_ms  # noqa: PLC0415 -- see _run
    from meterseal_aggregator.marker import Marker  # noqa: PLC0415
    from meterseal_aggregator.standing import confirm  # noqa: PLC0415

    config = configuration.load(chosen.config)
    keys = read_keys(config)
    with alone(config.data_dir), open_store(config) as store:
        check_identity(store, config.origin, keys)
        marker = Marker(config.marker_dir, keys.log.public)
        confirm(store, marker, config.data_dir, chosen.size, now_ms())
    _show({"confirmed": chosen.size, "marker": str(marker.path)}, as_json=chosen.json)
    return OK


def _fsck(chosen: argparse.Namespace) -> int:
    from meterseal_aggregator.fsck import check_store  # noqa: PLC0415 -- see _run

    config = configuration.load(chosen.config)
    keys = read_keys(config)
    with open_store(config) as store:
        faults = check_store(store, config.origin, keys)
        checked = {"records": store.records.count(), "leaves": store.tree.size()}
    if chosen.json:
        print(json.dumps({**checked, "faults": faults}))
    else:
        for fault in faults:
            print(fault)
        verdict = f"{len(faults)} faults" if faults else "sound"
        print(f"{checked['records']} records, {checked['leaves']} leaves: {verdict}")
    return FAULTS_FOUND if faults else OK


def _trust(chosen: argparse.Namespace) -> int:
    from meterseal_aggregator.trust import trust_text  # noqa: PLC0415 -- see _run

    config: Config = configuration.load(chosen.config)
    keys = read_keys(config)
    with open_store(config) as store:
        check_identity(store, config.origin, keys)
        print(trust_text(store, config, keys), end="")
    return OK


def _evidence(chosen: argparse.Namespace) -> int:
    from meterseal_aggregator.forks import write_evidence  # noqa: PLC0415 -- see _run

    config = configuration.load(chosen.config)
    with open_store(config) as store:
        paths = [str(path) for path in write_evidence(store, config.evidence_dir, chosen.device)]
    if chosen.json:
        print(json.dumps({"evidence": paths}))
    else:
        print("\n".join(paths) if paths else "no device contradicts itself")
    return OK


def _show(facts: Mapping[str, object], *, as_json: bool) -> None:
    if as_json:
        print(json.dumps(facts))
        return
    for name, value in facts.items():
        print(f"{name:<17} {_words(value)}")


def _words(value: object) -> str:
    """Say a value as a person would: JSON has its own words for these."""
    match value:
        case True:
            return "yes"
        case False:
            return "no"
        case None | []:
            return "-"
        case list():
            return ", ".join(map(_words, value))
        case _:
            return str(value)


_COMMANDS: Final[Mapping[str, Callable[[argparse.Namespace], int]]] = {
    "init": _init,
    "run": _run,
    "enrol": _enrol,
    "revoke": _revoke,
    "devices": _devices,
    "log": _log,
    "confirm": _confirm,
    "fsck": _fsck,
    "trust": _trust,
    "evidence": _evidence,
}
