"""Opens the files of a study: by the quick walk where it can follow, through pydicom where it cannot.

pydicom is imported only where it is needed: that alone costs a quarter of a second.
"""

from __future__ import annotations

import os
import zipfile
from collections.abc import Sequence
from pathlib import Path

from stenograde.dicom.read.elements import MalformedError
from stenograde.dicom.read.files import StudyFile, files_in
from stenograde.dicom.read.frames import Frame, single_frame
from stenograde.dicom.read.instances import Instance, walk_instance


def find_files(path: str | Path | Sequence[str | Path]) -> tuple[StudyFile, ...]:
    """Find the files under a folder, in a zip, listed by a DICOMDIR, or given as a list.

    A folder that holds a DICOMDIR is walked like any other: the folder is what is there, the DICOMDIR only
    what should be.

    Returns
    -------
    files : tuple of StudyFile
        Sorted by name; a name is relative to the folder, zip or DICOMDIR.

    Raises
    ------
    NoStudyError
        If nothing is there.
    """
    if not isinstance(path, str | Path) or not _is_dicomdir(Path(path)):
        return files_in(path)
    from stenograde.dicom.read.tolerant import files_of_dicomdir  # noqa: PLC0415

    listed, root = files_of_dicomdir(Path(path)), Path(path).parent
    # file IDs are upper case; file systems that copied the medium often made them lower case
    there = {file.name.upper(): file for file in files_in(root)}
    return tuple(there.get(name.upper()) or StudyFile(os.fspath(root / name), name) for name in listed)


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
    return path.name.upper() == "DICOMDIR" and path.is_file() and not zipfile.is_zipfile(path)
