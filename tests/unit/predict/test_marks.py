"""Marks come on the locator's grid and go back to the pictures' own, whatever their size and spacing."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stenograde.images.resample import grid_size, resample
from stenograde.predict.looks import BESIDE_MM, N_CLASSES, Beside, about
from stenograde.predict.marks import Marks, mark
from stenograde.terms import Structure


def bright_is_canal(slices: np.ndarray) -> np.ndarray:
    """Logits that call canal, and hot, what is brighter than the mean."""
    logits = np.full((len(slices), N_CLASSES + 2, *slices.shape[2:]), -10.0, np.float32)
    bright = slices[:, 0] > 1.0
    logits[:, 0][~bright] = 10
    logits[:, Structure.CANAL.code][bright] = 10
    logits[:, N_CLASSES:] = np.where(bright, 5.0, -5.0)[:, None]
    return logits


def square(size: tuple[int, int], spacing: tuple[float, float], n: int = 2) -> np.ndarray:
    """Pictures with a bright square from 12 to 30 mm down and 15 to 27 mm across."""
    rows, columns = ((np.arange(k) + 0.5) * mm for k, mm in zip(size, spacing, strict=True))
    inside = ((rows > 12) & (rows < 30))[:, None] & ((columns > 15) & (columns < 27))[None]
    return np.repeat(np.where(inside, 200.0, 10.0)[None].astype(np.float32), n, axis=0)


@pytest.mark.parametrize(
    ("size", "spacing"),
    [((96, 96), (0.6, 0.6)), ((101, 77), (0.5, 0.8)), ((64, 121), (0.9, 0.37)), ((45, 39), (1.3, 1.1))],
)
def test_masks_lie_on_the_pictures_grid_where_the_structure_is(size, spacing):
    pictures = square(size, spacing)
    marks = mark(pictures, spacing, bright_is_canal, grid_mm=0.6, stride=32)

    masks = marks.masks()
    assert masks.shape == pictures.shape
    assert masks.dtype == np.uint8
    truth = np.where(pictures > 100, Structure.CANAL.code, 0)
    assert (masks != truth).mean() < 0.03
    inside = np.argwhere(masks[0] == Structure.CANAL.code)
    centre_mm = (inside.mean(axis=0) + 0.5) * spacing
    np.testing.assert_allclose(centre_mm, (21, 21), atol=0.7)


@pytest.mark.parametrize(("size", "stride"), [((50, 61), 32), ((32, 64), 32), ((1, 1), 16), ((33, 31), 8)])
def test_the_locator_is_given_whole_strides_and_marks_lose_the_padding(size, stride):
    given = []

    def run(slices: np.ndarray) -> np.ndarray:
        given.append(slices.shape)
        assert slices.dtype == np.float32
        return bright_is_canal(slices)

    spacing = (0.7, 0.45)
    marks = mark(np.ones((3, *size), np.float32), spacing, run, grid_mm=0.6, stride=stride)

    rows, columns = (grid_size(n, mm, 0.6) for n, mm in zip(size, spacing, strict=True))
    assert marks.probabilities.shape == (3, N_CLASSES, rows, columns)
    assert marks.heat.shape == (3, 2, rows, columns)
    assert len(given) == 3
    for n, channels, padded_rows, padded_columns in given:
        assert (n, channels) == (1, 1)
        assert padded_rows % stride == padded_columns % stride == 0
        assert 0 <= padded_rows - rows < stride
        assert 0 <= padded_columns - columns < stride
    assert marks.masks().shape == (3, *size)


def test_probabilities_sum_to_one_and_heat_is_a_share():
    marks = mark(square((80, 80), (0.6, 0.6)), (0.6, 0.6), bright_is_canal, grid_mm=0.6, stride=16)

    np.testing.assert_allclose(marks.probabilities.sum(axis=1), 1, atol=1e-5)
    assert marks.heat.min() >= 0
    assert marks.heat.max() <= 1


def test_what_is_joined_to_no_spine_is_dropped_with_its_heat():
    pictures = square((120, 120), (0.6, 0.6))
    pictures[:, 100:106, 100:106] = 200.0
    marks = mark(pictures, (0.6, 0.6), bright_is_canal, grid_mm=0.6, stride=16)

    assert (marks.masks()[:, 95:, 95:] == 0).all()
    assert (marks.heat[:, :, 95:, 95:] == 0).all()
    assert (marks.masks()[:, 25:45, 30:40] == Structure.CANAL.code).all()
    assert (marks.probabilities[:, 0, 95:, 95:] == 1).all()


def test_pieces_joined_through_neighbouring_slices_stay():
    pictures = np.full((3, 80, 80), 10.0, np.float32)
    for k, top in enumerate((10, 28, 46)):
        pictures[k, top : top + 22, 30:50] = 200.0
    masks = mark(pictures, (0.6, 0.6), bright_is_canal, grid_mm=0.6, stride=16).masks()

    np.testing.assert_array_equal(masks > 0, pictures > 100)


def test_pictures_without_structure_are_background():
    marks = mark(np.zeros((2, 40, 40), np.float32), (0.6, 0.6), bright_is_canal, grid_mm=0.6, stride=16)

    assert (marks.masks() == 0).all()
    assert (marks.heat == 0).all()


def test_each_picture_is_marked_for_itself():
    first, second = square((80, 80), (0.6, 0.6), n=1), np.roll(square((80, 80), (0.6, 0.6), n=1), 4, axis=1)
    both = mark(np.concatenate([first, second]), (0.6, 0.6), bright_is_canal, grid_mm=0.6, stride=16)

    for one, picture in zip(both.masks(), (first, second), strict=True):
        alone = mark(picture, (0.6, 0.6), bright_is_canal, grid_mm=0.6, stride=16)
        np.testing.assert_array_equal(one, alone.masks()[0])


def test_grid_points_are_mapped_by_the_outer_edge():
    nothing = np.zeros((1, N_CLASSES, 4, 4), np.float32)
    marks = Marks(nothing, nothing[:, :2], nothing[:, 0], 0.6, (0.3, 1.2), (8, 2))

    found = marks.to_picture(np.array([[-0.5, -0.5], [0.0, 0.0], [3.5, 3.5]]))

    np.testing.assert_allclose(found, [[-0.5, -0.5], [0.5, -0.25], [7.5, 1.5]])


def test_slices_beyond_one_without_structure_are_not_looked_at():
    pictures = np.full((12, 96, 96), 10.0, np.float32)
    pictures[3:8] = square((96, 96), (0.6, 0.6), n=5)
    pictures[11] = pictures[5]
    looked = []

    def run(slices: np.ndarray) -> np.ndarray:
        looked.append(slices)
        return bright_is_canal(slices)

    masks = mark(pictures, (0.6, 0.6), run, grid_mm=0.6, stride=16).masks()

    # three are looked at first, two between them, two more before and one behind; what lies apart belongs to no spine
    np.testing.assert_array_equal(masks[:11] > 0, pictures[:11] > 100)
    assert not masks[11].any()
    assert len(looked) < len(pictures)


def test_where_the_spine_is_known_to_lie_only_that_part_is_looked_at():
    pictures = np.repeat(square((160, 192), (0.6, 0.6), n=1), 8, axis=0)
    shapes = []

    def run(slices: np.ndarray) -> np.ndarray:
        shapes.append(slices.shape[2:])
        return bright_is_canal(slices)

    whole = mark(pictures, (0.6, 0.6), bright_is_canal, grid_mm=0.6, stride=16)
    rows, columns = (np.flatnonzero((whole.masks() > 0).any(axis=axes)) for axes in ((0, 2), (0, 1)))
    ends = [(rows[0], rows[-1]), (columns[0], columns[-1])]
    part = mark(pictures, (0.6, 0.6), run, grid_mm=0.6, stride=16, spine=ends)

    lines = [about(*one, n, 0.6, 16) for one, n in zip(ends, (160, 192), strict=True)]
    assert set(shapes) == {tuple(len(one) for one in lines)}
    assert len(lines[0]) < 160
    np.testing.assert_array_equal(part.masks(), whole.masks())
    assert (part.probabilities[:, 0, lines[0].stop :] == 1).all()


def test_where_the_spine_lies_beside_the_pictures_all_is_looked_at():
    pictures = np.repeat(square((160, 192), (0.6, 0.6), n=1), 8, axis=0)
    whole = mark(pictures, (0.6, 0.6), bright_is_canal, grid_mm=0.6, stride=16)
    beside = mark(pictures, (0.6, 0.6), bright_is_canal, grid_mm=0.6, stride=16, spine=[(20, 60), (900, 950)])
    np.testing.assert_array_equal(beside.masks(), whole.masks())


@given(
    st.floats(0, 300),
    st.floats(0, 300),
    st.integers(1, 300),
    st.sampled_from([1, 16, 32]),
    st.floats(0.3, 1.2),
)
def test_lines_about_a_place_hold_it_and_what_lies_beside_it(one, other, n, stride, grid_mm):
    first, last = sorted((one, other))
    found = about(first, last, n, grid_mm, stride)
    beside = round(BESIDE_MM / grid_mm)

    assert set(found) <= set(range(n))
    assert set(range(max(int(first) - beside, 0), min(int(last) + beside + 1, n))) <= set(found)
    assert found.stop == n or len(found) % stride == 0


def test_slices_beyond_one_with_few_structures_are_not_looked_at():
    pictures = np.full((12, 96, 96), 10.0, np.float32)
    pictures[3:8, 10:80, 25:70] = 200.0
    pictures[2, 20:30, 30:40] = pictures[1, 20:60, 30:60] = 200.0  # joined to it, and much behind few
    masks = mark(pictures, (0.6, 0.6), bright_is_canal, grid_mm=0.6, stride=16).masks()

    np.testing.assert_array_equal(masks[2:11] > 0, pictures[2:11] > 100)
    assert not masks[:2].any()


def test_intensities_are_the_pictures_on_the_grid():
    pictures = square((96, 80), (0.5, 0.8))
    marks = mark(pictures, (0.5, 0.8), bright_is_canal, grid_mm=0.6, stride=16)
    np.testing.assert_array_equal(marks.intensities, resample(pictures, (0.5, 0.8), (0.6, 0.6)))


def canal_on(places: range, n: int = 15) -> np.ndarray:
    """Slices of which some show a canal that runs from top to bottom; a smaller structure stands on all."""
    pictures = np.full((n, 128, 256), 10.0, np.float32)
    pictures[:, 40:60, 150:165] = 200.0
    pictures[places.start : places.stop, 4:124, 100:120] = 200.0
    return pictures


def looked_at(pictures: np.ndarray, beside: Beside, *, whole: bool = False) -> tuple[Marks, int]:
    """Marks, and how many slices the locator was given."""
    given = []

    def run(slices: np.ndarray) -> np.ndarray:
        given.append(slices)
        return bright_is_canal(slices)

    marks = mark(pictures, (0.6, 0.6), run, grid_mm=0.6, stride=16, beside=beside, whole=whole)
    return marks, len(given)


@pytest.mark.parametrize("first", [2, 6, 9])
def test_slices_far_beside_the_canal_are_not_looked_at_unless_all_are_asked_for(first):
    pictures, beside = canal_on(range(first, first + 3)), Beside(reach_mm=9.0, slice_mm=4.0)
    marks, n = looked_at(pictures, beside)
    whole, n_whole = looked_at(pictures, beside, whole=True)

    assert marks.part is not None
    slices, rows, columns = marks.part
    near = range(max(first - 1, 0), min(first + 4, 15))  # the canal's middle, and two slices on each side
    assert set(near) <= set(slices)
    assert n < n_whole == 15
    part = np.ix_(near, range(len(whole.probabilities[0])), rows, columns)
    own = slice(near.start - slices.start, near.stop - slices.start)
    np.testing.assert_array_equal(marks.probabilities[own], whole.probabilities[part])
    within = np.ix_(near, rows, columns)
    np.testing.assert_array_equal(marks.intensities[own], whole.intensities[within])
    np.testing.assert_array_equal(marks.shown[own], whole.shown[within])
    assert (np.delete(marks.probabilities, range(own.start - 1, own.stop + 1), axis=0)[:, 0] == 1).all()


def test_where_hardly_any_canal_is_seen_all_is_looked_at():
    pictures, beside = canal_on(range(6, 9)), Beside(reach_mm=9.0, slice_mm=4.0)
    pictures[:, 30:] = 10.0
    marks, n = looked_at(pictures, beside)

    assert marks.part is None
    assert n > 8  # all between the quarters, and outwards until there is nothing
    assert marks.masks().shape == pictures.shape


def test_a_part_of_a_stack_has_no_masks():
    marks, _ = looked_at(canal_on(range(6, 9)), Beside(reach_mm=9.0, slice_mm=4.0))
    with pytest.raises(
        ValueError, match=r"must be marked as a whole to have masks, got its slices range\(4, 11\)"
    ):
        marks.masks()


@given(st.floats(-5, 40), st.floats(0, 10), st.floats(0, 30), st.floats(0.5, 12), st.integers(1, 40))
def test_slices_about_the_middle_are_those_within_reach(first, more, reach_mm, slice_mm, n):
    found = Beside(reach_mm, slice_mm).about(first, first + more, n)
    reach = reach_mm / slice_mm
    assert set(found) == {k for k in range(n) if first - reach <= k <= first + more + reach}
