"""What arrives in pieces: kept in memory while it is small, then in a file without a name, up to a limit."""

from __future__ import annotations

import tempfile
from io import BytesIO
from pathlib import Path
from typing import Any, Final

from stenograde.files import shown_bytes
from stenograde.pacs.intake import Refusal, Refused

_IN_MEMORY_BYTES: Final = 2 << 20
"""Above that a body lies on disk."""


class Body(BytesIO):
    """Bytes on their way to the store; they leave nothing behind, however this process ends.

    It is written in pieces and then read once. What does not fit is counted and not kept, so that its sender can still
    be told why.

    Parameters
    ----------
    folder : Path
        Where the file without a name is made.
    at_most : int
        Most bytes that are kept.
    """

    def __init__(self, folder: Path, at_most: int) -> None:
        super().__init__()
        self._file = tempfile.SpooledTemporaryFile(max_size=_IN_MEMORY_BYTES, dir=str(folder))  # noqa: SIM115
        self._at_most = at_most
        self._head = b""
        self.n_bytes = 0
        """How many came."""
        self.refused: Refused | None = None
        """Why it is not kept."""

    def write(self, data: Any, /) -> int:
        """Add bytes."""
        self.n_bytes += len(data)
        if self.refused is None and self.n_bytes > self._at_most:
            self._refuse(
                Refusal.TOO_LARGE, f"an object must hold at most {shown_bytes(self._at_most)}, got more"
            )
        if self.refused is None:
            try:
                self._file.write(data)
            except OSError as exc:
                self._refuse(Refusal.NO_ROOM, f"the disk of the store must have room, got {exc.strerror}")
        return len(data)

    def whole(self, head: bytes = b"") -> Body:
        """Return itself, to be read from the start, with some bytes before what came."""
        self._head = head
        self._file.seek(0)
        return self

    def read(self, size: int | None = -1, /) -> bytes:
        """Return the next bytes, at most so many; none at the end."""
        if self._head:
            head, self._head = self._head, b""
            return head
        return self._file.read(-1 if size is None else size)

    def close(self) -> None:
        """Give the bytes up."""
        self._file.close()
        super().close()

    def _refuse(self, why: Refusal, reason: str) -> None:
        self.refused = Refused(why, reason)
        self._file.close()
