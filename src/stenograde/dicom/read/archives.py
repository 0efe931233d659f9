"""Unpacks zip and tar archives within a budget, in one pass; says of others what they are. Knows no DICOM.

Nothing is ever written to disk, so that names in an archive can lead nowhere. Sizes that an archive states are
not believed: each member is unpacked up to the length it states and one byte more, and all of them up to the
budget.
"""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Final

from stenograde.errors import NoStudyError, UnreadableInstanceError
from stenograde.files import MAX_RATIO, shown_bytes, unpacked_limit

_MAGIC: Final = (
    (0, b"PK\x03\x04", "zip"),
    (0, b"PK\x05\x06", "zip"),
    (0, b"\x1f\x8b", "gzip"),
    (0, b"BZh", "bzip2"),
    (0, b"\xfd7zXZ\x00", "xz"),
    (0, b"7z\xbc\xaf\x27\x1c", "7z"),
    (0, b"Rar!\x1a\x07", "rar"),
    (0, b"\x28\xb5\x2f\xfd", "zstd"),
    (257, b"ustar", "tar"),
)
"""Offset and bytes by which archives are known."""

_OPENERS: Final[dict[str, Callable[..., IO[Any]]]] = {
    "gzip": gzip.open,
    "bzip2": bz2.open,
    "xz": lzma.open,
    "tar": open,
}
"""What gives the bytes of a tar, by how it is packed."""

_LOCAL_HEADER: Final = struct.Struct("<4s22xHH")
_STORED, _DEFLATED, _BZIP2 = 0, 8, 12


def kind_of_archive(head: bytes) -> str:
    """Return what archive a file begins as, such as ``7z``; empty when it is none.

    Parameters
    ----------
    head : bytes
        The first 300 bytes or more.
    """
    found = (kind for offset, magic, kind in _MAGIC if head[offset : offset + len(magic)] == magic)
    return next(found, "")


def check_budget(unpacked: int, packed: int, limit_bytes: int) -> None:
    """Check that what an archive unpacks to is within the budget.

    Raises
    ------
    NoStudyError
        If it is too much, or too many times its size.
    """
    if unpacked > limit_bytes:
        msg = (
            f"an archive must unpack to at most {shown_bytes(limit_bytes)}, got more; if it is sound, unpack it "
            "or raise --memory-limit"
        )
        raise NoStudyError(msg)
    if unpacked > unpacked_limit(packed, limit_bytes):
        msg = (
            f"an archive must unpack to at most {MAX_RATIO} times its size, got more from {shown_bytes(packed)}; "
            "no study shrinks so much"
        )
        raise NoStudyError(msg)


@dataclass(frozen=True, slots=True)
class ZipMember:
    """Where one member of a zip lies, and what its directory says of it."""

    path: str
    """Where the zip lies."""
    offset: int
    """Of its local header, bytes."""
    packed_bytes: int
    n_bytes: int
    method: int
    checksum: int
    is_encrypted: bool

    def read(self) -> bytes:
        """Unpack it.

        Raises
        ------
        UnreadableInstanceError
            If it is encrypted, damaged or packed in a way that is not read; the message is the reason as a phrase.
        """
        if self.is_encrypted:
            msg = "encrypted member of a zip; unpack it with its password first"
            raise UnreadableInstanceError(msg)
        try:
            with open(self.path, "rb") as file:  # noqa: PTH123 (a Path is dear here)
                file.seek(self.offset)
                magic, n_name, n_extra = _LOCAL_HEADER.unpack(file.read(_LOCAL_HEADER.size))
                file.seek(n_name + n_extra, io.SEEK_CUR)
                # (a length that is not true must not be allocated)
                data = self._unpacked(file.read(min(self.packed_bytes, os.fstat(file.fileno()).st_size)))
        except (OSError, zlib.error, struct.error, EOFError, ValueError, OverflowError) as exc:
            msg = "damaged member of a zip: it cannot be unpacked"
            raise UnreadableInstanceError(msg) from exc
        if magic != b"PK\x03\x04" or len(data) != self.n_bytes or zlib.crc32(data) != self.checksum:
            msg = "damaged member of a zip: length or checksum are not those of its directory"
            raise UnreadableInstanceError(msg)
        return data

    def _unpacked(self, packed: bytes) -> bytes:
        if self.method == _STORED:
            return packed
        if self.method == _DEFLATED:
            return zlib.decompressobj(-15).decompress(packed, self.n_bytes + 1)
        if self.method == _BZIP2:
            return bz2.BZ2Decompressor().decompress(packed, self.n_bytes + 1)
        msg = f"member of a zip packed by method {self.method}, which is not read; pack it anew"
        raise UnreadableInstanceError(msg)


def zip_members(path: Path, limit_bytes: int) -> list[tuple[str, ZipMember]]:
    """Return the members of a zip with their names, in the order of its directory; equal names stay apart.

    Raises
    ------
    NoStudyError
        If the zip is damaged, or unpacks to more than the budget.
    """
    try:
        infos = [info for info in _infos(path) if not info.is_dir()]
    except Exception as exc:  # (a damaged directory raises anything in the library)
        kind = "" if isinstance(exc, zipfile.BadZipFile) else f" ({type(exc).__name__})"
        msg = f"zip must be whole, got {path}, whose directory cannot be read{kind}; copy it again"
        raise NoStudyError(msg) from exc
    check_budget(sum(info.file_size for info in infos), path.stat().st_size, limit_bytes)
    return [
        (
            info.filename,
            ZipMember(
                path=str(path),
                offset=info.header_offset,
                packed_bytes=info.compress_size,
                n_bytes=info.file_size,
                method=info.compress_type,
                checksum=info.CRC,
                is_encrypted=bool(info.flag_bits & 1),
            ),
        )
        for info in infos
    ]


def _infos(path: Path) -> list[zipfile.ZipInfo]:
    try:
        with zipfile.ZipFile(path) as archive:
            return archive.infolist()
    except UnicodeDecodeError:
        # a name that is said to be UTF-8 and is not; as code page 437, any bytes are a name
        with _PlainNames(path) as file, zipfile.ZipFile(file) as archive:
            return archive.infolist()


class _PlainNames(io.FileIO):
    """A zip of which no name is said to be UTF-8."""

    def read(self, size: int | None = -1, /) -> bytes:
        data = bytearray(super().read(-1 if size is None else size) or b"")
        pos = data.find(b"PK\x01\x02")
        while pos >= 0 and pos + 46 <= len(data):
            data[pos + 9] &= 0xF7  # bit 11 of the flags (APPNOTE 4.4.4)
            pos = data.find(b"PK\x01\x02", pos + 46)
        return bytes(data)


def tar_members(path: Path, kind: str, limit_bytes: int) -> Iterator[tuple[str, bytes | None]]:
    """Yield the members of a tar with their names and bytes; None for what is no regular file.

    Parameters
    ----------
    path : Path
    kind : str
        How it is packed: gzip, bzip2, xz, or tar for not at all.
    limit_bytes : int

    Raises
    ------
    NoStudyError
        If it is no tar, is damaged, or unpacks to more than the budget.
    """
    try:
        yield from _members_of_tar(path, kind, limit_bytes)
    except NoStudyError:
        raise
    except Exception as exc:  # (damaged archives raise anything in the library)
        packed = "" if kind == "tar" else f" packed by {kind}"
        msg = f"study must be a whole tar archive{packed}, got {path} ({type(exc).__name__}); unpack it first"
        raise NoStudyError(msg) from exc


def _members_of_tar(path: Path, kind: str, limit_bytes: int) -> Iterator[tuple[str, bytes | None]]:
    n_packed, n = path.stat().st_size, 0
    with (
        _OPENERS[kind](path, "rb") as stream,
        _Budgeted(stream, n_packed, limit_bytes) as budgeted,
        tarfile.open(fileobj=budgeted, mode="r|") as archive,
    ):
        for member in archive:
            if member.isdir():
                continue
            n += member.size  # (of a sparse member, with its holes)
            check_budget(n, n_packed, limit_bytes)
            file = archive.extractfile(member) if member.isreg() else None
            data = None if file is None else file.read()
            if data is not None and len(data) < member.size:
                raise _cut()
            yield member.name, data
        if any(budgeted.last):
            raise _cut()


def _cut() -> tarfile.ReadError:
    return tarfile.ReadError("cut short")


class _Budgeted(io.RawIOBase):
    """A stream that counts what is read from it, and ends with an error beyond the budget."""

    last = b"not read"
    """The last bytes read; at the end of a whole tar they are zero."""

    def __init__(self, stream: IO[Any], n_packed: int, limit_bytes: int) -> None:
        super().__init__()
        self._stream, self._packed, self._limit = stream, n_packed, limit_bytes
        self._n = 0

    def read(self, size: int = -1, /) -> bytes:
        data: bytes = self._stream.read(size)
        self._n += len(data)
        check_budget(self._n, self._packed, self._limit)
        self.last = data[-tarfile.BLOCKSIZE :] or self.last
        return data
