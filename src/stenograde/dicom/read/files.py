"""Finds the files of a study in a folder, a zip or a list, and gives their bytes; knows no DICOM."""

from __future__ import annotations

import os
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from stenograde.errors import NoStudyError, UnreadableInstanceError

_MAX_MEMBER_BYTES = 1 << 31
"""Largest member of a zip that is unpacked, bytes; a larger one is not a slice."""


@dataclass(frozen=True, slots=True)
class StudyFile:
    """One file of a study, on disk or in a zip."""

    path: str
    """Where it lies on disk; for a member of a zip, where the zip lies."""
    name: str
    """Path relative to the study, for people."""
    member: str | None = None
    """Name within the zip."""
    data: bytes | None = field(default=None, repr=False)
    """The bytes, when they are at hand already."""

    @property
    def folder(self) -> str:
        """Name of the folder that holds it; for a member at the top of a zip, the zip's name."""
        if self.member is None:
            return os.path.basename(os.path.dirname(self.path))  # noqa: PTH119, PTH120 (a Path is dear here)
        return self.member.rpartition("/")[0].rpartition("/")[2] or Path(self.path).stem

    def head(self, n_bytes: int) -> tuple[bytes, int]:
        """Return the first bytes, and the length of the whole file.

        Raises
        ------
        UnreadableInstanceError
            If the file cannot be read or unpacked.
        """
        if self.member is not None or self.data is not None:
            data = self.whole()
            return data, len(data)
        try:
            with open(self.path, "rb", buffering=0) as stream:  # noqa: PTH123 (a Path costs more than the read)
                return stream.read(n_bytes), os.fstat(stream.fileno()).st_size
        except OSError as exc:
            msg = f"{self.name} cannot be read ({exc.strerror})"
            raise UnreadableInstanceError(msg) from exc

    def part(self, offset: int, length: int) -> bytes:
        """Return ``length`` bytes from ``offset``; fewer where the file ends.

        Raises
        ------
        UnreadableInstanceError
            If the file cannot be read or unpacked.
        """
        if self.member is not None or self.data is not None:
            return self.whole()[offset : offset + length]
        try:
            with open(self.path, "rb", buffering=0) as stream:  # noqa: PTH123
                stream.seek(offset)
                return stream.read(length)
        except OSError as exc:
            msg = f"{self.name} cannot be read ({exc.strerror})"
            raise UnreadableInstanceError(msg) from exc

    def whole(self) -> bytes:
        """Return all bytes.

        Raises
        ------
        UnreadableInstanceError
            If the file cannot be read or unpacked.
        """
        if self.data is not None:
            return self.data
        if self.member is None:
            return self.head(-1)[0]
        try:
            with zipfile.ZipFile(self.path) as archive:
                if archive.getinfo(self.member).file_size > _MAX_MEMBER_BYTES:
                    msg = f"{self.name} must unpack to at most {_MAX_MEMBER_BYTES} bytes"
                    raise UnreadableInstanceError(msg)
                return archive.read(self.member)
        except (OSError, zipfile.BadZipFile, zlib.error, RuntimeError, NotImplementedError, KeyError) as exc:
            # RuntimeError: encrypted; NotImplementedError: compression this Python lacks
            msg = f"{self.name} cannot be unpacked from the zip ({exc})"
            raise UnreadableInstanceError(msg) from exc


def files_in(path: str | Path | Sequence[str | Path]) -> tuple[StudyFile, ...]:
    """Find the files under a folder, in a zip, or given as a list; a single file is found as itself.

    Returns
    -------
    files : tuple of StudyFile
        Sorted by name; a name is relative to the folder or zip.

    Raises
    ------
    NoStudyError
        If nothing is there.
    """
    if not isinstance(path, str | Path):
        return _listed([Path(one) for one in path])
    root = Path(path)
    if not root.exists():
        msg = f"study must be a folder, a zip, a DICOMDIR or DICOM files, got {root}, which does not exist"
        raise NoStudyError(msg)
    if root.is_dir():
        files = tuple(sorted(_walk(os.fspath(root), ""), key=_in_order))
    elif zipfile.is_zipfile(root):
        files = _zipped(root)
    else:
        files = (StudyFile(os.fspath(root), root.name),)
    if not files:
        msg = f"study must hold DICOM files, got {root}, which is empty"
        raise NoStudyError(msg)
    return files


def _listed(paths: Sequence[Path]) -> tuple[StudyFile, ...]:
    if not paths:
        msg = "study must be a folder, a zip, a DICOMDIR or DICOM files, got an empty list"
        raise NoStudyError(msg)
    missing = next((path for path in paths if not path.exists()), None)
    if missing is not None:
        msg = f"study must be a list of files that exist, got {missing}"
        raise NoStudyError(msg)
    parents = {path.absolute().parent for path in paths}
    root = Path(os.path.commonpath(parents))
    files: dict[str, StudyFile] = {}
    for path in paths:
        if path.is_dir() or zipfile.is_zipfile(path):
            files.update((f"{file.path}/{file.member}", file) for file in files_in(path))
        else:
            absolute = path.absolute()
            file = StudyFile(os.fspath(absolute), absolute.relative_to(root).as_posix())
            files[file.path] = file
    return tuple(sorted(files.values(), key=_in_order))


def _walk(folder: str, prefix: str, above: frozenset[str] = frozenset()) -> Iterator[StudyFile]:
    """Walk a folder, links included; one that cannot be opened is met as a file that cannot be read."""
    real = os.path.realpath(folder)
    if real in above:
        return
    try:
        entries = list(os.scandir(folder))
    except OSError:
        yield StudyFile(folder, prefix or ".")
        return
    for entry in entries:
        if entry.is_dir():
            yield from _walk(entry.path, f"{prefix}{entry.name}/", above | {real})
        elif entry.is_file():
            yield StudyFile(entry.path, prefix + entry.name)


def _zipped(root: Path) -> tuple[StudyFile, ...]:
    try:
        with zipfile.ZipFile(root) as archive:
            members = [info.filename for info in archive.infolist() if not info.is_dir()]
    except (zipfile.BadZipFile, OSError, NotImplementedError) as exc:
        msg = f"zip must be whole, got {root} ({exc})"
        raise NoStudyError(msg) from exc
    return tuple(StudyFile(os.fspath(root), member, member) for member in sorted(set(members)))


def _in_order(file: StudyFile) -> list[str]:
    """Sort folder by folder, so that ``t2`` comes before ``t2 copy``."""
    return file.name.split("/")
