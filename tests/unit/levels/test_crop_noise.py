"""The noise of a crop is found whatever it shows."""

from __future__ import annotations

import numpy as np
import pytest

from stenograde.levels.crop_noise import noise_of

ROWS, COLUMNS = np.mgrid[:80, :80] / 20.0
SCENE = np.broadcast_to(np.sin(ROWS) * np.cos(COLUMNS) + 0.3 * ROWS, (2, 5, 80, 80))


@pytest.mark.parametrize("sd", [0.1, 0.5, 2.0])
def test_the_deviation_of_added_noise_is_found(sd: float) -> None:
    noise = np.random.default_rng(0).normal(0, sd, SCENE.shape)
    found = noise_of((SCENE + noise).astype(np.float32))
    assert found.shape == (2,)
    np.testing.assert_allclose(found, sd, rtol=0.03)


def test_smooth_pictures_have_next_to_none() -> None:
    assert noise_of(SCENE.astype(np.float32)).max() < 0.001
