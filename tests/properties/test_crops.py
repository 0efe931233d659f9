"""What holds of crops wherever a level lies and however a scanner scales its values."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.placed_levels import mirrored, placed, series, study
from tests.plain_volumes import series_of, study_of, volume_of

from stenograde.levels.crop import CropConfig, crop_levels
from stenograde.terms import Level

CONFIG = CropConfig(slices=3, size_px=12, grid_mm=2.0)
places = st.tuples(st.floats(-12, 12), st.floats(-15, 15), st.floats(-60, 60))


@settings(max_examples=25)
@given(places, st.floats(-30, 30))
def test_mirroring_swaps_the_views(place: tuple[float, float, float], tilt_deg: float) -> None:
    level = placed(place, tilt_deg)
    ours = crop_levels(study(), {Level.L3_L4: level}, CONFIG)
    theirs = crop_levels(mirrored(study()), {Level.L3_L4: level.mirrored()}, CONFIG)

    np.testing.assert_array_equal(theirs.present, ours.present[:, ::-1])
    # values at the very border of what is shown may fall to either side of it
    assert np.mean(np.abs(theirs.values - ours.values[:, ::-1]) > 1e-4) < 0.01


@settings(max_examples=10)
@given(st.floats(0.01, 100), st.floats(-1000, 1000))
def test_a_scanners_scale_does_not_matter(gain: float, offset: float) -> None:
    level = {Level.L3_L4: placed((0, 0, 0))}
    scaled = study_of(
        *(
            series_of(
                volume_of(one.volumes[0].pixels.astype(float) * gain + offset, one.volumes[0].affine),
                role=role,
            )
            for role, one in series().items()
        )
    )
    ours, theirs = (crop_levels(one, level, CONFIG).values for one in (study(), scaled))
    np.testing.assert_allclose(theirs, ours, atol=0.02)
