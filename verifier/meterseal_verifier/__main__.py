"""The `meterseal` command: check an evidence file, or show what a file says.

All input and output of the checker is here; what is judged is judged in `verify`, which has none.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final, NoReturn

from meterseal import __version__
from meterseal.errors import ProtocolError
from meterseal.evidence import EVIDENCE_SIZE_MAX
from meterseal.policy import POLICY_SIZE_MAX, PolicyError, TrustPolicy, parse_policy
from meterseal_verifier.checklist import Checklist
from meterseal_verifier.content import as_json, as_lines
from meterseal_verifier.report import report_json, report_text
from meterseal_verifier.show import NOT_JUDGED, describe
from meterseal_verifier.text import safe
from meterseal_verifier.verdict import (
    EXIT_OWN_DEFECT,
    EXIT_USAGE,
    Finding,
    Verdict,
    bad_input,
    cannot_check,
)
from meterseal_verifier.verify import verify

if TYPE_CHECKING:
    from collections.abc import Sequence


SHOW_SCHEMA: Final = "meterseal-show/1"

_EXAMPLES: Final = """\
examples:
  meterseal verify reading.evidence
  meterseal verify reading.evidence --trust community-trust.toml --json
  meterseal show reading.evidence

exit status of verify:
   0  OK             all asked steps passed
  11  PENDING        nothing is wrong, something is still to come
  12  CANNOT CHECK   your trust file gives no ground to judge it
  13  BAD INPUT      the file is not what it must be
  14  TAMPERED       somebody broke a rule, and is named
  64  usage          70  a defect of meterseal itself
"""


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """End with the fixed status for usage; argparse would say 2."""
        self.print_usage(sys.stderr)
        print(f"meterseal: {message}. Try: meterseal --help", file=sys.stderr)
        raise SystemExit(EXIT_USAGE)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command.

    Args:
        arguments: Command line without the program's name; that of the process if None.

    Returns:
        The exit status.
    """
    _never_fail_to_print()
    chosen = _parser().parse_args(arguments)
    try:
        if chosen.command == "show":
            return _show(chosen.file, json_wanted=chosen.json)
        return _verify(chosen.file, chosen.trust or _default_trust(), json_wanted=chosen.json)
    except Exception as error:  # noqa: BLE001 - the outermost frame: a defect must not look like a verdict
        print(
            f"meterseal has a defect: {type(error).__name__}: {safe(str(error))}\n"
            "This says nothing about the file. Please report it to whoever gave you meterseal, "
            f"with these words, version {__version__}, and the file if you may share it.",
            file=sys.stderr,
        )
        return EXIT_OWN_DEFECT


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="meterseal",
        description="Check signed meter readings offline, by a trust file of your own.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    check = commands.add_parser(
        "verify",
        help="check an evidence file in seven steps",
        description="Check an evidence file in seven steps, without any network.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    check.add_argument("file", type=Path, metavar="FILE", help="the evidence file")
    check.add_argument(
        "--trust",
        type=Path,
        metavar="FILE",
        help="your trust file (default: ~/.config/meterseal/trust.toml)",
    )
    check.add_argument("--json", action="store_true", help="print the report as one JSON object")
    show = commands.add_parser(
        "show",
        help="print what a file says, without judging it",
        description="Print what an evidence file, a record, a statement or a checkpoint says. "
        "Nothing is judged.",
        epilog="example:\n  meterseal show reading.evidence",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    show.add_argument("file", type=Path, metavar="FILE", help="the file to show")
    show.add_argument("--json", action="store_true", help="print one JSON object")
    return parser


def _verify(path: Path, trust: Path, *, json_wanted: bool) -> int:
    proved = None
    try:
        policy = _policy(trust)
        evidence = _read(path)
        report = verify(evidence, policy)
        if report.verdict is Verdict.OK:
            proved = describe(evidence)
    except Finding as finding:
        report = Checklist().report(finding.judgement)
    _say((report_json if json_wanted else report_text)(report, proved))
    return int(report.verdict)


def _show(path: Path, *, json_wanted: bool) -> int:
    try:
        data = _read(path)
        shown = describe(data)
    except ProtocolError as error:
        return _cannot_show(f"{_named(path)} cannot be shown: {safe(str(error))}.")
    except Finding as finding:
        return _cannot_show(str(finding))
    if json_wanted:
        fields = {"schema": SHOW_SCHEMA, "judged": False, shown.key: as_json(shown)}
        _say(json.dumps(fields, indent=2, ensure_ascii=False))
    else:
        _say("\n".join([NOT_JUDGED, "", *as_lines(shown)]))
    return 0


def _cannot_show(sentence: str) -> int:
    print(f"{Verdict.BAD_INPUT.words}. {sentence}", file=sys.stderr)
    return int(Verdict.BAD_INPUT)


def _never_fail_to_print() -> None:
    """Escape what the terminal's encoding lacks: a verdict must not die of a quotation mark."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _say(text: str) -> None:
    """Print; who stops reading, as `head` does, still gets the verdict as exit status."""
    try:
        print(text, flush=True)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _default_trust() -> Path:
    # Without a home, Path.expanduser raises; this leaves the ~, and the file is then missing.
    return Path(os.path.expanduser("~/.config/meterseal/trust.toml"))  # noqa: PTH111


def _policy(path: Path) -> TrustPolicy:
    """Read the trust file.

    Raises:
        Finding: CANNOT CHECK: without a policy there is no ground to judge anything.
    """
    try:
        data = _start_of(path, POLICY_SIZE_MAX + 1)
    except FileNotFoundError as error:
        raise cannot_check(
            f"There is no trust file {_named(path)}, and without one nothing can be believed. "
            "Write one, ask your community or aggregator for theirs, or name it with --trust FILE.",
            expected="a trust file",
            got="no such file",
        ) from error
    except OSError as error:
        raise cannot_check(
            f"The trust file {_named(path)} cannot be read: {error.strerror}."
        ) from error
    if len(data) > POLICY_SIZE_MAX:
        raise cannot_check(
            f"The trust file {_named(path)} is not one: it is longer than {POLICY_SIZE_MAX} bytes."
        )
    try:
        return parse_policy(data.decode("utf-8-sig"))
    except (PolicyError, UnicodeDecodeError) as error:
        raise cannot_check(
            f"The trust file {_named(path)} is not one: {safe(str(error))}."
        ) from error


def _read(path: Path) -> bytes:
    """Read the file that is to be judged, and no more of it than an evidence file can have.

    Raises:
        Finding: BAD INPUT.
    """
    try:
        data = _start_of(path, EVIDENCE_SIZE_MAX + 1)
    except OSError as error:
        raise bad_input(f"The file {_named(path)} cannot be read: {error.strerror}.") from error
    if not data:
        raise bad_input(
            f"The file {_named(path)} is empty.",
            expected="an evidence file",
            got="0 bytes",
        )
    if len(data) > EVIDENCE_SIZE_MAX:
        raise bad_input(
            f"The file {_named(path)} is too long to be an evidence file.",
            expected=f"at most {EVIDENCE_SIZE_MAX} bytes",
            got="more",
        )
    return data


def _start_of(path: Path, size: int) -> bytes:
    with path.open("rb") as file:
        return file.read(size)


def _named(path: Path) -> str:
    return safe(str(path))


if __name__ == "__main__":
    sys.exit(main())
