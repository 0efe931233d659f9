"""From the path a user names to samples: a literal table recognises the layout, which is reported."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from stenograde.datasets.class_folders import read_class_folders
from stenograde.datasets.manifest import read_manifest
from stenograde.datasets.picture_files import pictures_in
from stenograde.datasets.rsna2024 import read_rsna2024
from stenograde.datasets.sagittal_slices import read_sagittal_slices
from stenograde.datasets.samples import Sample, SampleSet
from stenograde.datasets.sudirman import read_sudirman
from stenograde.errors import ConfigError, DatasetError
from stenograde.experiments.pictures.recipe import LevelsBy, Task
from stenograde.levels.axial_levels import LevelOf, levels_by_clusters, levels_by_points
from stenograde.terms import Condition, Weighting


@dataclass(frozen=True)
class Asked:
    """What to read, and how."""

    path: Path
    patient_pattern: str | None = None
    """Regular expression whose first group is the patient in a file's name; for class folders."""
    levels_by: LevelsBy = "points"
    """How axial slices are assigned to levels, where the data do not do so."""


Reader = Callable[[Asked], SampleSet]


@dataclass(frozen=True)
class Layout:
    """One way in which data may lie on disk."""

    name: str
    told_by: str
    """What it is recognised by, in words."""
    fits: Callable[[Path], bool]
    readers: Mapping[Task, Reader]
    """Readers of the tasks that it can serve."""


def read_data(task: Task, asked: Asked) -> tuple[SampleSet, Layout]:
    """Read samples for a task from wherever a user's path leads.

    Returns
    -------
    samples : SampleSet
    layout : Layout
        The first of :data:`LAYOUTS` that fits and serves the task.

    Raises
    ------
    ConfigError
        If the path is not there, or a patient pattern is given to a layout that names its patients.
    DatasetError
        If nothing fits, what fits does not serve the task, or the data are not as their layout says.
    """
    if not asked.path.exists():
        msg = f"--data must be a folder or a CSV file that exists, got {asked.path}"
        raise ConfigError(msg)
    fitting = [layout for layout in LAYOUTS.values() if layout.fits(asked.path)]
    serving = [layout for layout in fitting if task in layout.readers]
    if not serving:
        known = "; ".join(
            f"{layout.name}: {layout.told_by}" for layout in LAYOUTS.values() if task in layout.readers
        )
        found = ", ".join(layout.name for layout in fitting) or "none of these layouts"
        msg = f"--data for this task must be one of these: {known}; got {found} at {asked.path}"
        raise DatasetError(msg)
    if asked.patient_pattern is not None and serving[0] is not LAYOUTS["class_folders"]:
        given = f"{serving[0].name}, which names its patients, got {asked.patient_pattern!r}"
        msg = f"a patient pattern must be left out for {given}"
        raise ConfigError(msg)
    return serving[0].readers[task](asked), serving[0]


def _rsna_canal(asked: Asked) -> SampleSet:
    return read_rsna2024(
        asked.path, condition=Condition.SPINAL_CANAL_STENOSIS, level_of=LEVELS_OF[asked.levels_by]
    )


def _sagittal(asked: Asked) -> SampleSet:
    """Both weightings as one set; what one of them lacks is noted."""
    sets, notes = [], []
    for weighting in (Weighting.T1, Weighting.T2):
        try:
            sets.append(read_sagittal_slices(asked.path, weighting=weighting))
        except DatasetError as exc:
            notes.append(f"no sagittal {weighting.value}: {exc}")
    if not sets:
        msg = f"{asked.path} must hold sagittal slices, got {'; '.join(notes)}"
        raise DatasetError(msg)
    samples: list[Sample] = []
    for one in sets:
        assert one.samples[0].weighting is not None
        prefix = one.samples[0].weighting.value
        samples += [replace(sample, name=f"{prefix}/{sample.name}") for sample in one.samples]
        notes += [note for note in one.notes if note not in notes]
    return SampleSet(
        f"{asked.path.name} sagittal", sets[0].classes, tuple(samples), sets[0].licence, tuple(notes)
    )


def _sudirman(asked: Asked) -> SampleSet:
    return read_sudirman(asked.path)


def _class_folders(asked: Asked) -> SampleSet:
    return read_class_folders(asked.path, patient_pattern=asked.patient_pattern)


def _manifest(asked: Asked) -> SampleSet:
    return read_manifest(asked.path)


def _holds(path: Path, *names: str) -> bool:
    return path.is_dir() and all((path / name).exists() for name in names)


def _is_csv(path: Path) -> bool:
    return path.is_file() and path.suffix.lower() == ".csv"


def _is_sudirman(path: Path) -> bool:
    if _holds(path, "01_MRI_Data"):
        return True
    labels = path / "labels.csv"
    if not labels.is_file():
        return False
    with labels.open(encoding="utf-8", errors="replace") as file:
        return "canal_stenosis_report" in file.readline()


def _is_slabs(path: Path) -> bool:
    folders = _folders(path)
    return bool(folders) and all(_has_slices(folder) for folder in folders)


def _has_slices(folder: Path) -> bool:
    pictures = pictures_in(folder)
    return bool(pictures) and all(picture.stem.startswith("slice_") for picture in pictures)


def _is_class_folders(path: Path) -> bool:
    folders = _folders(path)
    return len(folders) > 1 and sum(bool(pictures_in(folder)) for folder in folders) > 1


def _folders(path: Path) -> list[Path]:
    return sorted(entry for entry in path.iterdir() if entry.is_dir()) if path.is_dir() else []


LEVELS_OF: dict[LevelsBy, LevelOf] = {"clusters": levels_by_clusters, "points": levels_by_points}
"""Ways to find the level of an axial slice: k-means over slice locations, or the level points in patient space."""

LAYOUTS: dict[str, Layout] = {
    "manifest": Layout(
        "CSV of pictures",
        "a .csv file with the columns path, label and, where known, patient, level, side, weighting",
        _is_csv,
        {"canal_severity": _manifest, "foraminal_xray": _manifest, "mid_lateral": _manifest},
    ),
    "rsna2024": Layout(
        "RSNA 2024",
        "a folder with train_images and train.csv, as Kaggle and 'stenograde phantom' lay it out",
        lambda path: _holds(path, "train_images", "train.csv"),
        {"canal_severity": _rsna_canal, "mid_lateral": _sagittal},
    ),
    "sudirman": Layout(
        "Sudirman",
        "a folder with labels.csv (column canal_stenosis_report) and images, or 01_MRI_Data",
        _is_sudirman,
        {"canal_severity": _sudirman, "mid_lateral": _sagittal},
    ),
    "lumbar_slabs": Layout(
        "sagittal slabs",
        "a folder per patient with slice_00, slice_01, ... from side to side, 4 mm apart",
        _is_slabs,
        {"mid_lateral": _sagittal},
    ),
    "class_folders": Layout(
        "class folders",
        "a folder of pictures per class; --patient-pattern finds the patient of each",
        _is_class_folders,
        {"canal_severity": _class_folders, "foraminal_xray": _class_folders, "mid_lateral": _class_folders},
    ),
}
"""Every layout that ``--data`` may have; the first that fits and serves the task is taken."""
