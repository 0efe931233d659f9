"""Render only what the crops of a phantom's levels show, as a study in memory.

A whole study has seven times as many pixels as its crops sample. Here each series is one small volume per level, cut
from the same slices that :func:`~stenograde.phantom.scanner.acquisition.plan_study` lays, so that the crops are those
of the whole study but for the noise.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass, replace

import numpy as np
from numpy.typing import NDArray

from stenograde import geometry
from stenograde.grades import Point
from stenograde.levels.crop import CropConfig, CropGrid, CropKind, best_volume, crop_grid
from stenograde.levels.foramina import foramen_middles, foramina_at
from stenograde.phantom.body.anatomy import Row
from stenograde.phantom.body.curve import Array
from stenograde.phantom.body.patient import Phantom, rotation
from stenograde.phantom.scanner.acquisition import Protocol, SeriesPlan, SlicePlane, plan_study
from stenograde.phantom.scanner.render import render_series
from stenograde.study import Series, Study, Volume
from stenograde.terms import LUMBAR_MRI, Level, Plane, Role, Side, Weighting

FOUND_AHEAD_MM = dict(zip(LUMBAR_MRI.levels, (1.4, 1.2, 0.6, 0.4, 4.7), strict=True))
"""How far ahead of the midline wall of the bodies the locator finds the disc's posterior margin, mm: the mean over ten
phantoms. The wedge of L5/S1 is short behind."""

_RIM_PX = 4
"""Pixels around what a crop samples, so that interpolation finds its neighbours and no edge rings into it."""

_SHOWN_AS = {
    Role.SAGITTAL_T1: (Plane.SAGITTAL, Weighting.T1),
    Role.SAGITTAL_T2_STIR: (Plane.SAGITTAL, Weighting.T2),
    Role.AXIAL_T2: (Plane.AXIAL, Weighting.T2),
}


@dataclass(frozen=True)
class LocatorError:
    """How far the locator's levels lie from the true ones: standard deviations, to train on what inference gives.

    On ten phantoms the shipped locator was off by 0.9, 0.3 and 0.4 mm, 1.0 and 1.4 degrees, and by 2.2 mm at the
    disc's posterior margin; on real studies it is worse, so training sees more.
    """

    left_mm: float = 1.2
    back_mm: float = 0.8
    up_mm: float = 1.0
    margin_mm: float = 2.2
    """Error of the disc's posterior margin, from which foramina are placed, along the disc."""
    turn_deg: float = 2.5
    """Rotation about the axis from left to right."""
    tilt_deg: float = 1.5
    """Rotation about each of the other two axes."""

    def __post_init__(self) -> None:
        if min(astuple(self)) < 0:
            msg = f"errors of the locator must not be below 0, got {self}"
            raise ValueError(msg)


@dataclass(frozen=True, eq=False)
class TrueLevel:
    """Where a level of a phantom lies; a :class:`~stenograde.levels.crop.PlacedLevel`."""

    level: Level
    canal_centre: Point
    foramina: Mapping[Side, Point]
    left: Array
    back: Array
    up: Array

    @property
    def foramen_middles(self) -> Mapping[Side, Point]:
        """Middle of each foramen, by the rule of :mod:`stenograde.levels.points`."""
        return foramen_middles(self.level, self.foramina, self.left, self.back, self.up)


def true_levels(
    phantom: Phantom, *, error: LocatorError | None = None, rng: np.random.Generator | None = None
) -> dict[Level, TrueLevel]:
    """Return where the levels lie, foramina by the rule of :mod:`stenograde.levels.points`.

    With an ``error``, each level is moved and turned at random, which needs ``rng``.

    Raises
    ------
    ValueError
        If there is an error and no generator to draw it from.
    """
    if error is not None and rng is None:
        msg = "rng must be given with an error of the locator, got none"
        raise ValueError(msg)
    return {level: _level(phantom, level, error, rng) for level in LUMBAR_MRI.levels}


def render_levels(
    phantom: Phantom,
    points: Mapping[Level, TrueLevel],
    config: CropConfig,
    *,
    protocol: Protocol | None = None,
    roles: Sequence[Role] = tuple(Role),
) -> Study:
    """Render what the crops of these levels sample: a study whose series have a volume for each level they show.

    Series of other ``roles`` are left out.
    """
    protocol = protocol or Protocol()
    series = []
    plans = [plan for plan in plan_study(phantom, protocol) if plan.role in roles]
    for number, plan in enumerate(plans):
        rng = np.random.default_rng([phantom.seed, 2, number])
        parts = _parts(plan, points, config)
        if not parts:
            continue
        matrix = max(part.matrix for part in parts)
        small = replace(plan, planes=tuple(plane for part in parts for plane in part.planes(matrix)))
        pixels = render_series(phantom, small, layers=protocol.layers, rng=rng)
        series.append(_series(number, small, pixels, [len(part.stack) for part in parts]))
    return Study(f"2.25.{phantom.seed}", tuple(series))


def _level(
    phantom: Phantom, level: Level, error: LocatorError | None, rng: np.random.Generator | None
) -> TrueLevel:
    anatomy, truth = phantom.anatomy, phantom.levels[level]
    disc = float(anatomy.disc_mm[anatomy.disc_of(level)])
    axes = phantom.turn @ rotation(np.array([-anatomy.curve.tilt_at(disc), 0.0, 0.0]))
    margin = np.array(truth.disc_centre) + axes[:, 1] * (
        anatomy.at(Row.BODY_DEPTH, disc) - FOUND_AHEAD_MM[level]
    )
    canal = np.array(truth.canal_centre)
    left = axes[:, 0] * (1.0 if axes[0, 0] > 0 else -1.0)
    axes = np.column_stack([left, axes[:, 1], axes[:, 2]])
    if error is not None and rng is not None:
        shift = axes @ rng.normal(0, [error.left_mm, error.back_mm, error.up_mm])
        turned = rotation(np.deg2rad(rng.normal(0, [error.turn_deg, error.tilt_deg, error.tilt_deg])))
        margin = margin + shift + axes[:, 1] * rng.normal(0, error.margin_mm)
        canal, axes = canal + shift, axes @ turned
    left, back, up = axes.T
    return TrueLevel(
        level, geometry.as_point(canal), foramina_at(level, margin, left, back, up), left, back, up
    )


@dataclass(frozen=True, eq=False)
class _Part:
    """What one level samples of one stack of slices."""

    stack: tuple[SlicePlane, ...]
    row: float
    column: float
    """Middle of what is sampled, px."""
    matrix: int

    def planes(self, matrix: int) -> tuple[SlicePlane, ...]:
        """Return the slices, cut to a square of ``matrix`` pixels."""
        first = self.stack[0]
        row, column = (round(middle - (matrix - 1) / 2) for middle in (self.row, self.column))
        u, v = first.orientation[:3], first.orientation[3:]
        shift = (row * v + column * u) * first.pixel_mm
        return tuple(replace(plane, position=plane.position + shift, matrix=matrix) for plane in self.stack)


def _parts(plan: SeriesPlan, points: Mapping[Level, TrueLevel], config: CropConfig) -> list[_Part]:
    stacks = _stacks(plan.planes)
    shapes = [(_affine(stack), (len(stack), stack[0].matrix, stack[0].matrix)) for stack in stacks]
    parts = []
    for level in points.values():
        sampled: dict[int, list[Array]] = {}
        for kind in CropKind:
            if kind.role is not plan.role:
                continue
            for side in Side:
                grids = [crop_grid(kind, side, level, affine, config) for affine, _ in shapes]
                best = best_volume(kind, grids, shapes, level.up)
                if best is not None:
                    sampled.setdefault(best[0], []).append(_sampled_index(grids[best[0]], shapes[best[0]][0]))
        parts += [_part(stacks[place], np.concatenate(index)) for place, index in sampled.items()]
    return parts


def _sampled_index(grid: CropGrid, affine: Array) -> Array:
    return geometry.to_index(affine, grid.corners())


def _part(stack: Sequence[SlicePlane], index: Array) -> _Part:
    low, high = index.min(axis=0), index.max(axis=0)
    first, last = (int(np.clip(end, 0, len(stack) - 1)) for end in (np.floor(low[0]), np.ceil(high[0])))
    # a volume needs two slices to know how far they stand apart
    first, last = min(first, max(len(stack) - 2, 0)), max(last, min(1, len(stack) - 1))
    edge = stack[0].matrix - 1
    low, high = np.clip(low[1:], 0, edge), np.clip(high[1:], 0, edge)
    row, column = (low + high) / 2
    matrix = int(np.ceil((high - low).max())) + 1 + 2 * _RIM_PX
    return _Part(tuple(stack[first : last + 1]), float(row), float(column), matrix)


def _stacks(planes: Sequence[SlicePlane]) -> list[list[SlicePlane]]:
    """Split the slices of a series where their orientation or their distance changes."""
    stacks: list[list[SlicePlane]] = []
    for plane in planes:
        if stacks and _continues(stacks[-1], plane):
            stacks[-1].append(plane)
        else:
            stacks.append([plane])
    return stacks


def _continues(stack: Sequence[SlicePlane], plane: SlicePlane) -> bool:
    if not np.allclose(stack[-1].orientation, plane.orientation, atol=1e-6):
        return False
    if len(stack) < 2:
        return True
    return np.allclose(
        stack[-1].position - stack[-2].position, plane.position - stack[-1].position, atol=0.05
    )


def _affine(stack: Sequence[SlicePlane]) -> Array:
    first = stack[0]
    step = (stack[-1].position - first.position) / (len(stack) - 1) if len(stack) > 1 else None
    along = first.normal * first.thickness_mm if step is None else step
    return geometry.affine_of(first.position, first.orientation, (first.pixel_mm, first.pixel_mm), along)


def _series(number: int, plan: SeriesPlan, pixels: NDArray[np.uint16], counts: Sequence[int]) -> Series:
    plane, weighting = _SHOWN_AS[plan.role]
    volumes, start = [], 0
    for count in counts:
        part = slice(start, start + count)
        volumes.append(_volume(f"2.25.{number}.{start}", plan.planes[part], pixels[part]))
        start += count
    return Series(f"2.25.{number}", plane, weighting, plan.role, "rendered so", tuple(volumes))


def _volume(root: str, stack: Sequence[SlicePlane], pixels: NDArray[np.uint16]) -> Volume:
    def source(indices: Sequence[int]) -> NDArray[np.float32]:
        return pixels[list(indices)].astype(np.float32)

    slices, rows, columns = pixels.shape
    uids = tuple(f"{root}.{k}" for k in range(slices))
    return Volume(_affine(stack), (slices, rows, columns), uids, source)
