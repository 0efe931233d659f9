"""What was learnt about points is kept only where it is nearer to marks of patients that were not learnt from."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the extra 'train'")

from stenograde.grades import Point  # noqa: E402
from stenograde.levels.cell_points import points_of  # noqa: E402
from stenograde.levels.crop import CropConfig  # noqa: E402
from stenograde.levels.point_offsets import PointOffsets  # noqa: E402
from stenograde.nets.point_finder import PointFinder  # noqa: E402
from stenograde.terms import LUMBAR_MRI, Cell, Condition, Level, Side  # noqa: E402
from stenograde.train.cohort.config import PointTraining  # noqa: E402
from stenograde.train.cohort.find_points import CellPoints  # noqa: E402
from stenograde.train.cohort.judge_points import judged  # noqa: E402
from stenograde.train.cohort.marked_views import MarkedViews  # noqa: E402
from stenograde.train.cohort.places import FoundLevel, FoundPlaces  # noqa: E402

CROPS = CropConfig(slices=3, size_px=16, slice_mm=4.0, grid_mm=1.5, about_middles=True)
CANAL, FORAMEN, RECESS = Condition
OFFSET = (0.0, 3.0, 0.0)
"""Of every place, as it was learnt: to the back."""
SAID_MM = (0.0, 0.0, 4.0)
"""What every net says of every view: 4 mm along its columns, which run to the back."""


class Says(PointFinder):
    """A net that says the same of every view."""

    def forward(self, values: torch.Tensor, asked: torch.Tensor) -> torch.Tensor:
        return torch.zeros(len(values), 1)

    def places_mm(self, heat: torch.Tensor) -> torch.Tensor:
        return torch.tensor(SAID_MM).expand(len(heat), 3)


def learnt(*conditions: Condition) -> CellPoints:
    """Offsets of every place, and a net that is asked for some conditions."""
    names = [f"{condition.value}_{level.value}" for condition in Condition for level in LUMBAR_MRI.levels]
    net = Says(PointTraining(crops=CROPS, widths=(8, 16), least_studies=8, folds=2).net)
    return CellPoints(
        {"taught": {}},
        PointOffsets(dict.fromkeys(names, OFFSET)),
        (net,),
        {condition.value: 9.0 for condition in conditions},
        (("before", "as it was"),),
    )


def further(mark: Callable[[Cell, Point], Point | None]) -> tuple[FoundPlaces, MarkedViews]:
    """One study whose cells are marked where ``mark`` says; every view is about its cell's point."""
    axes = np.eye(3)
    sides = {Side.LEFT: (12.0, 0.0, 0.0), Side.RIGHT: (-12.0, 0.0, 0.0)}
    levels: dict[Level, FoundLevel] = {
        level: FoundLevel(level, (0.0, 0.0, 0.0), sides, sides, sides, *axes) for level in LUMBAR_MRI.levels
    }
    points = points_of(levels)
    marks = {cell: at for cell, point in points.items() if (at := mark(cell, point)) is not None}
    steps = np.array([[4.0, 0, 0], [0, 0, 1.5], [0, 1.5, 0]])  # slices aside, rows up, columns back
    grids = np.zeros((1, 25, 12))
    for k, cell in enumerate(LUMBAR_MRI.cells):
        grids[0, k] = [*points[cell], *steps.ravel()]
    views = MarkedViews(("s",), np.zeros((1, 25, *CROPS.shape), np.int8), grids, CROPS, "made up")
    places = FoundPlaces({"s": levels}, {"s": marks}, {}, PointOffsets(), {}, {}, {"s": ()}, ())
    return places, views


def behind(point: Point, mm: float) -> Point:
    return point[0], point[1] + mm, point[2]


def test_each_condition_keeps_what_is_nearest_there() -> None:
    back_mm = {CANAL: 0.0, FORAMEN: 2.9, RECESS: 4.1}
    points = judged(learnt(*Condition), *further(lambda cell, point: behind(point, back_mm[cell.condition])))

    assert {name for name in points.offsets.by_place if name.startswith(CANAL.value)} == set()
    assert len(points.offsets.by_place) == 10, "of foramina and recesses"
    assert points.far_mm == {RECESS.value: 9.0}
    assert len(points.nets) == 1
    assert points.points == {"taught": {}}, "crops of who was learnt from are cut as before"
    told = dict(points.told)
    assert told["before"] == "as it was"
    assert told[f"{CANAL.shown}, mm from 5 marks of other patients"] == (
        "by rule 0.0, moved as marks say 3.0, by heat maps 4.0: by rule"
    )
    assert told[f"{FORAMEN.shown}, mm from 10 marks of other patients"].endswith(": moved as marks say")
    assert told[f"{RECESS.shown}, mm from 10 marks of other patients"].endswith(": by heat maps")


def test_a_net_that_is_nowhere_nearer_goes() -> None:
    points = judged(learnt(*Condition), *further(lambda _, point: point))

    assert points.nets == ()
    assert points.far_mm == {}
    assert points.offsets == PointOffsets()


def test_a_net_that_was_not_taken_before_is_not_asked() -> None:
    """Of the foramina it says what would be nearest, and is not asked: it was worse on who was learnt from."""
    points = judged(learnt(RECESS), *further(lambda _, point: behind(point, 4.1)))

    assert points.far_mm == {RECESS.value: 9.0}
    told = dict(points.told)
    assert told[f"{FORAMEN.shown}, mm from 10 marks of other patients"].endswith(": moved as marks say")


def test_what_nobody_marked_lies_by_rule() -> None:
    def only_canals(cell: Cell, point: Point) -> Point | None:
        return behind(point, 3.0) if cell.condition is CANAL else None

    points = judged(learnt(*Condition), *further(only_canals))

    assert {name.rsplit("_", 2)[0] for name in points.offsets.by_place} == {CANAL.value}
    assert points.nets == ()
    assert dict(points.told)[f"{RECESS.shown}, mm from 0 marks of other patients"] == "no marks: by rule"
