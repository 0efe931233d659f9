"""What was learnt about points is kept where it is nearer to the marks of patients that it was not learnt from.

Simulated patients have habits of their own: a net or an offset fitted to their marks is nearer on others of them, and
may be farther from where a reader marks a patient. A few marked studies are enough to tell, and too few to learn from.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from stenograde.grades import Point
from stenograde.levels.cell_points import points_of
from stenograde.levels.point_offsets import PointOffsets
from stenograde.predict.bundle import Bundle
from stenograde.predict.point_finder import asked_of
from stenograde.terms import LUMBAR_MRI, Cell, Condition
from stenograde.train.cohort.config import PointTraining
from stenograde.train.cohort.find_points import CellPoints, Points, away_mm, found_in
from stenograde.train.cohort.ingest import ingest
from stenograde.train.cohort.marked_views import MarkedViews, cut_views
from stenograde.train.cohort.places import FoundPlaces, find_places
from stenograde.train.grader.crops import as_values
from stenograde.workers import Progress

RULE, OFFSETS, NETS = "by rule", "moved as marks say", "by heat maps"
"""Ways to a point, from the plainest."""


def judge_points(
    points: CellPoints,
    folder: Path,
    out: Path,
    config: PointTraining,
    *,
    base: Bundle,
    processes: int = 1,
    progress: Progress | None = None,
) -> CellPoints:
    """Return what was learnt about points, less what is not nearer to the marks of a further cohort.

    Parameters
    ----------
    points : CellPoints
    folder : Path
        Studies with marks, in the layout of RSNA 2024.
    out : Path
        Gets what is read and cut of them.
    config : PointTraining
    base : Bundle
    processes : int
    progress : callable, optional

    Raises
    ------
    DatasetError
        If there is no study in which levels are found.
    """
    ingested = ingest(folder, out, processes=processes, progress=progress)
    places = find_places(ingested, out, base, processes=processes, progress=progress)
    views = cut_views(ingested, places, out, config.crops, processes=processes, progress=progress)
    return judged(points, places, views)


def judged(points: CellPoints, places: FoundPlaces, views: MarkedViews) -> CellPoints:
    """Return what was learnt, of each condition only what lies nearer to marks that it was not learnt from.

    A condition that nobody marked there has its points by rule. Points of the cohort that was learnt from, about which
    its crops are cut, stay.

    Parameters
    ----------
    points : CellPoints
    places : FoundPlaces
        Of the further cohort.
    views : MarkedViews
        Of the same.
    """
    ruled = {name: points_of(levels) for name, levels in places.levels.items()}
    moved = {name: points.offsets.points_of(levels) for name, levels in places.levels.items()}
    ways: dict[str, Points] = {RULE: ruled, OFFSETS: moved}
    if points.nets:
        ways[NETS] = _by_nets(points, views, moved)
    best, told = {}, []
    for condition in Condition:
        away = {way: away_mm(condition, places.marks, at) for way, at in ways.items()}
        n = len(away[RULE])
        means = {way: float(np.mean(lengths)) for way, lengths in away.items() if lengths}
        best[condition] = min(means, key=lambda way: means[way]) if means else RULE
        words = ", ".join(f"{way} {mean:.1f}" for way, mean in means.items()) or "no marks"
        told.append(
            (f"{condition.shown}, mm from {n} marks of other patients", f"{words}: {best[condition]}")
        )
    offsets = {
        name: offset for name, offset in points.offsets.by_place.items() if best[_condition_of(name)] != RULE
    }
    far_mm = {name: far for name, far in points.far_mm.items() if best[Condition(name)] == NETS}
    return replace(
        points,
        offsets=PointOffsets(offsets),
        nets=points.nets if far_mm else (),
        far_mm=far_mm,
        told=(*points.told, *told),
    )


def _by_nets(points: CellPoints, views: MarkedViews, expected: Points) -> dict[str, dict[Cell, Point]]:
    """Return the points that the mean of all nets finds, and the expected ones elsewhere."""
    by_study: dict[str, dict[Cell, Point]] = {}
    for s, name in enumerate(views.names):
        by_study[name] = dict(expected[name])
        at = np.flatnonzero(views.present[s])
        at = at[[LUMBAR_MRI.cells[c].condition.value in points.far_mm for c in at.tolist()]]
        if not len(at):
            continue
        asked = torch.from_numpy(asked_of([LUMBAR_MRI.cells[c] for c in at.tolist()]))
        values = torch.from_numpy(as_values(views.values[s, at]))
        with torch.inference_mode():
            said = torch.stack([net.places_mm(net(values, asked)) for net in points.nets]).mean(dim=0)
        by_study[name] |= found_in(views, s, at, said.double().numpy(), expected[name], points.far_mm)
    return by_study


def _condition_of(place: str) -> Condition:
    """Return the condition of an offset's name."""
    return next(condition for condition in Condition if place.startswith(condition.value))
