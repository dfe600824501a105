"""Strict reading of a trust file's tables: each key is taken once, and none is left over."""

from __future__ import annotations

from typing import Final

from meterseal.errors import MeterSealError, ProtocolError
from meterseal.fields import unhex
from meterseal.note import Verifier

_TEXT_MAX: Final = 255
"""Longest line of text in a trust file, in characters."""


class PolicyError(MeterSealError):
    """A trust file is not one; its owner can mend it."""


class Table:
    """One TOML table that is taken apart key by key until nothing is left."""

    def __init__(self, values: object, where: str) -> None:
        if not isinstance(values, dict):
            raise PolicyError(f"{where}: expected a table")
        self._left: dict[str, object] = dict(values)
        self._where = where

    def end(self) -> None:
        """Refuse whatever was not taken.

        Raises:
            PolicyError: A key is left over.
        """
        for key in self._left:
            raise PolicyError(f"{self._where}: unknown key {key!r}; remove it or mend its name")

    def __contains__(self, key: str) -> bool:
        """Tell whether a key is still there."""
        return key in self._left

    def take(self, key: str) -> object:
        """Take the value of a key that must be there."""
        if key not in self._left:
            raise PolicyError(f"{self._where}: {key!r} is missing; add it")
        return self._left.pop(key)

    def table(self, key: str) -> Table:
        """Take a table."""
        return Table(self.take(key), f"[{key}]")

    def tables(self, key: str) -> list[Table]:
        """Take an array of tables; absent means empty."""
        values = self._left.pop(key, [])
        if not isinstance(values, list):
            raise PolicyError(f"[[{key}]]: expected an array of tables, written [[{key}]]")
        return [Table(value, f"[[{key}]] number {n}") for n, value in enumerate(values, 1)]

    def number(self, key: str) -> int:
        """Take an integer from 0."""
        value = self.take(key)
        if type(value) is not int or value < 0:
            raise PolicyError(f"{self._where}.{key}: expected a number from 0, got {value!r}")
        return value

    def text(self, key: str) -> str:
        """Take one line of text."""
        return self._as_text(self.take(key), key)

    def raw(self, key: str, size: int, *, prefix: str = "") -> bytes:
        """Take `size` bytes written in lower-case hex after `prefix`."""
        return self._as_bytes(self.take(key), key, size, prefix)

    def raws(self, key: str, size: int, *, prefix: str = "") -> frozenset[bytes]:
        """Take a list of different byte strings, not empty."""
        values = self.take(key)
        if not isinstance(values, list) or not values:
            raise PolicyError(f"{self._where}.{key}: expected a list that is not empty")
        result = [self._as_bytes(value, key, size, prefix) for value in values]
        if len(set(result)) != len(result):
            raise PolicyError(f"{self._where}.{key}: one value stands there twice; remove one")
        return frozenset(result)

    def vkey(self, key: str) -> Verifier:
        """Take a key in the vkey form of signed notes."""
        try:
            return Verifier.parse(self.text(key))
        except ProtocolError as error:
            raise PolicyError(f"{self._where}.{key}: {error}") from error

    def _as_text(self, value: object, key: str) -> str:
        if not isinstance(value, str) or not 0 < len(value) <= _TEXT_MAX or not value.isprintable():
            raise PolicyError(
                f"{self._where}.{key}: expected a line of 1 to {_TEXT_MAX} printable characters"
            )
        return value

    def _as_bytes(self, value: object, key: str, size: int, prefix: str) -> bytes:
        try:
            text = self._as_text(value, key)
            data = unhex(text.removeprefix(prefix)) if text.startswith(prefix) else b""
        except ProtocolError:
            data = b""
        if len(data) != size:
            raise PolicyError(
                f"{self._where}.{key}: expected {prefix}{'…' if prefix else ''}"
                f"{size * 2} lower-case hex digits, got {value!r}"
            )
        return data
