"""What a meter of fixed addresses is asked at start: its settings, its number, its code, its type.

A register that the meter refuses (it does not exist there) leaves the documented default; a
register that answers something the map does not know stops everything: a wrong prefix would bill
kilowatt-hours as megawatt-hours.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from meterseal_agent.bus.frame import Request
from meterseal_agent.errors import MeterError
from meterseal_agent.poll.known import Read, Sentinel, optional
from meterseal_agent.profiles.model import Text
from meterseal_agent.profiles.words import REGISTERS, arrange, number, text

if TYPE_CHECKING:
    from meterseal_agent.config import MeterConfig
    from meterseal_agent.profiles import Profile
    from meterseal_agent.profiles.model import Field, TextExpectation
    from meterseal_agent.profiles.words import Order

_TEXT_MAX = 32


async def word_order(read: Read, meter: MeterConfig, profile: Profile) -> Order | None:
    """Ask which word comes first; None leaves the map's own order."""
    setting = profile.order_setting
    if setting is None:
        return None
    words = await optional(read, request_for(meter, setting.field))
    if words is None or not any(words):
        return None
    if words == setting.marker:
        return "big"
    if words == arrange(setting.marker, "little"):
        return "little"
    raise MeterError(
        f"{meter.where}: expected word order register {setting.field.address} to hold "
        f"{setting.marker.hex(' ', 2)} in either order, got {words.hex(' ', 2)}. "
        "Is this the right profile?"
    )


async def energy_factor(
    read: Read, meter: MeterConfig, profile: Profile, order: Order | None
) -> int:
    """Ask by what the energy registers are multiplied."""
    setting = profile.prefix_setting
    if setting is None:
        return 1
    words = await optional(read, request_for(meter, setting.field))
    if words is None:
        return 1
    value = number(words, setting.field.word_type, order or setting.field.order)
    if value is None or value.denominator != 1 or int(value) not in setting.factors:
        raise MeterError(
            f"{meter.where}: expected energy prefix register {setting.field.address} to hold one "
            f"of {', '.join(map(str, setting.factors))}, got {words.hex(' ', 2)}. "
            "Set it at the meter's display, or use the right profile."
        )
    return setting.factors[int(value)]


async def told(
    read: Read, meter: MeterConfig, field: Field | Text | None
) -> tuple[str, Sentinel | None]:
    """Read what a meter says about itself: a number or a text; "" where it has none."""
    if field is None:
        return "", None
    request = request_for(meter, field)
    words = await optional(read, request)
    if words is None:
        return "", None
    if isinstance(field, Text):
        said = text(words)[:_TEXT_MAX]
    else:
        value = number(words, field.word_type, field.order, field.absent)
        said = str(int(value)) if value else ""
    return said, Sentinel(request=request, words=words) if said else None


async def check_code(read: Read, meter: MeterConfig, profile: Profile) -> Sentinel | None:
    """Hold the number that the meter gives itself against those of the profile."""
    code = profile.code
    if code is None:
        return None
    request = request_for(meter, code.field)
    words = await optional(read, request)
    # Some Eastron meters answer registers that they lack with zeros instead of a refusal
    # (recorded in volkszaehler/mbmd issue 63).
    if words is None or not any(words):
        return None
    value = number(words, code.field.word_type, code.field.order)
    if value not in code.expect:
        expected = " or ".join(f"0x{one:04x}" for one in code.expect)
        raise MeterError(
            f"{meter.where} profile: expected meter code {expected} of a {profile.make} "
            f"{profile.model}, got 0x{words.hex()}. Choose the profile of the meter that is there."
        )
    return Sentinel(request=request, words=words)


async def check_text(read: Read, meter: MeterConfig, profile: Profile) -> Sentinel | None:
    """Hold the type that the meter names itself against those of the profile."""
    if profile.text is None:
        return None
    request = request_for(meter, profile.text.field)
    words = await optional(read, request)
    if words is None or not any(words):
        return None
    if not fits(words, profile.text):
        expected = " or ".join(f'"{one}"' for one in profile.text.expect)
        raise MeterError(
            f"{meter.where} profile: expected a type that begins with {expected} of a "
            f'{profile.make} {profile.model}, got "{text(words)}". '
            "Choose the profile of the meter that is there."
        )
    return Sentinel(request=request, words=words)


def fits(words: bytes, expectation: TextExpectation) -> bool:
    """Tell whether the characters begin with one of the expected texts."""
    return any(words.startswith(one.encode("ascii")) for one in expectation.expect)


def request_for(meter: MeterConfig, field: Field | Text) -> Request:
    """Ask for one register of the identity."""
    count = field.registers if isinstance(field, Text) else REGISTERS[field.word_type]
    return Request(unit=meter.address, function=field.function, address=field.address, count=count)
