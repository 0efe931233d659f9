"""Crops against SimpleITK's linear resampling on the same grid."""

from __future__ import annotations

import numpy as np
import pytest
from tests.placed_levels import levels, study

from stenograde.levels.crop import CropConfig, CropKind, crop_grid, crop_levels
from stenograde.study import Volume
from stenograde.terms import Side

sitk = pytest.importorskip("SimpleITK", reason="the reference is SimpleITK")

CONFIG = CropConfig(slices=5, size_px=40, grid_mm=0.9)


def as_image(values: np.ndarray, affine: np.ndarray) -> sitk.Image:
    """The values (slice, row, column) as an image; ITK's axes are (column, row, slice)."""
    image = sitk.GetImageFromArray(values)
    steps = affine[:3, [2, 1, 0]]
    spacing = np.linalg.norm(steps, axis=0)
    image.SetSpacing(spacing.tolist())
    image.SetDirection((steps / spacing).ravel().tolist())
    image.SetOrigin(affine[:3, 3].tolist())
    return image


def resampled(volume: Volume, affine: np.ndarray, shape: tuple[int, int, int]) -> np.ndarray:
    grid = as_image(np.zeros(shape, np.float32), affine)
    return sitk.GetArrayFromImage(
        sitk.Resample(as_image(volume.pixels.copy(), volume.affine), grid, sitk.Transform(), sitk.sitkLinear)
    )


@pytest.mark.parametrize("kind", list(CropKind))
def test_values_are_those_of_simpleitk_but_for_scale(kind: CropKind) -> None:
    crops = crop_levels(study(), levels(), CONFIG)
    (volume,) = study().by_role(kind.role).volumes
    ours, theirs = [], []
    for i, level in enumerate(levels().values()):
        for j, side in enumerate(Side):
            grid = crop_grid(kind, side, level, volume.affine, CONFIG)
            reference = resampled(volume, grid.affine, CONFIG.shape)
            inside = reference != 0
            assert inside.mean() > 0.9
            ours.append(crops.values[i, j, tuple(CropKind).index(kind)][inside])
            theirs.append(reference[inside])
    ours_all, theirs_all = np.concatenate(ours), np.concatenate(theirs)
    gain, offset = np.polyfit(theirs_all, ours_all, 1)
    inner = np.abs(ours_all) < 3.99
    np.testing.assert_allclose(ours_all[inner], (gain * theirs_all + offset)[inner], atol=5e-3)
    assert gain > 0
