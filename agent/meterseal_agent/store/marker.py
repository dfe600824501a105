"""The marker in tmpfs: what proves, offline, that the store on disk is the newest one.

A power cut takes the marker with it, and a card restored from a backup meets another boot id or
an other head. So a store is proved newest exactly when the marker was written in this boot and
names a record that the store holds. (protocol 4)

The marker is written after each commit and before anything of that commit is released: killed in
between, the store is one commit ahead of it, which is still newest.
"""

from __future__ import annotations

import contextlib
import json
from dataclasses import dataclass
from pathlib import Path

from meterseal.types import DeviceId, Epoch, Hash, Seq
from meterseal_agent.errors import StoreError

_SIZE_MAX = 1024


@dataclass(frozen=True, kw_only=True, slots=True)
class Mark:
    """What the marker says: in this boot, this record was the newest."""

    boot_id: str
    epoch: Epoch
    seq: Seq
    hash: Hash


class Marker:
    """The marker file of one device."""

    def __init__(self, folder: Path, device: DeviceId) -> None:
        self.path = folder / f"meterseal-{device.hex()}.mark"

    def read(self) -> Mark | None:
        """What the marker says, or None when there is none or it cannot be believed."""
        try:
            with self.path.open("rb") as file:
                fields = json.loads(file.read(_SIZE_MAX))
            return Mark(
                boot_id=str(fields["boot_id"]),
                epoch=Epoch(int(fields["epoch"])),
                seq=Seq(int(fields["seq"])),
                hash=Hash(bytes.fromhex(fields["hash"])),
            )
        except (OSError, ValueError, KeyError, TypeError):
            # A marker that cannot be read proves nothing, which costs an epoch and no more.
            return None

    def write(self, mark: Mark) -> None:
        """Replace the marker. No sync: it need not outlive the boot, and must not.

        Raises:
            StoreError: If its folder is absent or full.
        """
        text = json.dumps(
            {"boot_id": mark.boot_id, "epoch": mark.epoch, "seq": mark.seq, "hash": mark.hash.hex()}
        )
        temporary = self.path.with_suffix(".new")
        try:
            temporary.write_text(text, encoding="ascii")
            temporary.replace(self.path)
        except OSError as error:
            message = (
                f"marker {self.path}: cannot be written ({error.strerror}); marker_dir must be a "
                "tmpfs folder that the agent may write, such as /run/meterseal"
            )
            raise StoreError(message) from error

    def remove(self) -> None:
        """Take the proof away, so that the next start opens an epoch."""
        with contextlib.suppress(FileNotFoundError):
            self.path.unlink()


def boot_id() -> str:
    """The kernel's random name of this boot (random(4), /proc/sys/kernel/random/boot_id)."""
    return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
