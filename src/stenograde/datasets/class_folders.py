"""Pictures of any data set in one folder per class: the name of the folder is the label."""

from __future__ import annotations

import re
from collections.abc import Collection
from pathlib import Path

from stenograde.datasets.picture_files import PictureFile, pictures_in
from stenograde.datasets.samples import Sample, SampleSet
from stenograde.errors import DatasetError
from stenograde.terms import Severity

KNOWN_ORDERS = (tuple(severity.value for severity in Severity), ("no", "mild", "serious"), ("lateral", "mid"))
"""Classes whose order is known, severities in ascending order. All others are in alphabetical order."""


def ordered_classes(labels: Collection[str]) -> tuple[str, ...]:
    """Return classes in the order of their codes.

    Examples
    --------
    >>> ordered_classes({"severe", "moderate", "normal_mild"})
    ('normal_mild', 'moderate', 'severe')
    >>> ordered_classes({"b", "a"})
    ('a', 'b')
    """
    wanted = set(labels)
    return next((order for order in KNOWN_ORDERS if wanted <= set(order)), tuple(sorted(wanted)))


def as_class(text: str) -> str:
    """Return a label in the spelling of classes: ``Normal/Mild`` and ``Normal_Mild`` become ``normal_mild``."""
    return re.sub(r"[\s/]+", "_", text.strip().lower())


def read_class_folders(folder: Path, *, patient_pattern: str | None) -> SampleSet:
    r"""Read pictures from one folder per class.

    Parameters
    ----------
    folder : Path
        Folder with one folder of pictures (PNG, WebP or JPEG) per class.
    patient_pattern : str or None
        Regular expression to search in each file name; its first group is the patient, such as ``^(\d+)_``. None
        means that the patients are unknown, so the set cannot be split by patient.

    Raises
    ------
    DatasetError
        If there are fewer than two classes with pictures, the pattern is not a regular expression with one
        group, or a file name does not match it.
    """
    pattern = None if patient_pattern is None else _compiled(patient_pattern)
    folders = sorted(path for path in folder.iterdir() if path.is_dir()) if folder.is_dir() else []
    found = {path: pictures for path in folders if (pictures := pictures_in(path))}
    labels = {as_class(path.name) for path in found}
    if len(labels) < 2:
        msg = f"{folder} must hold a folder of pictures for each of two classes or more, got {len(labels)}"
        raise DatasetError(msg)
    samples = tuple(
        Sample(
            name=f"{path.name}/{picture.name}",
            picture=PictureFile(picture),
            patient=None if pattern is None else _patient(pattern, picture),
            label=as_class(path.name),
        )
        for path, pictures in found.items()
        for picture in pictures
    )
    notes = () if pattern is not None else ("patients are unknown: this set cannot be split by patient",)
    return SampleSet(folder.name, ordered_classes(labels), samples, notes=notes)


def _compiled(pattern: str) -> re.Pattern[str]:
    try:
        compiled = re.compile(pattern)
    except re.error as exc:
        msg = f"patient pattern must be a regular expression, got {pattern!r} ({exc})"
        raise DatasetError(msg) from exc
    if compiled.groups < 1:
        msg = rf"patient pattern must have a group for the patient, such as ^(\d+)_, got {pattern!r}"
        raise DatasetError(msg)
    return compiled


def _patient(pattern: re.Pattern[str], picture: Path) -> str:
    match = pattern.search(picture.name)
    if match is None or not match.group(1):
        msg = (
            f"file names must match the patient pattern {pattern.pattern!r}, got {picture.name}; "
            "give a pattern that fits all files"
        )
        raise DatasetError(msg)
    return match.group(1)
