"""A map lies over the slice as it is shown: orange for, blue against, one scale for all, at the right place."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image
from tests.placed_levels import AXIAL, affine_of
from tests.plain_volumes import series_of, volume_of

from stenograde import geometry
from stenograde.report.saliency import MappedSlice, laid_over, saliency_png
from stenograde.terms import Role

SHAPE = (3, 160, 160)


def mapped(values: np.ndarray, strongest: tuple[float, float, float] | None = None) -> MappedSlice:
    pixels = np.broadcast_to(np.linspace(0, 100, 160), SHAPE)
    volume = volume_of(pixels, affine_of(AXIAL, SHAPE, (0, 0, 0)))
    series = series_of(volume, role=Role.AXIAL_T2)
    return MappedSlice(series, volume, 1, values.astype(np.float32), (0, 0, 0), strongest)


def decoded(slices: list[MappedSlice]) -> np.ndarray:
    png = saliency_png(slices, ["Title"])
    assert png is not None
    return np.asarray(Image.open(io.BytesIO(png)).convert("RGB"), np.int16)


def coloured(image: np.ndarray) -> np.ndarray:
    return image.max(axis=2) - image.min(axis=2) > 30


def test_what_speaks_for_is_orange_against_blue_and_nothing_else_is_coloured() -> None:
    grey = np.full((2, 3), 100, np.uint8)
    values = np.array([[1.0, 0.0, -1.0], [0.05, 0.25, -0.25]], np.float32)
    image = laid_over(grey, values, most=1.0).astype(int)
    assert (image[0, 1] == 100).all()
    assert (image[1, 0] == 100).all()
    assert image[0, 0, 0] > image[0, 0, 2] + 100
    assert image[0, 2, 2] > image[0, 2, 0] + 100
    assert image[0, 0, 0] > image[1, 1, 0] > 100
    assert (laid_over(grey, values * 0, most=0.0) == 100).all()


def test_the_map_is_drawn_on_the_right_half_where_it_lies_in_the_patient() -> None:
    values = np.zeros(SHAPE[1:], np.float32)
    values[70:76, 100:106] = 1  # columns run to the patient's left, which is shown on the right
    one = mapped(values)
    image = decoded([one])
    rows, columns = np.nonzero(coloured(image))
    side = image.shape[1] // 2
    assert columns.min() > side, "the left half shows the slice as acquired"
    x, y, _ = geometry.to_patient(one.volume.affine, [[1, 72.5, 102.5]])[0]
    assert abs(columns.mean() - (side + side / 2 + 5 * x)) < 4
    top = image.shape[0] - side
    assert abs(rows.mean() - (top + side / 2 + 5 * y)) < 4


def test_the_strongest_place_is_ringed_and_slices_share_a_scale() -> None:
    strong = np.zeros(SHAPE[1:], np.float32)
    strong[70:76, 100:106] = 1
    weak = strong * 0.05
    assert coloured(decoded([mapped(weak)])).any()
    both = decoded([mapped(strong), mapped(weak)])
    assert coloured(both[: len(both) // 2 + 40]).any()
    assert not coloured(both[len(both) // 2 + 40 :]).any(), "too faint beside the strong one"
    ringed = decoded([mapped(strong, (0.0, 0.0, 0.0))])
    assert (ringed != decoded([mapped(strong)])).any(axis=2).sum() > 50


def test_there_is_no_picture_of_nothing() -> None:
    assert saliency_png([], ["Title"]) is None
