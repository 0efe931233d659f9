"""A cohort of patients to a bundle: the steps in order, each resumed where it was stopped."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from stenograde.datasets.tables import read_rows
from stenograde.errors import ConfigError
from stenograde.nets.weights import Start
from stenograde.predict.bundle import Bundle
from stenograde.terms import LUMBAR_MRI
from stenograde.train.cohort.assess import Assessed, assess, write_predictions
from stenograde.train.cohort.bundle import write_cohort_bundle
from stenograde.train.cohort.card import About
from stenograde.train.cohort.config import CohortTraining
from stenograde.train.cohort.cut import CohortCrops, cut_cohort
from stenograde.train.cohort.folds import fit_folds
from stenograde.train.cohort.ingest import Ingested, ingest
from stenograde.train.cohort.places import FoundPlaces, find_places
from stenograde.train.loop.processes import is_first, one_by_one
from stenograde.workers import Progress

PHANTOM_TRUTH = "truth.csv"
"""Table that only cohorts of phantoms have."""

RSNA_2024 = "RSNA 2024 (LumbarDISC)"
RSNA_LICENCE = "non-commercial use only"


@dataclass(frozen=True)
class CohortData:
    """What is trained on."""

    folder: Path
    """In the layout of RSNA 2024."""
    labels: Path | None = None
    """Table of labels in place of ``train.csv``; cells may be missing."""
    name: str = RSNA_2024
    licence: str = RSNA_LICENCE

    @property
    def is_of_phantoms(self) -> bool:
        """Whether the patients are simulated."""
        return (self.folder / PHANTOM_TRUTH).is_file()


@dataclass(frozen=True)
class Chosen:
    """Settings, and how they differ from those that ship."""

    config: CohortTraining
    size: str
    """Name of the settings that ship."""
    changed: tuple[str, ...] = ()
    """Settings that are others."""


@dataclass(frozen=True, eq=False)
class Prepared:
    """What the steps before the fit give."""

    ingested: Ingested
    places: FoundPlaces
    crops: CohortCrops


def prepare(
    data: CohortData,
    out: Path,
    config: CohortTraining,
    *,
    base: Bundle,
    processes: int = 1,
    progress: Progress | None = None,
) -> Prepared:
    """Read, locate and cut a cohort; what was done before is not done again.

    Raises
    ------
    DatasetError
        If there is nothing to train on.
    """
    ingested = ingest(data.folder, out, labels=data.labels, processes=processes, progress=progress)
    places = find_places(ingested, out, base, processes=processes, progress=progress)
    crops = cut_cohort(ingested, places, out, config.crops, processes=processes, progress=progress)
    return Prepared(ingested, places, crops)


def train_cohort(
    data: CohortData,
    out: Path,
    chosen: Chosen,
    *,
    base: Bundle,
    weights: Start | None,
    without: Path | None = None,
    processes: int = 1,
    progress: Progress | None = None,
) -> tuple[Prepared, Assessed] | None:
    """Make a bundle from a cohort; started again with the same ``out`` it resumes.

    Parameters
    ----------
    data : CohortData
    out : Path
        Becomes the bundle; the steps lie in ``out/training``, and ``oof.csv`` holds the out-of-fold predictions.
    chosen : Chosen
    base : Bundle
        Whose locator and canal model are taken over.
    weights : path, "hub", "imagenet" or None
        What the encoder starts from.
    without : Path, optional
        Table with ``study_id`` and ``cell``, such as ``stenograde audit`` writes: labels that are not trained on.
    processes : int
        That read and cut.
    progress : callable, optional

    Returns
    -------
    made : tuple of Prepared and Assessed, or None
        None in all but the first of the processes that torchrun started: it reads and cuts, all fit together, and it
        writes.

    Raises
    ------
    DatasetError
        If there is nothing to train on, or a table cannot be read.
    ConfigError
        If ``out/training`` holds what other settings made, under the same name.
    BundleError
        If weights do not fit.
    """
    steps, config = out / "training", chosen.config
    with one_by_one("steps"):
        prepared = prepare(data, steps, config, base=base, processes=processes, progress=progress)
    crops = prepared.crops if without is None else prepared.crops.without(read_without(without))
    folds = fit_folds(crops, steps, config, weights=weights, progress=progress)
    if not is_first():
        return None
    assessed = assess(crops, folds, config, prepared.ingested.records)
    write_predictions(out / "oof.csv", crops.names, assessed.answers)
    phantoms = data.is_of_phantoms
    about = About(
        name="phantoms in the layout of RSNA 2024" if phantoms else data.name,
        licence="none, they are simulated" if phantoms else data.licence,
        is_of_phantoms=phantoms,
        size=chosen.size,
        changed=chosen.changed,
        findings=tuple(prepared.ingested.counts()),
        places=tuple(prepared.places.summary()),
    )
    write_cohort_bundle(out, base, crops, folds, assessed, config, about=about)
    return prepared, assessed


def read_without(path: Path) -> Mapping[str, frozenset[str]]:
    """Return the cells of a table of labels that are not to be trained on, by study.

    Raises
    ------
    DatasetError
        If it cannot be read or lacks a column.
    ConfigError
        If it names a cell that there is not.
    """
    names = {cell.name for cell in LUMBAR_MRI.cells}
    cells: dict[str, set[str]] = {}
    for row in read_rows(path, ("study_id", "cell")):
        if row["cell"] not in names:
            msg = f"cell in {path.name} must be a column of train.csv, got {row['cell']!r}"
            raise ConfigError(msg)
        cells.setdefault(row["study_id"], set()).add(row["cell"])
    return {study: frozenset(of_study) for study, of_study in cells.items()}
