"""The files of what was received: written whole, on disk before anybody is told so, and never outside the store."""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

from stenograde.files import UNFINISHED, shown_bytes

_CHUNK_BYTES: Final = 1 << 20
_NO_ROOM: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


class NoRoomError(OSError):
    """The disk has no room for what comes."""


class TooLargeError(OSError):
    """What comes is larger than is allowed."""


def is_no_room(error: BaseException | None) -> bool:
    """Tell whether an error comes from a disk that has no room, however it was told on its way."""
    while error is not None:
        if isinstance(error, OSError) and error.errno in _NO_ROOM and not isinstance(error, TooLargeError):
            return True
        error = error.__cause__ or error.__context__
    return False


@dataclass(frozen=True)
class Incoming:
    """What was received and lies in the store, but has no place in it yet."""

    path: Path
    sha256: str
    n_bytes: int


class Store:
    """A folder of received files and of results.

    ::

        STORE/images/<study>/<instance>-<content>.dcm     what was received
        STORE/results/<study>/v<version>/                 what was made of it
        STORE/incoming/                                   what is on its way

    Names are digests of UIDs: whatever a UID says, its file lies in the store.

    Parameters
    ----------
    root : Path
        Made if it is not there.
    free_bytes : int
        Nothing is taken in while the disk has less free room than this.
    """

    def __init__(self, root: Path, *, free_bytes: int = 0) -> None:
        self.root = root
        self._free_bytes = free_bytes
        self._incoming = root / "incoming"
        self._incoming.mkdir(parents=True, exist_ok=True)

    @contextmanager
    def received(self, source: bytes | BinaryIO, *, at_most: int) -> Iterator[Incoming]:
        """Give a file with the content of a source; it is gone after the block unless it was placed.

        Parameters
        ----------
        source : bytes or binary file
            Read from where it stands to its end.
        at_most : int
            Most bytes that are taken.

        Raises
        ------
        TooLargeError
            If there are more.
        NoRoomError
            If the disk has no room for it, or less than the margin.
        OSError
            If it cannot be read or written for another reason.
        """
        self.check_room(len(source) if isinstance(source, bytes) else 0)
        handle, name = tempfile.mkstemp(dir=self._incoming, prefix=UNFINISHED.rstrip("*"))
        try:
            with os.fdopen(handle, "wb") as file:
                incoming = _copied(source, file, Path(name), at_most)
            yield incoming
        except OSError as exc:
            if exc.errno in _NO_ROOM and not isinstance(exc, NoRoomError | TooLargeError):
                msg = f"the disk of the store must have room, got {exc.strerror}"
                raise NoRoomError(exc.errno, msg) from exc
            raise
        finally:
            Path(name).unlink(missing_ok=True)

    def place(self, incoming: Incoming, study_uid: str, sop_uid: str) -> Path:
        """Move what was received to its place and return that, relative to the store; it is on disk then.

        The same content of the same instance has the same place, however often it comes.

        Raises
        ------
        OSError
            If it cannot be moved.
        """
        relative = Path("images", digest(study_uid), f"{digest(sop_uid)}-{incoming.sha256}.dcm")
        place = self.root / relative
        place.parent.mkdir(parents=True, exist_ok=True)
        _sync(incoming.path)  # (not before: what is refused is not worth the wait)
        incoming.path.replace(place)
        for folder in (place.parent, self.root / "images", self.root):
            _sync(folder)
        return relative

    def results(self, study_uid: str, version: int) -> Path:
        """Return the folder for the results of a version; it is not made."""
        return self.root / "results" / digest(study_uid) / f"v{version}"

    def check_room(self, n_bytes: int = 0) -> None:
        """Refuse when the disk would have less free room than the margin after so many bytes.

        Raises
        ------
        NoRoomError
        """
        free = self.free_bytes()
        if free - n_bytes < self._free_bytes:
            msg = f"the disk of the store must keep {shown_bytes(self._free_bytes)} free, got {shown_bytes(free)}"
            raise NoRoomError(errno.ENOSPC, msg)

    def free_bytes(self) -> int:
        """Return how many bytes are free on the disk."""
        return shutil.disk_usage(self.root).free

    def sweep(self) -> int:
        """Remove what was on its way when the service was killed; return how many files. Nothing may come meanwhile."""
        left = list(self._incoming.glob(UNFINISHED))
        for path in left:
            path.unlink(missing_ok=True)
        return len(left)


def digest(uid: str) -> str:
    """Return a name for a UID that is a name in every file system.

    Examples
    --------
    >>> digest("../../etc/passwd")
    '3754d6cb3a38e1185e5b382d5f3ef3f1'
    """
    return hashlib.sha256(uid.encode("utf-8", "surrogatepass")).hexdigest()[:32]


def _copied(source: bytes | BinaryIO, file: BinaryIO, path: Path, at_most: int) -> Incoming:
    """Write a source to a file, and return what was written."""
    sha, n_bytes = hashlib.sha256(), 0
    for chunk in _chunks(source):
        n_bytes += len(chunk)
        if n_bytes > at_most:
            msg = f"an object must hold at most {shown_bytes(at_most)}, got more"
            raise TooLargeError(errno.EFBIG, msg)
        sha.update(chunk)
        file.write(chunk)
    file.flush()
    return Incoming(path, sha.hexdigest(), n_bytes)


def _chunks(source: bytes | BinaryIO) -> Iterator[bytes]:
    if isinstance(source, bytes):
        yield source
        return
    while chunk := source.read(_CHUNK_BYTES):
        yield chunk


def _sync(path: Path) -> None:
    """Put a file, or the names of a folder, on disk: both could be lost with the power otherwise."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
