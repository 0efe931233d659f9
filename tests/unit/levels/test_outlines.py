"""Outlines run around what was marked and carry the names of the chain."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial import KDTree
from skimage.measure import approximate_polygon, find_contours
from tests.spine_marks import CANAL_MM, DISC_HEIGHT_MM, DISC_LENGTH_MM, GRID_MM, Spine

from stenograde import geometry
from stenograde.grades import Outline
from stenograde.levels.discs import DiscChain
from stenograde.levels.marked import MarkedVolume
from stenograde.levels.outlines import outlines_of, simplified, vertebra_names
from stenograde.levels.points import find_levels
from stenograde.terms import Structure

MIDDLE = 5


@pytest.fixture(scope="module")
def drawn(narrow_points) -> tuple[Outline, ...]:
    return outlines_of(narrow_points, MIDDLE)


def of_structure(outlines: tuple[Outline, ...], structure: Structure) -> list[Outline]:
    return [one for one in outlines if one.structure is structure]


def on_grid_mm(outline: Outline, affine: np.ndarray) -> np.ndarray:
    return geometry.to_index(affine, outline.points)[:, 1:] * GRID_MM


def centroid(line: np.ndarray) -> np.ndarray:
    rows, columns = line.T
    cross = rows * np.roll(columns, -1) - columns * np.roll(rows, -1)
    return ((line + np.roll(line, -1, axis=0)) * cross[:, None]).sum(axis=0) / (3 * cross.sum())


def area_mm2(line: np.ndarray) -> float:
    rows, columns = line.T
    return abs(float(rows @ np.roll(columns, 1) - columns @ np.roll(rows, 1))) / 2


def test_vertebrae_are_named_after_the_discs_below_them(narrow_points):
    assert vertebra_names(narrow_points) == ("L5", "L4", "L3", "L2", "L1", "T12")


def test_every_disc_and_vertebra_between_two_discs_is_named_once(drawn):
    discs = sorted(one.name for one in of_structure(drawn, Structure.DISC))
    bodies = sorted(one.name for one in of_structure(drawn, Structure.VERTEBRA) if one.name)

    assert discs == ["L1/L2", "L2/L3", "L3/L4", "L4/L5", "L5/S1", "T12/L1"]
    assert set(bodies) >= {"L1", "L2", "L3", "L4", "L5"}
    assert len(bodies) == len(set(bodies))


def test_names_lie_where_their_structures_were_made(drawn, narrow_points, narrow):
    affine = narrow_points.surface.marked.affine
    for one in of_structure(drawn, Structure.DISC):
        np.testing.assert_allclose(centroid(on_grid_mm(one, affine)), narrow.disc_middle(one.name), atol=0.5)
        assert area_mm2(on_grid_mm(one, affine)) == pytest.approx(DISC_LENGTH_MM * DISC_HEIGHT_MM, rel=0.1)
    for one in of_structure(drawn, Structure.VERTEBRA):
        if one.name in {"L2", "L3", "L4", "L5"}:
            below = {"L5": "L5/S1", "L4": "L4/L5", "L3": "L3/L4", "L2": "L2/L3"}[one.name]
            above = {"L5": "L4/L5", "L4": "L3/L4", "L3": "L2/L3", "L2": "L1/L2"}[one.name]
            middle = (narrow.disc_middle(below) + narrow.disc_middle(above)) / 2
            np.testing.assert_allclose(centroid(on_grid_mm(one, affine)), middle, atol=5)


def test_the_canal_is_outlined_without_a_name(drawn):
    (canal,) = of_structure(drawn, Structure.CANAL)

    assert canal.name == ""
    assert CANAL_MM * 200 < area_mm2(canal.points[:, [2, 1]]) < CANAL_MM * 250


def test_outlines_lie_in_the_plane_of_their_slice_and_are_closed(drawn, narrow_points):
    for one in drawn:
        slices = geometry.to_index(narrow_points.surface.marked.affine, one.points)[:, 0]
        np.testing.assert_allclose(slices, MIDDLE, atol=1e-6)
        np.testing.assert_allclose(one.points[0], one.points[-1])


def test_specks_are_not_outlined(narrow_points):
    marked = narrow_points.surface.marked
    probabilities = np.zeros_like(marked.probabilities)
    probabilities[:, 0] = 1
    probabilities[MIDDLE, :, 100:108, 100:108] = 0  # 23 mm²
    probabilities[MIDDLE, Structure.CANAL.code, 100:108, 100:108] = 1
    speck = MarkedVolume(marked.affine, probabilities, marked.heat)
    points = replace(narrow_points, surface=replace(narrow_points.surface, marked=speck))

    assert outlines_of(points, MIDDLE) == ()


def test_a_piece_far_from_the_chain_has_no_name(narrow_points):
    lowest = DiscChain(narrow_points.chain.discs[:1], ())
    drawn = outlines_of(replace(narrow_points, chain=lowest), MIDDLE)

    assert sorted(one.name for one in of_structure(drawn, Structure.DISC)) == ["", "", "", "", "", "L5/S1"]
    assert all(one.name == "" for one in of_structure(drawn, Structure.VERTEBRA))


def test_what_touches_the_edge_is_outlined_too():
    spine = Spine(cut_above_mm=60.0)
    points = find_levels(spine.marked())

    (canal,) = of_structure(outlines_of(points, MIDDLE), Structure.CANAL)
    assert geometry.to_index(spine.affine(), canal.points)[:, 1].min() == pytest.approx(-0.5, abs=0.1)


@given(
    st.lists(st.tuples(*2 * [st.integers(-40, 40)]), min_size=2, max_size=60).map(
        lambda points: np.cumsum(np.array(points, float) / 10, axis=0)
    ),
    st.sampled_from([0.1, 0.4, 1.5]),
)
def test_a_simplified_line_keeps_its_ends_and_leaves_out_only_what_lies_near_it(line, tolerance):
    kept = simplified(line, tolerance)

    np.testing.assert_array_equal(kept[[0, -1]], line[[0, -1]])
    share = np.linspace(0, 1, 401)[:, None]
    drawn = np.concatenate([start + share * (end - start) for start, end in pairwise(kept)])
    away, _ = KDTree(drawn).query(line)
    assert away.max() <= tolerance + 0.02


def test_borders_are_simplified_as_scikit_image_does_it():
    rows, columns = np.indices((80, 60))
    border = find_contours(np.hypot((rows - 38) / 1.6, columns - 30) + 2 * np.sin(rows / 5), 18.0)[0]

    np.testing.assert_array_equal(simplified(border, 0.4), approximate_polygon(border, 0.4))
    assert len(simplified(border, 0.4)) < len(border) / 2
