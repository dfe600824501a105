"""What a file says, as a tree of facts that can be printed and can be written as JSON.

Nothing here is judged: a fact is what somebody wrote. In JSON a number keeps the unit of its
record, which its name ends in; for people it is written with a unit of everyday use.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeAlias

from meterseal_verifier.text import safe, utc

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

Json: TypeAlias = "bool | int | str | list[Json] | dict[str, Json] | None"

_UNITS: Final = frozenset(
    ["wh", "varh", "w", "var", "va", "mv", "ma", "mhz", "mc", "permille", "ms", "s"]
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Fact:
    """One value: its name in JSON, its JSON value, and its words for people."""

    key: str
    value: Json
    words: str

    @property
    def label(self) -> str:
        """The name for people; the unit stands with the value."""
        words = self.key.split("_")
        return " ".join(words[:-1] if words[-1] in _UNITS else words)


@dataclass(frozen=True, kw_only=True, slots=True)
class Section:
    """Facts that belong together."""

    key: str
    title: str
    entries: tuple[Fact | Section | Group, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Group:
    """Several sections of one sort: a list in JSON."""

    key: str
    sections: tuple[Section, ...]


Entry: TypeAlias = "Fact | Section | Group"


def text_fact(key: str, value: str | None) -> Fact:
    """State a text that somebody else wrote; what a terminal would obey is escaped."""
    return Fact(key=key, value=value, words="none" if value is None else safe(value) or "(empty)")


def number_fact(key: str, value: int | None, unit: str = "") -> Fact:
    """State a number."""
    words = "none" if value is None else f"{value} {unit}".rstrip()
    return Fact(key=key, value=value, words=words)


def time_fact(key: str, time_ms: int) -> Fact:
    """State a time; JSON has the milliseconds under `<key>_ms`."""
    return Fact(key=f"{key}_ms", value=time_ms, words=utc(time_ms))


def bytes_fact(key: str, value: bytes | None) -> Fact:
    """State bytes, in hex."""
    shown = None if value is None else value.hex()
    return Fact(key=key, value=shown, words="none" if shown is None else shown or "(empty)")


def name_fact(key: str, code: int | str, name: str) -> Fact:
    """State one of a list of codes; JSON has the name in small letters."""
    words = name.lower().replace("_", " ")
    return Fact(key=key, value=words, words=f"{words} ({code})")


def section(key: str, title: str, *entries: Entry | Sequence[Entry]) -> Section:
    """Put facts under a title; sequences are laid flat."""
    flat: list[Entry] = []
    for entry in entries:
        flat += [entry] if isinstance(entry, Fact | Section | Group) else entry
    return Section(key=key, title=title, entries=tuple(flat))


def as_json(tree: Section) -> dict[str, Json]:
    """Give a tree as JSON."""
    result: dict[str, Json] = {}
    for entry in tree.entries:
        match entry:
            case Fact():
                result[entry.key] = entry.value
            case Section():
                result[entry.key] = as_json(entry)
            case Group():
                result[entry.key] = [as_json(each) for each in entry.sections]
    return result


def as_lines(tree: Section, depth: int = 0) -> Iterator[str]:
    """Give a tree as indented lines."""
    indent = "  " * depth
    yield f"{indent}{tree.title}"
    labels = [len(entry.label) for entry in tree.entries if isinstance(entry, Fact)]
    width = max(labels, default=0)
    for entry in tree.entries:
        match entry:
            case Fact():
                yield f"{indent}  {entry.label:<{width}}  {entry.words}"
            case Section():
                yield from as_lines(entry, depth + 1)
            case Group():
                for each in entry.sections:
                    yield from as_lines(each, depth + 1)
