"""Views of a cohort in which the points of its cells are looked for, cut once, with where each lies in the patient."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from stenograde.config import as_plain
from stenograde.dicom.read.pixels import check_pixels
from stenograde.errors import StudyError
from stenograde.levels.crop import CropConfig, CropGrid
from stenograde.levels.point_views import point_views
from stenograde.terms import LUMBAR_MRI, Level
from stenograde.train.cohort.ingest import Ingested, StudyFiles, the_study
from stenograde.train.cohort.kept_arrays import kept_array
from stenograde.train.cohort.kept_lines import KeptLines
from stenograde.train.cohort.places import FoundLevel, FoundPlaces
from stenograde.train.grader.crops import as_stored
from stenograde.train.made_once import SETTINGS, keep_settings
from stenograde.workers import Progress, counted, in_processes


@dataclass(frozen=True, eq=False)
class MarkedViews:
    """One view of each cell of each study."""

    names: tuple[str, ...]
    values: NDArray[np.int8]
    """As stored, shape (studies, cells, slices, rows, columns)."""
    grids: NDArray[np.float64]
    """Centre of each view, then its steps row by row, LPS mm; zero where there is none; shape (studies, cells, 12)."""
    config: CropConfig
    key: str
    """Digest of all that the views depend on."""

    @property
    def present(self) -> NDArray[np.bool_]:
        """Which views are there, shape (studies, cells)."""
        return np.asarray(self.grids.any(axis=2))

    def grid(self, study: int, cell: int) -> CropGrid:
        """Return where a view lies."""
        numbers = np.asarray(self.grids[study, cell])
        return CropGrid(numbers[:3], numbers[3:].reshape(3, 3), self.config.shape)


def cut_views(
    ingested: Ingested,
    places: FoundPlaces,
    out: Path,
    config: CropConfig,
    *,
    processes: int = 1,
    progress: Progress | None = None,
) -> MarkedViews:
    """Cut the views of every study in which levels were found; those that were cut before are mapped.

    Parameters
    ----------
    ingested : Ingested
    places : FoundPlaces
    out : Path
        Gets a folder ``views-HASH`` for each setting and set of places.
    config : CropConfig
    processes : int
    progress : callable, optional
        Counts the studies.

    A study that cannot be read any more has no views.
    """
    studies = [one for one in ingested.studies if one.name in places.levels]
    settings = {
        "views": as_plain(config),
        "studies": {one.name: ingested.records[one.name]["digest"] for one in studies},
        "places": {one.name: places.records(one.name) for one in studies},
    }
    key = hashlib.sha256(json.dumps(settings).encode()).hexdigest()
    folder = out / f"views-{key[:8]}"
    keep_settings(folder / SETTINGS, {"key": key}, what="views")
    shape = (len(studies), len(LUMBAR_MRI.cells))
    values = kept_array(folder / "views.npy", (*shape, *config.shape), np.int8)
    grids = kept_array(folder / "grids.npy", (*shape, 12), np.float64)
    kept = KeptLines(folder / "cut.jsonl")
    missing = [number for number, one in enumerate(studies) if one.name not in kept.records]
    jobs = [
        _Job(studies[k], places.levels[studies[k].name], places.series[studies[k].name], config)
        for k in missing
    ]
    made = zip(missing, in_processes(_cut, jobs, processes), strict=True)
    n = len(studies)
    for number, (of_study, where) in counted(made, "views cut", n, progress, before=n - len(missing)):
        values[number], grids[number] = of_study, where
        values.flush()
        grids.flush()
        kept.add({"name": studies[number].name})
    return MarkedViews(tuple(one.name for one in studies), values, grids, config, key)


@dataclass(frozen=True)
class _Job:
    study: StudyFiles
    levels: Mapping[Level, FoundLevel]
    series: tuple[str, ...]
    config: CropConfig


def _cut(job: _Job) -> tuple[NDArray[np.int8], NDArray[np.float64]]:
    n = len(LUMBAR_MRI.cells)
    values, grids = np.zeros((n, *job.config.shape), np.int8), np.zeros((n, 12))
    try:
        study = check_pixels(the_study(job.study).study)
        kept = replace(study, series=tuple(one for one in study.series if one.uid in job.series))
        views = point_views(kept, job.levels, job.config)
    except StudyError:  # told when its crops are cut
        return values, grids
    for cell, view in views.items():
        place = LUMBAR_MRI.cells.index(cell)
        values[place] = as_stored(view.values)
        grids[place] = np.concatenate([view.grid.centre, view.grid.steps.ravel()])
    return values, grids
