"""The way back from crops: which slices of which series a crop shows, and its values on their own pixels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import scipy
from numpy.typing import NDArray

from stenograde import geometry
from stenograde.grades import Evidence, Point
from stenograde.levels.crop import CropConfig, CropGrid, CropKind, PlacedLevel, best_volume, crop_grid
from stenograde.levels.slices import Seen, seen_in
from stenograde.study import Series, Study, Volume
from stenograde.terms import Side

_MARGIN = 1
"""Slices, rows and columns around the corners of crops in which they can leave values."""


@dataclass(frozen=True, eq=False)
class CropSource:
    """What a crop was cut from, and where."""

    series: Series
    volume: Volume
    grid: CropGrid

    def slices(self) -> tuple[Seen | None, ...]:
        """Return the slice of the volume nearest to the middle of each slice of the crop; None beyond the volume."""
        slices, rows, columns = self.grid.shape
        middles = [(k, (rows - 1) / 2, (columns - 1) / 2) for k in range(slices)]
        return tuple(
            seen_in(self.volume, geometry.as_point(point))
            for point in geometry.to_patient(self.grid.affine, middles)
        )


@dataclass(frozen=True, eq=False)
class SourceMap:
    """A map on the pixels of some neighbouring slices of a volume."""

    series: Series
    volume: Volume
    corner: tuple[int, int, int]
    """Slice, row and column of the volume at which the first value lies."""
    values: NDArray[np.float32]
    """Shape (slices, rows, columns)."""

    @property
    def strongest(self) -> tuple[int, int, int]:
        """Slice, row and column of the volume where the value is farthest from 0."""
        place = np.unravel_index(np.abs(self.values).argmax(), self.values.shape)
        k, row, column = (int(n) + start for n, start in zip(place, self.corner, strict=True))
        return k, row, column

    @property
    def strength(self) -> float:
        """The value there, with its sign."""
        place = tuple(np.subtract(self.strongest, self.corner))
        return float(self.values[place])

    def point(self) -> Point:
        """Where it lies in the patient, LPS mm."""
        return geometry.as_point(geometry.to_patient(self.volume.affine, [self.strongest])[0])

    def evidence(self) -> Evidence:
        """Return the pixel at which it is stored."""
        return Seen(self.volume, *self.strongest, away_mm=0.0).evidence(self.series)

    def on_slice(self, index: int) -> NDArray[np.float32]:
        """Return the map on a whole slice, shape (rows, columns); 0 where there is none."""
        whole = np.zeros(self.volume.shape[1:], np.float32)
        slices, rows, columns = self.values.shape
        if 0 <= index - self.corner[0] < slices:
            _, row, column = self.corner
            whole[row : row + rows, column : column + columns] = self.values[index - self.corner[0]]
        return whole


def crop_source(
    study: Study, kind: CropKind, side: Side, level: PlacedLevel, config: CropConfig
) -> CropSource | None:
    """Return what :func:`~stenograde.levels.crop.crop_levels` cuts a crop from; None where nothing shows its middle."""
    held = [(series, volume) for series, volume in study.volumes() if series.role is kind.role]
    grids = [crop_grid(kind, side, level, volume.affine, config) for _, volume in held]
    best = best_volume(kind, grids, [(volume.affine, volume.shape) for _, volume in held], level.up)
    return None if best is None else CropSource(*held[best[0]], grids[best[0]])


def on_sources(crops: Sequence[tuple[CropSource, NDArray[np.float32]]]) -> tuple[SourceMap, ...]:
    """Return the values of crops on the pixels of what they were cut from, one map for each volume.

    Between its places a crop's values are interpolated; those of several crops of a volume are added up.

    Parameters
    ----------
    crops : sequence of (CropSource, ndarray of shape (slices, rows, columns))
    """
    volumes = {id(source.volume): source for source, _ in crops}
    maps = []
    for key, first in volumes.items():
        of_volume = [(source, values) for source, values in crops if id(source.volume) == key]
        start, end = _reach([source for source, _ in of_volume])
        if (end <= start).any():
            continue
        places = np.stack(np.meshgrid(*map(np.arange, start, end), indexing="ij"))
        total = np.zeros(places.shape[1:], np.float32)
        for source, values in of_volume:
            to_crop = np.linalg.inv(source.grid.affine) @ source.volume.affine
            index = np.tensordot(to_crop[:3, :3], places, axes=1) + to_crop[:3, 3].reshape(3, 1, 1, 1)
            total += scipy.ndimage.map_coordinates(
                values, index, order=1, mode="grid-constant", prefilter=False
            )
        k, row, column = (int(n) for n in start)
        maps.append(SourceMap(first.series, first.volume, (k, row, column), total))
    return tuple(maps)


def _reach(sources: Sequence[CropSource]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the first place of a volume that its crops reach, and the place after the last, by axis."""
    corners = np.concatenate(
        [geometry.to_index(source.volume.affine, source.grid.corners()) for source in sources]
    )
    start = np.floor(corners.min(axis=0)).astype(np.int64) - _MARGIN
    end = np.ceil(corners.max(axis=0)).astype(np.int64) + _MARGIN + 1
    return np.maximum(start, 0), np.minimum(end, sources[0].volume.shape)
