"""Recesses measured on made axial volumes by a stand-in for the net that reads tissues off grey values."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from tests.plain_volumes import series_of, study_of, volume_of

from stenograde.errors import BundleError
from stenograde.levels.rooms import BESIDE_MM, RECESS_MAP, RoomTissue
from stenograde.predict.bundle import default_bundle
from stenograde.predict.recesses import RecessesEntry, look_at_levels, measure_recesses
from stenograde.predict.room_net import open_room_net
from stenograde.predict.weight_files import WeightFile
from stenograde.terms import Cell, Condition, Level, Quantity, Role, Side

ENTRY = RecessesEntry(WeightFile("net.onnx", ""))
PIXEL_MM, STEP_MM, SIZE = 0.5, 4.0, 160
SAC_MM = 8.0
GREY = {RoomTissue.OTHER: 100.0, RoomTissue.NERVE: 500.0, RoomTissue.FAT: 900.0}


class GreyIsTissue:
    """Says fat where a picture is white, nerves where it is grey, and other tissue where it is black; a recess is the
    fat before the canal's middle that lies as far beside the sac as recesses do."""

    def run(self, _: None, given: dict[str, np.ndarray]) -> list[np.ndarray]:
        picture = given["pictures"][:, 0]
        maps = np.full((len(picture), RECESS_MAP + 1, *picture.shape[1:]), -20.0, np.float32)
        said = np.select(
            [picture > 0.5, picture > -0.5], [RoomTissue.FAT, RoomTissue.NERVE], RoomTissue.OTHER
        )
        for tissue in RoomTissue:
            maps[:, tissue][said == tissue] = 20
        off = (np.arange(picture.shape[-1]) - (picture.shape[-1] - 1) / 2) * ENTRY.view.grid_mm
        beside = np.abs(off) - SAC_MM
        within = (off < 0)[:, None] & (beside >= BESIDE_MM[0]) & (beside < BESIDE_MM[1])
        maps[:, RECESS_MAP][(said == RoomTissue.FAT) & within] = 20
        return [maps]


def study(left_mm: float, right_mm: float, turned: bool):
    """Axial slices with a round sac and fat beside it so high on each side, fat behind; turned: stored upside down."""
    off = (np.arange(SIZE) - (SIZE - 1) / 2) * PIXEL_MM
    back, left = np.meshgrid(off, off, indexing="ij")
    picture = np.full(back.shape, GREY[RoomTissue.OTHER])
    picture[back > 18] = GREY[RoomTissue.FAT]
    high = np.where(left > 0, left_mm, right_mm)
    beside = (np.abs(left) >= SAC_MM) & (np.abs(left) < 16) & (back > -9) & (back < -9 + high)
    picture[beside] = GREY[RoomTissue.FAT]
    picture[np.hypot(left, back) < SAC_MM] = GREY[RoomTissue.NERVE]
    affine = np.zeros((4, 4))
    affine[2, 0], affine[1, 1], affine[0, 2], affine[3, 3] = STEP_MM, PIXEL_MM, PIXEL_MM, 1
    affine[:3, 3] = [off[0], off[0], -2 * STEP_MM]
    pixels = np.stack([picture] * 5)
    if turned:
        pixels = pixels[:, ::-1, ::-1]
        affine[:2, :3] *= -1
        affine[:2, 3] *= -1
    return study_of(series_of(volume_of(pixels, affine), role=Role.AXIAL_T2))


def level_at(z_mm: float) -> Any:
    return SimpleNamespace(canal_centre=(0.0, 0.0, z_mm), up=np.array([0.0, 0.0, 1.0]))


@pytest.mark.parametrize("turned", [False, True])
def test_heights_belong_to_the_patients_sides_however_slices_are_stored(turned: bool) -> None:
    levels = {Level.L4_L5: level_at(1.0)}
    tissues = look_at_levels(study(5.0, 1.5, turned), levels, ENTRY, GreyIsTissue())
    measured = measure_recesses(tissues, ENTRY)
    assert set(measured) == {Cell(Condition.SUBARTICULAR_STENOSIS, Level.L4_L5, side) for side in Side}
    by_side = {cell.side: one for cell, one in measured.items()}
    for side, wanted, sense in ((Side.LEFT, 5.0, 1), (Side.RIGHT, 1.5, -1)):
        (height,) = by_side[side].measurements
        assert height.quantity is Quantity.RECESS_HEIGHT
        assert height.value == pytest.approx(wanted, abs=0.6)
        line = np.array(height.points)
        assert (sense * line[:, 0] > 7).all()
        np.testing.assert_allclose(line[:, 2], 0.0, atol=1e-9)
    assert by_side[Side.LEFT].probabilities[0] > by_side[Side.RIGHT].probabilities[0]


def test_without_a_slice_near_the_level_nothing_is_measured() -> None:
    assert look_at_levels(study_of(), {Level.L4_L5: level_at(0.0)}, ENTRY, GreyIsTissue()) == {}
    far = {Level.L4_L5: level_at(60.0)}
    assert look_at_levels(study(4.0, 4.0, False), far, ENTRY, GreyIsTissue()) == {}


def test_a_net_that_does_not_outline_recesses_is_refused() -> None:
    bundle = default_bundle()
    entry = bundle.table.foramina
    assert entry is not None
    with pytest.raises(BundleError, match=r"give 6 maps, got .*\[5\]; use a bundle made for this version"):
        open_room_net(bundle.folder, entry.onnx, entry.view, n_maps=RECESS_MAP + 1)
