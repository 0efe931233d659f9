"""The second step's end: a net learns where the experts mark the points of cells, and moves those of every study.

The net is fitted by folds of studies, so that the crops of each study are cut about points that a net has found which
was not shown its marks: as for a new patient. Where it is not nearer to the marks than the offsets, those stay.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from stenograde import geometry
from stenograde.config import as_plain
from stenograde.datasets.split import Fold, folds_by_patient
from stenograde.files import keep_settings, whole_file
from stenograde.grades import Point
from stenograde.levels.point_offsets import PointOffsets
from stenograde.levels.point_views import PointView
from stenograde.nets.point_finder import PointFinder
from stenograde.predict.point_finder import asked_of, believed
from stenograde.terms import LUMBAR_MRI, Cell, Condition
from stenograde.train.cohort.config import PointTraining
from stenograde.train.cohort.marked_views import MarkedViews
from stenograde.train.cohort.places import FoundPlaces
from stenograde.train.cohort.point_batches import ViewSource, point_loss, view_batches
from stenograde.train.grader.crops import as_values
from stenograde.train.loop.fit import fit
from stenograde.train.loop.processes import is_first, n_processes, one_by_one
from stenograde.train.made_once import SETTINGS
from stenograde.workers import Progress, named

_USUAL_SHARE, _FAR_TIMES = 95.0, 2.0
"""Points farther from where they are expected than so many times the distance within which so many per cent of the
experts' marks lie are not believed, neither found ones nor marks: some marks are on the wrong side or level."""

Points = Mapping[str, Mapping[Cell, Point]]
"""By study."""

_AT_ONCE = 256
"""Views that a net looks at at once."""


@dataclass(frozen=True, eq=False)
class CellPoints:
    """Where the cells of a cohort lie, as its readers mark them."""

    points: Mapping[str, Mapping[Cell, Point]]
    """By study; found by nets that were not shown the study's marks."""
    offsets: PointOffsets
    nets: tuple[PointFinder, ...] = ()
    """One for each fold; none where too few studies have marks, or no condition is nearer by them."""
    far_mm: Mapping[str, float] = field(default_factory=dict)
    """As of :class:`~stenograde.predict.point_finder.PointFinderEntry`."""
    told: tuple[tuple[str, str], ...] = ()
    """Lines for a table: what, and how much."""


def find_points(
    views: MarkedViews,
    places: FoundPlaces,
    out: Path,
    config: PointTraining,
    *,
    progress: Progress | None = None,
) -> CellPoints:
    """Return where the cells of a cohort lie; nets that were fitted before are read.

    Where torchrun started several processes, they fit together.

    Parameters
    ----------
    views : MarkedViews
    places : FoundPlaces
    out : Path
        Gets a folder ``points-HASH`` for each setting and set of marks.
    config : PointTraining
    progress : callable, optional
    """
    expected = {name: places.offsets.points_of(levels) for name, levels in places.levels.items()}
    far_mm = _far(places.marks, expected)
    rows = _Rows.of(views, _usual(places.marks, expected, far_mm))
    marked = [views.names[study] for study in np.unique(rows.study[np.isfinite(rows.targets[:, 0])])]
    if len(marked) < config.least_studies:
        told = (
            f"not learnt: marks in their series needed in {config.least_studies} studies, got {len(marked)}"
        )
        return CellPoints(expected, places.offsets, told=(("points by heat maps", told),))
    settings = {
        # where it is fitted changes nothing that is kept
        "points": as_plain(replace(config, fit=replace(config.fit, accelerator="auto", workers=0))),
        "views": views.key,
        "marks": hashlib.sha256(rows.targets.tobytes()).hexdigest(),
    }
    folder = out / f"points-{hashlib.sha256(json.dumps(settings).encode()).hexdigest()[:8]}"
    with one_by_one("points"):
        keep_settings(folder / SETTINGS, settings, what="points")
    folds = folds_by_patient(marked, folds=config.folds, seed=config.fit.seed, what="marked studies")
    nets, found = _fitted(rows, marked, folds, folder, config, progress)
    return _chosen(views, rows, found, nets, places, expected, far_mm)


@dataclass(frozen=True, eq=False)
class _Rows:
    """The views that are there, one after the other."""

    views: MarkedViews
    study: NDArray[np.int64]
    cell: NDArray[np.int64]
    targets: NDArray[np.float64]
    """Where the mark lies, mm along slices, rows and columns; NaN where there is none in the view; shape (n, 3)."""

    @classmethod
    def of(cls, views: MarkedViews, marks: Mapping[str, Mapping[Cell, Point]]) -> _Rows:
        study, cell = np.nonzero(views.present)
        targets = np.full((len(study), 3), np.nan)
        steps = (views.config.slice_mm, views.config.grid_mm, views.config.grid_mm)
        reach_mm = np.array(views.config.shape) * steps / 2
        for row, (s, c) in enumerate(zip(study.tolist(), cell.tolist(), strict=True)):
            mark = marks.get(views.names[s], {}).get(LUMBAR_MRI.cells[c])
            if mark is not None:
                away = views.grid(s, c).away_mm(mark)
                targets[row] = away if (np.abs(away) <= reach_mm).all() else np.nan
        return cls(views, study, cell, targets)

    @property
    def asked(self) -> NDArray[np.float32]:
        return asked_of([LUMBAR_MRI.cells[c] for c in self.cell.tolist()])

    def of_studies(self, names: Sequence[str]) -> NDArray[np.int64]:
        """Return the rows of some studies."""
        wanted = [self.views.names.index(name) for name in names]
        return np.flatnonzero(np.isin(self.study, wanted))


def _fitted(
    rows: _Rows,
    marked: Sequence[str],
    folds: Sequence[Fold],
    folder: Path,
    config: PointTraining,
    progress: Progress | None,
) -> tuple[tuple[PointFinder, ...], NDArray[np.float64]]:
    """Return the nets of all folds, and the places in every view by nets that were not shown its marks."""
    places_mm, asked = np.zeros((len(rows.study), 3)), torch.from_numpy(rows.asked)
    source = ViewSource(rows.views.values, rows.study, rows.cell, rows.targets, asked)
    tested, nets = np.zeros(len(rows.study), bool), []
    sums = np.zeros_like(places_mm)
    for number, fold in enumerate(folds):
        torch.manual_seed(config.fit.seed)
        train = rows.of_studies([marked[k] for k in fold.train])
        train = train[np.isfinite(rows.targets[train, 0])]
        # few rows must do for every process
        batch = min(config.fit.batch, max(1, len(train) // n_processes(config.fit)))
        fitted = replace(config, fit=replace(config.fit, batch=batch))
        own = folder / f"fold-{number + 1}"
        net = fit(
            PointFinder(config.net),
            view_batches(source, train, fitted),
            fitted.fit,
            loss_of=point_loss(config.net),
            folder=own,
            progress=named(progress, f"points, fold {number + 1} of {len(folds)}"),
        ).net
        assert isinstance(net, PointFinder)
        net = net.to("cpu").eval()
        nets.append(net)
        said = _said(net, source, own)
        sums += said
        test = rows.of_studies([marked[k] for k in fold.test])
        places_mm[test], tested[test] = said[test], True
    places_mm[~tested] = sums[~tested] / len(folds)  # of studies without marks
    return tuple(nets), places_mm


def _said(net: PointFinder, source: ViewSource, folder: Path) -> NDArray[np.float64]:
    """Return the places that a net says in all views; said once, so that a resumed run cuts the very same crops."""
    path = folder / "places.npy"
    if not path.is_file():
        parts = []
        for start in range(0, len(source.study), _AT_ONCE):
            at = np.arange(start, min(start + _AT_ONCE, len(source.study)))
            values = torch.from_numpy(as_values(source.stored[source.study[at], source.cell[at]]))
            with torch.inference_mode():
                parts.append(net.places_mm(net(values, source.asked[at])))
        said: Tensor = torch.cat(parts)
        if not is_first():
            return said.double().numpy()
        with whole_file(path) as file:
            np.save(file, said.double().numpy())
    return np.asarray(np.load(path))


def _chosen(
    views: MarkedViews,
    rows: _Rows,
    places_mm: NDArray[np.float64],
    nets: tuple[PointFinder, ...],
    places: FoundPlaces,
    expected: Mapping[str, dict[Cell, Point]],
    far_mm: Mapping[str, float],
) -> CellPoints:
    """Take what the nets found for the conditions for which that is nearer to the marks."""
    moved = {}
    for s, name in enumerate(views.names):
        cells = rows.cell[rows.study == s]
        asked = [LUMBAR_MRI.cells[c].condition.value in far_mm for c in cells.tolist()]
        said = places_mm[rows.study == s][asked]
        moved[name] = expected[name] | found_in(views, s, cells[asked], said, expected[name], far_mm)
    taken, told = {}, []
    for condition in Condition:
        before, after = (away_mm(condition, places.marks, points) for points in (expected, moved))
        if not before:
            continue
        nearer = np.mean(after) < np.mean(before)
        words = f"mean {np.mean(after):.1f}, 95 % within {np.percentile(after, 95):.1f}"
        words += f"; without {np.mean(before):.1f}, {np.percentile(before, 95):.1f}"
        told.append(
            (f"{condition.shown}, by heat maps of other studies", words + ("" if nearer else ": not used"))
        )
        if nearer:
            taken[condition.value] = far_mm[condition.value]
    points = {
        name: {c: (moved if c.condition.value in taken else expected)[name][c] for c in of_study}
        for name, of_study in expected.items()
    }
    return CellPoints(points, places.offsets, nets if taken else (), taken, tuple(told))


def found_in(
    views: MarkedViews,
    study: int,
    cells: NDArray[np.int64],
    places_mm: NDArray[np.float64],
    expected: Mapping[Cell, Point],
    far_mm: Mapping[str, float],
) -> dict[Cell, Point]:
    """Return the points that were found in views of a study; see :func:`~stenograde.predict.point_finder.believed`."""
    named = [LUMBAR_MRI.cells[c] for c in cells.tolist()]
    # values are not needed to say where a place lies
    seen = [PointView(np.zeros(0, np.float32), views.grid(study, c)) for c in cells.tolist()]
    return believed(named, seen, places_mm, expected, far_mm)


def away_mm(condition: Condition, marks: Points, points: Points) -> list[float]:
    """Return how far from the marks of a condition its points lie, mm."""
    return [
        geometry.distance_mm(points[name][cell], mark)
        for name, of_study in marks.items()
        for cell, mark in of_study.items()
        if cell.condition is condition
    ]


def _far(marks: Points, expected: Points) -> dict[str, float]:
    away = {condition: away_mm(condition, marks, expected) for condition in Condition}
    return {
        condition.value: max(_FAR_TIMES * float(np.percentile(lengths, _USUAL_SHARE)), 1.0)
        for condition, lengths in away.items()
        if lengths
    }


def _usual(
    marks: Points,
    expected: Points,
    far_mm: Mapping[str, float],
) -> dict[str, dict[Cell, Point]]:
    """Return the marks that are near enough to where they are expected to be learnt from."""
    return {
        name: {
            cell: mark
            for cell, mark in of_study.items()
            if geometry.distance_mm(mark, expected[name][cell]) <= far_mm[cell.condition.value]
        }
        for name, of_study in marks.items()
    }
