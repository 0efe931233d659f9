"""Opens the files of a study: by the quick walk where it can follow, through pydicom where it cannot.

pydicom is imported only where it is needed: that alone costs a quarter of a second.
"""

from __future__ import annotations

import os
import zipfile
from collections.abc import Sequence
from pathlib import Path

from stenograde.dicom.read.elements import MalformedError
from stenograde.dicom.read.files import StudyFile, files_in, numbered
from stenograde.dicom.read.frames import Frame, single_frame
from stenograde.dicom.read.instances import Instance, walk_instance
from stenograde.files import MEMORY_LIMIT_BYTES


def find_files(
    path: str | Path | Sequence[str | Path], *, limit_bytes: int = MEMORY_LIMIT_BYTES
) -> tuple[StudyFile, ...]:
    """Find the files under a folder, in an archive, listed by a DICOMDIR, or given as a list.

    A folder that holds a DICOMDIR is walked like any other: the folder is what is there, the DICOMDIR only
    what should be. A DICOMDIR leads to files in its own folder only.

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
        If nothing is there.
    """
    if not isinstance(path, str | Path) or not _is_dicomdir(Path(path)):
        return files_in(path, limit_bytes=limit_bytes)
    from stenograde.dicom.read.tolerant import files_of_dicomdir  # noqa: PLC0415

    listed, root = files_of_dicomdir(Path(path)), Path(path).parent
    # file IDs are upper case; file systems that copied the medium often made them lower case
    there = {file.relative.upper(): file for file in files_in(root, limit_bytes=limit_bytes)}
    return numbered(there.get(name.upper()) or _not_there(root, name) for name in listed)


def _not_there(root: Path, name: str) -> StudyFile:
    """Return a file that a DICOMDIR lists and that is not in its folder; it is not looked for elsewhere."""
    is_outside = name.startswith("/") or ".." in name.split("/")
    why = (
        "lies outside the folder of the DICOMDIR that lists it"
        if is_outside
        else "listed by the DICOMDIR, but not there"
    )
    return StudyFile(os.fspath(root), name, name, refusal=why)


def read_instance(file: StudyFile) -> Instance:
    """Read the header of one file.

    Raises
    ------
    UnreadableInstanceError
        If it is not DICOM, is truncated, or cannot be parsed; the message is the reason as a phrase.
    """
    try:
        return walk_instance(file)
    except MalformedError as exc:
        from stenograde.dicom.read.tolerant import read_tolerantly  # noqa: PLC0415

        return read_tolerantly(file, str(exc))


def frames_of(instance: Instance) -> tuple[Frame, ...]:
    """Return the slices that an instance holds.

    Raises
    ------
    UnreadableInstanceError
        If the header lacks the geometry; the message is the reason as a phrase.
    """
    if instance.has_functional_groups:
        from stenograde.dicom.read.multiframe import frames_of_groups  # noqa: PLC0415

        frames = frames_of_groups(instance)
        if frames:
            return frames
    return (single_frame(instance),)


def _is_dicomdir(path: Path) -> bool:
    return path.name.upper() == "DICOMDIR" and os.path.isfile(path) and not zipfile.is_zipfile(path)  # noqa: PTH113 (a Path may raise)
