"""Crops of discs: each lies where its disc is, upright, and does not depend on how the slice is scaled."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from stenograde.images.standardise import standardise
from stenograde.levels.disc_crop import FULL_SCALE, DiscCropConfig, cut_discs, to_scale

CONFIG = DiscCropConfig(rows=32, columns=40, pixel_mm=0.5, behind_mm=0.0)
SPACING = (0.8, 0.5)
CENTRES = [(150.0, 90.0), (110.0, 90.0), (70.0, 90.0)]
"""From the feet up, as the chain of discs is."""


def picture(seed: int = 0) -> np.ndarray:
    noise = np.random.default_rng(seed).normal(size=(200, 180))
    return ndimage.gaussian_filter(noise, 3).astype(np.float32)


def test_an_upright_spine_is_cut_as_it_stands() -> None:
    whole = picture()
    crop = cut_discs(to_scale(whole), SPACING, CENTRES, CONFIG)[1]
    # an independent way: values on the grid by scipy's own spline of order 1 over millimetres
    rows = 110.0 * 0.8 + (np.arange(32) - 15.5) * 0.5
    columns = 90.0 * 0.5 + (np.arange(40) - 19.5) * 0.5
    scaled = np.clip(standardise(whole) / FULL_SCALE, -1, 1)
    wanted = ndimage.map_coordinates(scaled, np.meshgrid(rows / 0.8, columns / 0.5, indexing="ij"), order=1)
    np.testing.assert_allclose(crop, wanted, atol=1e-6)


def test_a_turned_spine_gives_the_same_crops() -> None:
    """The picture is turned by a quarter, and so is the spine: it then lies, head to the right."""
    # isotropic, as a quarter turn swaps rows and columns
    whole, spacing = picture(1), (0.6, 0.6)
    upright = cut_discs(to_scale(whole), spacing, CENTRES, CONFIG)
    slanted = [(row + 0.3 * (110 - row), column + 0.4 * (110 - row)) for row, column in CENTRES]
    along = np.subtract(slanted[0], slanted[2])
    angle = float(np.degrees(np.arctan2(along[1], along[0])))
    middle = np.array([110.0, 90.0])
    turn = np.deg2rad(angle)
    matrix = np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]])
    turned = ndimage.affine_transform(whole, matrix, offset=middle - matrix @ middle, order=3, mode="nearest")
    found = cut_discs(to_scale(turned), spacing, slanted, CONFIG)[1]
    assert np.corrcoef(found.ravel(), upright[1].ravel())[0, 1] > 0.99


def test_some_discs_are_cut_as_they_are_among_all() -> None:
    whole = picture(4)
    every = cut_discs(to_scale(whole), SPACING, CENTRES, CONFIG)
    some = cut_discs(to_scale(whole), SPACING, CENTRES, CONFIG, (2, 0))
    np.testing.assert_array_equal(some, every[[2, 0]])


def test_scale_and_offset_of_a_slice_change_nothing() -> None:
    whole = picture(2)
    np.testing.assert_allclose(
        cut_discs(to_scale(300 * whole + 1000), SPACING, CENTRES, CONFIG),
        cut_discs(to_scale(whole), SPACING, CENTRES, CONFIG),
        atol=1e-3,
    )


def test_behind_is_to_the_back() -> None:
    whole = picture(3)
    moved = DiscCropConfig(rows=32, columns=40, pixel_mm=0.5, behind_mm=5.0)
    before, behind = (cut_discs(to_scale(whole), SPACING, CENTRES, one)[1] for one in (CONFIG, moved))
    np.testing.assert_allclose(behind[:, :-10], before[:, 10:], atol=1e-5)


def test_one_disc_has_no_direction() -> None:
    with pytest.raises(ValueError, match="two or more"):
        cut_discs(to_scale(picture()), SPACING, CENTRES[:1], CONFIG)
