"""Find the anatomy of a study, a volume or a picture with the locator of a bundle."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray

from stenograde import geometry
from stenograde.errors import MissingSeriesError, UnreadableInstanceError
from stenograde.images.orient import Turn, display_turn
from stenograde.levels.canal import canal_line
from stenograde.levels.discs import find_discs
from stenograde.levels.frames_of_reference import keep_reachable
from stenograde.levels.lumbarised import lumbarised_doubts
from stenograde.levels.marked import MarkedVolume, MidSurface, mid_surface
from stenograde.levels.midline import with_second_midline
from stenograde.levels.points import LevelPoints, find_levels, points_reach_mm
from stenograde.levels.sacrum import ASIDE_MM, BELOW_MM
from stenograde.predict.bundle import Bundle
from stenograde.predict.gate import pass_gate
from stenograde.predict.looks import Beside
from stenograde.predict.marks import Marks, mark
from stenograde.study import Series, Study, Volume, check_grid
from stenograde.terms import Plane, Role

MOVED_MM = 6.0
"""Difference of the midlines of two series above which the reader is warned, mm."""

MIDLINE_REACH_MM = 16.0
"""A second series' midline is looked for this far beside the first's: the canal's half width and some motion, mm."""

OTHER_DISC_MM = 18.0
"""Lumbosacral discs of two series that lie farther apart are not the same disc, mm: half the distance of two discs."""

LEAST_STACK = 3
"""Stacks of fewer slices show no sacrum that could be relied on."""

N_LOOKS = 3
"""Slices around the midline of a further sagittal series that are looked at for the sacrum."""

LOCATED_IN = (Role.SAGITTAL_T2_STIR, Role.SAGITTAL_T1)
"""Roles that the anatomy is looked for in, best first."""


@dataclass(frozen=True, eq=False)
class MarkedStack:
    """Marks of one sagittal volume, and how its slices were turned for the locator."""

    marks: Marks
    turn: Turn
    marked: MarkedVolume

    @property
    def intensities(self) -> NDArray[np.float32]:
        """Slices on the locator's grid, as :func:`stenograde.levels.measure.measure_canal` takes them."""
        return self.marks.intensities

    def masks(self) -> NDArray[np.uint8]:
        """Masks on the volume's own grid and in its own orientation, shape (slices, rows, columns)."""
        return np.ascontiguousarray(self.turn.undo(self.marks.masks()))


@dataclass(frozen=True, eq=False)
class MarkedPicture:
    """Marks of one sagittal picture."""

    mask: NDArray[np.uint8]
    """Shape (rows, columns), values of ``Structure.code``."""
    points: tuple[tuple[str, float, float], ...]
    """Disc names with row and column of their centres, px."""
    doubts: tuple[str, ...]


def locating_series(study: Study) -> Series:
    """Return the sagittal series that the anatomy is looked for in.

    Raises
    ------
    MissingSeriesError
        If the study has no sagittal series with a role.
    UnreadableInstanceError
        If it had a sagittal T2 that could not be read. T1 alone shows the canal too poorly to stand in for it
        unasked: whoever leaves the spoilt files away asks for it.
    """
    unread = dict(study.lost).get(Role.SAGITTAL_T2_STIR)
    if unread is not None:
        msg = (
            f"the sagittal T2 of a study must be readable, got none: {unread}; mend or fetch it again, or leave its "
            "files away to grade from what else there is"
        )
        raise UnreadableInstanceError(msg)
    for role in LOCATED_IN:
        series = study.by_role(role)
        if series is not None:
            return series
    found = ", ".join(sorted({f"{s.plane} {s.weighting or 'of unknown weighting'}" for s in study.series}))
    msg = (
        f"a study must have a sagittal T2, STIR or T1 series to find the levels in, got {found or 'no series'}; "
        "name the series with --roles if one was not recognised"
    )
    raise MissingSeriesError(msg)


def mark_volume(
    volume: Volume,
    bundle: Bundle,
    part: range | None = None,
    found: LevelPoints | None = None,
    reach_mm: float | None = None,
) -> MarkedStack:
    """Run the locator over a sagittal volume, or over a run of its slices.

    Parameters
    ----------
    volume : Volume
    bundle : Bundle
    part : range, optional
        Slices to mark, step 1; only these are decoded. All when absent.
    found : LevelPoints, optional
        Levels that were found in another volume of the same patient: the spine is looked for from the highest of them
        to the sacrum.
    reach_mm : float, optional
        Slices that show no canal and lie farther beside its middle are not looked at, mm, and the stack holds those in
        reach alone: it has no masks. All are looked at when absent.

    Raises
    ------
    UnreadableInstanceError
        If a slice cannot be decoded.
    """
    turn = display_turn(volume.affine, Plane.SAGITTAL)
    part = part if part is not None else range(volume.shape[0])
    pictures = np.ascontiguousarray(turn.apply(volume.slices(part)))
    affine = turn.affine(volume.affine, volume.shape[1:])
    affine[:3, 3] += affine[:3, 0] * part.start
    rows_mm, columns_mm = (float(v) for v in np.linalg.norm(affine[:3, 1:3], axis=0))
    entry = bundle.table.locator
    grid, slice_mm = _grid_affine(affine, entry.grid_mm), volume.spacing_mm[0]
    marks = mark(
        pictures,
        (rows_mm, columns_mm),
        bundle.locate,
        grid_mm=entry.grid_mm,
        stride=entry.stride,
        spine=None if found is None else _ends_of_spine(found, grid),
        beside=Beside(points_reach_mm(slice_mm) if reach_mm is None else reach_mm, slice_mm),
        whole=reach_mm is None,
    )
    if marks.part is not None:
        part = part[marks.part[0].start : marks.part[0].stop]
        grid[:3, 3] = geometry.to_patient(grid, [[one.start for one in marks.part]])[0]
    lost = tuple(place - part.start for place in volume.lost_side_by_side if place in part)
    marked = MarkedVolume(grid, marks.probabilities, marks.heat, marks.shown, lost)
    return MarkedStack(marks, turn, marked)


def _ends_of_spine(found: LevelPoints, grid: NDArray[np.float64]) -> list[tuple[float, float]]:
    """Return the first and last row and column of another grid between which levels and sacrum lie that were found.

    Nothing where nothing is marked there.
    """
    marked = found.surface.marked
    heights = [found.chain.discs[0].centre[0], *(level.disc.centre[0] for level in found.levels.values())]
    top, bottom = max(int(min(heights)), 0), int(max(heights) + BELOW_MM / marked.grid_mm) + 1
    seen = marked.probabilities[:, :, top:bottom]
    likeliest = seen[:, 1:].max(axis=1) > seen[:, 0]
    held = [np.flatnonzero(likeliest.any(axis=axes)) for axes in ((1, 2), (0, 2), (0, 1))]
    if not held[0].size:
        return []
    held[1] += top
    corners = geometry.to_patient(marked.affine, list(product(*((one[0], one[-1]) for one in held))))
    places = geometry.to_index(grid, corners)[:, 1:]
    return list(zip(places.min(axis=0), places.max(axis=0), strict=True))


def levels_in(stack: MarkedStack) -> LevelPoints | None:
    """Find the levels of a marked volume; None when no canal or no disc can be seen."""
    points = find_levels(stack.marked)
    if points is None or not points.chain.certain:
        return points
    picture = points.surface.sample(stack.intensities)
    grid_mm = points.surface.marked.grid_mm
    return points.doubted(lumbarised_doubts(points.canal, points.chain.discs[0], picture, grid_mm))


def mark_picture(
    picture: NDArray[np.float32], spacing_mm: tuple[float, float], bundle: Bundle
) -> MarkedPicture:
    """Run the locator over one sagittal picture, head up, front to the left.

    Parameters
    ----------
    picture : ndarray of shape (rows, columns), float32
    spacing_mm : tuple of float
        Between rows, between columns, mm.
    bundle : Bundle

    Raises
    ------
    IrregularSlicesError
        If the picture is not of a size that a scanner makes.
    """
    check_grid(np.diag([1.0, *spacing_mm, 1.0]), (1, *picture.shape))
    entry = bundle.table.locator
    marks = mark(picture[None], spacing_mm, bundle.locate, grid_mm=entry.grid_mm, stride=entry.stride)
    affine = np.diag([4.0, entry.grid_mm, entry.grid_mm, 1.0])
    surface = mid_surface(MarkedVolume(affine, marks.probabilities, marks.heat, marks.shown))
    if surface is None:
        return MarkedPicture(marks.masks()[0], (), ("no canal was found",))
    chain = find_discs(surface)
    doubts = [*chain.doubts]
    canal = canal_line(surface) if chain.certain else None
    if canal is not None:
        doubts += lumbarised_doubts(canal, chain.discs[0], marks.intensities[0], entry.grid_mm)
    centres = marks.to_picture(np.array([disc.centre for disc in chain.discs]).reshape(-1, 2))
    points = tuple(
        (disc.name, float(row), float(column))
        for disc, (row, column) in zip(chain.discs, centres, strict=True)
    )
    return MarkedPicture(marks.masks()[0], points, tuple(doubts))


@dataclass(frozen=True, eq=False)
class LocatedStudy:
    """The levels of a study, and what they were found in."""

    series: Series
    volume: Volume
    """The largest stack of ``series``."""
    stack: MarkedStack
    """Marks of ``volume``; its masks lie on that volume's grid, where it was marked as a whole."""
    points: LevelPoints
    """In patient space; carry them into other series with :func:`stenograde.geometry.to_index`."""
    notes: tuple[str, ...]
    """What was assumed of the other series, and whether the patient moved between them."""
    seconds: float
    """Time that locating took, s."""

    @property
    def doubts(self) -> tuple[str, ...]:
        """Why the names of the levels are uncertain, in words for the report."""
        return tuple(f"level names are uncertain: {doubt}" for doubt in self.points.doubts)

    @property
    def warnings(self) -> tuple[str, ...]:
        """The doubts, then the notes."""
        return (*self.doubts, *self.notes)


def locate_study(study: Study, bundle: Bundle, *, whole: bool = True) -> LocatedStudy:
    """Find the levels of a study in its best sagittal series.

    Where there is a sagittal T1 series beside the T2, its own mid-sagittal surface is found, too: patients
    move between series, and with slices four millimetres apart two looks at the midline are better than one.

    Raises
    ------
    MissingSeriesError
        If the study has no sagittal series with a role.
    StudyError
        If no spine can be seen in it, or none of the lumbar region: see :mod:`stenograde.predict.gate`.
    UnreadableInstanceError
        If a slice cannot be decoded.
    """
    start = time.perf_counter()
    series = locating_series(study)
    volume = _largest(series)
    stack = mark_volume(volume, bundle, reach_mm=None if whole else points_reach_mm(volume.spacing_mm[0]))
    points = levels_in(stack)
    doubts = [*study.name_doubts, *pass_gate(study, series, points), *_unjoined(series, volume)]
    assert points is not None  # or the gate is shut
    study, notes = keep_reachable(study, series, points)
    second = study.by_role(Role.SAGITTAL_T1)
    if second is not None and second is not series:
        beside = _largest(second)
        marked = mark_volume(beside, bundle, _around(points, beside), points, ASIDE_MM).marked
        surface = mid_surface(marked)
        doubts += _other_sacrum(points, second, beside, surface)
        if surface is not None:
            points, moved_mm = with_second_midline(points, surface)
            if moved_mm > MOVED_MM:
                notes += (
                    f"the midline differs by {moved_mm:.0f} mm between the sagittal series; the patient may have moved",
                )
    for further, one in _further(study, series, volume):
        try:
            marked = mark_volume(one, bundle, _around(points, one, N_LOOKS), points).marked
        except UnreadableInstanceError:
            continue  # it has no role, so nothing rests on it
        doubts += _other_sacrum(points, further, one, mid_surface(marked))
    points = points.doubted(doubts)
    return LocatedStudy(series, volume, stack, points, notes, time.perf_counter() - start)


def _unjoined(series: Series, volume: Volume) -> list[str]:
    """Say that a series holds further stacks, in which nothing was looked for."""
    n_others = sum(one.shape[0] >= LEAST_STACK for one in series.volumes if one is not volume)
    if not n_others:
        return []
    return [
        f"series {series.uid} holds {n_others + 1} stacks that were not joined, and one of them was looked at"
    ]


def _further(study: Study, series: Series, volume: Volume) -> Iterator[tuple[Series, Volume]]:
    """Sagittal series without a role that state the frame of reference of the one that levels were found in."""
    for one in study.series:
        if one is series or one.role is not None or one.plane is not Plane.SAGITTAL or one.weighting is None:
            continue
        largest = _largest(one)
        shared = volume.frame_of_reference_uid
        if largest.shape[0] >= LEAST_STACK and shared and largest.frame_of_reference_uid == shared:
            yield one, largest


def _other_sacrum(
    points: LevelPoints, series: Series, volume: Volume, surface: MidSurface | None
) -> list[str]:
    """Say that a further series that reaches the sacrum does not show it below the same disc."""
    grid, lowest = points.surface.marked.grid_mm, np.asarray(points.chain.discs[0].centre)
    here, below = points.surface.to_patient(np.stack([lowest, lowest + np.array([BELOW_MM / grid, 0.0])]))
    if not geometry.is_inside(volume.affine, volume.shape, geometry.as_point(below), 0.0):
        return []
    chain = find_discs(surface) if surface is not None else None
    if surface is None or chain is None or not chain.sacrum_seen:
        return [f"series {series.uid} reaches the sacrum, but it was not seen as one there"]
    there = surface.to_patient(np.asarray(chain.discs[0].centre))[0]
    if float(np.linalg.norm(there - here)) > OTHER_DISC_MM:
        return [f"series {series.uid} shows the sacrum below another disc"]
    return []


def _around(points: LevelPoints, volume: Volume, n_most: int | None = None) -> range:
    """Slices of a sagittal volume that can hold the midline; no more than so many in their middle."""
    centres = points.surface.to_patient(points.canal.centre)
    slices = geometry.to_index(volume.affine, centres)[:, 0]
    reach = MIDLINE_REACH_MM / volume.spacing_mm[0]
    start = int(np.clip(np.floor(slices.min() - reach), 0, volume.shape[0] - 1))
    found = range(start, int(np.clip(np.ceil(slices.max() + reach), start, volume.shape[0] - 1)) + 1)
    spare = max(0, len(found) - (n_most or len(found)))
    return found[spare // 2 : len(found) - (spare - spare // 2)]


def _largest(series: Series) -> Volume:
    return max(series.volumes, key=lambda one: one.shape[0])


def _grid_affine(affine: NDArray[np.float64], grid_mm: float) -> NDArray[np.float64]:
    """Affine of the locator's grid: same outer edge, other pixel spacing."""
    grid = affine.copy()
    for axis in (1, 2):
        step = np.linalg.norm(affine[:3, axis])
        unit = affine[:3, axis] / step
        grid[:3, axis] = unit * grid_mm
        grid[:3, 3] += unit * (grid_mm - step) / 2
    return grid
