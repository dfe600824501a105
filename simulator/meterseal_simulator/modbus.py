"""Modbus on the wire: checksums, where a request ends, and the two framings.

Written here and not borrowed, so that the agent's library is never tested against itself. Serial
frames follow MODBUS over Serial Line 1.02, TCP frames the MODBUS Messaging Guide 1.0b.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

READ_HOLDING = 3
READ_INPUT = 4
EXCEPTION_BIT = 0x80

# MODBUS Application Protocol 1.1b3, section 6.1 and 6.3: at most 125 registers in one read.
REGISTERS_MAX = 125
RTU_FRAME_MIN = 4
RTU_FRAME_MAX = 256
MBAP_HEADER = 7
PDU_MAX = 253

_READ_REQUEST_LENGTH = 8
_FIXED_LENGTH_FUNCTIONS = range(1, 7)
_WRITE_MULTIPLE = (15, 16)
_BYTE_COUNT_AT = 6


class ExceptionCode(IntEnum):
    """Why a slave refuses: MODBUS Application Protocol 1.1b3, section 7."""

    ILLEGAL_FUNCTION = 1
    ILLEGAL_ADDRESS = 2
    ILLEGAL_VALUE = 3
    DEVICE_FAILURE = 4


@dataclass(frozen=True, kw_only=True, slots=True)
class Request:
    """What a master asks of one slave."""

    unit: int
    pdu: bytes

    @property
    def function(self) -> int:
        """The function code, the first byte of the PDU."""
        return self.pdu[0]


def crc16(data: bytes) -> int:
    """Compute the CRC-16 of MODBUS over Serial Line 1.02, section 2.5.1.2."""
    crc = 0xFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = (crc >> 1) ^ 0xA001 if crc & 1 else crc >> 1
    return crc


def rtu_frame(unit: int, pdu: bytes) -> bytes:
    """Build a serial frame; the checksum goes low byte first."""
    body = bytes([unit]) + pdu
    return body + crc16(body).to_bytes(2, "little")


def mbap_frame(transaction: int, unit: int, pdu: bytes) -> bytes:
    """Build a Modbus TCP frame: transaction, protocol 0, length of what follows, unit, PDU."""
    return transaction.to_bytes(2) + b"\0\0" + (len(pdu) + 1).to_bytes(2) + bytes([unit]) + pdu


def refusal(function: int, code: int) -> bytes:
    """Build an exception answer."""
    return bytes([function | EXCEPTION_BIT, code])


def request_length(data: bytes | bytearray) -> int | None:
    """Tell how long the serial request that starts here is, or None where only silence tells."""
    if len(data) < 2:  # noqa: PLR2004 - unit and function
        return None
    if data[1] in _FIXED_LENGTH_FUNCTIONS:
        return _READ_REQUEST_LENGTH
    if data[1] in _WRITE_MULTIPLE and len(data) > _BYTE_COUNT_AT:
        return _BYTE_COUNT_AT + 1 + data[_BYTE_COUNT_AT] + 2
    return None


def split_requests(heard: bytes) -> tuple[list[Request], int]:
    """Find the requests in what was heard between two silences.

    Two requests that arrive glued together, as they do when a computer was too busy to read in
    between, are told apart by their length and checksum. From the first byte that fits neither,
    everything is noise, as it is to a meter.

    Returns:
        The requests, and how many bytes were noise.
    """
    requests: list[Request] = []
    rest = heard
    while rest:
        length = request_length(rest) or len(rest)
        frame, rest = rest[:length], rest[length:]
        if len(frame) < RTU_FRAME_MIN or crc16(frame) != 0:
            return requests, len(frame) + len(rest)
        requests.append(Request(unit=frame[0], pdu=frame[1:-2]))
    return requests, 0
