"""Enrolling and revoking: the newest statement counts, for a running aggregator too."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from meterseal.messages import RejectCode
from meterseal.policy import parse_policy
from meterseal.statements import open_enrolment
from meterseal.types import DeviceId, Epoch, Hash, Seq
from meterseal_aggregator.cli import main
from meterseal_aggregator.enrolment import enrol, newest, revoke
from meterseal_aggregator.errors import ConfigError, KeyFileError
from meterseal_aggregator.keyfiles import (
    ENROLMENT,
    ENROLMENT_PUBLIC,
    create_missing,
    read_key,
    read_keys,
)
from meterseal_aggregator.overview import overview
from meterseal_aggregator.store import Status, Store
from support.aggregator_stage import NOW_MS, Stage
from support.gateway import Gateway

if TYPE_CHECKING:
    from pathlib import Path

    from meterseal.types import UnixMs

OLD = DeviceId(bytes(16))
LAST = Hash(b"\x07" * 32)


def end(stage: Stage, gateway: Gateway, after: tuple[int, int], now: UnixMs = NOW_MS) -> Hash:
    place = (Epoch(after[0]), Seq(after[1]))
    key = read_key(stage.folder / "keys", ENROLMENT)
    return revoke(stage.store, gateway.id, place, key, now)[0]


def codes(stage: Stage, gateway: Gateway, *records: bytes) -> list[RejectCode]:
    return [refused.code for _, refused in stage.send(gateway, *records).rejects]


@pytest.mark.parametrize("where", ["this process", "another process"])
def test_a_running_aggregator_heeds_a_new_enrolment(stage: Stage, where: str) -> None:
    gateway = Gateway()
    stage.enrol(gateway)
    manifest = gateway.manifest(prev=LAST)
    assert codes(stage, gateway, manifest) == [RejectCode.INVALID]

    if where == "this process":
        stage.enrol(gateway, (OLD, LAST))
    else:
        running = stage.store
        with Store(stage.folder / "store.sqlite3") as stage.store:
            stage.enrol(gateway, (OLD, LAST))
        stage.store = running

    assert stage.send(gateway, manifest).counts == {"extends": 1}


def test_an_enrolment_that_is_said_again_after_another_counts_again(stage: Stage) -> None:
    """A, B, A within one millisecond: the third says something new, and is the newest."""
    gateway = Gateway()
    stage.enrol(gateway)
    stage.enrol(gateway, (OLD, LAST))
    stage.enrol(gateway)

    (device,) = stage.store.devices.all()
    stands = newest(stage.store, gateway.id)
    assert device.replaces is None
    assert stands is not None
    assert stands[1].replaces is None
    assert stands[1].valid_from == NOW_MS + 2
    assert len(stage.store.devices.enrolments(gateway.id)) == 3


def test_after_its_revocation_a_key_connects_nothing_and_what_stands_stays(stage: Stage) -> None:
    gateway = Gateway()
    stage.enrol(gateway)
    records = gateway.chain(4, every=9)
    stage.send(gateway, *records)
    leaf = end(stage, gateway, (0, gateway.state.seq))

    assert codes(stage, gateway, gateway.event()) == [RejectCode.NOT_ENROLLED]
    assert codes(stage, gateway, gateway.restore()) == [RejectCode.NOT_ENROLLED]

    stage.sequence()
    assert stage.stored(gateway) == records
    assert stage.store.tree.index_of(leaf) is not None
    assert stage.send(gateway, *records).counts == {"known": len(records)}
    (row,) = overview(stage.store)
    assert (row["state"], row["revoked_after"]) == ("revoked", [0, 4])


def test_records_up_to_the_revocation_are_taken_late(stage: Stage) -> None:
    gateway = Gateway()
    stage.enrol(gateway)
    records = gateway.chain(4, every=9)
    stage.send(gateway, records[0])
    end(stage, gateway, (0, 2))

    assert codes(stage, gateway, *records[1:]) == [RejectCode.NOT_ENROLLED] * 2

    assert stage.stored(gateway) == records[:3]


def test_what_waited_beyond_the_revocation_never_connects(stage: Stage) -> None:
    gateway = Gateway()
    stage.enrol(gateway)
    records = gateway.chain(4, every=9)
    stage.send(gateway, records[0], *records[2:])
    end(stage, gateway, (0, 2))

    stage.send(gateway, records[1])

    assert stage.stored(gateway) == records[:3]
    assert stage.stored(gateway, Status.WAITING) == []


def test_a_revocation_is_signed_and_said_once(stage: Stage) -> None:
    gateway = Gateway()
    stage.enrol(gateway, (OLD, LAST))
    first = end(stage, gateway, (0, 9))

    assert end(stage, gateway, (0, 9)) == first

    statements = dict(stage.store.devices.enrolments(gateway.id))
    stated = open_enrolment(statements[first], stage.keys.enrolment)
    assert stated.revoked_after == (0, 9)
    assert stated.replaces == (OLD, LAST)
    assert stated.public_key == gateway.genesis


def test_a_revocation_is_made_stricter_only_and_never_undone(stage: Stage) -> None:
    gateway = Gateway()
    stage.enrol(gateway)
    end(stage, gateway, (1, 5))
    end(stage, gateway, (1, 4))

    with pytest.raises(ConfigError, match="revoked after 1:4 already"):
        end(stage, gateway, (1, 6))
    with pytest.raises(ConfigError, match="was revoked"):
        stage.enrol(gateway)
    with pytest.raises(ConfigError, match="no such device"):
        end(stage, Gateway("stranger"), (0, 0))


def test_revoke_on_the_command_line_takes_the_device_out_of_the_trust_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "aggregator.toml"
    file.write_text(
        f'[aggregator]\ndata_dir = "{tmp_path}/data"\norigin = "log.test/x"\n'
        '[mqtt]\nhost = "127.0.0.1"\n'
    )
    gateway = Gateway()
    device = gateway.id.hex()
    assert main(["init", "--config", str(file)]) == 0
    enrolling = ["--public-key", gateway.genesis.hex(), "--metering-point", "DE1"]
    assert main(["enrol", "--config", str(file), "--device", device, *enrolling]) == 0

    revoking = ["revoke", "--config", str(file), "--device", device, "--after"]
    assert main([*revoking, "0:4711"]) == 0
    assert main([*revoking, "1_0:2"]) == 64
    assert main([*revoking, "٣:2"]) == 64
    capsys.readouterr()

    assert main(["trust", "--config", str(file)]) == 0
    assert parse_policy(capsys.readouterr().out).devices == {}


def test_an_aggregator_runs_without_the_enrolment_key_itself(stage: Stage) -> None:
    keys = stage.folder / "keys"
    (keys / ENROLMENT).unlink()

    assert read_keys(keys).enrolment == stage.keys.enrolment
    assert create_missing(keys) == []
    with pytest.raises(KeyFileError, match=r"enrolment\.key"):
        stage.enrol(Gateway())


def test_a_public_half_that_is_not_the_keys_is_refused(stage: Stage) -> None:
    public = stage.folder / "keys" / ENROLMENT_PUBLIC
    public.unlink()
    public.write_text("00" * 32)
    public.chmod(0o400)

    with pytest.raises(KeyFileError, match="public half"):
        read_keys(stage.folder / "keys")
    stage.audited = False


def test_a_store_made_before_the_public_half_existed_gets_it_at_the_next_init(
    stage: Stage,
) -> None:
    public = stage.folder / "keys" / ENROLMENT_PUBLIC
    public.unlink()
    assert read_keys(stage.folder / "keys").enrolment == stage.keys.enrolment

    create_missing(stage.folder / "keys")

    assert public.read_text() == stage.keys.enrolment.hex() + "\n"


def test_enrolling_by_another_key_of_another_id_is_refused(stage: Stage) -> None:
    gateway = Gateway()
    stage.enrol(gateway)
    stands = newest(stage.store, gateway.id)
    assert stands is not None
    from dataclasses import replace  # noqa: PLC0415 -- one use

    other = replace(stands[1], public_key=Gateway("other").genesis)
    with pytest.raises(ConfigError, match="which is the id of"):
        enrol(stage.store, other, read_key(stage.folder / "keys", ENROLMENT))
