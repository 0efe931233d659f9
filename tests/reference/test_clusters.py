"""Clusters on a line against scikit-learn's k-means and against all divisions there are."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from sklearn.cluster import KMeans

from stenograde.levels.axial_levels import cluster_numbers


def squares(locations: np.ndarray, numbers: np.ndarray) -> float:
    clusters = [locations[numbers == one] for one in np.unique(numbers)]
    return sum(float(np.square(one - one.mean()).sum()) for one in clusters)


@pytest.mark.parametrize("seed", range(8))
def test_clusters_when_locations_are_drawn_then_they_are_never_worse_than_scikit_learns(seed: int) -> None:
    rng = np.random.default_rng(seed)
    locations = np.concatenate(
        [rng.normal(-30 * k, rng.uniform(2, 12), rng.integers(3, 12)) for k in range(5)]
    )
    theirs = KMeans(n_clusters=5, n_init=10, random_state=seed).fit(locations[:, None])
    ours = squares(locations, cluster_numbers(locations))
    assert ours <= theirs.inertia_ * (1 + 1e-9)
    assert ours == pytest.approx(theirs.inertia_, rel=0.02)  # ten starts come close


@pytest.mark.parametrize("seed", range(5))
def test_clusters_when_all_divisions_are_tried_then_none_is_better(seed: int) -> None:
    locations = np.sort(np.random.default_rng(seed).uniform(-100, 100, 11))
    best = min(
        squares(locations, np.searchsorted(cuts, np.arange(11), side="right"))
        for cuts in combinations(range(1, 11), 3)
    )
    assert squares(locations, cluster_numbers(locations, 4)) == pytest.approx(best)
