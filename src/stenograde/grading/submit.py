"""Grade test studies and answer for every cell of them, as a submission to RSNA 2024 must."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from stenograde.datasets.rsna2024 import read_labels
from stenograde.datasets.study_files import patient_folders
from stenograde.datasets.submission import Said
from stenograde.datasets.tables import read_rows
from stenograde.dicom.read.given_roles import read_roles, rows_of
from stenograde.dicom.read.studies import read_study
from stenograde.errors import ConfigError, DatasetError
from stenograde.evaluate.baselines import level_share
from stenograde.evaluate.rsna_metric import rewarded
from stenograde.grades import EVEN_ODDS, Probabilities, StudyGrades
from stenograde.grading.study import NotGraded, attempt
from stenograde.predict.bundle import Bundle
from stenograde.predict.grade import grade_study
from stenograde.study import Study
from stenograde.terms import LUMBAR_MRI, Cell, Role
from stenograde.workers import Progress, counted

TEST_TABLE = "test_series_descriptions.csv"
"""Table of RSNA 2024 that names every study to answer for, and the role of each of its series."""

_LAYOUTS = (
    ("test_images", TEST_TABLE),
    ("train_images", "train_series_descriptions.csv"),
    (".", TEST_TABLE),
)
"""Folder of studies and table of roles in the given folder; the first of the folders that is there counts."""


@dataclass(frozen=True)
class SubmitConfig:
    """How cells are answered for."""

    shares: Path | None = None
    """Labels, laid out as ``train.csv``: the level's share in them stands for a cell that could not be graded; even
    odds if not given."""
    weighted: bool = False
    """Whether probabilities, and shares, are weighted as the metric weighs
    (:func:`~stenograde.evaluate.rsna_metric.rewarded`); even odds stay even."""


@dataclass(frozen=True)
class Submission:
    """What is said of every cell of every study, and how much of it was graded."""

    said: Said
    n_graded: int
    """Studies that were graded."""
    n_filled: int
    """Cells that could not be graded, those of graded studies and those of others."""
    filled_with: str
    """What stands in their place, in words."""
    has_fault: bool
    """Whether a study could not be graded by a fault of ours."""


@dataclass
class _Studies:
    """Studies to answer for, and what is known of them."""

    folders: dict[str, Path | None]
    """By name of the study; None for a study that only the table names."""
    roles: Mapping[str, Role]
    tell: Callable[[str], None]
    uids: list[str] = field(default_factory=list)
    """Of the studies read so far."""

    def shown(self, name: str) -> str:
        """Return what a study is called in messages; a name that is no number may be a patient's."""
        if set(name) <= set("0123456789."):
            return name
        return f"study {list(self.folders).index(name) + 1} of {len(self.folders)}"

    def graded(self, name: str, bundle: Bundle) -> StudyGrades | NotGraded:
        """Grade one study."""
        folder = self.folders[name]
        if folder is None:
            return NotGraded(name, f"{TEST_TABLE} names it, and it has no folder", is_our_fault=False)
        return attempt(self.shown(name), lambda: grade_study(self._read(name, folder), bundle))

    def _read(self, name: str, folder: Path) -> Study:
        given = rows_of(self.roles, name, (one.name for one in folder.iterdir()))
        try:
            study = read_study(folder, roles=given)
        except ConfigError as exc:
            study = read_study(folder)
            self.tell(f"{self.shown(name)}: roles are inferred, as the table's do not fit: {exc}")
        self.uids.append(study.uid)
        return study


def submission_of(
    data: Path,
    bundle: Bundle,
    config: SubmitConfig,
    *,
    tell: Callable[[str], None],
    progress: Progress | None = None,
) -> Submission:
    """Grade every study of a folder and fill what could not be graded, so that each study has all cells.

    Parameters
    ----------
    data : Path
        Folder with ``test_images/<study>`` or ``train_images/<study>``, or with one folder per study. The roles of
        series are those of the table beside, if there is one; each study that ``test_series_descriptions.csv`` names is
        answered for, whether it has a folder or not.
    bundle : Bundle
    config : SubmitConfig
    tell : callable
        Takes a line for each study and cell that was filled, with the reason.
    progress : callable, optional
        Counts the studies.

    Raises
    ------
    DatasetError
        If there are no studies, all folders hold the same one, a table cannot be read, or no study can be graded.
    StenogradeError
        If it is no ``StudyError``; see :func:`stenograde.grading.study.attempt`.
    """
    labels = None if config.shares is None else read_labels(config.shares)
    studies = _studies_in(data, tell)
    names = list(studies.folders)
    instead = level_share(names, labels) if labels is not None else [_EVEN] * len(names)
    filled_with = "even odds" if labels is None else "the level's share"
    said: Said = {}
    failures: list[NotGraded] = []
    n_filled = 0
    for name, share in zip(counted(names, "grading studies", len(names), progress), instead, strict=True):
        grades = studies.graded(name, bundle)
        known, lacking = _answers(grades)
        if isinstance(grades, NotGraded):
            failures.append(grades)
            tell(f"{studies.shown(name)}: filled with {filled_with}: {grades.line}")
        for cell, reason in lacking.items():
            tell(f"{studies.shown(name)} {cell.name}: filled with {filled_with}: {reason}")
        answers = {cell: known.get(cell, share[cell]) for cell in LUMBAR_MRI.cells}
        said[name] = {cell: _as_asked(one, config) for cell, one in answers.items()}
        n_filled += len(answers) - len(known)
    _check(studies, failures, data)
    return Submission(
        said,
        n_graded=len(names) - len(failures),
        n_filled=n_filled,
        filled_with=filled_with,
        has_fault=any(failure.is_our_fault for failure in failures),
    )


_EVEN = dict.fromkeys(LUMBAR_MRI.cells, EVEN_ODDS)


def _studies_in(data: Path, tell: Callable[[str], None]) -> _Studies:
    images, table = next(pair for pair in _LAYOUTS if (data / pair[0]).is_dir() or pair[0] == ".")
    found: dict[str, Path | None] = {folder.name: folder for folder in patient_folders(data / images)}
    path = data / table
    if not path.is_file():
        return _Studies(found, {}, tell)
    listed = [row["study_id"] for row in read_rows(path, ("study_id",))] if table == TEST_TABLE else []
    names = sorted({*found, *filter(None, listed)})
    return _Studies({name: found.get(name) for name in names}, read_roles(path), tell)


def _answers(
    grades: StudyGrades | NotGraded,
) -> tuple[dict[Cell, Probabilities], dict[Cell, str]]:
    """Probabilities of a study's cells, those of drafts and abstained cells, too, and why others have none."""
    cells = () if isinstance(grades, NotGraded) else grades.cells
    known = {one.cell: one.probabilities for one in cells if one.probabilities is not None}
    return known, {one.cell: one.reason for one in cells if one.cell not in known}


def _as_asked(one: Probabilities, config: SubmitConfig) -> Probabilities:
    if not config.weighted or one == EVEN_ODDS:
        return one
    return Probabilities(rewarded(np.array(one)))


def _check(studies: _Studies, failures: Sequence[NotGraded], data: Path) -> None:
    """Check that the folders were those of studies, and that something could be graded."""
    if len(studies.uids) > 1 and len(set(studies.uids)) == 1:
        msg = (
            f"{data} must hold one folder for each study, got {len(studies.uids)} folders of one study; name the "
            "folder above"
        )
        raise DatasetError(msg)
    if len(failures) == len(studies.folders):
        msg = (
            f"{data} must hold studies that can be graded, got none of {len(failures)}, the first of them: "
            f"{failures[0].line}"
        )
        raise DatasetError(msg)
