"""Mid-sagittal slices of SPIDER with the radiologist's gradings of their discs (doi:10.1038/s41597-024-03090-w).

A slice shows all discs, and nothing says where each of them lies: each disc is a separate sample with the whole slice
as its picture, and samples differ in their level.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from stenograde.datasets.picture_files import PictureFile, pictures_in
from stenograde.datasets.samples import Sample, SampleSet
from stenograde.datasets.tables import read_rows
from stenograde.errors import DatasetError
from stenograde.terms import Level, Weighting

LICENCE = "CC BY 4.0 (SPIDER, van der Graaf et al., doi:10.1038/s41597-024-03090-w)"

COLUMN_OF: Final[Mapping[str, str]] = {
    "pfirrmann": "Pfirrman grade",
    "narrowing": "Disc narrowing",
    "bulging": "Disc bulging",
    "herniation": "Disc herniation",
    "listhesis": "Spondylolisthesis",
    "modic": "Modic",
}
"""Column of ``radiological_gradings.csv`` by the name of the grading, with the set's spelling."""

CLASSES_OF: Final[Mapping[str, tuple[str, ...]]] = {
    "pfirrmann": ("1", "2", "3", "4", "5"),
    "narrowing": ("0", "1"),
    "bulging": ("0", "1"),
    "herniation": ("0", "1"),
    "listhesis": ("0", "1"),
    "modic": ("0", "1", "2", "3"),
}
"""Values of each grading, ascending; 0 is none (section "radiological gradings" of the set's description)."""

LEVEL_OF_LABEL: Final[Mapping[str, Level]] = {
    "1": Level.L5_S1,
    "2": Level.L4_L5,
    "3": Level.L3_L4,
    "4": Level.L2_L3,
    "5": Level.L1_L2,
}
"""Level by IVD label: counted upwards from the lowest disc."""


def read_spider_gradings(data: Path, grading: str) -> SampleSet:
    """Read the discs of the mid-sagittal slices with one of their gradings as label.

    Parameters
    ----------
    data : Path
        Holds ``spider_midsagittal``, or is that folder.
    grading : str
        One of :data:`COLUMN_OF`.

    Raises
    ------
    ValueError
        If the grading is unknown.
    DatasetError
        If the folder, a table or the pictures are missing, or a value is none of the grading's.
    """
    if grading not in COLUMN_OF:
        msg = f"grading must be one of {', '.join(COLUMN_OF)}, got {grading!r}"
        raise ValueError(msg)
    folder = data / "spider_midsagittal" if (data / "spider_midsagittal").is_dir() else data
    column = COLUMN_OF[grading]
    graded: dict[str, dict[Level, str]] = {}
    n_other = 0
    for row in read_rows(folder / "radiological_gradings.csv", ("Patient", "IVD label", column)):
        level = LEVEL_OF_LABEL.get(row["IVD label"])
        if level is None:
            n_other += 1
        elif row[column]:
            graded.setdefault(row["Patient"], {})[level] = row[column]
    pictures = [path for path in pictures_in(folder / "images") if "_" in path.stem]
    samples = tuple(
        _sample(path, level, value)
        for path in pictures
        for level, value in graded.get(path.stem.split("_")[0], {}).items()
    )
    if not samples:
        msg = f"{folder} must hold images named like 12_t2.webp of graded patients, got none"
        raise DatasetError(msg)
    notes = (f"{n_other} gradings of discs above L1/L2 or without a level were left out",) if n_other else ()
    return SampleSet(f"spider {grading}", CLASSES_OF[grading], samples, LICENCE, notes)


def _sample(path: Path, level: Level, value: str) -> Sample:
    patient, _, weighting = path.stem.partition("_")
    return Sample(
        name=f"{path.stem}/{level.value}",
        picture=PictureFile(path),
        patient=patient,
        label=value,
        level=level,
        weighting={"t1": Weighting.T1, "t2": Weighting.T2}.get(weighting.lower()),
    )
