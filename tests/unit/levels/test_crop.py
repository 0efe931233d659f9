"""Crops show the same things of either side; what is absent is masked with a reason and never a black picture."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from tests.placed_levels import (
    AXIAL,
    SAGITTAL,
    levels,
    mirrored,
    placed,
    random_volume,
    series,
    study,
)
from tests.plain_volumes import series_of, study_of, volume_of

from stenograde.levels.crop import LIMIT, CropConfig, CropKind, LevelCrops, crop_grid, crop_levels
from stenograde.study import Series
from stenograde.terms import Level, Role, Side

CONFIG = CropConfig(size_px=32, grid_mm=1.0)
SIDES, KINDS = tuple(Side), tuple(CropKind)


def present(crops: LevelCrops, level: Level, side: Side, kind: CropKind) -> bool:
    return bool(crops.present[crops.levels.index(level), SIDES.index(side), KINDS.index(kind)])


def test_every_crop_of_a_whole_study_is_there() -> None:
    crops = crop_levels(study(), levels(), CONFIG)

    assert crops.levels == (Level.L4_L5, Level.L5_S1)
    assert crops.values.shape == (2, 2, 4, *CONFIG.shape)
    assert crops.present.all()
    assert crops.reasons == {}
    assert np.isfinite(crops.values).all()
    assert np.abs(crops.values).max() <= LIMIT
    # the middle 96 % of a series span 4, without absolute signal
    assert np.ptp(
        np.percentile(crops.values[:, :, KINDS.index(CropKind.AXIAL_T2)], (2, 98))
    ) == pytest.approx(4, rel=0.05)


def test_mirroring_the_patient_swaps_the_views_and_nothing_else() -> None:
    ours = crop_levels(study(), levels(), CONFIG)
    theirs = crop_levels(
        mirrored(study()), {level: one.mirrored() for level, one in levels().items()}, CONFIG
    )

    np.testing.assert_allclose(theirs.values, ours.values[:, ::-1], atol=2e-5)
    np.testing.assert_array_equal(theirs.present, ours.present[:, ::-1])


def test_crops_look_at_the_foramen_and_the_canal_from_the_near_side() -> None:
    level = levels()[Level.L4_L5]
    volume = random_volume(SAGITTAL, (17, 160, 160), seed=1)
    for side in Side:
        index = np.rint(np.linalg.inv(volume.affine) @ [*level.foramina[side], 1])[:3].astype(int)
        pixels = volume.pixels * 0.1
        pixels[index[0], index[1] - 1 : index[1] + 2, index[2] - 1 : index[2] + 2] = 500
        lit = series_of(volume_of(pixels, volume.affine), role=Role.SAGITTAL_T1)
        crops = crop_levels(study_of(lit), {Level.L4_L5: level}, CropConfig(size_px=31, grid_mm=1.0))
        seen = crops.values[0, :, KINDS.index(CropKind.FORAMEN_T1)]
        near, far = seen[SIDES.index(side)], seen[1 - SIDES.index(side)]
        middle = np.unravel_index(np.argmax(near), near.shape)
        assert np.abs(np.array(middle) - [2, 15, 15]).max() <= 1
        assert near.max() > far[:3].max()


@pytest.mark.parametrize("role", list(Role))
def test_a_series_that_is_missing_is_masked_with_the_reason(role: Role) -> None:
    rest = [one for kept, one in series().items() if kept is not role]
    crops = crop_levels(study_of(*rest), levels(), CONFIG)
    whole = crop_levels(study(), levels(), CONFIG)

    for j, side in enumerate(SIDES):
        for k, kind in enumerate(KINDS):
            if kind.role is role:
                assert not crops.present[:, j, k].any()
                assert (crops.values[:, j, k] == 0).all()
                reason = crops.reasons[Level.L4_L5, side, kind]
                assert reason.startswith(f"there is no {role.shown} series to show the ")
                assert reason.endswith(" at L4/L5")
            else:
                np.testing.assert_array_equal(crops.values[:, j, k], whole.values[:, j, k])


def test_pixels_of_a_series_without_a_role_do_not_matter() -> None:
    t1, t2, axial = series().values()
    noise = random_volume(AXIAL, (20, 150, 150), seed=99)
    other = Series("2.25.4", axial.plane, axial.weighting, None, "not used", (noise,))

    ours = crop_levels(study_of(t1, t2, replace(axial, role=None)), levels(), CONFIG)
    theirs = crop_levels(study_of(t1, t2, other), levels(), CONFIG)

    np.testing.assert_array_equal(ours.values, theirs.values)
    np.testing.assert_array_equal(ours.present, theirs.present)


def test_a_short_field_loses_the_foramen_that_it_does_not_reach_and_no_other() -> None:
    # nine slices 4 mm apart, pushed to the left: they reach from 26 mm left to 6 mm right of the midline
    narrow = series_of(
        random_volume(SAGITTAL, (9, 160, 160), seed=1, centre=(10, 0, 0)), role=Role.SAGITTAL_T1
    )
    crops = crop_levels(study_of(narrow), {Level.L4_L5: placed((0, 0, 0))}, CONFIG)

    assert present(crops, Level.L4_L5, Side.LEFT, CropKind.FORAMEN_T1)
    assert not present(crops, Level.L4_L5, Side.RIGHT, CropKind.FORAMEN_T1)
    reason = crops.reasons[Level.L4_L5, Side.RIGHT, CropKind.FORAMEN_T1]
    assert reason == "no Sagittal T1 slice shows the right foramen; the slices end 9 mm before it at L4/L5"


def test_too_few_slices_around_a_foramen_are_none() -> None:
    # the outermost slice lies at the foramen itself: of five places across, three at most are shown
    edge = series_of(random_volume(SAGITTAL, (9, 160, 160), seed=1, centre=(3, 0, 0)), role=Role.SAGITTAL_T1)
    level = {Level.L4_L5: placed((0, 0, 0), aside_mm=15.0)}
    strict, lax = (replace(CONFIG, min_covered=share) for share in (0.7, 0.5))

    reason = crop_levels(study_of(edge), level, strict).reasons[Level.L4_L5, Side.RIGHT, CropKind.FORAMEN_T1]
    assert reason.startswith("Sagittal T1 slices show 60 % of what lies around the right foramen and 70 %")
    assert present(crop_levels(study_of(edge), level, lax), Level.L4_L5, Side.RIGHT, CropKind.FORAMEN_T1)


def test_the_axial_volume_that_covers_the_level_is_taken_wherever_it_lies() -> None:
    turned = AXIAL.copy()
    tilt = np.deg2rad(25)
    turn = np.array([[1, 0, 0], [0, np.cos(tilt), np.sin(tilt)], [0, -np.sin(tilt), np.cos(tilt)]])
    stacks = [
        random_volume(AXIAL, (5, 150, 150), seed=11, centre=(1, 2, 18)),
        random_volume(turn @ turned, (5, 150, 150), seed=12, centre=(2, 4, -16)),
    ]
    apart = [series_of(one, role=Role.AXIAL_T2, uid=f"2.25.{n}") for n, one in enumerate(stacks)]
    alone = [
        crop_levels(study_of(one), {level: levels()[level]}, CONFIG)
        for one, level in zip(apart, levels(), strict=True)
    ]
    kind = KINDS.index(CropKind.AXIAL_T2)
    for together in (study_of(series_of(*stacks, role=Role.AXIAL_T2)), study_of(*apart[::-1])):
        crops = crop_levels(together, levels(), CONFIG)
        for number, one in enumerate(alone):
            ours, theirs = crops.values[number, 0, kind].ravel(), one.values[0, 0, kind].ravel()
            assert np.corrcoef(ours, theirs)[0, 1] == pytest.approx(1, abs=1e-4), (
                "scales differ, pixels do not"
            )


def test_axial_crops_lie_in_the_slices_planes() -> None:
    volume = random_volume(AXIAL, (20, 150, 150), seed=3)
    grid = crop_grid(CropKind.AXIAL_T2, Side.RIGHT, levels()[Level.L5_S1], volume.affine, CONFIG)

    np.testing.assert_allclose(grid.steps[:, 0], [0, 0, 4], atol=1e-12)
    np.testing.assert_allclose(grid.steps[:, 1], [0, 1, 0], atol=1e-12)
    np.testing.assert_allclose(grid.steps[:, 2], [-1, 0, 0], atol=1e-12)


def test_a_series_without_contrast_shows_nothing() -> None:
    t1, t2, axial = series().values()
    flat = volume_of(np.full((20, 150, 150), 7.0), axial.volumes[0].affine)
    crops = crop_levels(study_of(t1, t2, series_of(flat, role=Role.AXIAL_T2)), levels(), CONFIG)

    assert not crops.present[:, :, KINDS.index(CropKind.AXIAL_T2)].any()
    assert (
        crops.reasons[Level.L5_S1, Side.LEFT, CropKind.AXIAL_T2]
        == "the Axial T2 series has no contrast at L5/S1"
    )


def test_without_levels_there_are_no_crops() -> None:
    crops = crop_levels(study(), {}, CONFIG)
    assert crops.values.shape == (0, 2, 4, *CONFIG.shape)


@pytest.mark.parametrize(
    "wrong", [{"slices": 0}, {"grid_mm": 0.0}, {"min_covered": 0.0}, {"min_covered": 2.0}]
)
def test_settings_out_of_range_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="above 0"):
        CropConfig(**wrong)
