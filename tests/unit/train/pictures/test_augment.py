"""Changes of pictures: as drawn, as the geometry says, replayable, and sides go with the flip."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("torch", reason="needs the extra 'train'")
pytest.importorskip("cv2", reason="needs the extra 'train'")

from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage

from stenograde.train.pictures.augment import (
    PictureAugment,
    apply_changes,
    sample_changes,
    source_matrices,
    swap_sides,
)

STRONG = PictureAugment(
    shift=0.2,
    zoom=0.2,
    turn_deg=20,
    flip="horizontal",
    brightness=0.2,
    contrast=0.3,
    gamma_log=0.4,
    noise=0.1,
    erase=0.3,
)
STILL = PictureAugment(shift=0, zoom=0)


def _smooth_pictures(n: int, size: tuple[int, int] = (40, 56)) -> np.ndarray:
    noise = np.random.default_rng(1).random((n, *size))
    smooth = np.stack([ndimage.gaussian_filter(one, 4) for one in noise])
    return np.rint(255 * (smooth - smooth.min()) / np.ptp(smooth)).astype(np.uint8)


def test_warp_agrees_with_scipy() -> None:
    """The same affine map, bilinear with repeated borders; OpenCV rounds places to 1/32 pixel."""
    pictures = _smooth_pictures(6)
    changes = sample_changes(
        np.random.default_rng(0), 6, PictureAugment(0.2, 0.2, turn_deg=20, flip="horizontal")
    )
    ours = apply_changes(changes, pictures)
    for picture, matrix, changed in zip(pictures, source_matrices(changes, (40, 56)), ours, strict=True):
        swapped = matrix[::-1, [1, 0]]
        wanted = ndimage.affine_transform(
            picture.astype(float), swapped, matrix[::-1, 2], order=1, mode="nearest"
        )
        assert np.abs(changed - wanted).max() < 2
    assert changes.flipped.any()
    assert not changes.flipped.all()


def test_no_change_gives_the_same_pictures() -> None:
    pictures = _smooth_pictures(3)
    assert np.array_equal(
        apply_changes(sample_changes(np.random.default_rng(0), 3, STILL), pictures), pictures
    )


def test_flip_mirrors_left_to_right_exactly() -> None:
    pictures = _smooth_pictures(8)
    changes = sample_changes(np.random.default_rng(0), 8, replace(STILL, flip="horizontal"))
    changed = apply_changes(changes, pictures)
    for picture, one, flipped in zip(pictures, changed, changes.flipped, strict=True):
        assert np.array_equal(one, picture[:, ::-1] if flipped else picture)
    assert 0 < changes.flipped.sum() < 8


def test_shift_moves_by_the_share_of_the_size() -> None:
    picture = np.zeros((1, 40, 50), np.uint8)
    picture[0, 20, 25] = 255
    changes = replace(sample_changes(np.random.default_rng(0), 1, STILL), shift=np.array([[0.1, -0.2]]))
    changed = apply_changes(changes, picture)[0]
    assert np.unravel_index(changed.argmax(), changed.shape) == (20 - 4, 25 + 10)


@given(st.integers(0, 2**31))
def test_changes_stay_within_their_ranges(seed: int) -> None:
    changes = sample_changes(np.random.default_rng(seed), 20, STRONG)
    assert np.abs(changes.shift).max() <= 0.2
    assert np.abs(changes.zoom - 1).max() <= 0.2
    assert np.abs(np.rad2deg(changes.turn)).max() <= 20
    assert (changes.erase[:, :2] + changes.erase[:, 2:] <= 1).all()
    assert changes.noise.min() >= 0


def test_a_batch_is_what_its_pictures_are_one_by_one() -> None:
    pictures = _smooth_pictures(5)
    changes = sample_changes(np.random.default_rng(2), 5, STRONG)
    together = apply_changes(changes, pictures)
    for place in range(5):
        alone = apply_changes(changes.chosen(np.array([place])), pictures[[place]])
        assert np.array_equal(alone[0], together[place])
    assert not np.array_equal(together, pictures)


def test_grey_values_change_as_the_formula_says() -> None:
    ramp = np.arange(256, dtype=np.uint8).reshape(1, 16, 16)
    changes = replace(
        sample_changes(np.random.default_rng(0), 1, STILL),
        gamma=np.array([2.0]),
        contrast=np.array([0.5]),
        brightness=np.array([0.1]),
    )
    wanted = 255 * np.clip(((np.arange(256) / 255) ** 2 - 0.5) * 0.5 + 0.6, 0, 1)
    assert np.abs(apply_changes(changes, ramp).ravel() - wanted).max() <= 0.5


def test_noise_has_the_deviation_that_was_drawn() -> None:
    grey = np.full((1, 100, 100), 128, np.uint8)
    changes = replace(sample_changes(np.random.default_rng(0), 1, STILL), noise=np.array([0.05]))
    assert np.std(apply_changes(changes, grey).astype(float)) == pytest.approx(0.05 * 255, rel=0.05)


def test_sides_are_swapped_where_pictures_are_mirrored_alone() -> None:
    flipped = np.array([True, False, True])
    assert swap_sides(np.array([0, 0, 2]), flipped, [(0, 1)]).tolist() == [1, 0, 2]
    columns = np.array([[1.0, 2, 3], [1, 2, 3], [4, 5, 6]])
    assert swap_sides(columns, flipped, [(0, 2)]).tolist() == [[3, 2, 1], [1, 2, 3], [6, 5, 4]]


def test_swapping_twice_gives_back_what_was_there() -> None:
    codes = np.random.default_rng(0).integers(0, 4, 50)
    flipped = np.random.default_rng(1).random(50) < 0.5
    pairs = [(0, 1), (2, 3)]
    assert np.array_equal(swap_sides(swap_sides(codes, flipped, pairs), flipped, pairs), codes)


def test_impossible_settings_are_refused() -> None:
    with pytest.raises(ValueError, match="shares from 0 to below 1"):
        PictureAugment(shift=1.5)
    with pytest.raises(ValueError, match="a change for each picture, got 1 for 2"):
        apply_changes(sample_changes(np.random.default_rng(0), 1, STILL), _smooth_pictures(2))
