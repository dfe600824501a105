"""What a scan found, for people and for programs."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

from meterseal_agent.bus.settings import SerialLine
from meterseal_agent.scan.found import Verdict, setting
from meterseal_agent.scan.symptoms import hints

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from meterseal_agent.bus.settings import Line
    from meterseal_agent.scan.found import Candidate, Found, LineReport

# What a person compares with the meter's display.
_SHOWN = (
    ("energy_import_wh", "import", 1000, "kWh"),
    ("energy_export_wh", "export", 1000, "kWh"),
    ("power_w", "power", 1, "W"),
    ("voltage_l1_mv", "L1", 1000, "V"),
)
_CHOICES = "`[[meter]] profile`"


def text(ports: Sequence[Sequence[LineReport]]) -> str:
    """Write it for people."""
    lines: list[str] = []
    for reports in ports:
        for report in reports:
            lines += [line for found in report.found for line in _meter(found)]
    count = sum(len(report.found) for reports in ports for report in reports)
    lines.append(f"{count} devices found." if count != 1 else "1 device found.")
    lines += [f"- {hint}" for reports in ports for hint in hints(reports)]
    return "\n".join(lines)


def facts(ports: Sequence[Sequence[LineReport]]) -> dict[str, object]:
    """Say it for programs."""
    return {
        "meters": [
            _facts(found) for reports in ports for report in reports for found in report.found
        ],
        "settings": [_heard(report) for reports in ports for report in reports],
        "hints": [hint for reports in ports for hint in hints(reports)],
    }


def _meter(found: Found) -> Iterator[str]:
    where = f"{found.line.label} {setting(found.line)} address {found.address}"
    if found.also_at:
        where += f" (and {len(found.also_at)} more: it answers whatever unit is asked)"
    match found.verdict:
        case Verdict.EXACT:
            one = found.candidates[0]
            yield f"{where}: {_name(one)} [{one.profile}]"
            yield f"    {_reading(one)}"
        case Verdict.UNKNOWN:
            yield f"{where}: answers Modbus, model unknown"
            yield f"    asked in vain: {', '.join(found.tried) or 'nothing'}"
            yield f"    If you know its model, write its {_CHOICES} yourself (docs/meters.md)."
        case Verdict.CHOICE:
            several = len(found.candidates) > 1
            yield f"{where}: {'one of these, please choose' if several else 'probably this one'}"
            for one in found.candidates:
                yield f"    {_name(one)} [{one.profile}], told by {one.proof.value}"
                yield f"        {one.flaw or _reading(one)}"
            yield f"    Compare with the meter's label, and write that name at its {_CHOICES}."


def _name(one: Candidate) -> str:
    serial = f", serial number {one.serial}" if one.serial else ""
    firmware = f", firmware {one.firmware}" if one.firmware else ""
    return f"{one.make} {one.model}{serial}{firmware}"


def _reading(one: Candidate) -> str:
    shown = [
        f"{label} {one.values[name] / divisor:.12g} {unit}"
        for name, label, divisor, unit in _SHOWN
        if name in one.values
    ]
    return f"read once, {len(one.values)} values: {', '.join(shown) or 'none of the usual'}"


def _facts(found: Found) -> dict[str, object]:
    return {
        **_line(found.line),
        "address": found.address,
        "also_at": list(found.also_at),
        "latency_ms": round(found.latency_s * 1000),
        "verdict": found.verdict.value,
        "candidates": [
            {**asdict(one), "proof": one.proof.name.lower()} for one in found.candidates
        ],
        "tried": list(found.tried),
    }


def _heard(report: LineReport) -> dict[str, object]:
    return {
        **_line(report.line),
        "asked": report.asked,
        "answer": list(report.answers),
        "broken": list(report.broken),
        "answer_twice": list(report.doubled),
        "finished": report.finished,
        "fault": report.fault or None,
    }


def _line(line: Line) -> dict[str, object]:
    if isinstance(line, SerialLine):
        return {
            "port": line.port,
            "baud": line.baud,
            "parity": line.parity,
            "stop_bits": line.stop_bits,
        }
    kind = "rtu-over-tcp" if line.rtu else "tcp"
    return {"host": line.host, "tcp_port": line.tcp_port, "kind": kind}
