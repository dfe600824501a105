"""Whose energy it is: serial numbers that were enrolled, and those that a device reads off.

An enrolment is the word of somebody whom the policy pins; a manifest is the device's own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from meterseal_verifier.text import safe
from meterseal_verifier.verdict import cannot_check

if TYPE_CHECKING:
    from collections.abc import Sequence

    from meterseal.bodies import Manifest
    from meterseal_verifier.parts import EnrolmentPart, ProofParts, Signed


def check_serials(manifest: Signed[Manifest], enrolment: EnrolmentPart | None) -> None:
    """Hold the meters that the device reads to be those that were enrolled (protocol 2a).

    Raises:
        Finding: CANNOT CHECK where one is not: nobody vouches for it.
    """
    if enrolment is None or not enrolment.statement.serials:
        return
    known = enrolment.statement.serials
    strange = [serial for serial in _serials(manifest) if serial and serial not in known]
    # A meter that tells no serial number contradicts nobody; the verdict says that it is unnamed.
    if strange:
        raise cannot_check(
            "The device reads a meter that the enrolment does not name, so nobody vouches for "
            "whose energy this is.",
            expected=f"meter {_listed(known)}",
            got=f"meter {_listed(strange)}",
        )


def who_vouches_for_meters(parts: ProofParts) -> str:
    """Say on whose word a meter is the one that it is called: a sentence, or nothing."""
    if parts.enrolment is not None and parts.enrolment.statement.serials:
        named = "the enrolment; what the device itself read off is not in this file"
        serials: tuple[str, ...] = parts.enrolment.statement.serials
        if parts.manifest is not None:
            named = "the enrolment, and the device read the same off"
            serials = tuple(serial for serial in _serials(parts.manifest) if serial)
            unnamed = len(parts.manifest.body.meters) - len(serials)
            named += f"; {unnamed} more without a serial number: nobody" if unnamed else ""
        return f"Who vouches for meter {_listed(serials)}: {named}."
    if parts.manifest is None:
        return ""
    return f"Who vouches for meter {_listed(_serials(parts.manifest))}: the device alone."


def _serials(manifest: Signed[Manifest]) -> tuple[str, ...]:
    return tuple(meter.serial for meter in manifest.body.meters)


def _listed(serials: Sequence[str]) -> str:
    return ", ".join(safe(serial) or "(without a serial number)" for serial in serials) or "(none)"
