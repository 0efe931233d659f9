"""Foramina measured on made T1 volumes by a stand-in for the net that takes bright for fat: areas, places, refusals."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from tests.plain_volumes import series_of, study_of, volume_of

from stenograde.errors import BundleError
from stenograde.levels.rooms import ForamenRoom, RoomTissue
from stenograde.predict.foramina import ForaminaEntry, measure_foramina
from stenograde.predict.room_net import open_room_net
from stenograde.predict.weight_files import WeightFile
from stenograde.terms import LUMBAR_MRI, Cell, Condition, Level, Quantity, Role, Side

ENTRY = ForaminaEntry(
    WeightFile("net.onnx", ""), {level.value: ForamenRoom(60.0, 20.0) for level in LUMBAR_MRI.levels}
)
CELL = Cell(Condition.NEURAL_FORAMINAL_NARROWING, Level.L3_L4, Side.LEFT)
STEP_MM, PIXEL_MM, SLICES = 4.0, 0.5, 7


class BrightIsFat:
    """Says fat where a picture is bright, and bone elsewhere."""

    def __init__(self, spoilt: bool = False) -> None:
        self.spoilt = spoilt

    def run(self, _: None, given: dict[str, np.ndarray]) -> list[np.ndarray]:
        picture = given["pictures"]
        maps = np.full((len(picture), len(RoomTissue), *picture.shape[2:]), -20.0, np.float32)
        maps[:, RoomTissue.FAT] = np.where(picture[:, 0] > 0, 20, -20)
        maps[:, RoomTissue.BONE] = np.where(picture[:, 0] > 0, -20, 20)
        return [np.full_like(maps, np.nan) if self.spoilt else maps]


def sagittal(
    radii_mm: list[float], flipped: bool = False, opened: tuple[int, ...] = (), behind_mm: float = 0.0
) -> np.ndarray:
    """Sagittal slices, each bright in a disc about the middle, or so far behind it, and beyond reach.

    Rows run down unless flipped. In opened slices there is no bone above and below.
    """
    off = (np.arange(160) - 79.5) * PIXEL_MM
    down, back = np.meshgrid(off, off, indexing="ij")
    far, disc = np.hypot(down, back), np.hypot(down, back - behind_mm)
    slices = []
    for number, radius in enumerate(radii_mm):
        edge = np.abs(down) - 9 if number in opened else far - 17
        slices.append(500 + 400 * np.clip(np.maximum(radius - disc, edge), -1, 1))
    pixels = np.stack(slices)
    return pixels[:, ::-1] if flipped else pixels


def affine_of(flipped: bool = False) -> np.ndarray:
    """Slices to the left, rows to the feet (or to the head), columns to the back."""
    affine = np.zeros((4, 4))
    affine[0, 0], affine[1, 2], affine[2, 1] = STEP_MM, PIXEL_MM, PIXEL_MM if flipped else -PIXEL_MM
    affine[3, 3] = 1
    corner = -79.5 * PIXEL_MM
    affine[:3, 3] = [0, corner, corner if flipped else -corner]
    return affine


def study(radii_mm: list[float], flipped: bool = False, **more: Any):
    volume = volume_of(sagittal(radii_mm, flipped, **more), affine_of(flipped))
    return study_of(series_of(volume, role=Role.SAGITTAL_T1))


@pytest.mark.parametrize("flipped", [False, True])
def test_areas_are_means_over_slices_nearer_ones_counting_more(flipped: bool) -> None:
    radii = [3.0, 3.0, 3.0, 3.0, 5.0, 5.0, 5.0]
    where = {CELL: (3.25 * STEP_MM, 0.0, 0.0)}
    measured = measure_foramina(study(radii, flipped), where, ENTRY, BrightIsFat())[CELL]
    fat = next(one for one in measured.measurements if one.quantity is Quantity.FORAMINAL_FAT_AREA)
    off_mm = (np.arange(1, 6) - 3.25) * STEP_MM
    wanted = np.average(np.pi * np.square(radii[1:6]), weights=np.exp(-((off_mm / 6) ** 2) / 2))
    assert fat.value == pytest.approx(wanted, rel=0.05)
    area = next(one for one in measured.measurements if one.quantity is Quantity.FORAMINAL_AREA)
    line = np.array(area.points)
    np.testing.assert_allclose(line[:, 0], 3 * STEP_MM)
    np.testing.assert_allclose(np.hypot(line[:, 1], line[:, 2]), 3.0, atol=0.5)


def test_slices_that_do_not_run_between_pedicles_hardly_count() -> None:
    radii = [6.0, 6.0, 6.0, 3.0, 6.0, 6.0, 6.0]
    beside = study(radii, opened=(0, 1, 2, 4, 5, 6))
    where = {CELL: (4.2 * STEP_MM, 0.0, 0.0)}
    measured = measure_foramina(beside, where, ENTRY, BrightIsFat())[CELL]
    assert measured.measurements[0].value == pytest.approx(np.pi * 9, rel=0.05)
    assert measured.point == pytest.approx((3 * STEP_MM, 0.0, 0.0), abs=0.2)


def test_a_point_lies_half_way_to_the_middle_of_what_fills_the_foramen() -> None:
    where = {CELL: (3 * STEP_MM, 0.0, 0.0)}
    measured = measure_foramina(study([3.0] * SLICES, behind_mm=2.0), where, ENTRY, BrightIsFat())[CELL]
    assert measured.point == pytest.approx((3 * STEP_MM, 1.0, 0.0), abs=0.2)


def test_more_room_is_milder_and_other_cells_are_passed_over() -> None:
    other = Cell(Condition.SPINAL_CANAL_STENOSIS, Level.L3_L4)
    ranks = []
    for radius in (2.0, 4.0, 6.0):
        where = {CELL: (3 * STEP_MM, 0.0, 0.0), other: (3 * STEP_MM, 0.0, 0.0)}
        measured = measure_foramina(study([radius] * SLICES), where, ENTRY, BrightIsFat())
        assert set(measured) == {CELL}
        ranks.append(measured[CELL].probabilities.expected_rank)
    assert ranks == sorted(ranks, reverse=True)
    assert ranks[0] > 1.5
    assert ranks[-1] < 0.5


def test_without_t1_or_beside_it_nothing_is_measured() -> None:
    where = {CELL: (3 * STEP_MM, 0.0, 0.0)}
    assert measure_foramina(study_of(), where, ENTRY, BrightIsFat()) == {}
    far = {CELL: (40 * STEP_MM, 0.0, 0.0)}
    assert measure_foramina(study([3.0] * SLICES), far, ENTRY, BrightIsFat()) == {}


def test_the_outermost_slice_stands_alone() -> None:
    where = {CELL: (-0.4 * STEP_MM, 0.0, 0.0)}
    measured = measure_foramina(study([4.0] * SLICES), where, ENTRY, BrightIsFat())[CELL]
    assert measured.measurements[0].value == pytest.approx(np.pi * 16, rel=0.05)


def test_a_net_that_says_no_numbers_is_refused() -> None:
    with pytest.raises(BundleError, match="finite numbers"):
        measure_foramina(study([3.0] * SLICES), {CELL: (12.0, 0.0, 0.0)}, ENTRY, BrightIsFat(spoilt=True))


def test_what_is_no_graph_of_foramina_is_refused(tmp_path) -> None:
    (tmp_path / "net.onnx").write_bytes(b"nothing")
    with pytest.raises(BundleError, match=r"net\.onnx"):
        open_room_net(tmp_path, ENTRY.onnx, ENTRY.view)
    with pytest.raises(ValueError, match="usual rooms must be of"):
        ForaminaEntry(ENTRY.onnx, {"l1_l2": ForamenRoom(1.0, 1.0)})
    with pytest.raises(ValueError, match="above 0"):
        ForaminaEntry(ENTRY.onnx, {**ENTRY.usual, "l1_l2": ForamenRoom(0.0, 1.0)})
