"""Slices are turned to the usual display, and points stay where they are."""

from __future__ import annotations

import numpy as np
import pytest
from tests.spine_marks import turned

from stenograde import geometry
from stenograde.images.orient import Turn, display_turn
from stenograde.terms import Plane

TURNS = [Turn(t, r, c) for t in (False, True) for r in (False, True) for c in (False, True)]

USUAL = {
    Plane.SAGITTAL: ((0, 0, -1), (0, 1, 0)),
    Plane.CORONAL: ((0, 0, -1), (1, 0, 0)),
    Plane.AXIAL: ((0, 1, 0), (1, 0, 0)),
}
"""Directions of growing rows and columns as usually displayed, LPS."""


def affine_for(rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    affine = np.eye(4)
    affine[:3, 0] = 4 * np.cross(columns, rows)
    affine[:3, 1], affine[:3, 2] = 0.5 * np.asarray(rows), 0.7 * np.asarray(columns)
    affine[:3, 3] = (3.0, -20.0, 55.0)
    return affine


@pytest.mark.parametrize("turn", TURNS)
def test_undo_is_the_inverse(turn):
    slices = np.arange(2 * 3 * 5).reshape(2, 3, 5)

    np.testing.assert_array_equal(turn.undo(turn.apply(slices)), slices)
    shown = np.arange(2 * 5 * 3).reshape(2, 5, 3)
    np.testing.assert_array_equal(turn.apply(turn.undo(shown)), shown)


@pytest.mark.parametrize("turn", TURNS)
def test_the_affine_is_turned_along(turn):
    """Every pixel keeps its place in the patient."""
    slices = np.random.default_rng(1).permutation(2 * 3 * 5).reshape(2, 3, 5)
    affine = affine_for(np.array([0, 0, -1.0]), np.array([0, 1.0, 0]))
    shown, shown_affine = turn.apply(slices), turn.affine(affine, (3, 5))

    for value in range(slices.size):
        before = geometry.to_patient(affine, np.argwhere(slices == value))
        after = geometry.to_patient(shown_affine, np.argwhere(shown == value))
        np.testing.assert_allclose(before, after, atol=1e-9)


@pytest.mark.parametrize("plane", Plane)
@pytest.mark.parametrize("stored", TURNS)
def test_however_slices_are_stored_they_are_shown_as_usual(plane, stored):
    rows, columns = USUAL[plane]
    affine = stored.affine(affine_for(np.array(rows, float), np.array(columns, float)), (6, 8))

    turn = display_turn(affine, plane)
    shown = turn.affine(affine, (8, 6) if stored.transpose else (6, 8))

    np.testing.assert_allclose(shown[:3, 1] / np.linalg.norm(shown[:3, 1]), rows, atol=1e-9)
    np.testing.assert_allclose(shown[:3, 2] / np.linalg.norm(shown[:3, 2]), columns, atol=1e-9)
    np.testing.assert_allclose(shown[:3, 0], affine[:3, 0]), "slices keep their order"


@pytest.mark.parametrize("degrees", [(25, 0, 0), (-30, 10, 10), (0, 20, -25)])
def test_an_oblique_plane_is_turned_to_the_nearest_usual_one(degrees):
    for plane, (rows, columns) in USUAL.items():
        oblique = turned(degrees) @ np.stack([rows, columns], axis=1)
        assert display_turn(affine_for(*oblique.T), plane) == Turn(False, False, False)


def test_pixels_that_are_not_square_do_not_confuse_the_turn():
    affine = affine_for(np.array([0, 0.8, -0.6]), np.array([0, 0.6, 0.8]))
    affine[:3, 1] *= 20

    # rows run more to the back than to the feet, columns more to the head than to the back
    assert display_turn(affine, Plane.SAGITTAL) == Turn(True, True, False)
