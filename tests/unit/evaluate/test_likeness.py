"""Hashes and alignments of thumbnails."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from stenograde.evaluate.likeness import (
    SIDE,
    Change,
    bits_apart,
    likeness_aligned,
    likeness_in_place,
    mirror_images,
    perceptual_hashes,
    searched,
    thumbnails,
    tried_changes,
)


def _texture(n: int, *, seed: int = 0, side: int = SIDE) -> NDArray[np.float32]:
    noise = np.random.default_rng(seed).normal(size=(n, side, side))
    smooth = gaussian_filter(noise, (0, 2 * side / SIDE, 2 * side / SIDE))
    return (100 + 40 * smooth / smooth.std()).astype(np.float32)


def test_hashes_when_brightness_and_contrast_change_then_they_stay() -> None:
    pictures = _texture(5)
    np.testing.assert_array_equal(
        np.diag(bits_apart(perceptual_hashes(pictures), perceptual_hashes(2.5 * pictures + 30))), 0
    )


def test_hashes_when_noise_is_added_then_few_bits_change_and_of_other_pictures_many_do() -> None:
    pictures = _texture(30)
    noisy = pictures + np.random.default_rng(1).normal(0, 4, pictures.shape).astype(np.float32)
    apart = bits_apart(perceptual_hashes(pictures), perceptual_hashes(noisy))
    others = apart[~np.eye(30, dtype=bool)]
    assert np.diag(apart).max() <= 6
    assert others.min() > 6
    assert others.mean() == pytest.approx(32, abs=2)


def test_bits_apart_when_counted_then_it_is_for_each_pair() -> None:
    some = np.array([0b1011, 0], np.uint64)
    assert bits_apart(some, np.array([0b0001, 0b1011, 2**64 - 1], np.uint64)).tolist() == [
        [2, 0, 61],
        [1, 3, 64],
    ]


def test_likeness_in_place_when_moved_a_little_then_it_is_1_and_when_other_it_is_low() -> None:
    one, other = _texture(2)
    assert likeness_in_place(one, np.roll(one, (3, -2), (0, 1))) == pytest.approx(1, abs=0.01)
    assert likeness_in_place(one, other) < 0.5
    assert likeness_in_place(one, mirror_images(one[None])[0]) < 0.5


def test_thumbnails_when_pictures_are_of_any_size_then_they_keep_what_is_seen() -> None:
    fine = _texture(1, side=4 * SIDE).clip(0, 255).astype(np.uint8)
    small = thumbnails(fine)
    assert small.shape == (1, SIDE, SIDE)
    blocks = fine.reshape(1, SIDE, 4, SIDE, 4).mean((2, 4))
    assert np.corrcoef(small.ravel(), blocks.ravel())[0, 1] > 0.99


def test_search_when_a_picture_was_changed_then_its_change_is_among_those_tried_and_found() -> None:
    picture = _texture(1)
    change = Change(zoom=(1.0, 1.0), shift=(0.05, -0.1), mirrored=True)
    moved = np.roll(picture[0, :, ::-1], (-round(0.05 * SIDE), round(0.1 * SIDE)), (0, 1))
    likeness, which = searched(picture, moved[None])
    assert tried_changes()[which[0, 0]] == change
    assert likeness[0, 0] > 0.9
    assert likeness_aligned(picture[0], moved, change) > 0.95


def test_search_when_all_are_searched_at_once_then_it_is_as_if_alone() -> None:
    first, second = _texture(3), _texture(2, seed=1)
    likeness, which = searched(first, second)
    for i in range(3):
        for j in range(2):
            alone, of_alone = searched(first[i : i + 1], second[j : j + 1])
            assert likeness[i, j] == pytest.approx(alone[0, 0], abs=1e-5)
            assert which[i, j] == of_alone[0, 0]
