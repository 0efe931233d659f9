"""The spine at a glance: the mid-sagittal picture, and beside it the canal profile at the same height."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stenograde.grades import CanalProfile, LevelPosition, MidSagittal, StudyGrades
from stenograde.report.pictures import (
    Box,
    Drawn,
    Picture,
    ShownSlice,
    bar_of,
    encoded,
    find_slice,
    shifted,
    show_slice,
    span,
)
from stenograde.study import Study
from stenograde.terms import Quantity, Role, Structure

REFERENCE_MM = ((10.0, "absolute"), (12.0, "relative"))
"""Anteroposterior canal diameters below which stenosis is called absolute and relative, mm.

For orientation only: they were set for the canal on CT and radiographs. Source: Kalichman et al., Spine J
2009, doi:10.1016/j.spinee.2009.03.005 (12 mm relative, 10 mm absolute).
"""

_MARGIN_MM = (30.0, 10.0, 26.0, 12.0)
"""Kept around the outlines: left, top, right, bottom."""

_SMALLEST_WIDTH_MM = 100.0
_PIXELS_PER_MM = 4.0
_PLOT_LEFT_MM = 3.0
_LETTERS_ACROSS = 44.0
"""Width of picture and plot together, in heights of a letter."""

_NAME_LETTERS = 4.8
"""Room for a level's name right of the plot, in heights of a letter."""

_SMALLEST_RANGE_MM = 20.0
_WAY_TICK_MM = 20.0


@dataclass(frozen=True)
class PlotLevel:
    """A level on the plot: its name, its height, and where on the curve it was measured, if it was."""

    name: str
    y: float
    measured: tuple[float, float] | None
    """x and y of the diameter that the tables give: the narrowest near the disc, not always at its height."""


@dataclass(frozen=True)
class ProfilePlot:
    """The canal profile as a plot; its unit is the millimetre of the picture beside it."""

    width: float
    height: float
    left: float
    right: float
    lines: tuple[str, ...]
    """Unbroken stretches of the curve, as SVG ``points``."""
    areas: tuple[str, ...]
    diameter_ticks: tuple[tuple[float, str], ...]
    """x and label, mm of diameter."""
    way_ticks: tuple[tuple[float, str], ...]
    """y and label, mm along the canal."""
    references: tuple[tuple[float, str], ...]
    levels: tuple[PlotLevel, ...]
    alt: str


@dataclass(frozen=True)
class Spine:
    """Picture and plot, drawn to one scale; either may be missing, and then ``note`` says why."""

    picture: Picture | None
    plot: ProfilePlot | None
    note: str
    letter_mm: float = 4.2
    """Height of the letters on both, mm of the picture, so that they read alike at any field of view."""

    @property
    def head_mm(self) -> float:
        """Room above picture and plot for their headings."""
        return self.letter_mm * 3.2 if self.plot else 0.0

    @property
    def foot_mm(self) -> float:
        """Room below them for the plot's numbers."""
        return self.letter_mm * 1.5 if self.plot else 0.0

    @property
    def shape(self) -> float:
        """Width of both together, in heights."""
        if self.picture is None:
            return 1.0
        width = self.picture.width_mm + (self.plot.width if self.plot else 0.0)
        return width / (self.head_mm + self.picture.height_mm + self.foot_mm)


def spine_of(grades: StudyGrades, study: Study) -> Spine:
    """Return the mid-sagittal picture with its outlines and names, and the canal profile beside it."""
    middle = grades.mid_sagittal
    shown = find_slice(study, middle.slice) if middle else None
    if middle is None or shown is None:
        note = "The anatomy was not located." if middle is None else "The mid-sagittal slice cannot be shown."
        return _without_outlines(study, note)
    box = _spine_box(shown, middle, grades.levels)
    drawn = (*_outlines(shown, box, middle), *_level_marks(shown, box, grades.levels, middle))
    imaged = ", ".join(position.level.shown for position in grades.levels if position.imaged)
    picture = Picture(
        href=encoded(shown, box, _PIXELS_PER_MM),
        width_mm=box.width,
        height_mm=box.height,
        letters=shown.letters(),
        bar_mm=bar_of(box.width),
        alt=f"Mid-sagittal slice of the spine with outlines of vertebrae, discs and canal; levels {imaged}.",
        caption=shown.where,
        drawn=drawn,
        sources=shown.sources,
    )
    letter_mm = (box.width + _plot_width(box)) / _LETTERS_ACROSS
    if middle.profile is None:
        return Spine(picture, None, "The canal profile could not be measured.", letter_mm)
    return Spine(picture, _plot(middle.profile, shown, box, grades), "", letter_mm)


def _without_outlines(study: Study, note: str) -> Spine:
    """Return the middle slice of a sagittal series as it is, with nothing drawn."""
    series = study.by_role(Role.SAGITTAL_T2_STIR) or study.by_role(Role.SAGITTAL_T1)
    if series is None:
        return Spine(None, None, f"{note} The study has no sagittal series to show.")
    volume = series.volumes[0]
    shown = show_slice(series, volume, volume.shape[0] // 2)
    if shown is None:
        return Spine(None, None, f"{note} The middle sagittal slice cannot be decoded.")
    box = Box(0.0, 0.0, *shown.size_mm)
    picture = Picture(
        href=encoded(shown, box, min(_PIXELS_PER_MM, 900 / box.height)),
        width_mm=box.width,
        height_mm=box.height,
        letters=shown.letters(),
        bar_mm=bar_of(box.width),
        alt="Middle slice of the sagittal series; no anatomy is marked.",
        caption=f"{shown.where} (the middle of the series, not a located mid-line)",
        sources=shown.sources,
    )
    return Spine(picture, None, note, box.width / _LETTERS_ACROSS)


def _plot_width(box: Box) -> float:
    """Return the plot's width, mm: wide enough to read beside a small field, not to crowd out a large one."""
    return 40.0 + 0.25 * box.width


def _spine_box(shown: ShownSlice, middle: MidSagittal, levels: Sequence[LevelPosition]) -> Box:
    """Return the part of the slice that holds the spine, with a margin."""
    placed = [shown.place(outline.points) for outline in middle.outlines if len(outline.points)]
    placed += [shown.place(position.point) for position in levels if position.point]
    width, height = shown.size_mm
    if not placed:
        return Box(0.0, 0.0, width, height)
    left, top, right, bottom = span(placed)
    lacking = max(0.0, _SMALLEST_WIDTH_MM - (right - left) - _MARGIN_MM[0] - _MARGIN_MM[2]) / 2
    left, right = left - lacking, right + lacking
    left, top = max(0.0, left - _MARGIN_MM[0]), max(0.0, top - _MARGIN_MM[1])
    right, bottom = min(width, right + _MARGIN_MM[2]), min(height, bottom + _MARGIN_MM[3])
    return Box(left, top, right - left, bottom - top)


def _outlines(shown: ShownSlice, box: Box, middle: MidSagittal) -> tuple[Drawn, ...]:
    """Return the outlines, vertebrae named in their middle."""
    drawn = []
    for outline in middle.outlines:
        points = shifted(shown.place(outline.points), box)
        if not points:
            continue
        named = outline.structure is Structure.VERTEBRA
        x, y = np.mean(points, axis=0)
        drawn.append(
            Drawn(
                kind=outline.structure.value,
                points=points,
                label=outline.name if named else "",
                label_at=(float(x), float(y)),
            )
        )
    return tuple(drawn)


def _level_marks(
    shown: ShownSlice, box: Box, levels: Sequence[LevelPosition], middle: MidSagittal
) -> tuple[Drawn, ...]:
    """Return the canal centre of each level with a guide to the right edge, where the plot goes on.

    A level's name stands in front of its disc, or behind the canal where the disc has no outline.
    """
    fronts = {}
    for outline in middle.outlines:
        if outline.structure is Structure.DISC and len(outline.points):
            left, top, _, bottom = span([shown.place(outline.points)])
            fronts[outline.name] = left - box.x, (top + bottom) / 2 - box.y
    drawn = []
    for position in levels:
        if position.point is None:
            continue
        (at,) = shifted(shown.place(position.point), box)
        front = fronts.get(position.level.shown)
        name = position.level.shown + ("" if position.certain else " ?")
        label_at = (front[0] - 2.0, front[1]) if front else (at[0] + 4.0, at[1])
        drawn.append(Drawn("guide", (at, (box.width, at[1]))))
        drawn.append(Drawn("centre", (at,), name, label_at, "end" if front else "start"))
    return tuple(drawn)


def _plot(profile: CanalProfile, shown: ShownSlice, box: Box, grades: StudyGrades) -> ProfilePlot:
    """Return the profile at the heights at which it was measured on the picture."""
    heights = shown.place(profile.centre)[:, 1] - box.y
    known = np.isfinite(profile.diameter_mm)
    largest = float(profile.diameter_mm[known].max()) if known.any() else 0.0
    range_mm = max(_SMALLEST_RANGE_MM, 5.0 * np.ceil(largest / 5.0))
    width = _plot_width(box)
    right = width - _NAME_LETTERS * (box.width + width) / _LETTERS_ACROSS

    def across(diameter_mm: float) -> float:
        return _PLOT_LEFT_MM + diameter_mm / range_mm * (right - _PLOT_LEFT_MM)

    stretches = _stretches(known)
    curves = [[(across(profile.diameter_mm[i]), heights[i]) for i in stretch] for stretch in stretches]
    doubtful = {position.level for position in grades.levels if not position.certain}
    measured = {
        item.level: (across(item.value), float(shown.place(item.points)[:, 1].mean()) - box.y)
        for item in grades.measurements
        if item.quantity is Quantity.CANAL_AP_DIAMETER and item.points and np.isfinite(item.value)
    }
    levels = []
    for level, way in profile.levels:
        y = float(np.interp(way, profile.distance_mm, heights))
        levels.append(PlotLevel(level.shown + (" ?" if level in doubtful else ""), y, measured.get(level)))
    return ProfilePlot(
        width=width,
        height=box.height,
        left=_PLOT_LEFT_MM,
        right=right,
        lines=tuple(_path(curve) for curve in curves),
        areas=tuple(
            _path([(_PLOT_LEFT_MM, curve[0][1]), *curve, (_PLOT_LEFT_MM, curve[-1][1])]) for curve in curves
        ),
        diameter_ticks=tuple((across(mm), f"{mm:.0f}") for mm in np.arange(0, range_mm + 1, 5)),
        way_ticks=_way_ticks(profile.distance_mm, heights),
        references=tuple((across(mm), f"{mm:.0f}") for mm, _ in REFERENCE_MM),
        levels=tuple(levels),
        alt=_alt(profile),
    )


def _way_ticks(way_mm: NDArray[np.float64], heights: NDArray[np.float64]) -> tuple[tuple[float, str], ...]:
    if not len(way_mm):
        return ()
    ticks = np.arange(0, float(way_mm[-1]) + 1e-6, _WAY_TICK_MM)
    return tuple((float(np.interp(tick, way_mm, heights)), f"{tick:.0f}") for tick in ticks)


def _stretches(known: NDArray[np.bool_]) -> list[NDArray[np.intp]]:
    """Return the indices of each unbroken run of known values."""
    places = np.flatnonzero(known)
    return [run for run in np.split(places, np.flatnonzero(np.diff(places) > 1) + 1) if len(run)]


def _path(points: Sequence[tuple[float, float]]) -> str:
    return " ".join(f"{x:.2f},{y:.2f}" for x, y in points)


_LUMBAR_BEYOND_MM = (15.0, 5.0)
"""So far above the uppermost and below the lowest disc the canal counts as lumbar, mm; the sacral part tapers off."""


def _alt(profile: CanalProfile) -> str:
    ways = [way for _, way in profile.levels]
    lumbar = np.ones(len(profile.distance_mm), bool)
    if ways:
        above, below = _LUMBAR_BEYOND_MM
        lumbar = (profile.distance_mm >= min(ways) - above) & (profile.distance_mm <= max(ways) + below)
    known = np.isfinite(profile.diameter_mm) & lumbar
    if not known.any():
        return "Canal profile: no diameter could be measured."
    values = profile.diameter_mm[known]
    narrowest = float(profile.distance_mm[known][np.argmin(values)])
    nearest = min(profile.levels, key=lambda item: abs(item[1] - narrowest), default=None)
    near = f" at {nearest[0].shown}" if nearest else ""
    return (
        f"Canal profile: the anteroposterior diameter of the lumbar canal runs from {values.min():.1f} to "
        f"{values.max():.1f} mm; it is narrowest{near}."
    )
