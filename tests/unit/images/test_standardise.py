"""Standardised pictures have mean 0 and deviation 1, whatever their offset and scale were."""

from __future__ import annotations

import numpy as np
import pytest

from stenograde.images.standardise import standardise


@pytest.fixture
def pictures() -> np.ndarray:
    return np.random.default_rng(5).gamma(2.0, 100.0, (3, 40, 44)).astype(np.float32)


def test_each_picture_has_mean_nought_and_deviation_one(pictures):
    out = standardise(pictures * np.array([1, 10, 100], np.float32)[:, None, None])

    assert out.dtype == np.float32
    np.testing.assert_allclose(out.mean(axis=(1, 2)), 0, atol=1e-5)
    np.testing.assert_allclose(out.std(axis=(1, 2)), 1, atol=1e-5)


@pytest.mark.parametrize(("scale", "offset"), [(1.0, 1000.0), (0.01, 0.0), (30.0, -500.0), (1.0, -32768.0)])
def test_offset_and_scale_change_nothing(pictures, scale, offset):
    np.testing.assert_allclose(standardise(pictures * scale + offset), standardise(pictures), atol=2e-3)


def test_a_glaring_pixel_is_clipped(pictures):
    glaring = pictures.copy()
    glaring[0, 1, 1] = 1e6

    out, plain = standardise(glaring), standardise(pictures)

    assert out.max() < 6
    others = np.ones(pictures.shape, bool)
    others[0, 1, 1] = False
    np.testing.assert_allclose(out[others], plain[others], atol=0.05)


@pytest.mark.parametrize("value", [0.0, 7.0, -3.5, 1e6, 0.1])
def test_a_picture_of_one_value_is_nought(value):
    out = standardise(np.full((2, 16, 16), value, np.float32))

    np.testing.assert_array_equal(out, 0)


def test_one_flat_picture_does_not_touch_the_others(pictures):
    mixed = pictures.copy()
    mixed[1] = 100.0

    out = standardise(mixed)

    np.testing.assert_array_equal(out[1], 0)
    np.testing.assert_allclose(out[[0, 2]], standardise(pictures)[[0, 2]], atol=1e-6)


def test_a_stack_is_standardised_as_its_pictures(pictures):
    out = standardise(pictures)

    for one, picture in zip(out, pictures, strict=True):
        np.testing.assert_allclose(one, standardise(picture), atol=1e-5)


def test_the_input_is_left_alone(pictures):
    before = pictures.copy()
    pictures.flags.writeable = False
    standardise(pictures)

    np.testing.assert_array_equal(pictures, before)


@pytest.mark.parametrize("shape", [(1, 1), (1, 5), (3, 2)])
def test_tiny_pictures_are_finite(shape):
    out = standardise(np.arange(np.prod(shape), dtype=np.float32).reshape(shape))

    assert out.shape == shape
    assert np.isfinite(out).all()
