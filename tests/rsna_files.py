"""A small made-up data set in the layout of RSNA 2024: levels every 24 mm, axial slices every 4 mm."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from pydicom.dataset import Dataset
from tests.dicom_files import AXIAL, T2, write_series

from stenograde.terms import LUMBAR_MRI, Cell, Condition, Level

AXIAL_SERIES, SAGITTAL_SERIES = 11, 12

LEVEL_Z_MM = {level: -10.0 - 24.0 * place for place, level in enumerate(LUMBAR_MRI.levels)}
"""Height of each level; five clusters of 30 evenly spaced slices have the same means."""

SHOWN = {"n": "Normal/Mild", "m": "Moderate", "s": "Severe", "-": ""}


def write_rsna(
    root: Path,
    studies: Mapping[str, str],
    *,
    n_axial: int = 30,
    first_z_mm: float = 0.0,
    competition_words: bool = False,
) -> Path:
    """Write studies with the canal's severity at each level, such as ``{"100": "nnms-"}``.

    Slice n of the axial series lies at ``first_z_mm - 4 n`` mm; ``competition_words`` writes the coordinates in
    the words of the competition instead of stored names.
    """
    rows, points, series = [], [], []
    canal = LUMBAR_MRI.of(Condition.SPINAL_CANAL_STENOSIS)
    for number, (study, severities) in enumerate(studies.items(), start=1):
        _write_study(root / "train_images" / study, number, n_axial, first_z_mm)
        known = {cell: SHOWN[letter] for cell, letter in zip(canal, severities, strict=True)}
        rows.append(",".join([study, *(known.get(cell, "Normal/Mild") for cell in LUMBAR_MRI.cells)]))
        series += [f"{study},{AXIAL_SERIES},Axial T2", f"{study},{SAGITTAL_SERIES},Sagittal T2/STIR"]
        points += [_point(study, cell, competition_words) for cell in canal]
        points += [_mark(study, cell, first_z_mm) for cell in LUMBAR_MRI.of(Condition.SUBARTICULAR_STENOSIS)]
    for name, head, lines in (
        ("train.csv", ",".join(["study_id", *(cell.name for cell in LUMBAR_MRI.cells)]), rows),
        ("train_label_coordinates.csv", "study_id,series_id,instance_number,condition,level,x,y", points),
        ("train_series_descriptions.csv", "study_id,series_id,series_description", series),
    ):
        (root / name).write_text("\n".join([head, *lines]) + "\n")
    return root


def nearest_instance(level: Level, first_z_mm: float = 0.0) -> int:
    """InstanceNumber of the axial slice nearest to a level."""
    return round((first_z_mm - LEVEL_Z_MM[level]) / 4) + 1


def _write_study(folder: Path, number: int, n_axial: int, first_z_mm: float) -> None:
    def edit(ds: Dataset, _place: int) -> None:
        for keyword in ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"):
            head, _, tail = getattr(ds, keyword).partition(".498.")
            setattr(ds, keyword, f"{head}.498.{number}{tail}")
        if list(ds.ImageOrientationPatient) == list(AXIAL):
            x, y, z = ds.ImagePositionPatient
            ds.ImagePositionPatient = [x, y, round(z + first_z_mm, 6)]

    common = {"edit": edit, **T2}
    axial, sagittal = folder / str(AXIAL_SERIES), folder / str(SAGITTAL_SERIES)
    write_series(axial, series=AXIAL_SERIES, n=n_axial, orientation=AXIAL, gap_mm=-4.0, **common)
    write_series(sagittal, series=SAGITTAL_SERIES, n=5, shape=(240, 16), **common)


def _point(study: str, cell: Cell, competition_words: bool) -> str:
    """The canal on the middle sagittal slice; its rows are 0.5 mm apart and run downwards from z = 0."""
    row = -LEVEL_Z_MM[cell.level] / 0.5
    words = cell.condition.shown.title() if competition_words else cell.condition.value
    level = cell.level.shown if competition_words else cell.level.value
    return f"{study},{SAGITTAL_SERIES},3,{words},{level},8.0,{row}"


def _mark(study: str, cell: Cell, first_z_mm: float) -> str:
    instance = nearest_instance(cell.level, first_z_mm)
    return f"{study},{AXIAL_SERIES},{instance},{cell.side}_{cell.condition},{cell.level},8.0,10.0"
