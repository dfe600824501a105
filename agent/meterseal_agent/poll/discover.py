"""SunSpec discovery: finding a device's models, header by header.

Known liars are met as they are: a map without an end marker (SMA) ends where the device refuses,
a model is as long as its header says (SolarEdge's model 1 has 65 registers), and a header at the
very end may have no length word.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from meterseal_agent.bus.frame import Request
from meterseal_agent.errors import MeterError
from meterseal_agent.profiles.sunspec import (
    BASES,
    COMMON_MODEL,
    COMMON_TEXTS,
    END_MODEL,
    HEADER,
    MARK,
    MODELS_MAX,
)
from meterseal_agent.profiles.words import text

if TYPE_CHECKING:
    from meterseal_agent.config import MeterConfig

Read = Callable[[Request], Awaitable[bytes]]

_ABSENT_CODES = frozenset({1, 2, 3})
_ADDRESSES = 0x10000
_TEXT_MAX = 32


@dataclass(frozen=True, kw_only=True, slots=True)
class Device:
    """What a SunSpec device says about itself.

    Attributes:
        models: Address of the id register and length, by model number; the first of each.
        serial_request: How to read the serial number again, or None without model 1.
    """

    models: Mapping[int, tuple[int, int]]
    make: str = ""
    model: str = ""
    firmware: str = ""
    serial: str = ""
    serial_request: Request | None = None
    serial_words: bytes = b""


async def discover(read: Read, meter: MeterConfig) -> Device:
    """Walk the models of a device.

    Raises:
        BusError: The line failed.
        MeterError: There is no SunSpec map.
    """
    for base in BASES:
        mark = await _optional(read, _request(meter, base, HEADER))
        if mark == MARK:
            models = await _walk(read, meter, base + HEADER)
            return await _common(read, meter, models)
    raise MeterError(
        f'{meter.where}: expected "SunS" at one of {", ".join(map(str, BASES))}, got it nowhere. '
        "Enable SunSpec Modbus in the device, or give `models` with their addresses."
    )


async def headers_at(read: Read, meter: MeterConfig) -> Mapping[int, tuple[int, int]]:
    """Check the models whose addresses the configuration gives.

    Raises:
        BusError: The line failed.
        MeterError: Another model is at such an address.
    """
    found = {}
    for model, address in meter.models.items():
        words = await read(_request(meter, address, HEADER))
        got, length = _word(words, 0), _word(words, 1)
        if got != model:
            raise MeterError(
                f"{meter.where} models.{model}: expected the id {model} at register {address}, "
                f"got {got}. The address is that of the model's id register."
            )
        found[model] = (address, length)
    return found


async def _walk(read: Read, meter: MeterConfig, start: int) -> dict[int, tuple[int, int]]:
    found: dict[int, tuple[int, int]] = {}
    address = start
    for _ in range(MODELS_MAX):
        if address + HEADER > _ADDRESSES:
            return found
        words = await _optional(read, _request(meter, address, HEADER))
        if words is None or _word(words, 0) == END_MODEL:
            return found
        number, length = _word(words, 0), _word(words, 1)
        found.setdefault(number, (address, length))
        address += HEADER + length
    raise MeterError(
        f"{meter.where}: expected the end of the SunSpec map within {MODELS_MAX} models, got none"
    )


async def _common(read: Read, meter: MeterConfig, models: Mapping[int, tuple[int, int]]) -> Device:
    if COMMON_MODEL not in models:
        return Device(models=models)
    address, length = models[COMMON_MODEL]
    texts = {}
    words = b""
    request = None
    for name, (offset, count) in COMMON_TEXTS.items():
        if offset + count > HEADER + length:
            continue
        request = _request(meter, address + offset, count)
        words = await read(request)
        texts[name] = text(words)[:_TEXT_MAX]
    # The serial number is the last text: its request and words are those left over.
    has_serial = bool(texts.get("serial"))
    return Device(
        models=models,
        serial_request=request if has_serial else None,
        serial_words=words if has_serial else b"",
        **texts,
    )


async def _optional(read: Read, request: Request) -> bytes | None:
    try:
        return await read(request)
    except MeterError as error:
        if error.code in _ABSENT_CODES:
            return None
        raise


def _request(meter: MeterConfig, address: int, count: int) -> Request:
    return Request(unit=meter.address, function=3, address=address, count=count)


def _word(words: bytes, index: int) -> int:
    return int.from_bytes(words[2 * index : 2 * index + 2], "big")
