"""The Lumbar Spine MRI set of Sudirman et al. (doi:10.17632/k57fr854j2.2) and data derived from it.

Three layouts are read:

Pictures with labels
    ``labels.csv`` (image, patient, disc, canal_stenosis_report, bulge, note) and ``images/``. A student
    coded the labels from the radiologist's notes; they are noisy. ``-`` and an empty cell mean no label.
Pictures alone
    A folder of ``T1_0001_D4.png`` (weighting, patient, disc), as in the set's ground-truth archive.
DICOM tree
    ``01_MRI_Data/0001/<study>/T1_TSE_TRA_0005/*.ima``, as published: patient, study, series. Nothing in it says
    which slice shows which disc, so its axial slices have neither label nor level.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path

from stenograde.datasets.picture_files import DICOM_SUFFIXES, DicomPicture, PictureFile, pictures_in
from stenograde.datasets.samples import Sample, SampleSet
from stenograde.datasets.tables import read_rows
from stenograde.errors import DatasetError
from stenograde.terms import Level, Weighting

CLASSES = ("no", "mild", "serious")
"""Severities of canal stenosis as coded in the set, ascending."""

LICENCE = "CC BY 4.0 (Sudirman et al., doi:10.17632/k57fr854j2.2; by the README of a derived set)"

LEVEL_OF_DISC = {"D3": Level.L3_L4, "D4": Level.L4_L5, "D5": Level.L5_S1}
"""Level by the number of the disc in a file name."""

_NAME = re.compile(r"(T1|T2)_(\d+)_(D[345])$")
_SERIES = re.compile(r"(T1|T2)_.*TRA", re.IGNORECASE)
_UNLABELLED = ("", "-")


def read_sudirman(folder: Path) -> SampleSet:
    """Read axial slices with the severity of canal stenosis as label, if known.

    Parameters
    ----------
    folder : Path
        Folder with ``labels.csv`` and ``images``, with pictures named like ``T1_0001_D4.png``, or with the DICOM tree.

    Raises
    ------
    DatasetError
        If none of the three layouts is found, a listed picture is missing, or a label is unknown.
    """
    if (folder / "labels.csv").is_file():
        return _labelled(folder)
    pictures = pictures_in(folder) or pictures_in(folder / "images")
    named = [path for path in pictures if _NAME.match(path.stem)]
    if named:
        samples = tuple(_sample(path, {}) for path in named)
        return SampleSet(
            "sudirman", CLASSES, samples, LICENCE, ("no labels.csv: all pictures are unlabelled",)
        )
    samples = tuple(_in_tree(folder / "01_MRI_Data" if (folder / "01_MRI_Data").is_dir() else folder))
    if not samples:
        msg = (
            f"Sudirman set must hold labels.csv, pictures named like T1_0001_D4.png, or the DICOM tree "
            f"01_MRI_Data/<patient>/<study>/<series>, got none of them in {folder}"
        )
        raise DatasetError(msg)
    return SampleSet("sudirman", CLASSES, samples, LICENCE, ("the DICOM tree has neither labels nor levels",))


def _labelled(folder: Path) -> SampleSet:
    rows = read_rows(folder / "labels.csv", ("image", "patient", "disc", "canal_stenosis_report"))
    samples = tuple(_sample(folder / "images" / row["image"], row) for row in rows)
    missing = [sample.name for sample in samples if not (folder / "images" / sample.facts["image"]).is_file()]
    if missing:
        msg = (
            f"pictures listed in labels.csv must lie in {folder / 'images'}, got {len(missing)} that do not "
            f"(first: {missing[0]})"
        )
        raise DatasetError(msg)
    without = Counter(sample.label for sample in samples)[None]
    notes = (f"{without} of {len(samples)} pictures have no label",) if without else ()
    return SampleSet("sudirman", CLASSES, samples, LICENCE, notes)


def _sample(path: Path, row: Mapping[str, str]) -> Sample:
    match = _NAME.match(path.stem)
    disc = row.get("disc", "")
    level = LEVEL_OF_DISC[match.group(3)] if match else None
    if disc:
        try:
            level = Level.parse(disc.replace("-", "/"))
        except ValueError as exc:
            msg = f"disc of {path.name} must be a level such as L4-L5, got {disc!r}"
            raise DatasetError(msg) from exc
    label = row.get("canal_stenosis_report", "").lower()
    return Sample(
        name=path.stem,
        picture=PictureFile(path),
        patient=row.get("patient") or (str(int(match.group(2))) if match else None),
        label=None if label in _UNLABELLED else label,
        level=level,
        weighting=Weighting(match.group(1)) if match else None,
        facts={key: row[key] for key in ("image", "bulge", "note") if row.get(key)},
    )


def _in_tree(root: Path) -> Iterator[Sample]:
    for series in sorted(path for path in root.glob("*/*/*") if path.is_dir()):
        match = _SERIES.match(series.name)
        if not match:
            continue
        for path in sorted(one for one in series.iterdir() if one.suffix.lower() in DICOM_SUFFIXES):
            patient, study, name = series.parts[-3:]
            yield Sample(
                name=f"{patient}/{study}/{name}/{path.stem}",
                picture=DicomPicture(path),
                patient=str(int(patient)) if patient.isdigit() else patient,
                label=None,
                weighting=Weighting(match.group(1).upper()),
                facts={"study": study, "series": name, "instance": path.stem},
            )
