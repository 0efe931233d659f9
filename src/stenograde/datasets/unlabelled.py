"""Pictures without labels, for self-supervised pre-training: all pictures below given folders."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from stenograde.datasets.picture_files import DicomPicture, PictureFile, is_picture
from stenograde.datasets.samples import Sample, SampleSet, StoredPicture
from stenograde.dicom.read.files import StudyFile
from stenograde.dicom.read.opening import read_instance
from stenograde.errors import DatasetError, UnreadableInstanceError

_DICOM_MARK = b"DICM"
"""Prefix at byte 128 of a DICOM file (PS3.10 section 7.1)."""


def read_unlabelled(folders: Sequence[Path], *, leave_out: str | None = None) -> SampleSet:
    """Read every picture below given folders: PNG, WebP, JPEG, and each frame of DICOM files.

    Masks are pictures, too: give a folder that holds images only.

    Parameters
    ----------
    folders : sequence of Path
    leave_out : str, optional
        Regular expression; pictures are left out if it matches anywhere in their path below the folder, such as those
        of test patients.

    Returns
    -------
    samples : SampleSet
        Samples without classes, labels and patients. Files that are not pictures are counted in the notes.

    Raises
    ------
    DatasetError
        If a folder is absent or named twice, nothing is found, or ``leave_out`` is not a regular
        expression.
    """
    try:
        pattern = None if leave_out is None else re.compile(leave_out)
    except re.error as exc:
        msg = f"what to leave out must be a regular expression, got {leave_out!r} ({exc})"
        raise DatasetError(msg) from exc
    samples: list[Sample] = []
    n_others, n_left_out = 0, 0
    for number, folder in enumerate(folders, start=1):
        if not folder.is_dir():
            msg = f"unlabelled pictures must lie in a folder, got {folder}, which is none"
            raise DatasetError(msg)
        for path in sorted(path for path in folder.rglob("*") if path.is_file()):
            name = path.relative_to(folder).as_posix()
            if pattern is not None and pattern.search(name):
                n_left_out += 1
                continue
            pictures = list(_pictures(path))
            n_others += not pictures
            samples += [
                Sample(f"{number}/{name}{ending}", picture, patient=None, label=None)
                for ending, picture in pictures
            ]
    if not samples:
        msg = f"folders must hold pictures, got none below {', '.join(map(str, folders))}"
        raise DatasetError(msg)
    notes = (f"{n_left_out} files left out as asked", f"{n_others} files that are no grey pictures")
    return SampleSet("unlabelled", (), tuple(samples), notes=notes)


def _pictures(path: Path) -> Iterator[tuple[str, StoredPicture]]:
    """Return the pictures of a file, each with a suffix for its name."""
    if is_picture(path):
        yield "", PictureFile(path)
        return
    with path.open("rb") as file:
        file.seek(128)
        if file.read(4) != _DICOM_MARK:
            return
    try:
        layout = read_instance(StudyFile(str(path), path.name)).layout
    except UnreadableInstanceError:
        return
    if layout is not None and layout.samples == 1:
        for frame in range(layout.n_frames):
            yield f"#{frame}" if frame else "", DicomPicture(path, frame)
