"""Per level one card: the grade, the sagittal and axial pictures it rests on, and what was measured there."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stenograde.grades import CellGrade, Evidence, LevelPosition, Measurement, Point, Status, StudyGrades
from stenograde.report.pictures import (
    Box,
    Drawn,
    Picture,
    ShownSlice,
    bar_of,
    encoded,
    find_slice,
    nearest_slice,
    neighbours,
    shifted,
)
from stenograde.report.words import drafted_conditions, mildness, value_of
from stenograde.study import Study
from stenograde.terms import Condition, Level, Plane, Role, Severity, Side, Unit
from stenograde.workers import in_threads

CROP_MM = 60.0
"""Width and height of a crop, mm."""

FORAMEN_CROP_MM = 36.0
"""Width and height of a crop of a foramen, mm."""

_PIXELS_PER_MM = 7.0
_FORAMEN_PIXELS_PER_MM = 10.0
_NEAR_MM = 5.0
"""A point this near to a slice's plane is drawn on it, mm."""

_FLAT_MM = 2.0
"""An outline lies in a slice's plane when its points lie this near to one parallel plane, mm."""

_FORAMINA = (Plane.SAGITTAL, Role.SAGITTAL_T1)

_PLANES = ((Plane.SAGITTAL, Role.SAGITTAL_T2_STIR), (Plane.AXIAL, Role.AXIAL_T2))


@dataclass(frozen=True)
class LevelCard:
    """What is shown of one level."""

    level: Level
    position: LevelPosition | None
    grade: CellGrade | None
    """The canal's; None where the scheme does not grade it."""
    pictures: tuple[Picture, ...]
    missing: tuple[str, ...]
    """Why a picture is absent."""
    measurements: tuple[Measurement, ...]
    sided: tuple[CellGrade, ...] = ()
    """Foramina and subarticular zones of which something is said."""
    drafts: tuple[CellGrade, ...] = ()
    """Cells of conditions that are drafts, set apart from what is said."""
    foramina: tuple[tuple[CellGrade, Picture], ...] = ()
    """Each foramen of which something is said, or drafted, with the slice that shows it."""

    @property
    def severities_found(self) -> tuple[Severity, ...]:
        """Severities that may be said of the worst graded cell; none where nothing is graded."""
        cells = [one for one in (self.grade, *self.sided) if one and one.severity and one.probabilities]
        told = [one.probabilities.said for one in cells if one.probabilities]
        return min(told, key=mildness, default=())


def level_cards(grades: StudyGrades, study: Study) -> tuple[LevelCard, ...]:
    """Return a card for each level of the scheme: those with findings first, worst first; else from head to feet."""
    positions = {position.level: position for position in grades.levels}

    def card_of(level: Level) -> LevelCard:
        return _card(grades, study, level, positions.get(level))

    cards = in_threads(card_of, grades.scheme.levels)
    return tuple(sorted(cards, key=lambda card: mildness(card.severities_found or (Severity.NORMAL_MILD,))))


def _card(grades: StudyGrades, study: Study, level: Level, position: LevelPosition | None) -> LevelCard:
    cells = [grade for grade in grades.cells if grade.cell.level is level]
    canal = next((g for g in cells if g.cell.condition is Condition.SPINAL_CANAL_STENOSIS), None)
    measured = tuple(item for item in grades.measurements if item.level is level)
    pictures: list[Picture] = []
    missing: list[str] = []
    if position is None or position.imaged:
        point = position.point if position else None
        for plane, role in _PLANES:
            picture = _picture(study, (plane, role), [canal, *cells] if canal else cells, point, measured)
            if isinstance(picture, Picture):
                pictures.append(picture)
            else:
                missing.append(picture)
    answered = [g for g in cells if g.status in {Status.GRADED, Status.ABSTAINED, Status.DRAFT}]
    drafted = drafted_conditions(grades)
    drafts = tuple(grade for grade in answered if grade.cell.condition in drafted)
    sided = tuple(grade for grade in answered if grade.cell.side and grade not in drafts)
    foramina = tuple(
        (grade, picture)
        for grade in (*sided, *drafts)
        if grade.cell.condition is Condition.NEURAL_FORAMINAL_NARROWING
        and isinstance(picture := _picture(study, _FORAMINA, [grade], grade.point, ()), Picture)
    )
    reasons = tuple(dict.fromkeys(missing))
    return LevelCard(level, position, canal, tuple(pictures), reasons, measured, sided, drafts, foramina)


def _picture(
    study: Study,
    wanted: tuple[Plane, Role],
    cells: Sequence[CellGrade],
    point: Point | None,
    measured: Sequence[Measurement],
) -> Picture | str:
    """Return the picture of one plane; where there is none, the reason comes back in words."""
    found = _shown_slice(study, wanted, cells, point)
    if isinstance(found, str):
        return found
    shown, centre, basis = found
    is_foramen = wanted is _FORAMINA
    crop_mm, scale = (FORAMEN_CROP_MM, _FORAMEN_PIXELS_PER_MM) if is_foramen else (CROP_MM, _PIXELS_PER_MM)
    box = Box.around(float(centre[0]), float(centre[1]), crop_mm, within=shown.size_mm)
    own = [one for cell in cells for one in cell.measurements]
    plane, level = wanted[0].value.capitalize(), cells[0].cell.level.shown
    return Picture(
        href=encoded(shown, box, scale),
        width_mm=box.width,
        height_mm=box.height,
        letters=shown.letters(),
        bar_mm=bar_of(box.width),
        alt=f"{plane} picture at {level}, {box.width:.0f} mm wide; a ring marks the point.",
        caption=f"{shown.where}: {basis}{_elsewhere(shown, measured)}",
        drawn=(*_measures(shown, box, [*measured, *own]), *_sides(shown, box, cells), _mark(centre, box)),
        beside=neighbours(shown, box, scale),
        sources=shown.sources,
    )


def _shown_slice(
    study: Study, wanted: tuple[Plane, Role], cells: Sequence[CellGrade], point: Point | None
) -> tuple[ShownSlice, NDArray[np.float64], str] | str:
    """Return the slice to show, x and y (mm) of what it is about, and why this slice; or why there is none.

    The slice is that of the cells' evidence, else the one nearest to the level's point.
    """
    plane, role = wanted
    grade, evidence = next(_evidence_in(study, plane, cells), (None, None))
    if grade and evidence:
        shown = find_slice(study, evidence)
        basis = {
            Status.GRADED: "the grade rests on this slice",
            Status.DRAFT: "the draft rests on this slice",
        }.get(grade.status, "the slice through this level")
        if shown is None:
            return f"Cannot be shown: {basis} ({plane.value})."
        return shown, shown.place_pixel(evidence.row, evidence.column), basis
    series = study.by_role(role)
    if series is None:
        return f"No {role.shown} series in this study."
    if point is None:
        return "Where this level lies is not known."
    shown = nearest_slice(series, point)
    if shown is None:
        return f"No {role.shown} slice passes through this level."
    x, y, off_mm = shown.place(point)[0]
    return shown, np.array([x, y]), f"the nearest slice, {abs(off_mm):.1f} mm from the level's point"


def _evidence_in(
    study: Study, plane: Plane, cells: Sequence[CellGrade]
) -> Iterator[tuple[CellGrade, Evidence]]:
    """Give the evidence that lies in a plane, with its cell, in the order of the cells."""
    # not by series: one UID may hold sagittal and axial slices
    volumes = [(series.uid, volume) for series, volume in study.volumes() if series.plane is plane]
    for grade in cells:
        for item in grade.evidence:
            shown = (volume for uid, volume in volumes if uid == item.series_uid)
            if any(volume.find(item.sop_instance_uid, item.frame) is not None for volume in shown):
                yield grade, item


def _mark(centre: NDArray[np.float64], box: Box) -> Drawn:
    return Drawn("mark", ((float(centre[0] - box.x), float(centre[1] - box.y)),))


def _measures(shown: ShownSlice, box: Box, measured: Sequence[Measurement]) -> tuple[Drawn, ...]:
    """Return the measurements that lie near the slice: a line for two points, an outline for more.

    A ratio is not drawn: it is taken between the points of other measurements. A value is written only where
    it covers no other; all of them stand beside the picture.
    """
    drawn: list[Drawn] = []
    for measurement in measured:
        if len(measurement.points) < 2 or measurement.quantity.unit is Unit.ONE:
            continue
        placed = shown.place(measurement.points)
        if np.abs(placed[:, 2]).max() > _NEAR_MM:
            continue
        points = shifted(placed, box)
        if len(points) > 2:
            if np.ptp(placed[:, 2]) <= _FLAT_MM:
                drawn.append(Drawn("measured-area", points))
            continue
        (x0, y0), (x1, y1) = points
        at = max(x0, x1) + 1.2, (y0 + y1) / 2
        is_free = all(abs(at[0] - x) > 8 or abs(at[1] - y) > 3 for x, y in (item.label_at for item in drawn))
        label = value_of(measurement) if is_free and shown.series.plane is Plane.SAGITTAL else ""
        drawn.append(Drawn("measure", points, label, at, "start"))
    return tuple(drawn)


def _elsewhere(shown: ShownSlice, measured: Sequence[Measurement]) -> str:
    """Say which outlines in the slice's plane were taken too far from it to be drawn on it."""
    far = []
    for measurement in measured:
        if shown.series.plane is Plane.AXIAL and len(measurement.points) > 2:
            off_mm = float(np.abs(shown.place(measurement.points)[:, 2]).min())
            if off_mm > _NEAR_MM:
                far.append(f"; {measurement.quantity.shown.lower()} was outlined {off_mm:.0f} mm away")
    return "".join(far)


def _sides(shown: ShownSlice, box: Box, cells: Sequence[CellGrade]) -> tuple[Drawn, ...]:
    """Return the points of sided cells that lie near an axial slice, named by the patient's side."""
    if shown.series.plane is not Plane.AXIAL:
        return ()
    drawn = []
    for grade in cells:
        cell = grade.cell
        if grade.point is None or cell.condition is not Condition.SUBARTICULAR_STENOSIS:
            continue
        placed = shown.place(grade.point)
        x, y, off_mm = (float(value) for value in placed[0])
        if abs(off_mm) <= _NEAR_MM and box.holds(x, y):
            sense = -1.0 if cell.side is Side.RIGHT else 1.0
            label_at = x - box.x + sense * 2.2, y - box.y + 1.3
            label = cell.side.value[0].upper() if cell.side else ""
            drawn.append(
                Drawn("point", shifted(placed, box), label, label_at, "end" if sense < 0 else "start")
            )
    return tuple(drawn)
