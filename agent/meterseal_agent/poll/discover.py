"""SunSpec discovery: finding a device's models, header by header.

Known liars are met as they are: a map without an end marker (SMA) ends where the device refuses,
a model is as long as its header says (SolarEdge's model 1 has 65 registers), and a header at the
very end may have no length word.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from meterseal_agent.bus.frame import Request
from meterseal_agent.errors import MeterError
from meterseal_agent.poll.known import Read, optional
from meterseal_agent.profiles.official import label
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
    from collections.abc import Mapping

    from meterseal_agent.config import MeterConfig

_ADDRESSES = 0x10000
_TEXT_MAX = 32


@dataclass(frozen=True, kw_only=True, slots=True)
class Found:
    """One model of a device.

    Attributes:
        address: Of its id register.
        length: Registers behind the header, as the header says.
    """

    number: int
    address: int
    length: int

    def __str__(self) -> str:
        """Name it as the log and the scan do."""
        return f"{self.number} ({label(self.number)}) at {self.address}, {self.length} registers"


@dataclass(frozen=True, kw_only=True, slots=True)
class Device:
    """What a SunSpec device says about itself.

    Attributes:
        chain: Every model, in order; also those that no profile reads.
        serial_request: How to read the serial number again, or None without model 1.
    """

    chain: tuple[Found, ...]
    make: str = ""
    model: str = ""
    firmware: str = ""
    serial: str = ""
    serial_request: Request | None = None
    serial_words: bytes = b""

    @property
    def models(self) -> Mapping[int, tuple[int, int]]:
        """Address and length by model number; of several alike the first."""
        found: dict[int, tuple[int, int]] = {}
        for one in self.chain:
            found.setdefault(one.number, (one.address, one.length))
        return found


async def discover(read: Read, meter: MeterConfig, wanted: frozenset[int] = frozenset()) -> Device:
    """Walk the models of a device.

    Args:
        read: How to read registers.
        meter: Which device.
        wanted: Models that are to be read: the device is called what the model 1 before the first
            of them says, for a meter behind an inverter has a model 1 of its own.

    Raises:
        BusError: The line failed.
        MeterError: There is no SunSpec map.
    """
    for base in BASES:
        mark = await optional(read, _request(meter, base, HEADER))
        if mark == MARK:
            chain = await _walk(read, meter, base + HEADER)
            return await _common(read, meter, chain, wanted)
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


async def _walk(read: Read, meter: MeterConfig, start: int) -> tuple[Found, ...]:
    chain: list[Found] = []
    address = start
    for _ in range(MODELS_MAX):
        if address + HEADER > _ADDRESSES:
            return tuple(chain)
        words = await optional(read, _request(meter, address, HEADER))
        if words is None or _word(words, 0) == END_MODEL:
            return tuple(chain)
        found = Found(number=_word(words, 0), address=address, length=_word(words, 1))
        chain.append(found)
        address += HEADER + found.length
    raise MeterError(
        f"{meter.where}: expected the end of the SunSpec map within {MODELS_MAX} models, got none"
    )


async def _common(
    read: Read, meter: MeterConfig, chain: tuple[Found, ...], wanted: frozenset[int]
) -> Device:
    common = _model_one(chain, wanted)
    if common is None:
        return Device(chain=chain)
    address, length = common.address, common.length
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
        chain=chain,
        serial_request=request if has_serial else None,
        serial_words=words if has_serial else b"",
        **texts,
    )


def _model_one(chain: tuple[Found, ...], wanted: frozenset[int]) -> Found | None:
    """Find the model 1 that the first wanted model belongs to."""
    common = None
    for one in chain:
        if one.number == COMMON_MODEL:
            common = one
        elif one.number in wanted:
            break
    else:
        return next((one for one in chain if one.number == COMMON_MODEL), None)
    return common


def _request(meter: MeterConfig, address: int, count: int) -> Request:
    return Request(unit=meter.address, function=3, address=address, count=count)


def _word(words: bytes, index: int) -> int:
    return int.from_bytes(words[2 * index : 2 * index + 2], "big")
