"""Every error the agent raises, sorted by whose fault it is.

- `ConfigError`: the operator's file. Nothing starts; the message names file, key, expected, got
  and remedy.
- `ProfileError`: a register map that we shipped or that the operator added.
- `BusError`: the wire. The meter's sample is dropped and nothing is signed for it.
- `MeterError`: the meter answered, and said no.
- `StoreError`: the disk.
"""

from __future__ import annotations

from meterseal.errors import MeterSealError


class AgentError(MeterSealError):
    """Base of what the agent raises."""


class ConfigError(AgentError):
    """The configuration file asks for something that cannot be."""


class ProfileError(AgentError):
    """A register map contradicts the schema or itself."""


class StoreError(AgentError):
    """The record store on disk is damaged, foreign or not writable."""


class BusError(AgentError):
    """The wire did not deliver a reply that can be believed."""


class PortError(BusError):
    """The port or connection itself is absent, busy, refused or lost."""


class MissingReplyError(BusError):
    """No reply came in time."""


class NoTimeError(BusError):
    """The round has no time left for this request: nothing was asked, nothing is in doubt."""


class WrongReplyError(BusError):
    """Bytes came that are not the reply to the request."""


class MeterError(AgentError):
    """The meter answered with a Modbus exception, or with what its map forbids.

    Attributes:
        code: The Modbus exception code, or None when the fault is in the values.
    """

    def __init__(self, message: str, *, code: int | None = None) -> None:
        super().__init__(message)
        self.code = code


class MeterExchangedError(MeterError):
    """The meter that answers is not the one that was there (other serial number or model)."""
