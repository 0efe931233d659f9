"""Resampling keeps outer edges, averages going coarser and interpolates going finer."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stenograde.images.resample import grid_size, interpolation_weights, resample


@pytest.mark.parametrize(
    ("n_from", "from_mm", "n_to", "to_mm"),
    [(448, 0.625, 467, 0.6), (512, 0.39, 333, 0.6), (7, 4.0, 47, 0.6), (1, 1.0, 5, 0.2), (5, 0.5, 1, 9.0)],
)
def test_weights_sum_to_one_and_are_none_below_nought(n_from, from_mm, n_to, to_mm):
    weights = interpolation_weights(n_from, from_mm, n_to, to_mm)

    assert weights.shape == (n_to, n_from)
    assert weights.dtype == np.float32
    assert weights.min() >= 0
    np.testing.assert_allclose(weights.sum(axis=1), 1, atol=1e-6)


def test_same_spacing_changes_nothing():
    np.testing.assert_array_equal(interpolation_weights(9, 0.7, 9, 0.7), np.eye(9))


@pytest.mark.parametrize(
    ("n_from", "from_mm", "to_mm", "n_to"),
    [(512, 0.5, 0.6, 427), (10, 0.6, 0.6, 10), (6, 0.1, 0.2, 3), (7, 0.1, 0.2, 4), (1, 0.1, 5.0, 1)],
)
def test_grid_covers_the_picture(n_from, from_mm, to_mm, n_to):
    assert grid_size(n_from, from_mm, to_mm) == n_to


@pytest.mark.parametrize(("to_mm", "off_mm"), [((0.6, 0.4), 1e-4), ((0.6, 0.6), 0.03), ((2.4, 0.2), 0.03)])
def test_a_slope_stays_where_it_is(to_mm, off_mm):
    """Values that grow evenly in mm do so after resampling, away from the borders."""
    spacing = (0.9, 0.5)
    rows_mm, columns_mm = ((np.arange(n) + 0.5) * mm for n, mm in zip((60, 90), spacing, strict=True))
    slope = (3 * rows_mm[:, None] - 2 * columns_mm[None]).astype(np.float32)

    out = resample(slope, spacing, to_mm)

    new_rows, new_columns = ((np.arange(n) + 0.5) * mm for n, mm in zip(out.shape, to_mm, strict=True))
    expected = 3 * new_rows[:, None] - 2 * new_columns[None]
    inner = np.s_[4:-4, 12:-12]
    np.testing.assert_allclose(out[inner], expected[inner], atol=off_mm * (3 + 2))


def test_going_coarser_averages_a_chequerboard_away():
    board = (np.indices((64, 64)).sum(axis=0) % 2).astype(np.float32)

    np.testing.assert_allclose(resample(board, (1.0, 1.0), (4.0, 4.0))[1:-1, 1:-1], 0.5, atol=1e-6)


def test_size_given_is_size_got_and_the_border_is_held():
    picture = np.arange(12, dtype=np.float32).reshape(3, 4)

    out = resample(picture, (1.0, 1.0), (1.0, 1.0), (5, 6))

    assert out.shape == (5, 6)
    np.testing.assert_array_equal(out[:3, :4], picture)
    np.testing.assert_array_equal(out[3:, :4], np.broadcast_to(picture[-1], (2, 4)))
    np.testing.assert_array_equal(out[:3, 4:], np.broadcast_to(picture[:, -1:], (3, 2)))


def test_a_stack_is_resampled_as_its_pictures():
    stack = np.random.default_rng(0).normal(size=(3, 2, 17, 23)).astype(np.float32)

    out = resample(stack, (0.8, 0.7), (0.6, 0.6))

    assert out.dtype == np.float32
    for i in range(3):
        for j in range(2):
            np.testing.assert_allclose(out[i, j], resample(stack[i, j], (0.8, 0.7), (0.6, 0.6)), atol=1e-6)


def test_there_and_back_keeps_a_smooth_picture():
    rows, columns = np.indices((80, 96)) * 0.6
    smooth = (np.sin(rows / 9) + np.cos(columns / 7)).astype(np.float32)

    back = resample(resample(smooth, (0.6, 0.6), (0.45, 0.45)), (0.45, 0.45), (0.6, 0.6), smooth.shape)

    np.testing.assert_allclose(back[2:-2, 2:-2], smooth[2:-2, 2:-2], atol=0.01)


@given(
    st.tuples(st.integers(1, 40), st.integers(1, 40)),
    st.tuples(st.floats(0.3, 2.0), st.floats(0.3, 2.0)),
    st.tuples(st.floats(0.3, 4.0), st.floats(0.3, 4.0)),
)
def test_it_is_the_product_with_the_matrices_of_both_axes(size, spacing_mm, to_mm):
    picture = np.random.default_rng(0).normal(size=size).astype(np.float32)
    to_size = [grid_size(n, mm, new) for n, mm, new in zip(size, spacing_mm, to_mm, strict=True)]
    down, across = (
        interpolation_weights(n, mm, to, new)
        for n, mm, to, new in zip(size, spacing_mm, to_size, to_mm, strict=True)
    )

    np.testing.assert_allclose(resample(picture, spacing_mm, to_mm), down @ picture @ across.T, atol=2e-6)
