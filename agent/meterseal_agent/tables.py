"""A strict reader of TOML tables: each key is asked for once, with its type and bounds.

Every complaint has one form, `file, line N, [table] key: expected …, got …. remedy`. A key that
nobody asked for is an error (a misspelt key would otherwise be a silent default).
"""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import NoReturn, TypeVar

from meterseal_agent.errors import AgentError, ConfigError

_HEADER = re.compile(r"\s*\[\[?\s*([A-Za-z0-9_.\-\"' ]+?)\s*\]\]?\s*(#.*)?\Z")
_SHOWN_MAX = 60
_NAMES_MAX = 64

Value = TypeVar("Value")


class _Required:
    """The default of a key that has none."""


REQUIRED = _Required()


@dataclass(frozen=True, kw_only=True, slots=True)
class Document:
    """The file: its name and its lines, to say where a fault is."""

    source: Path
    lines: tuple[str, ...]
    error: type[AgentError] = ConfigError

    def line(self, table: str, index: int, key: str | None) -> int | None:
        """Find the 1-based line of `key` in the `index`th table of that name.

        Returns None where the text is laid out in a way that this simple search does not follow.
        """
        first = table.split(".", 1)[0]
        seen = -1
        inside = table == ""
        header = None
        for number, text in enumerate(self.lines, start=1):
            match = _HEADER.match(text)
            if match is not None:
                found = match[1].replace(" ", "")
                # A table below one of several belongs to the last of them that began.
                seen += found == first
                inside = found == table and seen == index
                header = number if inside else header
            elif inside and key is not None and _assigns(text, key):
                return number
        return header


@dataclass(kw_only=True, slots=True)
class Table:
    """One table, being read.

    Attributes:
        name: Its name as in the file, e.g. "meter"; "" is the file's top level.
        index: Which of several tables of this name.
        label: What messages call it, e.g. `[[meter]] "grid"`.
    """

    document: Document
    name: str
    data: dict[str, object]
    label: str
    index: int = 0
    asked: set[str] = field(default_factory=set)

    def where(self, key: str | None = None) -> str:
        """Name the file, the line if it can be found, the table and the key."""
        line = self.document.line(self.name, self.index, key)
        place = f"{self.document.source}" + (f", line {line}" if line else "")
        return ", ".join(
            part for part in (place, " ".join(filter(None, (self.label, key)))) if part
        )

    def fail(self, key: str | None, expected: str, got: object, remedy: str = "") -> NoReturn:
        """Refuse the file.

        Raises:
            AgentError: Always, of the document's type.
        """
        text = f"{self.where(key)}: expected {expected}, got {_show(got)}."
        raise self.document.error(f"{text} {remedy}".rstrip())

    def has(self, key: str) -> bool:
        """Tell whether the key is there, and count it as known."""
        self.asked.add(key)
        return key in self.data

    def take(
        self, key: str, kind: type[Value], expected: str, default: Value | _Required = REQUIRED
    ) -> Value:
        """Read one key of exactly the given type (a bool is no int)."""
        self.asked.add(key)
        if key not in self.data:
            if isinstance(default, _Required):
                self.fail(key, expected, "nothing", self._missing(key))
            return default
        value = self.data[key]
        if type(value) is not kind:
            self.fail(key, expected, value)
        return value

    def text(self, key: str, default: str | _Required = REQUIRED) -> str:
        """Read a non-empty text of one line."""
        expected = f"a text of 1 to {_NAMES_MAX * 4} characters on one line"
        value = self.take(key, str, expected, default)
        if not 1 <= len(value) <= _NAMES_MAX * 4 or not value.isprintable():
            self.fail(key, expected, value)
        return value

    def optional_text(self, key: str) -> str | None:
        """Read a text, or None where the key is absent."""
        return self.text(key) if self.has(key) else None

    def integer(self, key: str, low: int, high: int, default: int | _Required = REQUIRED) -> int:
        """Read an integer within bounds, both included."""
        expected = f"an integer from {low} to {high}"
        value = self.take(key, int, expected, default)
        if not low <= value <= high:
            self.fail(key, expected, value)
        return value

    def seconds(self, key: str, low: float, high: float, default: float) -> float:
        """Read a duration in seconds, integer or decimal."""
        expected = f"seconds from {low:g} to {high:g}"
        self.asked.add(key)
        value = self.data.get(key, default)
        if type(value) not in (int, float) or not isinstance(value, int | float):
            self.fail(key, expected, value)
        if not low <= value <= high:
            self.fail(key, expected, value)
        return float(value)

    def choice(
        self, key: str, options: tuple[str, ...], default: str | _Required = REQUIRED
    ) -> str:
        """Read a text that must be one of `options`."""
        expected = "one of " + ", ".join(f'"{option}"' for option in options)
        value = self.take(key, str, expected, default)
        if value not in options:
            self.fail(key, expected, value)
        return value

    def hexadecimal(self, key: str, length: int, prefix: str = "") -> bytes:
        """Read bytes written as lower-case hexadecimal digits after `prefix`."""
        expected = f"{prefix}{length * 2} lower-case hexadecimal digits"
        value = self.take(key, str, expected)
        return self.as_bytes(key, value, length, prefix)

    def as_bytes(self, key: str, value: object, length: int, prefix: str) -> bytes:
        """Check one text of hexadecimal digits (`bytes.fromhex` alone would take spaces)."""
        expected = f"{prefix}{length * 2} hexadecimal digits"
        pattern = re.escape(prefix) + rf"[0-9a-fA-F]{{{length * 2}}}\Z"
        if not isinstance(value, str) or not re.match(pattern, value):
            self.fail(key, expected, value)
        return bytes.fromhex(value.removeprefix(prefix))

    def path(self, key: str, default: Path | _Required = REQUIRED) -> Path:
        """Read a path; a relative one starts at the file's folder."""
        fallback = default if isinstance(default, _Required) else str(default)
        value = self.take(key, str, "a path", fallback)
        if not value or "\0" in value:
            self.fail(key, "a path", value)
        return self.document.source.parent / Path(value).expanduser()

    def texts(self, key: str) -> tuple[str, ...]:
        """Read a list of texts; empty where the key is absent."""
        values = self.take(key, list, "a list of texts", [])
        for value in values:
            if not isinstance(value, str) or not value:
                self.fail(key, "a list of texts", value)
        return tuple(values)

    def table(self, key: str) -> Table | None:
        """Open a table below this one, or None where it is absent."""
        self.asked.add(key)
        if key not in self.data:
            return None
        value = self.take(key, dict, f"a table [{self.below(key)}]")
        return Table(
            document=self.document,
            name=self.below(key),
            data=value,
            label=f"{self.label} [{key}]".strip() if self.name else f"[{key}]",
            index=self.index,
        )

    def tables(self, key: str) -> tuple[Table, ...]:
        """Open every table of an array of tables."""
        expected = f"tables [[{self.below(key)}]]"
        values = self.take(key, list, expected, [])
        opened = []
        for index, value in enumerate(values):
            if not isinstance(value, dict):
                self.fail(key, expected, value)
            name = value.get("name")
            label = f"[[{key}]]" + (f' "{name}"' if isinstance(name, str) else f" {index + 1}")
            opened.append(
                Table(
                    document=self.document,
                    name=self.below(key),
                    data=value,
                    label=label,
                    index=index,
                )
            )
        return tuple(opened)

    def below(self, key: str) -> str:
        """Name the table `key` of this table as a header in the file would."""
        return f"{self.name}.{key}" if self.name else key

    def _missing(self, key: str) -> str:
        near = get_close_matches(key, [one for one in self.data if one not in self.asked], n=1)
        return f'The key is required; is "{near[0]}" misspelt?' if near else "The key is required."

    def done(self) -> None:
        """Refuse every key that was not asked for.

        Raises:
            AgentError: The table holds an unknown key.
        """
        for key in self.data:
            if key not in self.asked:
                known = ", ".join(sorted(self.asked))
                near = get_close_matches(key, self.asked, n=1)
                remedy = f'Did you mean "{near[0]}"?' if near else "Remove or correct it."
                self.fail(key, f"a known key ({known})", f'"{key}"', remedy)


def open_document(text: str, source: Path, error: type[AgentError] = ConfigError) -> Table:
    """Parse the file's text; CRLF line ends and a byte order mark are fine.

    Args:
        text: The file's content.
        source: Its path, for messages and for the paths in it.
        error: What every complaint about this file is raised as.

    Raises:
        AgentError: It is not TOML.
    """
    clean = text.removeprefix("\ufeff").replace("\r\n", "\n")
    try:
        data = tomllib.loads(clean)
    except tomllib.TOMLDecodeError as fault:
        raise error(
            f"{source}: expected TOML, got a syntax error: {fault}. "
            "Texts stand in quotes, tables in [brackets]; compare docs/configuration.md."
        ) from fault
    document = Document(source=source, lines=tuple(clean.split("\n")), error=error)
    return Table(document=document, name="", data=data, label="")


def _assigns(line: str, key: str) -> bool:
    return re.match(rf"\s*[\"']?{re.escape(key)}[\"']?\s*=", line) is not None


def _show(value: object) -> str:
    if value == "nothing" or (isinstance(value, str) and value.startswith('"')):
        return str(value)
    text = f'"{value}"' if isinstance(value, str) else repr(value)
    return text if len(text) <= _SHOWN_MAX else text[: _SHOWN_MAX - 1] + "…"
