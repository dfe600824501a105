"""C2SP tlog-proof: the inclusion of one leaf as a text file that other tools read.

Rules (c2sp.org/tlog-proof): a first line that names the format, `extra` data if there are any,
`index`, one base64 hash a line from the leaf's sibling upwards, an empty line, and the checkpoint
as it was issued. The extra data are authenticated by nothing.
"""

from __future__ import annotations

from base64 import b64encode
from dataclasses import dataclass
from typing import Final

from meterseal.errors import EncodingError
from meterseal.fields import decimal, unbase64
from meterseal.merkle import HASH_SIZE, PATH_LENGTH_MAX
from meterseal.types import Hash

FORMAT: Final = "c2sp.org/tlog-proof@v1"
SIZE_MAX: Final = 64 * 1024


@dataclass(frozen=True, kw_only=True, slots=True)
class TlogProof:
    """One leaf's place in a checkpoint.

    Attributes:
        index: Index of the leaf, from 0.
        path: Inclusion path, from the leaf's sibling upwards.
        checkpoint: The note, not yet opened.
        extra: Opaque data, or None.
    """

    index: int
    path: tuple[Hash, ...]
    checkpoint: bytes
    extra: bytes | None = None

    def encode(self) -> bytes:
        """Write the text."""
        lines = [FORMAT]
        if self.extra is not None:
            lines.append(f"extra {b64encode(self.extra).decode()}")
        lines.append(f"index {self.index}")
        lines.extend(b64encode(each).decode() for each in self.path)
        return "".join(f"{line}\n" for line in lines).encode() + b"\n" + self.checkpoint

    @classmethod
    def parse(cls, data: bytes) -> TlogProof:
        """Read the text. The checkpoint is left to `open_checkpoint`.

        Raises:
            EncodingError: The bytes are not a tlog-proof.
        """
        if len(data) > SIZE_MAX:
            raise EncodingError(f"tlog-proof: {len(data)} bytes, at most {SIZE_MAX} are read")
        head, blank, checkpoint = data.partition(b"\n\n")
        if not blank or not checkpoint:
            raise EncodingError("tlog-proof: no empty line with a checkpoint after it")
        try:
            lines = head.decode("ascii").split("\n")
        except UnicodeDecodeError as error:
            raise EncodingError(f"tlog-proof: byte {error.start} is not ASCII") from error
        if lines.pop(0) != FORMAT:
            raise EncodingError(f"tlog-proof: the first line is not {FORMAT}")
        extra = None
        if lines and lines[0].startswith("extra "):
            extra = unbase64(lines.pop(0).removeprefix("extra "))
            if not extra:
                raise EncodingError("tlog-proof: an extra line without data")
        if not lines or not lines[0].startswith("index "):
            raise EncodingError("tlog-proof: no index line")
        index = decimal(lines.pop(0).removeprefix("index "))
        return cls(index=index, path=_path(lines), checkpoint=checkpoint, extra=extra)


def _path(lines: list[str]) -> tuple[Hash, ...]:
    hashes = tuple(Hash(unbase64(line)) for line in lines)
    if len(hashes) > PATH_LENGTH_MAX or any(len(each) != HASH_SIZE for each in hashes):
        raise EncodingError(
            f"tlog-proof: expected up to {PATH_LENGTH_MAX} hashes of {HASH_SIZE} bytes"
        )
    return hashes
