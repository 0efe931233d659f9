"""Local contrast is what scipy makes of it."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from stenograde.images.contrast import NEIGHBOURHOOD_MM, local_contrast


@pytest.mark.parametrize("size", [(80, 80), (160, 97), (9, 31)])
def test_neighbourhoods_are_those_of_scipys_gaussian(size):
    picture = np.random.default_rng(0).gamma(2.0, 50.0, size).astype(np.float32)
    highest = np.percentile(picture, 99.5)
    scaled = np.clip(picture, 0, highest) / highest
    mean, square = (gaussian_filter(one, NEIGHBOURHOOD_MM / 2.0) for one in (scaled, scaled**2))
    expected = (scaled - mean) / np.sqrt(square - mean**2 + 0.05**2)
    np.testing.assert_allclose(local_contrast(picture, 2.0), expected, atol=2e-4)
