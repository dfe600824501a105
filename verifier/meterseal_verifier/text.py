"""Words for people: times, hashes, quantities, and foreign text that cannot move the cursor.

No clock and no locale is read: the same file gives the same words everywhere.
"""

from __future__ import annotations

from typing import Final

_MS_PER_DAY: Final = 86_400_000
_DAYS_FROM_0000_03_01_TO_1970_01_01: Final = 719_468
_DAYS_PER_ERA: Final = 146_097  # 400 years
_LAST_DAY: Final = 2_932_896  # 9999-12-31


def utc(time_ms: int) -> str:
    """Write UTC milliseconds since 1970 as `2026-11-23 15:45:00.000 UTC`.

    Args:
        time_ms: Milliseconds since 1970-01-01 UTC; a time past the year 9999 is given as a number.
    """
    days, rest_ms = divmod(time_ms, _MS_PER_DAY)
    if not 0 <= days <= _LAST_DAY:
        return f"{time_ms} ms after 1970"
    year, month, day = _civil(days)
    seconds, ms = divmod(rest_ms, 1000)
    hour, second = divmod(seconds, 3600)
    minute, second = divmod(second, 60)
    return f"{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}.{ms:03} UTC"


def _civil(days: int) -> tuple[int, int, int]:
    """Turn days since 1970 into (year, month, day), counting years from March.

    Source: Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms", civil_from_days.
    """
    era, day_of_era = divmod(days + _DAYS_FROM_0000_03_01_TO_1970_01_01, _DAYS_PER_ERA)
    year_of_era = (
        day_of_era - day_of_era // 1460 + day_of_era // 36_524 - day_of_era // 146_096
    ) // 365
    day_of_year = day_of_era - (365 * year_of_era + year_of_era // 4 - year_of_era // 100)
    month_from_march = (5 * day_of_year + 2) // 153
    day = day_of_year - (153 * month_from_march + 2) // 5 + 1
    month = month_from_march + 3 if month_from_march < 10 else month_from_march - 9  # noqa: PLR2004
    return year_of_era + era * 400 + (month <= 2), month, day  # noqa: PLR2004 - January, February


def safe(text: str) -> str:
    r"""Escape what a terminal would obey: control, format, surrogate and line-breaking characters.

    `\x1b[2J` in a meter's name is shown as these six characters and clears nothing.
    """
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def device_name(device: bytes) -> str:
    """Name a device as people do, with its full id: `ms-1a2b3c4d (1a2b…)` (protocol 2, key 1)."""
    return f"ms-{device[:4].hex()} ({device.hex()})"


def scaled(value: int, decimals: int) -> str:
    """Write an integer of a small unit in a larger one, without floats: 1234, 3 is `1.234`."""
    digits = f"{abs(value):0{decimals + 1}}"
    whole, fraction = (digits[:-decimals], "." + digits[-decimals:]) if decimals else (digits, "")
    return ("-" if value < 0 else "") + whole + fraction


def sentence_case(text: str) -> str:
    """Begin a sentence with `text`, leaving every other letter as it is."""
    return text[:1].upper() + text[1:]
