"""Finds the files of a study in a folder, an archive or a list, and gives their bytes; knows no DICOM.

To people, a file is named by its number in the order of names, such as ``file 12 of 96``: names of files and
folders can be names of patients. ``stenograde inspect --names`` shows which name belongs to which number.
"""

from __future__ import annotations

import os
import zipfile
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from stenograde.dicom.read.archives import ZipMember, kind_of_archive, tar_members, zip_members
from stenograde.errors import NoStudyError, UnreadableInstanceError
from stenograde.files import MEMORY_LIMIT_BYTES, kind_of_file, shown_bytes

MAX_FILES: Final = 500_000
"""Most files that are looked at; a folder that holds more is no study, and a link may lead to a whole disk."""

_KINDS: Final = "a folder, a zip, a tar, a DICOMDIR or DICOM files"
_SYSTEM: Final = ("/proc", "/sys")
"""File systems that are no disk: their files have no end, or wait for somebody."""


@dataclass(frozen=True, slots=True)
class StudyFile:
    """One file of a study, on disk or in an archive."""

    path: str
    """Where it lies on disk; for a member of an archive, where the archive lies."""
    name: str
    """What it is called before people."""
    relative: str = ""
    """Path relative to the study; it may name a patient and is shown to nobody who did not ask for it."""
    member: str | None = None
    """Name within the archive."""
    packed: ZipMember | None = field(default=None, repr=False)
    """Where it lies in a zip."""
    data: bytes | None = field(default=None, repr=False)
    """The bytes, when they are at hand already."""
    refusal: str = ""
    """Why it is not opened, as a phrase; empty for a file that can be."""
    limit_bytes: int = MEMORY_LIMIT_BYTES
    """Most bytes that are read or unpacked at once."""

    @property
    def folder(self) -> str:
        """Name of the folder that holds it; for a member at the top of an archive, the archive's name."""
        if self.member is None:
            return os.path.basename(os.path.dirname(self.path))  # noqa: PTH119, PTH120 (a Path is dear here)
        return self.member.rpartition("/")[0].rpartition("/")[2] or Path(self.path).stem

    def head(self, n_bytes: int) -> tuple[bytes, int]:
        """Return the first bytes, and the length of the whole file; all bytes of what was packed.

        Raises
        ------
        UnreadableInstanceError
            If the file cannot be read or unpacked; the message is the reason as a phrase.
        """
        if self.packed is not None or self.data is not None:
            data = self.whole()
            return data, len(data)
        return self._read(0, n_bytes)

    def part(self, offset: int, length: int) -> bytes:
        """Return ``length`` bytes from ``offset``; fewer where the file ends.

        Raises
        ------
        UnreadableInstanceError
            If the file cannot be read or unpacked; the message is the reason as a phrase.
        """
        if self.packed is not None or self.data is not None:
            return self.whole()[offset : offset + length]
        return self._read(offset, length)[0]

    def whole(self) -> bytes:
        """Return all bytes.

        Raises
        ------
        UnreadableInstanceError
            If the file cannot be read or unpacked, or is longer than the limit; the message is the reason as a phrase.
        """
        if self.data is not None:
            return self.data
        if self.packed is not None:
            return self.packed.read()
        data, size = self._read(0, self.limit_bytes)
        if size > self.limit_bytes:
            msg = (
                f"holds {shown_bytes(size)}, where at most {shown_bytes(self.limit_bytes)} are read at once; raise "
                "--memory-limit if it is sound"
            )
            raise UnreadableInstanceError(msg)
        return data

    def at_hand(self) -> StudyFile:
        """Return the file with its bytes unpacked; itself where it lies on disk."""
        return self if self.packed is None else replace(self, data=self.whole(), packed=None)

    def _read(self, offset: int, length: int) -> tuple[bytes, int]:
        if self.refusal:
            raise UnreadableInstanceError(self.refusal)
        try:
            with open(self.path, "rb", buffering=0, opener=_without_waiting) as stream:
                if offset:
                    stream.seek(offset)
                return stream.read(length) or b"", os.fstat(stream.fileno()).st_size
        except (OSError, ValueError) as exc:
            msg = f"{self.name} cannot be read ({getattr(exc, 'strerror', None) or type(exc).__name__})"
            raise UnreadableInstanceError(msg) from exc


def _without_waiting(path: str, flags: int) -> int:
    """Open a file; a named pipe is not waited for."""
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


def files_in(
    path: str | Path | Sequence[str | Path], *, limit_bytes: int = MEMORY_LIMIT_BYTES
) -> tuple[StudyFile, ...]:
    """Find the files under a folder, in an archive, or given as a list; a single file is found as itself.

    What is there and is no file that can be read (a pipe, a device, a broken link, a folder that cannot be opened) is
    found, too, with the reason why it is refused.

    Parameters
    ----------
    path : path or sequence of paths
    limit_bytes : int
        Most bytes that an archive may unpack to, and that are read of one file at once.

    Returns
    -------
    files : tuple of StudyFile
        Sorted by path relative to the folder or archive, and numbered in that order.

    Raises
    ------
    NoStudyError
        If nothing is there, it is no place of files, or an archive is damaged or too large.
    """
    if path == "":
        msg = f"study must be {_KINDS}, got an empty path"
        raise NoStudyError(msg)
    if isinstance(path, str | Path):
        found = _at(Path(path), limit_bytes)
        if not found:
            msg = f"study must hold DICOM files, got {path}, which is empty"
            raise NoStudyError(msg)
    else:
        found = _listed([Path(one) for one in path], limit_bytes)
    return numbered(found)


def numbered(files: Iterable[StudyFile]) -> tuple[StudyFile, ...]:
    """Sort files folder by folder, so that ``t2`` comes before ``t2 copy``, and number them."""
    ordered = sorted(files, key=lambda file: file.relative.split("/"))
    return tuple(
        replace(file, name=f"file {number} of {len(ordered)}") for number, file in enumerate(ordered, start=1)
    )


def _at(root: Path, limit_bytes: int) -> list[StudyFile]:
    """Return what lies at one path."""
    try:
        facts = root.stat()
    except (OSError, ValueError) as exc:
        why = "does not exist" if isinstance(exc, FileNotFoundError) else "cannot be opened"
        msg = f"study must be {_KINDS}, got {root}, which {why}"
        raise NoStudyError(msg) from exc
    kind = "a part of the system" if facts.st_dev in _system_devices() else kind_of_file(facts.st_mode)
    if kind == "a folder":
        return _walk(os.fspath(root), limit_bytes)
    if kind:
        msg = f"study must be {_KINDS}, got {root}, which is {kind}"
        raise NoStudyError(msg)
    alone = StudyFile(os.fspath(root), root.name, root.name, limit_bytes=limit_bytes)
    try:
        head, _ = alone.head(512)
    except UnreadableInstanceError:
        return [alone]  # it is listed with the reason when it is read
    if head[128:132] != b"DICM":
        return _unpacked(root, kind_of_archive(head), limit_bytes) or [alone]
    return [alone]


def _unpacked(root: Path, kind: str, limit_bytes: int) -> list[StudyFile]:
    """Return the members of an archive; none where the file is no archive.

    Raises
    ------
    NoStudyError
        If it is empty, damaged, too large, or of a kind that is not read.
    """
    if kind == "zip" or zipfile.is_zipfile(root):
        found = [
            StudyFile(str(root), name, name, name, packed=packed)
            for name, packed in zip_members(root, limit_bytes)
        ]
    elif kind in {"7z", "rar", "zstd"}:
        msg = f"study must be {_KINDS}, got {root}, which is a {kind} archive; unpack it first"
        raise NoStudyError(msg)
    elif kind:
        found = [
            StudyFile(str(root), name, name, name, data=data, refusal="" if data is not None else _LINK)
            for name, data in tar_members(root, kind, limit_bytes)
        ]
    else:
        return []
    if not found:
        msg = f"study must hold DICOM files, got {root}, which is empty"
        raise NoStudyError(msg)
    return found


_LINK = "no regular file in its archive (a link or a device), which is not followed"


def _listed(paths: Sequence[Path], limit_bytes: int) -> list[StudyFile]:
    if not paths:
        msg = f"study must be {_KINDS}, got an empty list"
        raise NoStudyError(msg)
    missing = next((path for path in paths if not os.path.exists(path)), None)  # noqa: PTH110 (a Path may raise)
    if missing is not None:
        msg = f"study must be a list of files that exist, got {missing}"
        raise NoStudyError(msg)
    root = os.path.commonpath({path.absolute().parent for path in paths})
    files: dict[tuple[str, str | None], StudyFile] = {}
    for path in paths:
        absolute = path.absolute()
        above = os.path.relpath(absolute if path.is_dir() else absolute.parent, root)
        for file in _at(absolute, limit_bytes):
            within = file.relative if above == "." else f"{above}/{file.relative}"
            files.setdefault((file.path, file.member), replace(file, relative=within))
    return list(files.values())


def _walk(root: str, limit_bytes: int) -> list[StudyFile]:
    """Walk a folder, links included, each real folder once: first what lies in it, then what links lead to."""
    found: list[StudyFile] = []
    seen: set[tuple[int, int]] = set()
    system = _system_devices()
    folders, links = [(root, "")], deque[tuple[str, str]]()
    while folders or links:
        folder, prefix = folders.pop() if folders else links.popleft()
        try:
            facts = os.stat(folder)  # noqa: PTH116 (as above)
            place = facts.st_dev, facts.st_ino
            why = "part of the system, which is not read" if facts.st_dev in system else ""
            why = "link to a folder that is read already" if place in seen else why
            entries = [] if why else sorted(os.scandir(folder), key=lambda entry: entry.name)
            seen.add(place)
        except OSError as exc:
            entries, why = [], f"folder that cannot be opened ({exc.strerror})"
        if why:
            found.append(StudyFile(folder, prefix, prefix.rstrip("/") or ".", refusal=why))
        for entry in entries:
            relative = prefix + entry.name
            kind = _kind(entry, system)
            if kind == "a folder":
                (links if entry.is_symlink() else folders).append((entry.path, f"{relative}/"))
            else:
                why = kind and f"{kind}, which is not read"
                found.append(StudyFile(entry.path, relative, relative, refusal=why, limit_bytes=limit_bytes))
        if len(found) > MAX_FILES:
            msg = f"study must hold at most {MAX_FILES} files, got more in {root}; name a folder of one study"
            raise NoStudyError(msg)
    return found


def _kind(entry: os.DirEntry[str], system: frozenset[int]) -> str:
    """Return what is met in a folder: empty for a file, or a link to one."""
    if entry.is_file(follow_symlinks=False):
        return ""  # most are, and this asks the disk for nothing
    if entry.is_dir(follow_symlinks=False):
        return "a folder"
    try:
        facts = entry.stat()
    except OSError:
        return "a link that leads nowhere"
    return "a link to a part of the system" if facts.st_dev in system else kind_of_file(facts.st_mode)


def _system_devices() -> frozenset[int]:
    return frozenset(os.stat(path).st_dev for path in _SYSTEM if os.path.isdir(path))  # noqa: PTH112, PTH116
