"""What the embedded ledger refuses, and whose fault it is."""

from __future__ import annotations


class RpcError(Exception):
    """A request that is answered with a JSON-RPC error.

    Attributes:
        code: JSON-RPC error code, as go-ethereum uses them.
        data: Return data of a reverted call, or None.
    """

    def __init__(self, code: int, message: str, data: bytes | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.data = data


class Refused(RpcError):  # noqa: N818 - it says what became of the transaction
    """A transaction or call that the ledger's rules refuse."""

    def __init__(self, message: str) -> None:
        super().__init__(-32000, message)


class Reverted(RpcError):  # noqa: N818 - it says what became of the call
    """A call that ran and reverted."""

    def __init__(self, output: bytes) -> None:
        super().__init__(3, "execution reverted", output)


class InvalidParams(RpcError):  # noqa: N818 - the name JSON-RPC 2.0 gives it
    """Parameters that are not what the method takes."""

    def __init__(self, message: str) -> None:
        super().__init__(-32602, message)


class NotStoredError(RpcError):
    """The disk refused a block: nothing of it happened."""

    def __init__(self, reason: object) -> None:
        super().__init__(-32603, f"block not stored: {reason}; free the disk and send again")
