"""What a line has said since the last request, and whether that is the reply.

A wire gives a lower bound, too: the characters of a request and of what follows it take their time
one after another. What is here sooner was on its way before we asked, and answers something else:
that happens when we ask while somebody talks, and our request is lost.
"""

from __future__ import annotations

from meterseal_agent.bus.frame import Request, mbap_reply, rtu_pending, rtu_reply
from meterseal_agent.bus.settings import Line, SerialLine
from meterseal_agent.errors import MissingReplyError, WrongReplyError

# The longest frame, an echo of the request, and noise.
_RECEIVED_MAX = 1024
_TRANSACTION_BYTES = 2
# Two UARTs that differ by more than a twentieth do not understand each other; twice that is margin.
_FASTEST = 0.9


class Hearing:
    """The bytes of one line, as they leave and arrive. Owned by its port.

    Attributes:
        wired: Characters take their time here: this is no pseudo-terminal.
        last_byte_s: Event-loop time at which the last byte left or arrived.
    """

    def __init__(self, line: Line) -> None:
        self.wired = False
        self.last_byte_s = 0.0
        self._line = line
        self._rtu = isinstance(line, SerialLine) or line.rtu
        self._echoes = isinstance(line, SerialLine) and line.echo
        self._sent = b""
        self._sent_s = 0.0
        self._received = bytearray()

    @property
    def received(self) -> int:
        """How many bytes are here."""
        return len(self._received)

    @property
    def heard(self) -> bytes:
        """These bytes, as far as they are kept."""
        return bytes(self._received)

    def clear(self) -> None:
        """Forget what was received."""
        self._received.clear()

    def sent(self, data: bytes, now_s: float) -> None:
        """Note the frame that has just left."""
        self._sent, self._sent_s, self.last_byte_s = data, now_s, now_s

    def take(self, data: bytes, now_s: float) -> None:
        """Note bytes that have just arrived."""
        self._received += data[: _RECEIVED_MAX - len(self._received)]
        self.last_byte_s = now_s

    def reply(self, request: Request) -> bytes | None:
        """Judge what is here; None while more of the reply may still come.

        Raises:
            WrongReplyError: It is something else.
            MeterError: The meter refused.
        """
        if self._too_soon():
            raise WrongReplyError(
                f"{request}: expected a reply after the request has left the wire, got bytes "
                "before. Is there another master on this line? A device without a wire of its "
                "own (USB) needs the highest baud rate in its settings."
            )
        if self._pending(request):
            return None
        try:
            return self.last_word(request)
        except MissingReplyError:
            return None

    def last_word(self, request: Request) -> bytes:
        """Judge what is here when no more is waited for.

        Raises:
            BusError: See `frame.rtu_reply`.
            MeterError: The meter refused.
        """
        data = self._without_echo()
        if self._rtu:
            return rtu_reply(request, data)
        transaction = int.from_bytes(self._sent[:_TRANSACTION_BYTES], "big")
        return mbap_reply(request, transaction, data)

    def _too_soon(self) -> bool:
        """Tell whether these bytes cannot have followed our request on the wire."""
        if not self.wired:
            return False
        count = len(self._received) + (0 if self._echoes else len(self._sent))
        return self.last_byte_s - self._sent_s < _FASTEST * count * self._line.char_s

    def _pending(self, request: Request) -> bool:
        """Tell cheaply, byte for byte as they come, that more is still to come."""
        if not self._rtu:
            return False
        if self._echoes and len(self._received) < len(self._sent):
            return self._sent.startswith(self._received)
        return rtu_pending(request, self._without_echo())

    def _without_echo(self) -> bytes:
        data = bytes(self._received)
        return data.removeprefix(self._sent) if self._echoes else data
