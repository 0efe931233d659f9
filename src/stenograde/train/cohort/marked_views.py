"""Views of a cohort in which the points of its cells are looked for, cut once, with where each lies in the patient."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from stenograde.config import as_plain
from stenograde.errors import StudyError
from stenograde.files import keep_settings
from stenograde.levels.crop import CropConfig, CropGrid
from stenograde.levels.point_views import point_views
from stenograde.terms import LUMBAR_MRI
from stenograde.train.cohort.ingest import Ingested
from stenograde.train.cohort.kept_arrays import CutJob, cut_each, kept_array
from stenograde.train.cohort.kept_lines import KeptLines
from stenograde.train.cohort.places import FoundPlaces
from stenograde.train.grader.crops import as_stored
from stenograde.train.made_once import SETTINGS
from stenograde.workers import Progress


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
    jobs = [CutJob(one, places.levels[one.name], places.series[one.name], config) for one in studies]
    cut_each(jobs, _cut, (values, grids), kept, what="views cut", processes=processes, progress=progress)
    return MarkedViews(tuple(one.name for one in studies), values, grids, config, key)


def _cut(job: CutJob) -> tuple[tuple[NDArray[np.generic], ...], dict[str, str]]:
    n = len(LUMBAR_MRI.cells)
    values, grids = np.zeros((n, *job.config.shape), np.int8), np.zeros((n, 12))
    try:
        views = point_views(job.read(), job.levels, job.config)
    except StudyError:  # told when its crops are cut
        return (values, grids), {}
    for cell, view in views.items():
        place = LUMBAR_MRI.cells.index(cell)
        values[place] = as_stored(view.values)
        grids[place] = np.concatenate([view.grid.centre, view.grid.steps.ravel()])
    return (values, grids), {}
