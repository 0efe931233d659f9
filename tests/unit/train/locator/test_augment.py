"""Augmentation moves picture and masks together, can be replayed, and mirrors nothing."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("torch", reason="needs the extra 'train'")

from hypothesis import given
from hypothesis import strategies as st
from tests.spider_files import picture_and_mask

from stenograde.datasets.marked_slice import UNKNOWN
from stenograde.train.locator.augment import AugmentConfig, Change, apply, sample

NO_CHANGE = Change(
    np.eye(2), (0, 0), (0, 0), 1.0, None, np.ones(3), None, np.zeros(5), (0, 0), 0.0, (0, 0, 0, 0), 0
)
CONFIG = AugmentConfig(size_px=(160, 128))


def _apply(change):  # type: ignore[no-untyped-def]
    picture, mask = picture_and_mask()
    return apply(
        change,
        picture.astype(np.float32),
        np.stack([mask, mask]),
        (0.6, 0.6),
        grid_mm=0.6,
        size_px=(160, 128),
    )


def test_the_same_seed_gives_the_same_crop() -> None:
    first, second = (_apply(sample(np.random.default_rng(5), CONFIG)) for _ in range(2))
    assert np.array_equal(first[0], second[0])
    assert np.array_equal(first[1], second[1])


@given(st.integers(0, 2**31))
def test_picture_and_mask_stay_together(seed: int) -> None:
    """With geometry alone the bright canal lies where the mask says canal, and UNKNOWN is outside."""
    change = sample(np.random.default_rng(seed), CONFIG)
    change = replace(
        change,
        gamma=1.0,
        means=None,
        curve=None,
        bias=np.zeros(5),
        blur_px=(0.0, 0.0),
        noise=0.0,
        cut=(0.0, 0.0, 0.0, 0.0),
    )
    picture, marks = _apply(change)
    canal, rest = picture[marks[0] == 3], picture[(marks[0] != 3) & (marks[0] != UNKNOWN)]
    if canal.size > 200 and rest.size > 200:
        assert np.median(canal) > np.percentile(rest, 90)


@given(st.integers(0, 2**31))
def test_nothing_is_mirrored(seed: int) -> None:
    assert np.linalg.det(sample(np.random.default_rng(seed), CONFIG).matrix) > 0


def test_no_change_only_crops_around_the_spine() -> None:
    picture, marks = _apply(NO_CHANGE)
    mask = picture_and_mask()[1]
    middle = np.argwhere(mask > 0).mean(axis=0)
    row, column = (int(v) for v in middle)
    assert marks[0][80, 64] == mask[row, column]
    assert abs(float(picture.mean())) < 0.01
    # the canal stays 14 columns wide in some middle row
    assert int((marks[0][80] == 3).sum()) == int((mask[row] == 3).sum())


def test_cut_borders_are_unknown() -> None:
    picture, marks = _apply(replace(NO_CHANGE, cut=(0.25, 0.0, 0.0, 0.0)))
    assert (marks[0][:40] == UNKNOWN).all()
    assert float(np.ptp(picture[:40])) == 0.0
