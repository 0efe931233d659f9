"""Which disc level an axial slice shows: by clusters of slice locations, or by points in patient space."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from stenograde import geometry
from stenograde.grades import Point
from stenograde.study import Series, Volume
from stenograde.terms import LUMBAR_MRI, Level

REACH_MM: Final = 18.0
"""A slice farther than this from every level's point shows none, mm: half of the 36 mm from disc to disc (body
about 27 mm and disc about 9 mm high, Zhou et al., doi:10.1007/s005860000140)."""


@dataclass(frozen=True, eq=False)
class AxialSlice:
    """One slice of an axial series."""

    volume: Volume
    slice: int
    position: NDArray[np.float64]
    """Centre of its first pixel, LPS mm."""
    normal: NDArray[np.float64]
    """Unit normal, towards the head."""

    @property
    def location_mm(self) -> float:
        """Slice location n·p, growing towards the head, mm."""
        return float(self.normal @ self.position)


@dataclass(frozen=True)
class LevelOfSlice:
    """The level that a slice is taken to show."""

    level: Level
    away_mm: float
    """Distance of the slice from the level's middle, mm."""


LevelOf = Callable[[Sequence[AxialSlice], Mapping[Level, Point]], tuple[LevelOfSlice | None, ...]]
"""Tells the level of each slice of one series; the second argument is where the levels are known to lie."""


def axial_slices(series: Series) -> tuple[AxialSlice, ...]:
    """Return the slices of all volumes of an axial series, volume by volume."""
    return tuple(
        AxialSlice(volume, k, position, normal)
        for volume in series.volumes
        for normal in [_normal_to_head(volume)]
        for k, position in enumerate(
            geometry.to_patient(volume.affine, [[k, 0, 0] for k in range(volume.shape[0])])
        )
    )


def cluster_numbers(locations_mm: ArrayLike, n: int = 5) -> NDArray[np.int64]:
    """Divide slice locations into clusters of least squared distance from their means (k-means).

    On a line the best division can be found outright, so nothing is random and no start is to be chosen: it is
    never worse than what the usual algorithm ends with.

    Parameters
    ----------
    locations_mm : array-like of shape (slices,)
        In any order.
    n : int
        Number of clusters.

    Returns
    -------
    numbers : ndarray of shape (slices,), int64
        Cluster of each location, 0 being that of the lowest.

    Raises
    ------
    ValueError
        If there are fewer different locations than clusters.

    References
    ----------
    Wang and Song, R Journal 2011;3(2):29 (k-means on a line by dynamic programming).

    Examples
    --------
    >>> cluster_numbers([0, 1, 50, 51, 20], n=3).tolist()
    [0, 0, 2, 2, 1]
    """
    locations = np.asarray(locations_mm, np.float64)
    if locations.ndim != 1 or n < 1 or len(np.unique(locations)) < n:
        msg = f"{n} clusters need as many different locations, got {len(np.unique(locations))}"
        raise ValueError(msg)
    order = np.argsort(locations, kind="stable")
    within = _squares_within(locations[order])
    # least[i]: least sum of squares of the first i locations in as many clusters as rounds done; begins[k][i]:
    # where the last of them begins
    least = within[0]
    begins = []
    for _ in range(n - 1):
        sums = least[:, None] + within
        begins.append(np.argmin(sums, axis=0))
        least = sums.min(axis=0)
    ends, stop = [], len(locations)
    for begin in reversed(begins):
        stop = int(begin[stop])
        ends.append(stop)
    numbers = np.empty(len(locations), np.int64)
    numbers[order] = np.searchsorted(np.sort(ends), np.arange(len(locations)), side="right")
    return numbers


def levels_by_clusters(
    slices: Sequence[AxialSlice], points: Mapping[Level, Point]
) -> tuple[LevelOfSlice | None, ...]:
    """Take five clusters of slice locations for the five lumbar levels, from the head down.

    This is what Garcia de Celis and Bukaita did (doi:10.18103/mra.v13i7.6660). It knows nothing of the anatomy:
    a series that does not show all five levels, or more of one than of another, is divided in five all the same.
    A series of fewer than five slices has no levels.
    """
    del points  # clusters need none
    levels = LUMBAR_MRI.levels
    locations = np.array([one.location_mm for one in slices])
    if len(np.unique(locations)) < len(levels):
        return (None,) * len(slices)
    numbers = cluster_numbers(locations, len(levels))
    means = [float(locations[numbers == number].mean()) for number in range(len(levels))]
    return tuple(
        LevelOfSlice(levels[len(levels) - 1 - number], abs(float(location) - means[number]))
        for number, location in zip(numbers, locations, strict=True)
    )


def levels_by_points(
    slices: Sequence[AxialSlice], points: Mapping[Level, Point]
) -> tuple[LevelOfSlice | None, ...]:
    """Take for each slice the level whose point lies nearest to its plane; none beyond 18 mm."""
    levels = list(points)
    if not levels:
        return (None,) * len(slices)
    places = np.array([points[level] for level in levels])
    found: list[LevelOfSlice | None] = []
    for one in slices:
        away = abs((places - one.position) @ one.normal)
        nearest = int(np.argmin(away))
        is_shown = away[nearest] <= REACH_MM
        found.append(LevelOfSlice(levels[nearest], float(away[nearest])) if is_shown else None)
    return tuple(found)


LEVELS_OF_SLICES: Final[Mapping[str, LevelOf]] = {"clusters": levels_by_clusters, "points": levels_by_points}
"""Ways to find the level of an axial slice, by name."""


def _normal_to_head(volume: Volume) -> NDArray[np.float64]:
    normal = geometry.normal_of(volume.affine)
    return normal * (1.0 if normal[2] >= 0 else -1.0)


def _squares_within(ordered: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the sum of squared distances from their mean of locations i to j - 1, shape (n + 1, n + 1).

    It is infinite where there is no location between the two, as no cluster may be empty.
    """
    n = len(ordered)
    # from the middle, so that squares of large locations do not swallow what differs
    centred = ordered - ordered.mean()
    sums, squares = (np.concatenate([[0.0], np.cumsum(power)]) for power in (centred, centred**2))
    counts = np.arange(n + 1)[None] - np.arange(n + 1)[:, None]
    total = sums[None] - sums[:, None]
    within = squares[None] - squares[:, None] - total**2 / np.maximum(counts, 1)
    return np.where(counts > 0, np.maximum(within, 0.0), np.inf)
