"""What is on a bench: read strictly from its YAML file."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeVar, cast, get_args

import yaml

if TYPE_CHECKING:
    from pathlib import Path

T = TypeVar("T")
Kind = Literal["loopback", "qemu", "bench"]
Ability = Literal["truth", "faults", "unplug", "second-master"]


class DescriptionError(Exception):
    """The file does not describe a bench."""


@dataclass(frozen=True, kw_only=True, slots=True)
class MeterOnBench:
    """One meter, as the agent's configuration will name it."""

    name: str
    address: int
    profile: str
    role: str


@dataclass(frozen=True, kw_only=True, slots=True)
class LineOnBench:
    """The line; `port` is None where the bench makes its own.

    Attributes:
        timeout_s: Longest wait for a reply.
        quiet_s: Silence after a doubt.
    """

    port: str | None = None
    baud: int = 9600
    parity: str = "N"
    stop_bits: int = 1
    timeout_s: float = 1.0
    quiet_s: float = 1.5


@dataclass(frozen=True, kw_only=True, slots=True)
class Description:
    """A bench.

    Attributes:
        abilities: What it can do to the line, and whether it knows the truth; a test that needs
            more is skipped and says what.
        unplug: Command that takes the adapter's power away.
        plug: Command that gives it back.
    """

    source: Path
    kind: Kind
    line: LineOnBench
    meters: tuple[MeterOnBench, ...]
    abilities: frozenset[str]
    unplug: tuple[str, ...] = ()
    plug: tuple[str, ...] = ()


def read_description(path: Path) -> Description:
    """Read the description of a bench.

    Raises:
        DescriptionError: The file is absent or says what cannot be.
    """
    try:
        content: object = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError) as error:
        raise DescriptionError(f"{path}: expected the description of a bench: {error}") from error
    if not isinstance(content, dict):
        raise DescriptionError(f"{path}: expected a mapping with kind, line and meters")
    kind = content.get("kind")
    if kind not in get_args(Kind):
        raise DescriptionError(f"{path} kind: expected one of {get_args(Kind)}, got {kind!r}")
    abilities = frozenset(content.get("abilities", ()))
    if unknown := abilities - frozenset(get_args(Ability)):
        raise DescriptionError(
            f"{path} abilities: expected some of {get_args(Ability)}, got {sorted(unknown)}"
        )
    return Description(
        source=path,
        kind=cast("Kind", kind),  # checked above
        line=_made(LineOnBench, path, "line", content.get("line", {})),
        meters=tuple(_made(MeterOnBench, path, "meters", each) for each in content["meters"]),
        abilities=abilities,
        unplug=tuple(map(str, content.get("unplug", ()))),
        plug=tuple(map(str, content.get("plug", ()))),
    )


def _made(kind: type[T], path: Path, key: str, values: Any) -> T:  # noqa: ANN401 - any YAML
    try:
        return kind(**values)
    except TypeError as error:
        raise DescriptionError(f"{path} {key}: {error}") from error
