"""Values between the points of a lattice, and textures, are those of scipy's interpolation."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.ndimage import map_coordinates

from stenograde.images.lattice import Lattice
from stenograde.phantom.body.canvas import Noise, Points
from stenograde.phantom.body.patient import make_patient


@given(
    shape=st.lists(st.integers(1, 9), min_size=1, max_size=3),
    seed=st.integers(0, 2**32 - 1),
)
def test_a_lattice_is_linear_between_its_points_and_goes_on_beyond_its_edge(shape, seed):
    rng = np.random.default_rng(seed)
    first, second = rng.normal(size=(2, *shape)).astype(np.float32)
    places = rng.uniform(-3, 12, (len(shape), 50)).astype(np.float32)

    found = Lattice(first, second).at(*places)

    for values, said in zip((first, second), found, strict=True):
        expected = map_coordinates(values, places, order=1, mode="nearest")
        np.testing.assert_allclose(said, expected, atol=2e-5)


@pytest.mark.parametrize("shapes", [((3, 0),), ((2, 2), (2, 3))])
def test_a_lattice_of_nothing_or_of_two_shapes_is_refused(shapes):
    with pytest.raises(ValueError, match="one shape of 1 or more, got"):
        Lattice(*(np.zeros(shape, np.float32) for shape in shapes))


def test_a_linear_texture_repeats_and_is_linear_between_its_cells():
    noise = Noise(3, 1, 5.0, smooth=5.0, size=32, linear=True)
    points = np.random.default_rng(0).uniform(-90, 90, (3, 500)).astype(np.float32)
    grid = noise._values.reshape(32, 32, 32)
    places = points * noise._step + noise._start[:, None].astype(np.float32)

    expected = map_coordinates(grid, places, order=1, mode="grid-wrap")

    np.testing.assert_allclose(noise.at(*points), expected, atol=1e-5)


@pytest.fixture(scope="module")
def points() -> Points:
    patient = make_patient(1)
    xyz = np.random.default_rng(1).uniform(-60, 60, (3, 400)).astype(np.float32)
    return Points.of(patient.anatomy, xyz)


def test_some_of_the_points_have_the_textures_and_places_of_all(points):
    noise = Noise(3, 1, 2.0)
    some = points.take(np.flatnonzero(points.left > 0))
    fewer = some.take(np.arange(0, len(some.s), 3))
    np.testing.assert_array_equal(fewer.grain(noise), noise.at(*fewer.xyz))
    np.testing.assert_array_equal(fewer.xyz, points.xyz[:, points.left > 0][:, ::3])


def test_what_points_were_asked_for_cannot_be_changed(points):
    with pytest.raises(ValueError, match="read-only"):
        points.aside[0] = 1
