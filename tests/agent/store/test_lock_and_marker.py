"""One writer at a time, and the marker that proves a store newest within one boot."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from meterseal.types import DeviceId, Epoch, Hash, Seq
from meterseal_agent.errors import StoreError
from meterseal_agent.store.lock import StoreLock
from meterseal_agent.store.marker import Mark, Marker, boot_id

if TYPE_CHECKING:
    from pathlib import Path

DEVICE = DeviceId(bytes(16))
MARK = Mark(boot_id="b", epoch=Epoch(1), seq=Seq(2), hash=Hash(bytes(32)))


def test_a_second_process_is_told_who_holds_the_store(tmp_path: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from meterseal_agent.store.lock import StoreLock; "
        "StoreLock(Path(sys.argv[1]))"
    )
    with StoreLock(tmp_path / "store.lock"):
        other = subprocess.run(  # noqa: S603 -- this interpreter, our own program
            [sys.executable, "-c", program, str(tmp_path / "store.lock")],
            capture_output=True,
            text=True,
            check=False,
        )

    assert f"in use by process {os.getpid()}" in other.stderr


def test_the_store_is_free_again_when_its_holder_let_go(tmp_path: Path) -> None:
    StoreLock(tmp_path / "store.lock").close()

    StoreLock(tmp_path / "store.lock").close()


def test_what_the_marker_was_told_is_what_it_says(tmp_path: Path) -> None:
    marker = Marker(tmp_path, DEVICE)

    marker.write(MARK)

    assert marker.read() == MARK


def test_no_marker_proves_nothing(tmp_path: Path) -> None:
    assert Marker(tmp_path, DEVICE).read() is None


@pytest.mark.parametrize("data", [b"", b"{}", b"[]", b"null", b'{"boot_id": "b"}', b"\xff" * 2000])
def test_a_marker_that_cannot_be_read_proves_nothing(tmp_path: Path, data: bytes) -> None:
    marker = Marker(tmp_path, DEVICE)
    marker.path.write_bytes(data)

    assert marker.read() is None


def test_a_marker_folder_that_is_absent_is_a_clear_sentence(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="marker_dir must be a tmpfs folder"):
        Marker(tmp_path / "absent", DEVICE).write(MARK)


def test_a_removed_marker_is_gone(tmp_path: Path) -> None:
    marker = Marker(tmp_path, DEVICE)
    marker.write(MARK)

    marker.remove()
    marker.remove()

    assert marker.read() is None


def test_this_boot_has_a_name() -> None:
    assert boot_id() == boot_id() != ""
