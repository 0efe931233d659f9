"""The room of a foramen: areas of drawn ellipses, outlines, views that are cut, probabilities at the thresholds."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter

from stenograde.levels.rooms import (
    BESIDE_MM,
    REACH_MM,
    RECESS_MAP,
    ForamenModel,
    ForamenRoom,
    RecessModel,
    RoomTissue,
    RoomView,
    enclosed,
    middle_of,
    normalised,
    outline_of,
    recesses_of,
    room_of,
)
from stenograde.terms import Side

VIEW = RoomView()
USUAL = ForamenRoom(60.0, 40.0)


def maps_with(fat_mm: tuple[float, float], root_mm: float) -> np.ndarray:
    """A root in the middle with fat about it as an ellipse of given half height and half depth, the rest bone."""
    off = (np.arange(VIEW.size_px) - (VIEW.size_px - 1) / 2) * VIEW.grid_mm
    up, back = np.meshgrid(off, off, indexing="ij")
    root = np.hypot(up, back) < root_mm
    fat = (np.hypot(up / fat_mm[0], back / fat_mm[1]) < 1) & ~root
    maps = np.zeros((len(RoomTissue), *root.shape), np.float32)
    maps[RoomTissue.FAT], maps[RoomTissue.NERVE], maps[RoomTissue.BONE] = fat, root, ~(fat | root)
    return maps


@pytest.mark.parametrize(("fat_mm", "root_mm"), [((8.0, 5.0), 2.5), ((5.0, 4.0), 2.0), ((9.0, 6.0), 3.0)])
def test_areas_are_those_of_what_was_drawn(fat_mm: tuple[float, float], root_mm: float) -> None:
    room = room_of(maps_with(fat_mm, root_mm), VIEW.grid_mm)
    assert room.area_mm2 == pytest.approx(np.pi * fat_mm[0] * fat_mm[1], rel=0.03)
    assert room.root_mm2 == pytest.approx(np.pi * root_mm**2, rel=0.05)


def test_tissue_beyond_reach_does_not_count() -> None:
    room = room_of(maps_with((18.0, 18.0), 2.0), VIEW.grid_mm)
    assert room.area_mm2 == pytest.approx(np.pi * REACH_MM[0] * REACH_MM[1], rel=0.03)


def test_outline_encloses_the_area() -> None:
    line = outline_of(maps_with((7.0, 5.0), 2.0), VIEW.grid_mm)
    assert line is not None
    row, column = line.T
    enclosed = 0.5 * abs(np.sum(row * np.roll(column, -1) - column * np.roll(row, -1))) * VIEW.grid_mm**2
    assert enclosed == pytest.approx(np.pi * 35, rel=0.05)
    assert line.mean(axis=0) == pytest.approx([(VIEW.size_px - 1) / 2] * 2, abs=0.7)
    assert outline_of(maps_with((0.6, 0.6), 0.3), VIEW.grid_mm) is None


def test_a_view_is_cut_where_it_lies() -> None:
    rows, columns = np.meshgrid(np.arange(200.0), np.arange(150.0), indexing="ij")
    for picture, axis, spacing in ((rows, 0, 0.5), (columns, 1, 0.8)):
        cut = VIEW.cut(picture.astype(np.float32), 90.3, 70.6, (0.5, 0.8))
        middle = (90.3, 70.6)[axis]
        wanted = middle + (np.arange(VIEW.size_px) - (VIEW.size_px - 1) / 2) * VIEW.grid_mm / spacing
        np.testing.assert_allclose(np.take(cut, 40, axis=1 - axis), wanted, atol=1e-3)


def test_a_grid_too_small_for_a_foramen_is_refused() -> None:
    with pytest.raises(ValueError, match="20 mm wide"):
        RoomView(size_px=32)


@given(st.floats(0.1, 50), st.floats(-500, 500))
def test_views_are_normalised_whatever_the_scale(scale: float, shift: float) -> None:
    crop = np.random.default_rng(1).normal(size=(1, 40, 40)).astype(np.float32)
    np.testing.assert_allclose(normalised(crop * scale + shift), normalised(crop), atol=2e-2)


def test_probabilities_follow_lurie() -> None:
    model = ForamenModel()
    third, two_thirds = ForamenRoom(40.0, 80 / 3), ForamenRoom(20.0, 40 / 3)
    assert model.narrowing(USUAL, USUAL) == pytest.approx(-1)
    assert model.narrowing(third, USUAL) == pytest.approx(0)
    assert model.narrowing(two_thirds, USUAL) == pytest.approx(1)
    assert model.probabilities(third, USUAL)[0] == pytest.approx(0.5)
    assert model.probabilities(two_thirds, USUAL)[2] == pytest.approx(0.5)


@given(st.floats(0, 150), st.floats(0, 150), st.floats(1, 30))
def test_less_room_is_never_milder(fat: float, root: float, lost: float) -> None:
    model = ForamenModel()
    wide, narrow = ForamenRoom(fat + lost, root), ForamenRoom(fat, root)
    ranks = [model.probabilities(room, USUAL).expected_rank for room in (wide, narrow)]
    assert ranks[1] >= ranks[0] - 1e-9


def test_the_mean_of_slices_is_weighted() -> None:
    room = ForamenRoom.mean([ForamenRoom(10.0, 20.0), ForamenRoom(30.0, 40.0)], [3.0, 1.0])
    assert (room.fat_mm2, room.root_mm2) == (15.0, 25.0)


def test_a_slice_runs_between_pedicles_where_bone_lies_above_and_below() -> None:
    maps = maps_with((8.0, 5.0), 2.5)
    assert enclosed(maps, VIEW.grid_mm) == pytest.approx(1.0)
    row_mm = (np.arange(VIEW.size_px) - (VIEW.size_px - 1) / 2) * VIEW.grid_mm
    for open_at in (row_mm < -9, row_mm > 9):
        opened = maps.copy()
        opened[:, open_at] = 0
        opened[RoomTissue.OTHER, open_at] = 1
        assert enclosed(opened, VIEW.grid_mm) == pytest.approx(0.0)


def test_the_middle_is_that_of_what_fills_a_foramen() -> None:
    maps = np.roll(maps_with((4.0, 3.0), 1.5), (5, -3), axis=(1, 2))
    assert middle_of(maps, VIEW.grid_mm) == pytest.approx((2.0, -1.2), abs=0.05)
    assert middle_of(maps_with((0.5, 0.5), 0.3), VIEW.grid_mm) == (0.0, 0.0)


def axial_maps(left_mm: float, right_mm: float) -> np.ndarray:
    """A round sac beside which fat stands so high behind the disc on each side; bone behind, the disc before."""
    view = RoomView(size_px=112)
    off = (np.arange(view.size_px) - (view.size_px - 1) / 2) * view.grid_mm
    back, left = np.meshgrid(off, off, indexing="ij")
    sac = np.hypot(left, back) < 8
    wall = -9.0
    height = np.where(left > 0, left_mm, right_mm)
    fat = (np.abs(left) >= 8) & (np.abs(left) < 16) & (back > wall) & (back < wall + height)
    disc = back <= wall
    maps = np.zeros((RECESS_MAP + 1, *sac.shape), np.float32)
    maps[RoomTissue.NERVE], maps[RoomTissue.FAT], maps[RoomTissue.DISC] = sac, fat, disc
    maps[RoomTissue.BONE] = ~(sac | fat | disc)
    beside, behind = np.abs(left) - 8, back - wall
    off = np.max([BESIDE_MM[0] - beside, beside - BESIDE_MM[1], -behind, behind - height], axis=0)
    maps[RECESS_MAP] = np.clip(0.5 - off / view.grid_mm, 0, 1)
    return maps


@pytest.mark.parametrize(("left_mm", "right_mm"), [(5.0, 2.0), (1.0, 4.0), (3.0, 3.0)])
def test_heights_of_recesses_are_those_that_were_drawn(left_mm: float, right_mm: float) -> None:
    found = recesses_of(axial_maps(left_mm, right_mm), 0.4)
    assert found[Side.LEFT].height_mm == pytest.approx(left_mm, abs=0.1)
    assert found[Side.RIGHT].height_mm == pytest.approx(right_mm, abs=0.1)
    for side, sense in ((Side.LEFT, 1), (Side.RIGHT, -1)):
        line = found[side].outline
        assert line is not None
        assert (sense * (line[:, 1] - 55.5) * 0.4 > 7).all()


def test_the_outline_of_a_recess_encloses_its_area_however_unsure_it_is() -> None:
    maps = axial_maps(4.0, 4.0)
    maps[RECESS_MAP] = 0.45 * gaussian_filter(maps[RECESS_MAP], 2.0)
    found = recesses_of(maps, 0.4)
    for side in Side:
        line = found[side].outline
        assert line is not None
        row, column = line.T
        area_mm2 = 0.5 * abs(np.sum(row * np.roll(column, -1) - column * np.roll(row, -1))) * 0.4**2
        assert found[side].height_mm == pytest.approx(0.45 * 4.0, abs=0.15)
        assert area_mm2 == pytest.approx(found[side].height_mm * (BESIDE_MM[1] - BESIDE_MM[0]), rel=0.25)


def test_where_no_sac_is_seen_nothing_is_measured() -> None:
    maps = axial_maps(4.0, 4.0)
    maps[RoomTissue.BONE] += maps[RoomTissue.NERVE]
    maps[RoomTissue.NERVE] = 0
    assert recesses_of(maps, 0.4) == {}


def test_probabilities_follow_ciric() -> None:
    model = RecessModel()
    assert model.probabilities(3.0)[0] == pytest.approx(0.5)
    assert model.probabilities(2.0)[2] == pytest.approx(0.5)
    assert model.probabilities(5.0).expected_rank < model.probabilities(1.0).expected_rank
