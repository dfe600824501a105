"""The command line: what each command says and with which status it ends."""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import re
import signal
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from meterseal.errors import MeterSealError
from meterseal.statements import Enrolment
from meterseal.types import DeviceId, Epoch, Hash, PublicKey, Seq, UnixMs
from meterseal_aggregator import config as configuration
from meterseal_aggregator import keyfiles
from meterseal_aggregator.errors import AggregatorError, ConfigError
from meterseal_aggregator.identity import begin, check_identity, open_store, read_keys

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from meterseal_aggregator.config import Config
    from meterseal_aggregator.daemon import Aggregator

OK = 0
FAILED = 1
FAULTS_FOUND = 14
USAGE = 64

_EXAMPLES = """\
examples:
  meterseal-aggregator init --example > aggregator.toml
  meterseal-aggregator init
  meterseal-aggregator enrol --device 5f0c… --public-key 9b71… \\
      --metering-point DE0001234 --serial 12345678 --role grid
  meterseal-aggregator run
  meterseal-aggregator revoke --device 5f0c… --after 0:4711
  meterseal-aggregator devices --json
  meterseal-aggregator trust > trust.toml
  meterseal-aggregator evidence --device 5f0c…
  meterseal-aggregator fsck
  meterseal-aggregator confirm --size 4711
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command.

    Returns:
        0 done; 1 a named failure; 14 fsck found faults; 64 usage.
    """
    parser = _parser()
    try:
        chosen = parser.parse_args(arguments)
    except SystemExit as end:
        return OK if end.code in {0, None} else USAGE
    try:
        return int(chosen.command(chosen))
    except (AggregatorError, MeterSealError) as error:
        print(f"meterseal-aggregator: {error}", file=sys.stderr)
        return FAILED
    except KeyboardInterrupt:
        return OK


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="meterseal-aggregator",
        description="Verify, store and log the signed records of many gateways; anchor the log.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--config",
        type=Path,
        default=Path("aggregator.toml"),
        metavar="FILE",
        help="configuration (default: ./aggregator.toml)",
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    init = commands.add_parser("init", help="create keys and store; what exists is left alone")
    init.add_argument("--example", action="store_true", help="print a configuration and end")
    _json(init)
    init.set_defaults(command=_init)

    run = commands.add_parser("run", help="serve until stopped")
    run.add_argument("--verbose", action="store_true", help="log more")
    run.set_defaults(command=_run)

    enrol = commands.add_parser("enrol", help="admit a device")
    enrol.add_argument("--device", required=True, type=_hex(16), metavar="ID")
    enrol.add_argument("--public-key", required=True, type=_hex(32), metavar="HEX")
    enrol.add_argument("--metering-point", required=True, metavar="ID")
    enrol.add_argument("--serial", action="append", default=[], metavar="NUMBER")
    enrol.add_argument("--role", default="grid", help="what the point is (default: grid)")
    enrol.add_argument(
        "--replaces",
        nargs=2,
        type=_any_hex,
        metavar=("ID", "HASH"),
        help="device and last record hash of the chain that this one continues",
    )
    _json(enrol)
    enrol.set_defaults(command=_enrol)

    revoke = commands.add_parser("revoke", help="take nothing more of a device's key")
    revoke.add_argument("--device", required=True, type=_hex(16), metavar="ID")
    revoke.add_argument(
        "--after", required=True, type=_place, metavar="EPOCH:SEQ", help="last record that counts"
    )
    _json(revoke)
    revoke.set_defaults(command=_revoke)

    devices = commands.add_parser("devices", help="show the state of each device")
    _json(devices)
    devices.set_defaults(command=_devices)

    log = commands.add_parser("log", help="show how far the log is signed and anchored")
    _json(log)
    log.set_defaults(command=_log)

    confirm = commands.add_parser("confirm", help="vouch that this is the newest store, no copy")
    confirm.add_argument(
        "--size", required=True, type=int, help="of its newest checkpoint, as `log` shows it"
    )
    _json(confirm)
    confirm.set_defaults(command=_confirm)

    fsck = commands.add_parser("fsck", help="audit the whole store")
    _json(fsck)
    fsck.set_defaults(command=_fsck)

    trust = commands.add_parser("trust", help="print trust.toml for those who check")
    trust.set_defaults(command=_trust)

    evidence = commands.add_parser("evidence", help="write the fork evidence of a device")
    evidence.add_argument("--device", type=_hex(16), default=None, metavar="ID")
    _json(evidence)
    evidence.set_defaults(command=_evidence)
    for command in commands.choices.values():
        command.add_argument(
            "--config", type=Path, default=argparse.SUPPRESS, metavar="FILE", help=argparse.SUPPRESS
        )
    return parser


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
    from meterseal_aggregator.enrolment import enrol  # noqa: PLC0415 -- see _run

    config = configuration.load(chosen.config)
    replaces = None
    if chosen.replaces is not None:
        old, last = chosen.replaces
        replaces = (
            DeviceId(_sized(old, 16, "--replaces ID")),
            Hash(_sized(last, 32, "--replaces HASH")),
        )
    enrolment = Enrolment(
        device=DeviceId(chosen.device),
        public_key=PublicKey(chosen.public_key),
        metering_point=chosen.metering_point,
        serials=tuple(chosen.serial),
        role=chosen.role,
        valid_from=UnixMs(time.time_ns() // 1_000_000),
        replaces=replaces,
    )
    keys = read_keys(config)
    key = keyfiles.read_key(config.keys_dir, keyfiles.ENROLMENT)
    with open_store(config) as store:
        check_identity(store, config.origin, keys)
        leaf, new = enrol(store, enrolment, key)
    facts = {"device": enrolment.device.hex(), "statement": leaf.hex(), "new": new}
    _show(facts, as_json=chosen.json)
    return OK


def _revoke(chosen: argparse.Namespace) -> int:
    from meterseal_aggregator.enrolment import revoke  # noqa: PLC0415 -- see _run

    config = configuration.load(chosen.config)
    keys = read_keys(config)
    key = keyfiles.read_key(config.keys_dir, keyfiles.ENROLMENT)
    now_ms = UnixMs(time.time_ns() // 1_000_000)
    with open_store(config) as store:
        check_identity(store, config.origin, keys)
        leaf, new = revoke(store, DeviceId(chosen.device), chosen.after, key, now_ms)
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
    device = None if chosen.device is None else DeviceId(chosen.device)
    with open_store(config) as store:
        paths = [str(path) for path in write_evidence(store, config.evidence_dir, device)]
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
        shown = ", ".join(map(str, value)) or "-" if isinstance(value, list) else value
        print(f"{name:<17} {shown}")


def _json(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print JSON")


_HEX = re.compile(r"(?:[0-9a-f]{2})+\Z")


_PLACE = re.compile(r"([0-9]{1,18}):([0-9]{1,18})\Z", re.ASCII)


def _place(text: str) -> tuple[Epoch, Seq]:
    found = _PLACE.match(text)
    if found is None:
        raise argparse.ArgumentTypeError(f"expected EPOCH:SEQ, such as 0:4711, got {text!r}")
    return Epoch(int(found[1])), Seq(int(found[2]))


def _any_hex(text: str) -> bytes:
    if not _HEX.match(text):
        raise argparse.ArgumentTypeError(f"expected lower-case hex digits, got {text!r}")
    return bytes.fromhex(text)


def _hex(size: int) -> Callable[[str], bytes]:
    def read(text: str) -> bytes:
        data = _any_hex(text)
        if len(data) != size:
            raise argparse.ArgumentTypeError(
                f"expected {2 * size} lower-case hex digits, got {len(text)}"
            )
        return data

    return read


def _sized(data: bytes, size: int, what: str) -> bytes:
    if len(data) != size:
        raise ConfigError(f"{what}: expected {2 * size} hex digits, got {2 * len(data)}.")
    return data
