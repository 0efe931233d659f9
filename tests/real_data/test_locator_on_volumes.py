"""Discs of real volumes that the locator never saw in training are all found."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from tests.plain_volumes import volume_of

from stenograde import default_bundle
from stenograde.datasets.spider import read_midsagittal_slices
from stenograde.levels.measure import measure_canal
from stenograde.levels.points import find_levels, points_reach_mm
from stenograde.predict.locate import levels_in, mark_volume

pytestmark = pytest.mark.data

STEP = 3
"""Every so many-th slice is looked at, to be quick; slices are then 3 mm apart."""

VOLUMES = ("IVD_11", "VB1_02", "VB1_08", "VB2_02", "VB3_02")
"""One letter group per published set: IVD labels discs, VB vertebral bodies."""


def labelled_discs(labels: np.ndarray, *, are_discs: bool) -> np.ndarray:
    """Centres (slice, row, column) of labelled discs, or of the gaps between labelled bodies, upwards."""
    centres = np.array([np.argwhere(labels == value).mean(axis=0) for value in np.unique(labels)[1:]])
    centres = centres[np.argsort(-centres[:, 0])]
    if not are_discs:
        centres = (centres[1:] + centres[:-1]) / 2
    return centres[:, [2, 0, 1]]


@pytest.mark.parametrize("name", VOLUMES)
def test_every_labelled_disc_is_found(development_data: Path, name: str) -> None:
    stored = np.load(development_data / "lumbar_volumes" / f"{name}.npz")
    slices = stored["image"].transpose(2, 0, 1)[::STEP]
    affine = np.eye(4)
    affine[:3, 0], affine[:3, 1], affine[:3, 2] = (STEP, 0, 0), (0, 0, -1), (0, 1, 0)
    truth = labelled_discs(stored["labels"], are_discs=name.startswith("IVD")) * [1, -1, 1]

    points = find_levels(mark_volume(volume_of(slices, affine), default_bundle()).marked)

    assert points is not None
    found = np.array([points.disc_centres[disc.name] for disc in points.chain.discs])
    away = np.linalg.norm(found[:, None] - truth[:, [0, 2, 1]][None], axis=2)
    nearest = away.argmin(axis=0)
    # found discs run upwards, as the labelled ones do: one after the other, and none between them
    np.testing.assert_array_equal(np.diff(nearest), 1)
    assert away.min(axis=0).mean() < 4.0, away.min(axis=0).round(1)
    assert away.min(axis=0).max() < 10.0, away.min(axis=0).round(1)
    if not name.startswith("VB2") and not name.startswith("VB3"):
        assert points.chain.discs[nearest[0]].name == "L5/S1", "the lowest label is L5/S1, or S1 below it"
    else:
        assert points.chain.discs[nearest[0]].name == "L4/L5", "the lowest label is L5"


@pytest.mark.parametrize("name", ["131_t2", "193_t2"])
def test_what_is_dark_does_not_depend_on_which_slices_are_marked(development_data: Path, name: str) -> None:
    """In these two the signal below S1 is near the limit from which on the doubt is told."""
    one = next(one for one in read_midsagittal_slices(development_data) if one.name == name)
    affine = np.eye(4)
    affine[:3, :3] = np.array([[-1.0, 0, 0], [0, 0, 1], [0, -1, 0]]) @ np.diag([4.0, *one.spacing_mm])
    volume = volume_of(np.repeat(one.picture[None], 15, axis=0), affine)

    whole = mark_volume(volume, default_bundle())
    near = mark_volume(volume, default_bundle(), reach_mm=points_reach_mm(4.0))
    points, others = levels_in(whole), levels_in(near)
    assert points is not None
    assert others is not None
    assert others.chain.doubts == points.chain.doubts
    ours, theirs = measure_canal(others, near.intensities), measure_canal(points, whole.intensities)
    np.testing.assert_allclose([m.value for m in ours], [m.value for m in theirs], rtol=1e-3)
