"""It is learnt where experts mark points: on made-up views in which a bright spot is what they mark."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the extra 'train'")

from stenograde.levels.cell_points import points_of  # noqa: E402
from stenograde.levels.crop import CropConfig  # noqa: E402
from stenograde.levels.point_offsets import PointOffsets  # noqa: E402
from stenograde.nets.point_finder import PointFinderConfig  # noqa: E402
from stenograde.terms import LUMBAR_MRI, Condition, Level, Side  # noqa: E402
from stenograde.train.cohort.config import PointTraining  # noqa: E402
from stenograde.train.cohort.find_points import find_points  # noqa: E402
from stenograde.train.cohort.marked_views import MarkedViews  # noqa: E402
from stenograde.train.cohort.places import FoundLevel, FoundPlaces  # noqa: E402
from stenograde.train.cohort.point_batches import changed_view, point_loss  # noqa: E402
from stenograde.train.grader.batches import CropAugment  # noqa: E402
from stenograde.train.grader.crops import as_stored  # noqa: E402
from stenograde.train.loop.fit_config import FitConfig  # noqa: E402

CROPS = CropConfig(slices=3, size_px=16, slice_mm=4.0, grid_mm=1.5, about_middles=True)
TRAINING = PointTraining(
    crops=CROPS,
    widths=(8, 16),
    augment=CropAugment(shift_px=1, turn_deg=5.0, zoom_log=0.05, noise=0.1),
    fit=FitConfig(
        epochs=50, batch=24, learning_rate=1e-2, average=0.9, precision="32", workers=0, accelerator="cpu"
    ),
    folds=2,
    least_studies=8,
)
N = 12
AXES = np.eye(3)
MARKED = LUMBAR_MRI.of(Condition.SUBARTICULAR_STENOSIS)
"""Cells whose marks lie on the bright spot."""
BLIND = LUMBAR_MRI.of(Condition.SPINAL_CANAL_STENOSIS)
"""Cells whose marks lie where they are expected, while a bright spot misleads."""


def found_level(level: Level) -> FoundLevel:
    sides = {Side.LEFT: (12.0, 0.0, 0.0), Side.RIGHT: (-12.0, 0.0, 0.0)}
    return FoundLevel(level, (0.0, 0.0, 0.0), sides, sides, sides, AXES[0], AXES[1], AXES[2])


def spotted(place_px: np.ndarray) -> np.ndarray:
    index = np.indices(CROPS.shape)
    away = (index - place_px[:, None, None, None]) * np.array([4.0, 1.5, 1.5])[:, None, None, None]
    return 3 * np.exp(-np.square(away / 3.0).sum(axis=0) / 2).astype(np.float32)


@pytest.fixture(scope="module")
def cohort() -> tuple[MarkedViews, FoundPlaces]:
    rng = np.random.default_rng(1)
    levels = {level: found_level(level) for level in LUMBAR_MRI.levels}
    names, marks = tuple(f"s{k}" for k in range(N)), {}
    values = np.zeros((N, 25, *CROPS.shape), np.int8)
    grids = np.zeros((N, 25, 12))
    steps = np.diag([4.0, 1.5, 1.5])
    for s, name in enumerate(names):
        for cell, point in points_of(levels).items():
            place = LUMBAR_MRI.cells.index(cell)
            away = rng.uniform(-4, 4, 3) * [0.5, 1, 1]
            values[s, place] = as_stored(spotted(away / [4.0, 1.5, 1.5] + (np.array(CROPS.shape) - 1) / 2))
            grids[s, place] = [*point, *steps.ravel()]
            if cell in MARKED:
                marks.setdefault(name, {})[cell] = tuple(np.add(point, away))
            if cell in BLIND:
                marks.setdefault(name, {})[cell] = point
    views = MarkedViews(names, values, grids, CROPS, "made up")
    of_all = dict.fromkeys(names, levels)
    places = FoundPlaces(of_all, marks, {}, PointOffsets(), {}, {}, dict.fromkeys(names, ()), ())
    return views, places


def test_points_are_found_in_studies_whose_marks_were_not_shown(
    cohort: tuple[MarkedViews, FoundPlaces], tmp_path: Path
) -> None:
    views, places = cohort
    found = find_points(views, places, tmp_path, TRAINING)
    assert set(found.far_mm) == {"subarticular_stenosis"}, "no other condition is nearer by the net"
    assert len(found.nets) == 2
    before, after = [], []
    for name, marks in places.marks.items():
        expected = points_of(places.levels[name])
        for cell, mark in marks.items():
            if cell in BLIND:
                assert found.points[name][cell] == expected[cell]
            else:
                before.append(np.linalg.norm(np.subtract(expected[cell], mark)))
                after.append(np.linalg.norm(np.subtract(found.points[name][cell], mark)))
    assert np.mean(after) < 0.6 * np.mean(before)
    words = dict(found.told)
    assert "not used" in words["Spinal canal stenosis, by heat maps of other studies"]
    assert "not used" not in words["Subarticular stenosis, by heat maps of other studies"]
    assert not any("foraminal" in what for what, _ in found.told), "nobody marked them"
    kept = next(tmp_path.glob("points-*/fold-1/places.npy"))
    np.save(kept, np.zeros_like(np.load(kept)))
    again = find_points(views, places, tmp_path, TRAINING)
    assert again.points != found.points, "what was said is read, not said again"


def test_marks_on_the_wrong_side_are_not_learnt_from(
    cohort: tuple[MarkedViews, FoundPlaces], tmp_path: Path
) -> None:
    views, places = cohort
    cell = MARKED[0]
    wrong = {cell: tuple(-3.0 * np.array(places.marks["s0"][cell]))}
    spoilt = replace(places, marks={**places.marks, "s0": {**places.marks["s0"], **wrong}})
    found = find_points(views, spoilt, tmp_path, TRAINING)
    assert found.far_mm["subarticular_stenosis"] < 12.0, "one wrong mark does not say how far marks lie"
    without = {c: p for c, p in places.marks["s0"].items() if c != cell}
    clean = replace(places, marks={**places.marks, "s0": without})
    again = find_points(views, clean, tmp_path / "clean", TRAINING)
    for name in views.names:
        for c, point in again.points[name].items():
            assert found.points[name][c] == pytest.approx(point, abs=0.3)


def test_few_marked_studies_teach_nothing(cohort: tuple[MarkedViews, FoundPlaces], tmp_path: Path) -> None:
    views, places = cohort
    few = replace(places, marks=dict(list(places.marks.items())[:7]))
    found = find_points(views, few, tmp_path, TRAINING)
    assert found.nets == ()
    assert found.points["s0"] == points_of(places.levels["s0"])
    assert found.told == (
        ("points by heat maps", "not learnt: marks in their series needed in 8 studies, got 7"),
    )
    assert not list(tmp_path.iterdir())


def test_marks_that_no_view_shows_teach_nothing(
    cohort: tuple[MarkedViews, FoundPlaces], tmp_path: Path
) -> None:
    views, places = cohort
    unseen = replace(views, grids=np.zeros_like(views.grids))
    found = find_points(unseen, places, tmp_path, TRAINING)
    assert found.nets == ()
    assert "got 0" in found.told[0][1]


@pytest.mark.parametrize("seed", range(6))
def test_the_mark_of_a_changed_view_stays_on_its_spot(seed: int) -> None:
    config = PointFinderConfig(slices=3, size_px=48, grid_mm=1.0, widths=(8, 16))
    plain = CropAugment(
        gain_log=0, offset=0, bend=0, noise=0, blur_share=0, shift_px=5, turn_deg=30, zoom_log=0.2
    )
    rng = np.random.default_rng(seed)
    values = np.zeros((3, 48, 48), np.float32)
    values[0, 12:15, 29:32] = 1.0
    target = np.array([-4.0, 13 - 23.5, 30 - 23.5])
    moved, mark = changed_view(values, target, config, plain, rng, may_mirror=True)
    weights = moved.sum(axis=(1, 2))
    assert mark[0] == pytest.approx((int(weights.argmax()) - 1) * 4.0)
    picture = moved[int(weights.argmax())]
    rows, columns = np.indices(picture.shape)
    centre = [float((picture * at).sum() / picture.sum()) - 23.5 for at in (rows, columns)]
    assert mark[1:] == pytest.approx(centre, abs=0.15)


def test_only_a_canal_is_mirrored() -> None:
    config = PointFinderConfig(slices=3, size_px=16, widths=(8, 16))
    values, target = np.zeros((3, 16, 16), np.float32), np.array([4.0, 0.0, 0.0])
    signs = {
        may: {
            changed_view(values, target, config, CropAugment(), np.random.default_rng(k), may_mirror=may)[1][
                0
            ]
            for k in range(20)
        }
        for may in (False, True)
    }
    assert signs == {False: {4.0}, True: {4.0, -4.0}}


def test_heat_on_the_mark_costs_less_than_beside_it() -> None:
    config = PointFinderConfig(slices=3, size_px=16, grid_mm=1.2, widths=(8, 16))
    heat = torch.zeros(1, 3, 8, 8)
    heat[0, 1, 5, 2] = 3.0
    on = torch.tensor([[0.0, 1.5 * 2.4, -1.5 * 2.4]])
    loss = point_loss(config)
    assert loss(heat, {"target": on}) < loss(heat, {"target": on + torch.tensor([[0.0, 2.4, 0.0]])})
    assert loss(heat, {"target": on}) < loss(torch.zeros_like(heat), {"target": on})


def test_folds_need_studies() -> None:
    with pytest.raises(ValueError, match="least_studies of two for each fold"):
        PointTraining(folds=4, least_studies=7)
