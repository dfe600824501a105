"""What can go wrong at the aggregator, told by whose affair it is."""

from __future__ import annotations

from meterseal.errors import MeterSealError


class AggregatorError(MeterSealError):
    """Root of the aggregator's own errors."""


class ConfigError(AggregatorError):
    """The operator's file or command line: says what was expected, what came, and the remedy."""


class KeyFileError(AggregatorError):
    """A key file is missing, unreadable or not a key."""


class StoreError(AggregatorError):
    """The store is foreign, newer than this program, in use, or broken."""


class BrokerAway(AggregatorError):  # noqa: N818 -- named as what it says
    """The broker did not take a message; what was to be said is derived from the store again."""


class LedgerUnavailable(AggregatorError):  # noqa: N818 -- named as what it says
    """The ledger's node did not answer; a later try may succeed."""


class LedgerRefused(AggregatorError):  # noqa: N818 -- named as what it says
    """The ledger's node answered with an error."""

    def __init__(self, method: str, code: int, message: str) -> None:
        super().__init__(f"ledger: {method} was refused: {message} (code {code})")
        self.method = method
        self.code = code
        self.message = message


class LedgerMismatch(AggregatorError):  # noqa: N818 -- named as what it says
    """The ledger is not the one configured, or holds another log: nothing is signed or sent."""


def first_of(error: BaseException) -> BaseException:
    """Find what ended a group of tasks: one sentence for the operator."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
