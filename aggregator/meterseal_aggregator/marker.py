"""The marker in tmpfs: what proves, after a restart without a reboot, that a store is the newest.

It names the newest checkpoint signed in this boot, and is written after the checkpoint is durable
and before it leaves. Killed in between, the store is one checkpoint ahead of it, which is newest
all the same. A reboot takes the marker away, and one that a backup brought back names another boot.

It is named by the log key and not by the folder: a copy of the store that is started elsewhere on
this machine meets it too.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Final

from meterseal.types import Hash
from meterseal_aggregator.errors import StoreError

if TYPE_CHECKING:
    from meterseal.types import PublicKey

log = logging.getLogger(__name__)

BOOT_ID: Final = Path("/proc/sys/kernel/random/boot_id")
_SIZE_MAX: Final = 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """In this boot, this was the newest checkpoint."""

    size: int
    root: Hash


class Marker:
    """The marker file of one log key."""

    def __init__(self, folder: Path, log_key: PublicKey, *, boot_id: Path = BOOT_ID) -> None:
        self.path = folder / f"meterseal-log-{sha256(log_key).hexdigest()[:16]}.mark"
        self._boot_id = boot_id

    def read(self) -> Mark | None:
        """What the marker says; None when there is none, or none that can be believed."""
        boot = self._boot()
        try:
            descriptor = os.open(self.path, os.O_RDONLY | os.O_NOFOLLOW)
            with os.fdopen(descriptor, "rb") as file:
                if os.fstat(descriptor).st_uid != os.geteuid():
                    return None  # anybody may write to /dev/shm
                fields = json.loads(file.read(_SIZE_MAX))
            if boot is None or fields["boot_id"] != boot:
                return None
            return Mark(size=int(fields["size"]), root=Hash(bytes.fromhex(fields["root"])))
        except (OSError, ValueError, KeyError, TypeError, RecursionError):
            return None

    def write(self, mark: Mark) -> bool:
        """Replace the marker. No sync: it need not outlive the boot, and must not.

        Returns:
            False if it cannot be written: then there is none, and the next start has no proof.

        Raises:
            StoreError: An older marker stands and cannot be taken away: it would prove an older
                store.
        """
        boot = self._boot()
        try:
            if boot is None:
                raise OSError(0, "the kernel names no boot")  # noqa: TRY301 -- one way out
            text = json.dumps({"boot_id": boot, "size": mark.size, "root": mark.root.hex()})
            temporary = self.path.with_suffix(f".{os.getpid()}")
            temporary.unlink(missing_ok=True)
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
            with os.fdopen(os.open(temporary, flags, 0o600), "w", encoding="ascii") as file:
                file.write(text)
            temporary.replace(self.path)
        except OSError as error:
            self._remove(str(error.strerror))
            return False
        return True

    def _remove(self, reason: str) -> None:
        log.warning(
            "marker %s: cannot be written (%s): a restart will need the broker's checkpoint or "
            "`meterseal-aggregator confirm`. Set [aggregator] marker_dir to a tmpfs.",
            self.path,
            reason,
        )
        with contextlib.suppress(OSError):
            self.path.unlink(missing_ok=True)
        if self.read() is not None:
            raise StoreError(
                f"marker {self.path}: can be neither written nor removed. It names an older "
                "checkpoint than the newest; remove it, or set [aggregator] marker_dir."
            )

    def _boot(self) -> str | None:
        """Name this boot (random(4)); None where the kernel has no name for it."""
        try:
            return self._boot_id.read_text(encoding="ascii").strip()
        except (OSError, ValueError):
            return None
