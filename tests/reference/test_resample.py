"""Resampling agrees with SciPy and SimpleITK going finer, and with Pillow going coarser."""

from __future__ import annotations

import numpy as np
import pytest
import SimpleITK
from PIL import Image
from scipy import ndimage

from stenograde.images.resample import grid_size, resample

SPACINGS = [((0.8, 0.7), (0.6, 0.45)), ((1.0, 1.0), (0.6, 0.6)), ((0.6, 0.9), (0.6, 0.3))]
"""From, to, mm: no axis gets coarser."""


@pytest.fixture
def picture() -> np.ndarray:
    return np.random.default_rng(11).normal(100, 30, (37, 41)).astype(np.float32)


@pytest.mark.parametrize(("spacing", "to_mm"), SPACINGS)
def test_finer_is_linear_interpolation_as_in_scipy(picture, spacing, to_mm):
    ours = resample(picture, spacing, to_mm)

    at = [(np.arange(n) + 0.5) * to / mm - 0.5 for n, to, mm in zip(ours.shape, to_mm, spacing, strict=True)]
    theirs = ndimage.map_coordinates(picture, np.meshgrid(*at, indexing="ij"), order=1, mode="nearest")

    np.testing.assert_allclose(ours, theirs, atol=1e-3)


@pytest.mark.parametrize(("spacing", "to_mm"), SPACINGS)
def test_finer_is_linear_interpolation_as_in_simpleitk(picture, spacing, to_mm):
    image = SimpleITK.GetImageFromArray(picture)
    image.SetSpacing(spacing[::-1])
    rows, columns = (grid_size(n, mm, to) for n, mm, to in zip(picture.shape, spacing, to_mm, strict=True))
    origin = [(to - mm) / 2 for to, mm in zip(to_mm[::-1], spacing[::-1], strict=True)]
    resampler = SimpleITK.ResampleImageFilter()
    resampler.SetSize((columns, rows))
    resampler.SetOutputSpacing(to_mm[::-1])
    resampler.SetOutputOrigin(origin)
    resampler.SetInterpolator(SimpleITK.sitkLinear)
    resampler.SetUseNearestNeighborExtrapolator(True)

    theirs = SimpleITK.GetArrayFromImage(resampler.Execute(image))

    inner = np.s_[2:-3, 2:-3]  # within half a pixel of the border SimpleITK extrapolates otherwise
    np.testing.assert_allclose(resample(picture, spacing, to_mm)[inner], theirs[inner], atol=1e-3)


@pytest.mark.parametrize(("size", "factor"), [((36, 40), 2.0), ((30, 45), 2.5), ((36, 48), 1.5)])
def test_coarser_is_the_widened_triangle_of_pillow(picture, size, factor):
    part = picture[: size[0], : size[1]]
    if part.shape != size:
        part = np.resize(picture, size)
    rows, columns = round(size[0] / factor), round(size[1] / factor)

    theirs = np.asarray(Image.fromarray(part).resize((columns, rows), Image.Resampling.BILINEAR))

    ours = resample(part, (1.0, 1.0), (factor, factor))
    assert ours.shape == theirs.shape
    np.testing.assert_allclose(ours, theirs, atol=1e-2)


def test_coarser_in_one_direction_and_finer_in_the_other_is_pillows(picture):
    part = picture[:36, :40]
    theirs = np.asarray(Image.fromarray(part).resize((80, 18), Image.Resampling.BILINEAR))

    np.testing.assert_allclose(resample(part, (1.0, 1.0), (2.0, 0.5)), theirs, atol=1e-2)
