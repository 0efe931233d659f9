"""A cohort of patients to a bundle: the steps in order, each resumed where it was stopped."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from stenograde.datasets.tables import read_rows
from stenograde.errors import ConfigError
from stenograde.nets.weights import Start
from stenograde.predict.bundle import Bundle
from stenograde.terms import LUMBAR_MRI, Cell
from stenograde.train.cohort.assess import Assessed, assess, write_predictions
from stenograde.train.cohort.bundle import write_cohort_bundle
from stenograde.train.cohort.card import About
from stenograde.train.cohort.config import CohortTraining
from stenograde.train.cohort.contact_sheet import write_contact_sheet
from stenograde.train.cohort.cut import CohortCrops, cut_cohort
from stenograde.train.cohort.find_points import CellPoints, find_points
from stenograde.train.cohort.folds import fit_folds
from stenograde.train.cohort.ingest import Ingested, ingest
from stenograde.train.cohort.judge_points import judge_points
from stenograde.train.cohort.marked_views import cut_views
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
    judge: Path | None = None
    """Folder of further studies with marks: what was learnt about points is kept where it is nearer to these, see
    :func:`~stenograde.train.cohort.judge_points.judged`."""

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
    points: CellPoints
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

    Where torchrun started several processes, the first one reads and cuts, and all fit the net that finds points.

    Raises
    ------
    DatasetError
        If there is nothing to train on.
    """
    with one_by_one("places"):
        ingested = ingest(data.folder, out, labels=data.labels, processes=processes, progress=progress)
        places = find_places(ingested, out, base, processes=processes, progress=progress)
        views = cut_views(ingested, places, out, config.points.crops, processes=processes, progress=progress)
    points = find_points(views, places, out, config.points, progress=progress)
    with one_by_one("crops"):
        crops = cut_cohort(
            ingested, places, points.points, out, config.crops, processes=processes, progress=progress
        )
    if data.judge is not None:
        with one_by_one("judge"):
            points = judge_points(
                points,
                data.judge,
                out / "judge",
                config.points,
                base=base,
                processes=processes,
                progress=progress,
            )
    return Prepared(ingested, places, points, crops)


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
    tell: Callable[[Prepared], None] | None = None,
) -> tuple[Prepared, Assessed] | None:
    """Make a bundle from a cohort; started again with the same ``out`` it resumes.

    Parameters
    ----------
    data : CohortData
    out : Path
        Becomes the bundle; the steps lie in ``out/training``, ``oof.csv`` holds the out-of-fold predictions, and
        ``suspicious.png`` shows the labels that these believe least.
    chosen : Chosen
    base : Bundle
    weights : path, "hub", "imagenet" or None
    without : Path, optional
        See :func:`read_without`.
    processes, progress
        See :func:`prepare`.
    tell : callable, optional
        Called with what the steps before the fit give, before anything is fitted.

    Returns
    -------
    made : tuple of Prepared and Assessed, or None
        None in all but the first of the processes that torchrun started, which reads, cuts and writes.

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
    prepared = prepare(data, steps, config, base=base, processes=processes, progress=progress)
    if tell is not None and is_first():
        tell(prepared)
    left_out = {} if without is None else read_without(without)
    folds = fit_folds(prepared.crops.without(left_out), steps, config, weights=weights, progress=progress)
    if not is_first():
        return None
    crops = _scored(prepared)
    assessed = assess(crops, folds, config, prepared.ingested.records)
    write_predictions(out / "oof.csv", crops.names, assessed.answers)
    write_contact_sheet(out / "suspicious.png", crops, assessed.answers)
    about = _about(data, chosen, prepared, left_out)
    write_cohort_bundle(out, base, crops, folds, assessed, config, about=about, points=prepared.points)
    return prepared, assessed


def _scored(prepared: Prepared) -> CohortCrops:
    """Return the crops with the labels that are scored.

    Those that were left out of training are: leaving them out must not flatter. Studies whose levels were renamed by
    the experts' marks are not: nobody renames the levels of a new patient.
    """
    cells = frozenset(cell.name for cell in LUMBAR_MRI.cells)
    return prepared.crops.without(dict.fromkeys(prepared.places.renamed, cells))


def _about(
    data: CohortData, chosen: Chosen, prepared: Prepared, left_out: Mapping[str, frozenset[str]]
) -> About:
    phantoms = data.is_of_phantoms
    return About(
        name="phantoms in the layout of RSNA 2024" if phantoms else data.name,
        licence="none, they are simulated" if phantoms else data.licence,
        is_of_phantoms=phantoms,
        size=chosen.size,
        changed=chosen.changed,
        findings=tuple(prepared.ingested.counts()),
        places=(*prepared.places.summary(), *prepared.points.told),
        left_out=sum(map(len, left_out.values())),
    )


def read_without(path: Path) -> Mapping[str, frozenset[str]]:
    """Return the cells of a table of labels that are not to be trained on, by study.

    Raises
    ------
    DatasetError
        If it cannot be read or lacks a column.
    ConfigError
        If it names a cell that there is not.
    """
    cells: dict[str, set[str]] = {}
    for row in read_rows(path, ("study_id", "condition", "level", "side")):
        name = "_".join(filter(None, (row["side"], row["condition"], row["level"])))
        try:
            cells.setdefault(row["study_id"], set()).add(Cell.parse(name).name)
        except ValueError as exc:
            msg = f"condition, level and side in {path.name} must name a cell, got {name!r}"
            raise ConfigError(msg) from exc
    return {study: frozenset(of_study) for study, of_study in cells.items()}
