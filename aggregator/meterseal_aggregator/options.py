"""What the command line takes: commands, options, what each value must look like, and examples."""

from __future__ import annotations

import argparse
import re
from pathlib import Path
from typing import TYPE_CHECKING, Final

from meterseal.types import DeviceId, Epoch, Hash, Seq

if TYPE_CHECKING:
    from collections.abc import Callable

PROGRAM: Final = "meterseal-aggregator"
ROLES: Final = ("grid", "pv", "load", "battery")
_TEXT_MAX: Final = 64
"""Characters, and bytes of UTF-8, of a text in a statement (protocol 3)."""
_DEVICE: Final = "5f0c1a2b3c4d5e6f708192a3b4c5d6e7"

_EXAMPLES: Final = f"""\
examples:
  {PROGRAM} init --example > aggregator.toml
  {PROGRAM} init
  {PROGRAM} enrol --device 5f0c… --public-key 9b71… \\
      --metering-point DE0001234 --serial 12345678 --role grid
  {PROGRAM} revoke --device 5f0c… --after 0:4711
  {PROGRAM} run
  {PROGRAM} devices --json
  {PROGRAM} trust > trust.toml
  {PROGRAM} evidence --device 5f0c…
  {PROGRAM} fsck
  {PROGRAM} confirm --size 4711
"""


def parser() -> argparse.ArgumentParser:
    """Build the parser; `command` of what it reads is the command's name."""
    made = argparse.ArgumentParser(
        prog=PROGRAM,
        description="Verify, store and log the signed records of many gateways; anchor the log.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    made.add_argument(
        "--config",
        type=Path,
        default=Path("aggregator.toml"),
        metavar="FILE",
        help="configuration (default: ./aggregator.toml)",
    )
    commands = made.add_subparsers(required=True, metavar="COMMAND", dest="command")

    def command(name: str, summary: str, example: str) -> argparse.ArgumentParser:
        one = commands.add_parser(
            name,
            help=summary,
            description=f"{summary[0].upper()}{summary[1:]}.",
            epilog=f"example:\n  {PROGRAM} {example}\n",
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        one.add_argument(
            "--config",
            type=Path,
            default=argparse.SUPPRESS,
            metavar="FILE",
            help="configuration (default: ./aggregator.toml)",
        )
        return one

    init = command(
        "init", "create keys and store; what exists is left alone", "init --config aggregator.toml"
    )
    init.add_argument("--example", action="store_true", help="print a configuration and end")
    run = command("run", "serve until stopped", "run --config aggregator.toml --verbose")
    run.add_argument("--verbose", action="store_true", help="log every step")
    _enrol(
        command(
            "enrol",
            "admit a device, or say anew what it measures",
            f"enrol --device {_DEVICE} \\\n      --public-key 9b71… --metering-point DE0001234 "
            "--serial 12345678 --role grid",
        )
    )
    _revoke(
        command(
            "revoke",
            "take nothing more of a device's key",
            f"revoke --device {_DEVICE} --after 0:4711",
        )
    )
    evidence = command(
        "evidence", "write the fork evidence of a device", f"evidence --device {_DEVICE}"
    )
    evidence.add_argument("--device", type=_device, default=None, metavar="ID", help=_ALL_DEVICES)
    confirm = command(
        "confirm", "vouch that this is the newest store, no copy", "confirm --size 4711"
    )
    confirm.add_argument(
        "--size",
        required=True,
        type=_size,
        metavar="LEAVES",
        help="of its newest checkpoint, as `log` shows it, such as 4711",
    )
    command("devices", "show the state of each device", "devices --json")
    command("log", "show how far the log is signed and anchored", "log --json")
    command("fsck", "audit the whole store", "fsck --json")
    command("trust", "print trust.toml for those who check", "trust > trust.toml")
    for name, one in commands.choices.items():
        if name not in {"run", "trust"}:
            one.add_argument("--json", action="store_true", help="print one JSON value")
    return made


_ALL_DEVICES: Final = "32 hex digits; without it, of all devices"
_DEVICE_HELP: Final = f"32 hex digits, as `meterseal-agent init` prints them: {_DEVICE}"


def _enrol(enrol: argparse.ArgumentParser) -> None:
    enrol.add_argument("--device", required=True, type=_device, metavar="ID", help=_DEVICE_HELP)
    enrol.add_argument(
        "--public-key",
        required=True,
        type=_hex(32),
        metavar="HEX",
        help="64 hex digits, as `meterseal-agent init` prints them: 9b71…",
    )
    enrol.add_argument(
        "--metering-point",
        required=True,
        type=_text,
        metavar="ID",
        help="id of the point of supply, 1 to 64 characters: DE00012345678901234567890123456789",
    )
    enrol.add_argument(
        "--serial",
        action="append",
        default=[],
        type=_text,
        metavar="NUMBER",
        help="serial number of a meter behind the device, such as 12345678; may be repeated",
    )
    enrol.add_argument(
        "--role",
        default="grid",
        choices=ROLES,
        help="what is measured: grid (default), pv, load or battery",
    )
    enrol.add_argument(
        "--replaces",
        nargs=2,
        action=_Replaces,
        metavar=("ID", "HASH"),
        help="device (32 hex digits) and last record hash (64 hex digits) of the chain that this "
        f"one continues: {_DEVICE} 77ab…",
    )


def _revoke(revoke: argparse.ArgumentParser) -> None:
    revoke.add_argument("--device", required=True, type=_device, metavar="ID", help=_DEVICE_HELP)
    revoke.add_argument(
        "--after",
        required=True,
        type=_place,
        metavar="EPOCH:SEQ",
        help="last record that counts, such as 0:4711",
    )


_HEX: Final = re.compile(r"(?:[0-9a-f]{2})+\Z")
_SIZE: Final = re.compile(r"[0-9]{1,18}\Z", re.ASCII)
_PLACE: Final = re.compile(r"([0-9]{1,18}):([0-9]{1,18})\Z", re.ASCII)


def _hex(size: int) -> Callable[[str], bytes]:
    def read(text: str) -> bytes:
        if not _HEX.match(text) or len(text) != 2 * size:
            raise argparse.ArgumentTypeError(
                f"expected {2 * size} lower-case hex digits, got {text!r} ({len(text)} characters)"
            )
        return bytes.fromhex(text)

    return read


def _device(text: str) -> DeviceId:
    return DeviceId(_hex(16)(text))


class _Replaces(argparse.Action):
    """Two values of different lengths."""

    def __call__(
        self,
        _parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: object,
        _option: str | None = None,
    ) -> None:
        old, last = values if isinstance(values, list) else ("", "")
        try:
            setattr(namespace, self.dest, (_device(old), Hash(_hex(32)(last))))
        except argparse.ArgumentTypeError as error:
            raise argparse.ArgumentError(self, str(error)) from error


def _text(text: str) -> str:
    """Read what is written into a statement, where nobody can correct it any more."""
    printable = text.isprintable() and text == text.strip()
    if not (printable and any(map(str.isalnum, text)) and len(text.encode()) <= _TEXT_MAX):
        raise argparse.ArgumentTypeError(
            f"expected 1 to {_TEXT_MAX} printable characters (bytes of UTF-8) with a letter or "
            f"digit, and no blank at the ends, got {text!r}"
        )
    return text


def _size(text: str) -> int:
    if not _SIZE.match(text):
        raise argparse.ArgumentTypeError(f"expected a number of leaves, such as 4711, got {text!r}")
    return int(text)


def _place(text: str) -> tuple[Epoch, Seq]:
    found = _PLACE.match(text)
    if found is None:
        raise argparse.ArgumentTypeError(f"expected EPOCH:SEQ, such as 0:4711, got {text!r}")
    return Epoch(int(found[1])), Seq(int(found[2]))
