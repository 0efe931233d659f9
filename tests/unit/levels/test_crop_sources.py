"""Values of crops come back to the slices and pixels that they were cut from, on the right side of the patient."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from tests.placed_levels import AXIAL, SAGITTAL, levels, mirrored, placed, random_volume, series, study
from tests.plain_volumes import series_of, study_of, volume_of

from stenograde import geometry
from stenograde.levels.crop import CropConfig, CropKind, crop_levels
from stenograde.levels.crop_sources import CropSource, crop_source, on_sources
from stenograde.terms import Level, Role, Side

CONFIG = CropConfig(size_px=40, grid_mm=1.0)
LEVEL = levels()[Level.L4_L5]
STUDY = study()


def source(kind: CropKind, side: Side) -> CropSource:
    found = crop_source(STUDY, kind, side, LEVEL, CONFIG)
    assert found is not None
    return found


def spot(at: tuple[int, int, int]) -> np.ndarray:
    values = np.zeros(CONFIG.shape, np.float32)
    values[at] = -1.0
    return values


@pytest.mark.parametrize("side", Side)
@pytest.mark.parametrize("kind", CropKind)
@pytest.mark.parametrize("at", [(2, 20, 20), (1, 8, 30), (3, 30, 9)])
def test_a_spot_of_a_crop_lies_where_its_grid_says(
    kind: CropKind, side: Side, at: tuple[int, int, int]
) -> None:
    found = source(kind, side)
    wanted = geometry.to_patient(found.grid.affine, [at])[0]
    (back,) = on_sources([(found, spot(at))])
    # half the distance of slices, and half a pixel each way
    off = np.abs(geometry.to_index(found.volume.affine, [back.point()])[0] - back.strongest)
    assert off.max() < 1e-6
    assert np.linalg.norm(np.subtract(back.point(), wanted)) < 2.0 + 0.7
    assert back.strength < 0
    assert back.series.role is kind.role


def test_left_is_left_and_head_is_up() -> None:
    rows, columns = CONFIG.size_px, CONFIG.size_px
    for side, sense in ((Side.LEFT, 1), (Side.RIGHT, -1)):
        near, far = (
            on_sources([(source(CropKind.CANAL_T2, side), spot((k, 20, 20)))])[0].point() for k in (4, 0)
        )
        assert sense * (near[0] - far[0]) > 12
        near, far = (
            on_sources([(source(CropKind.AXIAL_T2, side), spot((2, 20, k)))])[0].point()
            for k in (columns - 5, 5)
        )
        assert sense * (near[0] - far[0]) > 25
    up, down = (
        on_sources([(source(CropKind.FORAMEN_T1, Side.LEFT), spot((2, k, 20)))])[0].point()
        for k in (5, rows - 5)
    )
    assert up[2] - down[2] > 25


def test_the_slices_of_a_crop_are_those_nearest_to_its_middle_planes() -> None:
    found = source(CropKind.FORAMEN_T1, Side.RIGHT)
    # slices run to the right, 4 mm apart, the ninth at x = 0; the crop's first is the farthest to the left
    wanted = [round((4 * (k - 2) - found.grid.centre[0]) / 4) + 8 for k in range(5)]
    assert [seen and seen.slice for seen in found.slices()] == wanted
    assert max(wanted) > min(wanted) > 8, "right of the midline"


def test_what_lies_beyond_the_series_has_no_slice() -> None:
    edge = series_of(random_volume(SAGITTAL, (9, 160, 160), seed=1, centre=(5, 0, 0)), role=Role.SAGITTAL_T1)
    found = crop_source(
        study_of(edge), CropKind.FORAMEN_T1, Side.RIGHT, placed((0, 0, 0), aside_mm=9.0), CONFIG
    )
    assert found is not None
    # the last slice lies at x = -11 and stands for 3 mm more; the crop's five lie at -1 to -17
    assert [seen is None for seen in found.slices()] == [False, False, False, False, True]


def test_crops_are_cut_from_what_is_found() -> None:
    """A voxel that is lit in the volume shines in the crop, and the crop's map leads back to that voxel."""
    level = levels()[Level.L5_S1]
    for kind, role in ((CropKind.AXIAL_T2, Role.AXIAL_T2), (CropKind.CANAL_T2, Role.SAGITTAL_T2_STIR)):
        plain = series()[role].volumes[0]
        index = np.rint(geometry.to_index(plain.affine, [level.canal_centre])[0]).astype(int)
        pixels = np.zeros(plain.shape, np.float32)
        pixels[tuple(index)] = 500
        pixels[index[0], index[1] - 1 : index[1] + 2, index[2] - 1 : index[2] + 2] += 500
        lit = study_of(
            series_of(volume_of(pixels + plain.pixels * 1e-3, plain.affine), role=role, uid="2.25.5")
        )
        crops = crop_levels(lit, {Level.L5_S1: level}, CONFIG)
        maps = []
        for j, side in enumerate(Side):
            found = crop_source(lit, kind, side, level, CONFIG)
            assert found is not None
            maps.append((found, np.maximum(crops.values[0, j, tuple(CropKind).index(kind)], 0)))
        (back,) = on_sources(maps)
        assert np.abs(np.subtract(back.strongest, index)).max() <= 1
        evidence = back.evidence()
        assert evidence.sop_instance_uid == f"2.25.7.{back.strongest[0]}"
        assert (evidence.row, evidence.column) == back.strongest[1:]
        whole = back.on_slice(back.strongest[0])
        assert whole.shape == plain.shape[1:]
        assert np.unravel_index(whole.argmax(), whole.shape) == back.strongest[1:]
        assert not back.on_slice(back.corner[0] + len(back.values)).any()


def test_a_mirrored_patient_is_mirrored() -> None:
    ours = on_sources([(source(CropKind.AXIAL_T2, Side.LEFT), spot((2, 12, 30)))])[0]
    there = crop_source(mirrored(STUDY), CropKind.AXIAL_T2, Side.RIGHT, LEVEL.mirrored(), CONFIG)
    assert there is not None
    theirs = on_sources([(there, spot((2, 12, 30)))])[0]
    assert theirs.point() == pytest.approx(tuple(np.array([-1, 1, 1]) * ours.point()), abs=1e-6)


def test_nothing_is_found_where_no_series_shows_the_middle() -> None:
    short = series_of(random_volume(AXIAL, (4, 150, 150), seed=3, centre=(0, 0, -60)), role=Role.AXIAL_T2)
    assert crop_source(study_of(short), CropKind.AXIAL_T2, Side.LEFT, LEVEL, CONFIG) is None
    unused = study_of(replace(series()[Role.AXIAL_T2], role=None))
    assert crop_source(unused, CropKind.AXIAL_T2, Side.LEFT, LEVEL, CONFIG) is None
