"""Crops of each level: what its canal, foramina and recesses look like, on grids in mm along the patient's own axes.

Each level is seen in two views, from its left and from its right. Slices, or columns in axial crops, run from the far
to the near side, so that mirroring the patient swaps the two views and changes nothing else. A crop that no series
shows is marked as absent, with the reason; its values are zero and mean nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Protocol

import numpy as np
import scipy
from numpy.typing import NDArray

from stenograde import geometry
from stenograde.grades import Point
from stenograde.levels.slices import BEYOND
from stenograde.study import Study, Volume
from stenograde.terms import Condition, Level, Role, Side

LIMIT = 4.0
"""Normalised values are held within plus and minus this."""

_PERCENTILES = (2.0, 50.0, 98.0)
"""Percentiles of the values of a series' crops that become about -2, 0 and 2."""

Array = NDArray[np.float64]


class CropKind(StrEnum):
    """What a crop shows, and in which series."""

    CANAL_T2 = "canal_t2"
    FORAMEN_T1 = "foramen_t1"
    FORAMEN_T2 = "foramen_t2"
    AXIAL_T2 = "axial_t2"

    @property
    def role(self) -> Role:
        """Role of the series that it is cut from."""
        return {
            CropKind.CANAL_T2: Role.SAGITTAL_T2_STIR,
            CropKind.FORAMEN_T1: Role.SAGITTAL_T1,
            CropKind.FORAMEN_T2: Role.SAGITTAL_T2_STIR,
            CropKind.AXIAL_T2: Role.AXIAL_T2,
        }[self]

    @property
    def is_of_foramen(self) -> bool:
        """Whether the near foramen lies in its middle; else the canal at the disc does."""
        return self in {CropKind.FORAMEN_T1, CropKind.FORAMEN_T2}


SHOWN_BY = {
    Condition.SPINAL_CANAL_STENOSIS: (CropKind.CANAL_T2, CropKind.AXIAL_T2),
    Condition.NEURAL_FORAMINAL_NARROWING: (CropKind.FORAMEN_T1, CropKind.FORAMEN_T2),
    Condition.SUBARTICULAR_STENOSIS: (CropKind.AXIAL_T2,),
}
"""Crops of which at least one must be there for a condition to be graded (series as RSNA 2024 marked them, and the
second sagittal contrast for the foramina)."""


class PlacedLevel(Protocol):
    """Where a level lies, LPS mm; :class:`stenograde.levels.points.LevelPoint` is one."""

    @property
    def canal_centre(self) -> Point:
        """Centre of the canal at the disc."""

    @property
    def foramina(self) -> Mapping[Side, Point]:
        """Anchor of each foramen."""

    @property
    def foramen_middles(self) -> Mapping[Side, Point]:
        """Middle of each foramen, which its anchor may lie some millimetres beside."""

    @property
    def left(self) -> Array:
        """Unit vector to the patient's left."""

    @property
    def back(self) -> Array:
        """Unit vector along the disc to the back."""

    @property
    def up(self) -> Array:
        """Unit vector to the head."""


@dataclass(frozen=True)
class CropConfig:
    """Grid of every crop.

    Raises
    ------
    ValueError
        If a length or count is not above zero, or the share is none.
    """

    slices: int = 5
    slice_mm: float = 4.0
    """Distance between slices of the grid, mm."""
    size_px: int = 80
    """Rows and columns."""
    grid_mm: float = 0.6
    """Distance between rows and between columns, mm."""
    min_covered: float = 0.55
    """Share of the grid that the series must show; with less the crop is absent."""
    about_middles: bool = False
    """Whether crops of foramina are cut about their middles; else about their anchors."""

    def __post_init__(self) -> None:
        if min(self.slices, self.size_px) < 1 or min(self.slice_mm, self.grid_mm) <= 0:
            msg = (
                f"crops need slices, size_px, slice_mm and grid_mm above 0, got {self.slices}, {self.size_px}, "
                f"{self.slice_mm}, {self.grid_mm}"
            )
            raise ValueError(msg)
        if not 0 < self.min_covered <= 1:
            msg = f"min_covered must be above 0 and at most 1, got {self.min_covered}"
            raise ValueError(msg)

    @property
    def shape(self) -> tuple[int, int, int]:
        """(slices, rows, columns)."""
        return self.slices, self.size_px, self.size_px


@dataclass(frozen=True, eq=False)
class CropGrid:
    """Places of a crop's values in patient space."""

    centre: Array
    steps: Array
    """Shape (3, 3): columns are the steps from slice to slice, row to row and column to column, LPS mm."""
    shape: tuple[int, int, int]

    @property
    def affine(self) -> Array:
        """Index (slice, row, column) to LPS mm, shape (4, 4)."""
        affine = np.eye(4)
        affine[:3, :3] = self.steps
        affine[:3, 3] = self.centre - self.steps @ ((np.array(self.shape) - 1) / 2)
        return affine

    def away_mm(self, point: Point) -> Array:
        """Return how far a point lies from the centre along slices, rows and columns, mm, shape (3,)."""
        return np.asarray(
            (self.steps / np.linalg.norm(self.steps, axis=0)).T @ (np.asarray(point) - self.centre)
        )

    def point_at(self, away_mm: Array) -> Point:
        """Return the point that lies so far from the centre; see :meth:`away_mm`."""
        x_mm, y_mm, z_mm = self.centre + (self.steps / np.linalg.norm(self.steps, axis=0)) @ away_mm
        return float(x_mm), float(y_mm), float(z_mm)

    def corners(self) -> Array:
        """Outermost places, shape (8, 3), LPS mm."""
        ends = np.stack(np.meshgrid(*[(0, n - 1) for n in self.shape], indexing="ij"), axis=-1).reshape(-1, 3)
        return geometry.to_patient(self.affine, ends)


@dataclass(frozen=True, eq=False)
class LevelCrops:
    """Crops of the imaged levels of a study.

    Parameters
    ----------
    levels : tuple of Level
    values : ndarray of shape (levels, sides, kinds, slices, rows, columns), float32
        Normalised, without absolute signal; 0 where the series shows nothing. Sides and kinds in the order of
        :class:`~stenograde.terms.Side` and :class:`CropKind`.
    present : ndarray of shape (levels, sides, kinds), bool
    reasons : mapping
        Why a crop is absent.
    grids : mapping
        Where the values of the crops that were cut lie.
    """

    levels: tuple[Level, ...]
    values: NDArray[np.float32]
    present: NDArray[np.bool_]
    reasons: Mapping[tuple[Level, Side, CropKind], str]
    grids: Mapping[tuple[Level, Side, CropKind], CropGrid]


def crop_levels(study: Study, points: Mapping[Level, PlacedLevel], config: CropConfig) -> LevelCrops:
    """Cut the crops of each level out of a study's series.

    The points say where each imaged level lies; they may be ``LevelPoints.levels``.

    Raises
    ------
    UnreadableInstanceError
        If a slice that is needed cannot be decoded.
    """
    levels = tuple(points)
    shape = (len(levels), len(Side), len(CropKind), *config.shape)
    values, present = np.full(shape, np.nan, np.float32), np.zeros(shape[:3], bool)
    reasons: dict[tuple[Level, Side, CropKind], str] = {}
    grids: dict[tuple[Level, Side, CropKind], CropGrid] = {}
    volumes = {
        role: [volume for series in study.series if series.role is role for volume in series.volumes]
        for role in Role
    }
    for i, level in enumerate(levels):
        for k, kind in enumerate(CropKind):
            for j, (side, cut) in enumerate(
                _cut_sides(volumes[kind.role], kind, points[level], config).items()
            ):
                if isinstance(cut, str):
                    reasons[level, side, kind] = f"{cut} at {level.shown}"
                else:
                    (values[i, j, k], grids[level, side, kind]), present[i, j, k] = cut, True
    _normalise(values, present, levels, reasons)
    return LevelCrops(levels, np.nan_to_num(values, copy=False, nan=0.0), present, reasons, grids)


def crop_grid(
    kind: CropKind, side: Side, level: PlacedLevel, volume_affine: Array, config: CropConfig
) -> CropGrid:
    """Return where the values of a crop lie.

    Sagittal crops follow the level's axes. Axial ones lie in the planes of the volume's own slices, turned to the
    level's axes, as thick slices hold no other plane.
    """
    near = level.left * (1.0 if side is Side.LEFT else -1.0)
    steps = np.array([config.slice_mm, config.grid_mm, config.grid_mm])
    if kind is not CropKind.AXIAL_T2:
        foramina = level.foramen_middles if config.about_middles else level.foramina
        centre = foramina[side] if kind.is_of_foramen else level.canal_centre
        axes = np.column_stack([near, -level.up, level.back])
        return CropGrid(np.asarray(centre, np.float64), axes * steps, config.shape)
    normal = geometry.normal_of(volume_affine)
    normal = normal if float(normal @ level.up) >= 0 else -normal
    across = _unit(near - normal * float(near @ normal))
    back = _unit(level.back - normal * float(level.back @ normal) - across * float(level.back @ across))
    axes = np.column_stack([normal, back, across])
    return CropGrid(np.asarray(level.canal_centre, np.float64), axes * steps, config.shape)


def shown_share(grid: CropGrid, affine: Array, shape: Sequence[int]) -> float:
    """Return the share of a grid that a volume shows; 0 where it does not show the grid's centre."""
    centre = geometry.to_index(affine, grid.centre[None])[0]
    if not _is_shown(centre[:, None], shape)[0]:
        return 0.0
    return float(_is_shown(_indices(grid, affine).reshape(3, -1), shape).mean())


def best_volume(
    kind: CropKind, grids: Sequence[CropGrid], shapes: Sequence[tuple[Array, Sequence[int]]], up: Array
) -> tuple[int, float] | None:
    """Choose the volume that shows a crop best.

    Parameters
    ----------
    kind : CropKind
    grids : sequence of CropGrid
        The crop's grid for each volume.
    shapes : sequence of (affine, shape)
        Those of each volume.
    up : ndarray of shape (3,)
        Unit vector to the head at the level.

    Returns
    -------
    place, share : int, float
        Which volume, and the share of the grid that it shows: the volume that shows most, to a tenth; of axial
        equals the one whose slices lie most across the canal. None where no volume shows the grid's centre.
    """
    best: tuple[tuple[float, float, float], int] | None = None
    for place, (grid, (affine, shape)) in enumerate(zip(grids, shapes, strict=True)):
        share = shown_share(grid, affine, shape)
        across = abs(float(geometry.normal_of(affine) @ up)) if kind is CropKind.AXIAL_T2 else 1.0
        key = (round(share, 1), round(across, 2), share)
        if share > 0 and (best is None or key > best[0]):
            best = key, place
    return None if best is None else (best[1], best[0][2])


def _cut_sides(
    volumes: Sequence[Volume], kind: CropKind, level: PlacedLevel, config: CropConfig
) -> dict[Side, tuple[NDArray[np.float32], CropGrid] | str]:
    """Return what :func:`_cut` returns for each side; about the canal one is the other's mirror image."""
    if kind.is_of_foramen:
        return {side: _cut(volumes, kind, side, level, config) for side in Side}
    first, second = Side
    cut = _cut(volumes, kind, first, level, config)
    if isinstance(cut, str):
        return {first: cut, second: cut}
    values, grid = cut
    axis = 2 if kind is CropKind.AXIAL_T2 else 0
    steps = grid.steps * np.where(np.arange(3) == axis, -1.0, 1.0)
    return {first: cut, second: (np.flip(values, axis), replace(grid, steps=steps))}


def _cut(
    volumes: Sequence[Volume], kind: CropKind, side: Side, level: PlacedLevel, config: CropConfig
) -> tuple[NDArray[np.float32], CropGrid] | str:
    """Return a crop's values, NaN where nothing is shown, and where they lie; or why there is no crop."""
    what = f"the {side.value} foramen" if kind.is_of_foramen else "the canal"
    if not volumes:
        return f"there is no {kind.role.shown} series to show {what}"
    grids = [crop_grid(kind, side, level, volume.affine, config) for volume in volumes]
    best = best_volume(kind, grids, [(volume.affine, volume.shape) for volume in volumes], level.up)
    if best is None:
        away_mm = min(_away_mm(grid.centre, volume) for grid, volume in zip(grids, volumes, strict=True))
        where = f"; the slices end {away_mm:.0f} mm before it" if away_mm > 0 else ""
        return f"no {kind.role.shown} slice shows {what}{where}"
    place, share = best
    if share < config.min_covered:
        return (
            f"{kind.role.shown} slices show {share * 100:.0f} % of what lies around {what} "
            f"and {config.min_covered * 100:.0f} % are needed"
        )
    return _sampled(volumes[place], grids[place]), grids[place]


def _sampled(volume: Volume, grid: CropGrid) -> NDArray[np.float32]:
    """Interpolate a volume at a grid, linearly; NaN outside."""
    index = _indices(grid, volume.affine)
    shown = _is_shown(index, volume.shape)
    index[0] = np.clip(index[0], 0, volume.shape[0] - 1)
    needed = index[0][shown]
    first, last = int(np.floor(needed.min())), int(np.ceil(needed.max()))
    slices = volume.slices(range(first, last + 1))
    index[0] -= first
    values = scipy.ndimage.map_coordinates(slices, index, order=1, mode="nearest", prefilter=False)
    return np.where(shown, values, np.nan).astype(np.float32)


def _indices(grid: CropGrid, affine: Array) -> Array:
    """Return the indices of the grid's places in a volume, shape (3, slices, rows, columns)."""
    to_volume = np.linalg.inv(affine) @ grid.affine
    i, j, k = (np.arange(n, dtype=np.float64) for n in grid.shape)
    m = to_volume[:3, :3].reshape(3, 3, 1, 1, 1)
    start = to_volume[:3, 3].reshape(3, 1, 1, 1)
    return start + m[:, 0] * i[:, None, None] + m[:, 1] * j[None, :, None] + m[:, 2] * k[None, None, :]


def _is_shown(index: Array, shape: Sequence[int]) -> NDArray[np.bool_]:
    slices, rows, columns = shape
    k, row, column = index
    return np.asarray(
        (k >= -BEYOND)
        & (k <= slices - 1 + BEYOND)
        & (row >= -0.5)
        & (row <= rows - 0.5)
        & (column >= -0.5)
        & (column <= columns - 0.5)
    )


def _away_mm(point: Array, volume: Volume) -> float:
    """How far beside a volume's outermost slices a point lies, mm; 0 between them."""
    k = float(geometry.to_index(volume.affine, point[None])[0, 0])
    step = geometry.gap_mm(volume.affine)
    return max(0.0, -k, k - (volume.shape[0] - 1)) * step


def _normalise(
    values: NDArray[np.float32],
    present: NDArray[np.bool_],
    levels: tuple[Level, ...],
    reasons: dict[tuple[Level, Side, CropKind], str],
) -> None:
    """Bring the crops of each series to one scale, in place; a series without contrast is taken as absent."""
    for role in Role:
        kinds = [k for k, kind in enumerate(CropKind) if kind.role is role]
        known = values[:, :, kinds, :, ::2, ::2]
        known = known[np.isfinite(known)]
        if not known.size:
            continue
        low, middle, high = np.percentile(known, _PERCENTILES)
        if high - low > 1e-6 * max(abs(float(middle)), 1e-6):
            scaled = (values[:, :, kinds] - np.float32(middle)) * np.float32(LIMIT / (high - low))
            values[:, :, kinds] = np.clip(scaled, -LIMIT, LIMIT)
            continue
        for i, j, k in np.argwhere(present):
            if k in kinds:
                reason = f"the {role.shown} series has no contrast at {levels[i].shown}"
                reasons[levels[i], tuple(Side)[j], tuple(CropKind)[k]] = reason
        present[:, :, kinds], values[:, :, kinds] = False, np.nan


def _unit(vector: Array) -> Array:
    return vector / np.linalg.norm(vector)
