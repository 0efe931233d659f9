"""The overlay picture shows structures in colour, at their place and with square pixels."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from stenograde.report.overlay import COLOURS, overlay_png
from stenograde.terms import Structure


def decoded(png: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(png)).convert("RGB"), np.int16)


def test_overlay_when_rows_are_twice_as_far_apart_then_the_picture_is_square() -> None:
    image = decoded(overlay_png(np.zeros((50, 100)), np.zeros((50, 100), np.uint8), spacing_mm=(2.0, 1.0)))
    assert image.shape[0] == image.shape[1] >= 700


def test_overlay_colours_each_structure_where_its_mask_is_and_nothing_else() -> None:
    mask = np.zeros((100, 100), np.uint8)
    for structure in Structure:
        mask[10:30, 30 * structure.code - 25 : 30 * structure.code - 5] = structure.code
    image = decoded(overlay_png(np.zeros((100, 100)), mask))
    scale = image.shape[0] / 100
    for structure, colour in COLOURS.items():
        x, y = int((30 * structure.code - 15) * scale), int(20 * scale)
        assert image[y, x] == pytest.approx(np.array(colour) * 0.22, abs=2)
    assert image[int(60 * scale) :].max() == 0


def test_overlay_when_points_are_given_then_they_are_marked_and_named() -> None:
    plain = decoded(overlay_png(np.zeros((100, 100)), np.zeros((100, 100), np.uint8)))
    marked = decoded(overlay_png(np.zeros((100, 100)), np.zeros((100, 100), np.uint8), [(50, 20, "L4/L5")]))
    rows, columns = np.nonzero((marked != plain).any(axis=-1))
    scale = marked.shape[0] / 100
    assert tuple(marked[int(50.5 * scale), int(20.5 * scale)]) == (255, 255, 255)
    assert columns.max() > 25 * scale
    assert 44 * scale < rows.min() < rows.max() < 57 * scale


def test_overlay_when_mask_and_picture_differ_in_shape_then_it_is_refused() -> None:
    with pytest.raises(ValueError, match=r"mask must have the picture's shape \(4, 4\), got \(4, 5\)"):
        overlay_png(np.zeros((4, 4)), np.zeros((4, 5), np.uint8))


def test_overlay_when_a_spacing_is_not_positive_then_it_is_refused() -> None:
    with pytest.raises(ValueError, match="spacing_mm must be positive"):
        overlay_png(np.zeros((4, 4)), np.zeros((4, 4), np.uint8), spacing_mm=(0.0, 1.0))
