"""A template finds the anatomy where it was put."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from stenograde.errors import BundleError
from stenograde.images.align import (
    AlignConfig,
    Template,
    aligned,
    find,
    fit_template,
    read_template,
    write_template,
)

SIDE = 128


def picture_with_ring(row: float, column: float, radius: float = 14.0, seed: int = 0) -> NDArray[np.float32]:
    """A bright ring around a dark disc on shaded noise."""
    rows, columns = np.mgrid[:SIDE, :SIDE]
    distance = np.hypot(rows - row, 0.8 * (columns - column))
    noise = np.random.default_rng(seed).normal(0, 6, (SIDE, SIDE))
    shading = 0.5 + rows / SIDE
    return ((60 - 50 * (distance < radius) + 90 * (abs(distance - radius) < 3)) * shading + noise).astype(
        np.float32
    )


@pytest.fixture(scope="module")
def template() -> Template:
    rng = np.random.default_rng(3)
    pictures = [
        picture_with_ring(64 + rng.uniform(-9, 9), 64 + rng.uniform(-6, 6), rng.uniform(12, 16), seed)
        for seed in range(12)
    ]
    return fit_template(pictures, AlignConfig(rounds=3))


@settings(max_examples=20)
@given(st.floats(-14, 14), st.floats(-9, 9), st.floats(12.5, 15.5), st.floats(0.2, 40))
def test_find_says_where_the_anatomy_lies_whatever_its_brightness(
    template: Template, down: float, right: float, radius: float, gain: float
) -> None:
    picture = picture_with_ring(64 + down, 64 + right, radius, seed=99) * np.float32(gain)
    row, column = find(picture, template).centre
    offset = np.array([row * SIDE - 64 - down, column * SIDE - 64 - right])
    assert np.abs(offset).max() < 4.5  # the template's own centre is known to the mean of its pictures only


def test_find_of_a_picture_without_the_anatomy_correlates_less(template: Template) -> None:
    noise = np.random.default_rng(5).normal(size=(SIDE, SIDE)).astype(np.float32)
    assert find(noise, template).correlation < 0.5 < find(picture_with_ring(64, 64), template).correlation


def test_aligned_brings_the_anatomy_to_the_middle(template: Template) -> None:
    config = AlignConfig(share=0.4)
    pieces = [
        aligned(picture_with_ring(64 + down, 64, seed=7), template, config) for down in (-12.0, 0.0, 12.0)
    ]
    centres = [np.argwhere(piece < 25).mean(axis=0)[0] for piece in pieces]
    assert pieces[0].shape == (51, 51)
    assert np.ptp(centres) < 4  # 24 apart in the pictures


def test_each_kind_has_a_template_of_its_own() -> None:
    small = [picture_with_ring(64, 64, 10, seed) for seed in range(3)]
    large = [picture_with_ring(64, 64, 20, seed) for seed in range(3)]
    template = fit_template([*small, *large], AlignConfig(rounds=1), [0, 0, 0, 1, 1, 1])
    assert template.pictures.shape[0] == 2
    assert [find(picture, template).kind for picture in (small[0], large[0])] == [0, 1]
    assert find(large[0], template, 0).kind == 0
    with pytest.raises(ValueError, match="kind must be one of the template's 2"):
        find(small[0], template, 2)


def test_a_kind_without_pictures_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one picture of each kind"):
        fit_template([picture_with_ring(64, 64)], AlignConfig(), [1])


def test_template_reads_back_and_a_damaged_one_is_refused(template: Template, tmp_path: Path) -> None:
    path = tmp_path / "template.npz"
    path.write_bytes(write_template(template))
    back = read_template(path)
    np.testing.assert_allclose(back.pictures, template.pictures, atol=2e-3)
    assert back.usual == pytest.approx(template.usual)
    path.write_bytes(write_template(template)[:200])
    with pytest.raises(BundleError, match="must be a template"):
        read_template(path)
