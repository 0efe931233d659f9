"""Slices hang the way radiologists hang them, and marks follow every turn."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from tests.golden.report.example import AXIAL_UID, T2_UID, centre, example_study

from stenograde.errors import UnreadableInstanceError
from stenograde.grades import Evidence
from stenograde.report.pictures import (
    Box,
    ShownSlice,
    edges_of,
    encoded,
    find_slice,
    nearest_slice,
    neighbours,
    show_slice,
    window_of,
    windowed,
)
from stenograde.study import Series, Volume
from stenograde.terms import Plane


def shown_with(affine: NDArray[np.float64], plane: Plane, shape: tuple[int, int, int]) -> ShownSlice:
    """Return the middle slice of a volume in which one voxel, at its index, is bright."""

    def source(indices: Sequence[int]) -> NDArray[np.float32]:
        slices = np.zeros((len(indices), *shape[1:]), np.float32)
        slices[:, 3, 5] = 1000.0
        return slices

    volume = Volume(affine, shape, tuple(f"2.25.{index}" for index in range(shape[0])), source)
    shown = show_slice(Series("2.25.9", plane, None, None, "", (volume,)), volume, shape[0] // 2)
    assert shown is not None
    return shown


def signed_axes(plane: Plane) -> list[NDArray[np.float64]]:
    """Return every affine of a plane whose axes are turned or flipped by right angles."""
    normal = {Plane.SAGITTAL: 0, Plane.CORONAL: 1, Plane.AXIAL: 2}[plane]
    rest = [axis for axis in range(3) if axis != normal]
    affines = []
    for first, second in (rest, rest[::-1]):
        for signs in np.ndindex(2, 2, 2):
            affine = np.zeros((4, 4))
            for column, (axis, size) in enumerate(((normal, 4.0), (first, 0.8), (second, 0.5))):
                affine[axis, column] = size * (1 - 2 * signs[column])
            affine[:, 3] = [11.0, -7.0, 3.0, 1.0]
            affines.append(affine)
    return affines


@pytest.mark.parametrize(
    ("plane", "edges"),
    [
        (Plane.SAGITTAL, {"left": "A", "right": "P", "top": "H", "bottom": "F"}),
        (Plane.CORONAL, {"left": "R", "right": "L", "top": "H", "bottom": "F"}),
        (Plane.AXIAL, {"left": "R", "right": "L", "top": "A", "bottom": "P"}),
    ],
)
def test_slice_when_stored_in_any_orientation_then_it_hangs_the_same_and_marks_stay(
    plane: Plane, edges: dict[str, str]
) -> None:
    for affine in signed_axes(plane):
        shown = shown_with(affine, plane, (3, 12, 16))
        assert shown.letters() == edges
        row, column = np.argwhere(shown.pixels == 1000.0)[0]
        point = affine[:3, :3] @ [1, 3, 5] + affine[:3, 3]
        x, y, off_mm = shown.place(point)[0]
        width, height = shown.size_mm
        assert x == pytest.approx((column + 0.5) * width / shown.pixels.shape[1])
        assert y == pytest.approx((row + 0.5) * height / shown.pixels.shape[0])
        assert off_mm == pytest.approx(0)
        assert shown.place_pixel(3, 5) == pytest.approx([x, y])


def test_letters_when_a_slice_is_angled_then_a_second_letter_says_so() -> None:
    study = example_study()
    steep = show_slice(study.series[2], study.series[2].volumes[3], 1)
    assert steep is not None
    assert steep.letters() == {"left": "R", "right": "L", "top": "AF", "bottom": "PH"}


def test_place_when_a_point_lies_off_the_slice_then_its_distance_is_in_mm() -> None:
    study = example_study()
    shown = show_slice(study.series[0], study.series[0].volumes[0], 2)
    assert shown is not None
    assert shown.place([[-3.0, 0.0, 0.0]])[0, 2] == pytest.approx(3.0)


def test_find_slice_when_instances_share_a_uid_then_the_frame_decides() -> None:
    volume = Volume(
        np.diag([1.0, 1, 1, 1]),
        (2, 4, 4),
        ("2.25.7", "2.25.7"),
        lambda i: np.zeros((len(i), 4, 4), np.float32),
        (0, 1),
    )
    series = Series("2.25.8", Plane.AXIAL, None, None, "", (volume,))
    shown = find_slice(
        type(example_study())("2.25.1", (series,)), Evidence("2.25.8", "2.25.7", 0, 0, frame=1)
    )
    assert shown is not None
    assert shown.index == 1


def test_find_slice_when_another_series_has_the_same_instance_uid_then_the_series_decides() -> None:
    assert find_slice(example_study(), Evidence(AXIAL_UID, f"{T2_UID}.2", 0, 0)) is None


def test_nearest_slice_when_stacks_overlap_then_the_one_about_the_point_is_taken() -> None:
    series = example_study().series[2]
    shown = nearest_slice(series, centre(0.0))
    assert shown is not None
    assert (series.volumes.index(shown.volume), shown.index) == (1, 1)
    assert nearest_slice(series, (0.0, 0.0, 500.0)) is None


def test_show_slice_when_it_cannot_be_decoded_then_there_is_none() -> None:
    def source(indices: Sequence[int]) -> NDArray[np.float32]:
        msg = "pixels must be decodable, got rubbish"
        raise UnreadableInstanceError(msg)

    volume = Volume(np.diag([1.0, 1, 1, 1]), (1, 4, 4), ("2.25.7",), source)
    assert show_slice(Series("2.25.8", Plane.AXIAL, None, None, "", (volume,)), volume, 0) is None


def test_encoded_when_pixels_are_not_square_then_the_picture_has_its_true_shape() -> None:
    shown = shown_with(np.diag([4.0, 1.0, 1.0, 1.0]) @ np.diag([1, 2, 0.5, 1]), Plane.CORONAL, (3, 20, 40))
    href = encoded(shown, Box(0, 0, *shown.size_mm), 4.0)
    image = Image.open(io.BytesIO(base64.b64decode(href.removeprefix("data:image/jpeg;base64,"))))
    width, height = shown.size_mm
    assert image.size == (round(width * 4), round(height * 4))


def test_box_when_the_point_is_near_an_edge_then_it_is_shifted_not_cut() -> None:
    assert Box.around(5, 90, 60, within=(100, 100)) == Box(0, 40, 60, 60)
    assert Box.around(5, 20, 60, within=(50, 100)) == Box(0, 0, 50, 60)


@pytest.mark.parametrize("picture", [np.zeros((8, 8)), np.full((8, 8), 7.0), np.full((8, 8), np.nan)])
def test_windowed_when_a_picture_is_flat_then_it_is_dark_and_nothing_warns(
    picture: NDArray[np.float64],
) -> None:
    assert windowed(picture.astype(np.float32)).max() == 0


def half_bright() -> ShownSlice:
    """The middle of three slices: half of it dark tissue of two tones, half very bright; the last is spoilt."""

    def source(indices: Sequence[int]) -> NDArray[np.float32]:
        if 2 in indices:
            msg = "pixels must be decodable, got rubbish"
            raise UnreadableInstanceError(msg)
        slices = np.full((len(indices), 40, 80), 5000.0, np.float32)
        slices[:, :20, :40], slices[:, 20:, :40] = 100.0, 200.0
        return slices

    volume = Volume(np.diag([4.0, 1, 1, 1]), (3, 40, 80), ("1", "2", "3"), source)
    shown = show_slice(Series("2.25.9", Plane.CORONAL, None, None, "", (volume,)), volume, 1)
    assert shown is not None
    return shown


def test_encoded_when_the_rest_of_the_slice_is_bright_then_the_piece_is_windowed_on_itself() -> None:
    shown = half_bright()
    rows, columns = np.nonzero(shown.pixels < 1000)
    box = Box(float(columns.min()), float(rows.min()), 40.0, 40.0)
    href = encoded(shown, box, 1.0)
    image = np.asarray(Image.open(io.BytesIO(base64.b64decode(href.removeprefix("data:image/jpeg;base64,")))))
    assert np.ptp(image[5:-5, 5:-5].astype(int)) > 200


def test_neighbours_when_a_slice_cannot_be_decoded_then_the_row_ends_before_it() -> None:
    beside = neighbours(half_bright(), Box(0, 0, 40, 40), 1.0)
    assert beside is not None
    assert (len(beside.before), len(beside.after), beside.number, beside.n_slices) == (1, 0, 2, 3)


def test_encoded_when_a_piece_is_cut_then_it_is_that_of_the_whole_slice() -> None:
    rng = np.random.default_rng(5)

    def source(indices: Sequence[int]) -> NDArray[np.float32]:
        return rng.normal(100, 30, (len(indices), 90, 140)).astype(np.float32)

    volume = Volume(np.diag([4.0, 0.5, 0.5, 1]), (1, 90, 140), ("1",), source)
    shown = show_slice(Series("2.25.9", Plane.CORONAL, None, None, "", (volume,)), volume, 0)
    assert shown is not None
    most = []
    for x, y, width, scale in rng.uniform((0, 0, 3, 0.4), (50, 30, 60, 9), (60, 4)):
        box = Box.around(x, y, width, shown.size_mm)
        left, top, right, bottom = edges_of(shown, box)
        piece = shown.pixels[int(top) : int(np.ceil(bottom)), int(left) : int(np.ceil(right))]
        size = max(1, round(box.width * scale)), max(1, round(box.height * scale))
        whole = Image.fromarray(windowed(shown.pixels, window_of(piece)))
        expected = io.BytesIO()
        whole.resize(size, Image.Resampling.BICUBIC, (left, top, right, bottom)).save(
            expected, "JPEG", quality=88
        )
        href = encoded(shown, box, scale)
        image = Image.open(io.BytesIO(base64.b64decode(href.removeprefix("data:image/jpeg;base64,"))))
        off = np.abs(np.asarray(image, int) - np.asarray(Image.open(expected), int))
        assert off.mean() <= 2
        most.append(off.max())
    # Pillow takes rows or columns first, whichever is less work for the picture it is given, and rounds in between
    assert np.median(most) == 0
    assert max(most) <= 30
