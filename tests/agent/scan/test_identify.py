"""Every map that is shipped, met on a line: called by its name, or not called by another's."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from meterseal_agent.profiles.catalogue import load_map, shipped_maps
from meterseal_agent.scan.found import Proof, Verdict
from meterseal_agent.scan.probes import identity_of
from meterseal_simulator.faults import Dead, Trigger
from meterseal_simulator.registers import RegisterSlave, place, text
from support.golden import load_vector
from support.motley import VirtualScan, golden_slave
from support.wire import sdm630

if TYPE_CHECKING:
    from meterseal_agent.profiles import Profile
    from meterseal_agent.scan.found import Found

SETTING = (9600, "N")
FIXED = [name for name in shipped_maps() if not load_map(name)[0].sunspec]
PROVED = [name for name in FIXED if identity_of(load_map(name)[0])]


def met(name: str, profiles: tuple[Profile, ...]) -> Found:
    """Scan a line with one meter of this map."""
    scan = VirtualScan({1: (SETTING, golden_slave(name))})
    (report,) = scan.run(SETTING, units=[1], profiles=profiles)
    assert not report.fault
    (found,) = report.found
    return found


@pytest.mark.parametrize("name", PROVED)
def test_a_meter_that_says_what_it_is_is_called_so(
    name: str, profiles: tuple[Profile, ...]
) -> None:
    found = met(name, profiles)

    named = [one.profile for one in found.candidates]
    assert load_map(name)[0].name in named
    assert all(one.proof is Proof.IDENTITY and not one.flaw for one in found.candidates)
    assert found.verdict is (Verdict.EXACT if len(named) == 1 else Verdict.CHOICE)
    assert all(one.values for one in found.candidates)


@pytest.mark.parametrize("name", FIXED)
def test_no_meter_is_called_by_the_name_of_another(
    name: str, profiles: tuple[Profile, ...]
) -> None:
    found = met(name, profiles)

    if found.verdict is Verdict.EXACT:
        (one,) = found.candidates
        assert one.profile in {model.name for model in load_map(name)}
        told = load_vector(name).identity.get("serial")
        assert one.serial == ("" if told is None else str(told.value))


@pytest.mark.parametrize("name", [name for name in FIXED if name not in PROVED])
def test_a_meter_that_does_not_say_what_it_is_asks_for_a_choice(
    name: str, profiles: tuple[Profile, ...]
) -> None:
    found = met(name, profiles)

    assert found.verdict in (Verdict.CHOICE, Verdict.UNKNOWN)
    assert found.tried
    assert all(one.proof is not Proof.IDENTITY for one in found.candidates)


def test_two_models_that_share_an_identity_are_both_named(profiles: tuple[Profile, ...]) -> None:
    found = met("carlo-gavazzi-em24", profiles)

    assert found.verdict is Verdict.CHOICE
    assert {one.profile for one in found.candidates} == {
        "carlo-gavazzi-em24",
        "carlo-gavazzi-em24-pfa",
    }


def test_the_likelier_of_two_models_is_named_first(profiles: tuple[Profile, ...]) -> None:
    """An SDM630 lets itself be read as an SDM230, which then shows less."""
    scan = VirtualScan({1: (SETTING, sdm630())})

    (report,) = scan.run(SETTING, units=[1], profiles=profiles)

    named = [one.profile for one in report.found[0].candidates]
    assert named == ["eastron-sdm630", "eastron-sdm230"]
    assert report.found[0].verdict is Verdict.CHOICE


def test_a_model_under_also_is_told_by_its_own_code(profiles: tuple[Profile, ...]) -> None:
    slave = golden_slave("carlo-gavazzi-em340", code=(4, 0x000B, "014b"))  # 331: EM330
    scan = VirtualScan({1: (SETTING, slave)})

    (report,) = scan.run(SETTING, units=[1], profiles=profiles)

    assert [one.profile for one in report.found[0].candidates] == ["carlo-gavazzi-em330"]
    assert report.found[0].verdict is Verdict.EXACT


def test_a_meter_whose_plan_cannot_be_read_is_named_with_the_flaw(
    profiles: tuple[Profile, ...],
) -> None:
    slave = golden_slave("wago-879-3000", limit=2)

    def lacks_values(pdu: bytes) -> bytes:
        return bytes([pdu[0] | 0x80, 2]) if pdu[1:3] >= b"\x50\0" else slave.answer(pdu)

    class Crippled:
        def answer(self, pdu: bytes) -> bytes:
            return lacks_values(pdu)

    scan = VirtualScan({1: (SETTING, Crippled())})
    (report,) = scan.run(SETTING, units=[1], profiles=profiles)

    (found,) = report.found
    assert found.verdict is Verdict.CHOICE
    assert found.candidates[0].profile == "wago-879-3000"
    assert "exception 2" in found.candidates[0].flaw


def test_a_device_of_which_nothing_is_known_is_listed_with_what_it_was_asked(
    profiles: tuple[Profile, ...],
) -> None:
    class Stranger:
        def answer(self, pdu: bytes) -> bytes:
            return bytes([pdu[0] | 0x80, 2])

    scan = VirtualScan({1: (SETTING, Stranger())})
    (report,) = scan.run(SETTING, units=[1], profiles=profiles)

    (found,) = report.found
    assert found.verdict is Verdict.UNKNOWN
    assert "SunSpec at 40000, 0 and 50000 (function 3)" in found.tried


def test_a_device_that_falls_silent_is_not_asked_for_ever(profiles: tuple[Profile, ...]) -> None:
    scan = VirtualScan({1: (SETTING, golden_slave("chint-ddsu666"))})
    scan.meters.bus.faults.arm(Dead(), Trigger(after=1, times=None))

    (report,) = scan.run(SETTING, units=[1], profiles=profiles)

    assert report.found[0].verdict is Verdict.UNKNOWN
    assert len(scan.meters.requests) <= 6


def test_a_sunspec_inverter_is_told_by_its_maker(profiles: tuple[Profile, ...]) -> None:
    scan = VirtualScan({1: (SETTING, sunspec_slave("Fronius", "Symo 6.0-3-M", base=40000))})

    (report,) = scan.run(SETTING, units=[1], profiles=profiles)

    (found,) = report.found
    assert [one.profile for one in found.candidates] == ["fronius-inverter"]
    assert found.verdict is Verdict.EXACT
    one = found.candidates[0]
    assert (one.make, one.model, one.serial) == ("Fronius", "Symo 6.0-3-M", "4711")


def test_a_sunspec_inverter_of_another_maker_is_a_sunspec_inverter(
    profiles: tuple[Profile, ...],
) -> None:
    scan = VirtualScan({1: (SETTING, sunspec_slave("Acme", "One", base=50000))})

    (report,) = scan.run(SETTING, units=[1], profiles=profiles)

    (found,) = report.found
    assert [one.profile for one in found.candidates] == ["sunspec-inverter"]
    assert found.candidates[0].make == "Acme"


def sunspec_slave(make: str, model: str, *, base: int) -> RegisterSlave:
    """Serve models 1 and 103 with 230.0 V, 50.00 Hz, 1500 W and 65538 Wh, and nothing else."""
    image: dict[int, int] = {}
    place(image, base, text("SunS", 2))
    one = [*text(make, 16), *text(model, 16), *text("", 8), *text("1.0", 8), *text("4711", 16)]
    place(image, base + 2, [1, 66, *one, 1, 0x8000])
    at = base + 70
    place(image, at, [103, 50, *[0xFFFF] * 50])
    # Offsets and scales by sunspec/models, json/model_103.json.
    place(image, at + 10, [2300])
    place(image, at + 13, [0xFFFF])
    place(image, at + 14, [1500, 0, 5000, 0xFFFE])
    place(image, at + 24, [1, 2, 0])
    place(image, at + 52, [0xFFFF, 0])
    return RegisterSlave({3: lambda: image}, limit=125)
