"""What is no lumbar spine is told by sizes in mm: neck, chest, upside down, no bodies, no canal."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from tests.spine_marks import Spine

from stenograde.levels.marked import MarkedVolume
from stenograde.levels.points import LevelPoints, find_levels
from stenograde.levels.region import not_lumbar, spine_sizes
from stenograde.terms import Structure

SPINE = Spine()


def found(marked: MarkedVolume) -> LevelPoints:
    points = find_levels(marked)
    assert points is not None
    return points


def scaled(marked: MarkedVolume, scale: float) -> MarkedVolume:
    return replace(marked, affine=marked.affine @ np.diag([scale, scale, scale, 1]))


def without(marked: MarkedVolume, structure: Structure, rows: slice) -> MarkedVolume:
    probabilities = marked.probabilities.copy()
    probabilities[:, 0, rows] += probabilities[:, structure.code, rows]
    probabilities[:, structure.code, rows] = 0
    return replace(marked, probabilities=probabilities)


def test_a_lumbar_spine_is_measured_and_passes():
    points = found(Spine().marked())
    sizes = spine_sizes(points)

    assert not_lumbar(points) == ""
    assert sizes.n_discs == 6
    assert sizes.depth_mm == pytest.approx(34, abs=1.5)
    assert sizes.width_mm == pytest.approx(44, abs=4)
    middles = [SPINE.disc_middle(name) for name in ("L5/S1", "L4/L5", "L3/L4", "L2/L3", "L1/L2")]
    assert sizes.pitch_mm == pytest.approx(
        np.median(np.linalg.norm(np.diff(middles, axis=0), axis=1)), abs=0.5
    )
    assert abs(sizes.growth_mm) < 0.5
    assert sizes.bone > 0.95
    assert sizes.canal > 0.95


@pytest.mark.parametrize("scale", [0.85, 1.15])
def test_small_and_large_people_pass(scale):
    assert not_lumbar(found(scaled(Spine().marked(), scale))) == ""


@pytest.mark.parametrize("scale", [0.5, 0.55])
def test_discs_of_the_size_of_a_neck_are_no_lumbar_ones(scale):
    assert "as in the neck" in not_lumbar(found(scaled(Spine().marked(), scale)))


def test_without_a_sacrum_discs_as_near_as_in_the_chest_are_no_lumbar_ones():
    spine = Spine(sacral={}, cut_below_mm=206.0)

    assert not_lumbar(found(spine.marked())) == ""
    assert "as in the chest" in not_lumbar(found(scaled(spine.marked(), 0.65)))


def test_a_spine_upside_down_is_told_by_its_spacing():
    marked = Spine(sacral={}).marked()
    rows_mm = np.array([25.0, 57.0, 91.0, 126.0, 161.0, 196.0])
    upside = replace(
        marked, probabilities=marked.probabilities[:, :, ::-1].copy(), heat=marked.heat[:, :, ::-1].copy()
    )

    assert np.diff(rows_mm).min() < np.diff(rows_mm).max()
    assert not_lumbar(found(marked)) == ""
    assert "upside down" in not_lumbar(found(_stretched(upside)))


def _stretched(marked: MarkedVolume) -> MarkedVolume:
    """Rows taken so that the pitch grows towards the head by a few per cent from level to level."""
    n = marked.size[1]
    rows = np.round((n - 1) * np.linspace(0, 1, n) ** 1.25).astype(int)
    return replace(marked, probabilities=marked.probabilities[:, :, rows], heat=marked.heat[:, :, rows])


def test_discs_without_bodies_between_them_are_no_spine():
    marked = without(Spine().marked(), Structure.VERTEBRA, slice(None))

    assert "no vertebral bodies" in not_lumbar(found(marked))


def test_a_canal_behind_a_part_of_the_column_is_no_spine():
    marked = without(Spine().marked(), Structure.CANAL, slice(60, 260))

    assert "a canal behind only" in not_lumbar(found(marked))


def test_a_single_disc_is_no_spine():
    others = dict.fromkeys(("L4/L5", "L3/L4", "L2/L3", "L1/L2", "T12/L1"), 0.0)

    assert not_lumbar(found(Spine(heat=others).marked())) == "fewer than two intervertebral discs"
