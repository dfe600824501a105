"""Frames of Modbus, reads only: requests are built and replies judged here, on bytes alone.

- Only functions 3 and 4 exist: the agent cannot write to a meter, it has no code for it.
- A reply is believed only if it is byte for byte of the form that the request asks for: unit,
  function, byte count, length and CRC (or transaction id), with nothing before and nothing after.
- What is not a reply to this request is one of three things, by the error's type:
  `MissingReplyError` (nothing, or not all of it), `WrongReplyError` (something else),
  `MeterError` (the meter says no).

MODBUS Application Protocol 1.1b3 (PDUs), MODBUS over Serial Line 1.02 (RTU), MODBUS Messaging on
TCP/IP 1.0b.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from meterseal_agent.errors import MeterError, MissingReplyError, WrongReplyError

Function = Literal[3, 4]

# MODBUS Application Protocol 1.1b3, 6.3 and 6.4: 1 to 125 registers a request.
REGISTERS_MAX = 125
_REGISTER_SPACE = 0x10000
_EXCEPTION_BIT = 0x80
_MBAP_BYTES = 7
_EXCEPTIONS = {
    1: "illegal function",
    2: "illegal data address",
    3: "illegal data value",
    4: "device failure",
    5: "acknowledge, still working",
    6: "device busy",
    8: "memory parity error",
    10: "gateway path unavailable",
    11: "gateway target failed to respond",
}
# A gateway says with these that it has given up on the meter, whose reply may still come.
GATEWAY_EXCEPTIONS = frozenset({10, 11})


@dataclass(frozen=True, kw_only=True, slots=True)
class Request:
    """A read of `count` consecutive registers of one unit.

    Attributes:
        address: Zero-based protocol address of the first register.
    """

    unit: int
    function: Function
    address: int
    count: int

    def __post_init__(self) -> None:
        """Hold what the rest of the bus code relies on."""
        if not 1 <= self.count <= REGISTERS_MAX or not self.address >= 0:
            raise ValueError(f"{self}: expected 1 to {REGISTERS_MAX} registers from 0 on")
        if self.address + self.count > _REGISTER_SPACE:
            raise ValueError(f"{self}: expected registers below {_REGISTER_SPACE}")

    def __str__(self) -> str:
        """Name the request as messages do."""
        last = self.address + self.count - 1
        return f"unit {self.unit}, function {self.function}, registers {self.address}..{last}"


def _crc_table() -> tuple[int, ...]:
    table = []
    for byte in range(256):
        crc = byte
        for _ in range(8):
            crc = (crc >> 1) ^ 0xA001 if crc & 1 else crc >> 1
        table.append(crc)
    return tuple(table)


_CRC_TABLE = _crc_table()


def crc16(data: bytes) -> bytes:
    """Compute the CRC of an RTU frame, low byte first as it is sent (Serial Line 1.02, 6.2.2)."""
    crc = 0xFFFF
    for byte in data:
        crc = (crc >> 8) ^ _CRC_TABLE[(crc ^ byte) & 0xFF]
    return crc.to_bytes(2, "little")


def rtu_request(request: Request) -> bytes:
    """Build the RTU frame of a request."""
    body = bytes((request.unit,)) + _request_pdu(request)
    return body + crc16(body)


def mbap_request(request: Request, transaction: int) -> bytes:
    """Build the Modbus TCP frame of a request."""
    pdu = _request_pdu(request)
    return _mbap(transaction, len(pdu) + 1, request.unit) + pdu


def rtu_pending(request: Request, data: bytes) -> bool:
    """Tell whether this is so far the beginning of a right reply, and not all of it.

    What `rtu_reply` would find out too, without the cost of an error for each byte that comes.
    """
    head = bytes((request.unit, request.function, 2 * request.count))
    return data[:3] == head[: len(data)] and len(data) < 5 + 2 * request.count


def rtu_reply(request: Request, data: bytes) -> bytes:
    """Judge everything that came after an RTU request.

    Args:
        request: What was asked.
        data: Every byte received since, in order.

    Returns:
        The register words in wire order, two bytes each, high byte first.

    Raises:
        MissingReplyError: Nothing came, or the beginning of a right reply.
        WrongReplyError: Something else came.
        MeterError: The meter refused.
    """
    _check_present(request, data)
    if data[0] != request.unit:
        raise WrongReplyError(
            f"{request}: expected a reply of unit {request.unit}, got unit {data[0]}"
        )
    if len(data) > 1 and data[1] == request.function | _EXCEPTION_BIT:
        body = _rtu_body(request, data, 5)
        raise _refused(request, body[2])
    _check_function(request, data[1:2])
    _check_byte_count(request, data[2:3])
    body = _rtu_body(request, data, 5 + 2 * request.count)
    return body[3:]


def mbap_reply(request: Request, transaction: int, data: bytes) -> bytes:
    """Judge everything that came after a Modbus TCP request; as `rtu_reply`.

    Raises:
        MissingReplyError: Nothing came, or the beginning of a right reply.
        WrongReplyError: Something else came.
        MeterError: The meter, or the gateway before it, refused.
    """
    _check_present(request, data)
    header = data[:_MBAP_BYTES]
    refusal = data[_MBAP_BYTES : _MBAP_BYTES + 1] == bytes((request.function | _EXCEPTION_BIT,))
    length = 3 if refusal else 3 + 2 * request.count
    expected = _mbap(transaction, length, request.unit)
    if header != expected[: len(header)]:
        raise WrongReplyError(
            f"{request}: expected a header {expected.hex(' ')} "
            f"(transaction {transaction}), got {header.hex(' ')}"
        )
    pdu = data[_MBAP_BYTES:]
    if not refusal:
        _check_function(request, pdu[:1])
        _check_byte_count(request, pdu[1:2])
    _check_length(request, data, _MBAP_BYTES - 1 + length)
    if refusal:
        raise _refused(request, pdu[1])
    return pdu[2:]


def _request_pdu(request: Request) -> bytes:
    return (
        bytes((request.function,))
        + request.address.to_bytes(2, "big")
        + request.count.to_bytes(2, "big")
    )


def _mbap(transaction: int, length: int, unit: int) -> bytes:
    # Messaging on TCP/IP 1.0b, 3.1.3: transaction, protocol 0, length from the unit on, unit.
    return transaction.to_bytes(2, "big") + b"\0\0" + length.to_bytes(2, "big") + bytes((unit,))


def _rtu_body(request: Request, data: bytes, length: int) -> bytes:
    _check_length(request, data, length)
    body, crc = data[:-2], data[-2:]
    if crc16(body) != crc:
        raise WrongReplyError(f"{request}: expected CRC {crc16(body).hex()}, got {crc.hex()}")
    return body


def _check_present(request: Request, data: bytes) -> None:
    if not data:
        raise MissingReplyError(f"{request}: expected a reply, got none in time")


def _check_function(request: Request, got: bytes) -> None:
    if got and got[0] != request.function:
        raise WrongReplyError(f"{request}: expected function {request.function}, got {got[0]}")


def _check_byte_count(request: Request, got: bytes) -> None:
    if got and got[0] != 2 * request.count:
        raise WrongReplyError(
            f"{request}: expected {2 * request.count} bytes of values, got {got[0]}"
        )


def _check_length(request: Request, data: bytes, length: int) -> None:
    if len(data) < length:
        raise MissingReplyError(f"{request}: expected a reply of {length} bytes, got {len(data)}")
    if len(data) > length:
        raise WrongReplyError(
            f"{request}: expected a reply of {length} bytes, got {len(data)}: something follows it"
        )


def _refused(request: Request, code: int) -> MeterError:
    text = _EXCEPTIONS.get(code, "not a code of the specification")
    return MeterError(f"{request}: the meter answered exception {code} ({text})", code=code)
