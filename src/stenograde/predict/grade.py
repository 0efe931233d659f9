"""A study and a bundle to grades with evidence, measurements and reasons; nothing is invented.

A bundle with a grader grades every cell by it; what the canal model measures in the canal, and what nets outline in
foramina and recesses, are second opinions that are pooled with it. One without grades spinal canal stenosis from
measurements; the other cells say ``not_graded``.
What rests on phantoms alone is a ``draft``, as long as the bundle does not show that it holds on patients.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from stenograde import geometry
from stenograde.dicom.read.pixels import check_pixels
from stenograde.grades import (
    CellGrade,
    DiscFindings,
    Evidence,
    Measurement,
    MidSagittal,
    Point,
    Probabilities,
    SecondOpinion,
    SeriesUse,
    Status,
    StudyGrades,
)
from stenograde.levels.cell_points import moved_levels
from stenograde.levels.frames_of_reference import keep_reachable
from stenograde.levels.measure import canal_profile, measure_canal
from stenograde.levels.outlines import outlines_of
from stenograde.levels.points import LevelPoint, LevelPoints
from stenograde.levels.sac import measure_sac
from stenograde.levels.slices import slice_through
from stenograde.predict.bundle import Bundle
from stenograde.predict.cell_points import cell_points, settled_points
from stenograde.predict.discs import GUESSED, judge_discs
from stenograde.predict.fixed_heads import judge_by_heads
from stenograde.predict.foramina import SOURCE as FORAMINA_SOURCE
from stenograde.predict.foramina import measure_foramina
from stenograde.predict.grader import GraderEntry, Judged, judge_levels
from stenograde.predict.locate import LocatedStudy, locate_study
from stenograde.predict.recesses import SOURCE as RECESSES_SOURCE
from stenograde.predict.recesses import look_at_levels, measure_recesses
from stenograde.predict.room_net import MeasuredCell
from stenograde.study import Study
from stenograde.terms import Cell, Condition, Role, Weighting
from stenograde.workers import in_threads

NOT_GRADED = {
    Condition.NEURAL_FORAMINAL_NARROWING: "this bundle does not grade the neural foramina",
    Condition.SUBARTICULAR_STENOSIS: "this bundle does not grade the subarticular zones",
}
"""Why the cells of a condition have no grade."""

UNSHOWN = {
    Condition.SPINAL_CANAL_STENOSIS: "the canal",
    Condition.NEURAL_FORAMINAL_NARROWING: "the foramina",
    Condition.SUBARTICULAR_STENOSIS: "the subarticular zones",
}
"""What a network grades, in the reason why that is a draft."""

SEEN_IN = {
    Condition.SPINAL_CANAL_STENOSIS: (Role.SAGITTAL_T2_STIR, Role.SAGITTAL_T1, Role.AXIAL_T2),
    Condition.NEURAL_FORAMINAL_NARROWING: (Role.SAGITTAL_T1, Role.SAGITTAL_T2_STIR),
    Condition.SUBARTICULAR_STENOSIS: (Role.AXIAL_T2,),
}
"""Roles of the series that show a condition, best first."""


@dataclass(frozen=True, eq=False)
class _Findings:
    """What cells are graded from."""

    study: Study
    points: LevelPoints
    where: Mapping[Cell, Point]
    """Where each cell of an imaged level lies."""
    measurements: tuple[Measurement, ...]
    judged: Mapping[Cell, Judged] | None
    """What the bundle's grader says of the cells of imaged levels; None without one."""
    rooms: Mapping[Cell, MeasuredCell]
    """What was measured in foramina and recesses."""


ROOMS = {
    Condition.NEURAL_FORAMINAL_NARROWING: FORAMINA_SOURCE,
    Condition.SUBARTICULAR_STENOSIS: RECESSES_SOURCE,
}
"""What measures the cells of a condition beside the grader, as a phrase."""

UNSEEN = "the middle of the canal lies where slices are missing, or at the edge of the stack"
"""Why the canal has no grade at a level whose middle was not acquired."""

UNFOLLOWED = "the canal's walls could not be followed at the disc and at a vertebra beside it"
"""Why a level with too few measurements has no grade where nothing else grades it."""


def grade_study(study: Study, bundle: Bundle) -> StudyGrades:
    """Locate the levels of a study and grade it.

    Raises
    ------
    StudyError
        See :func:`~stenograde.predict.locate.locate_study` and :func:`grade_located`.
    """
    return grade_located(study, locate_study(study, bundle, whole=False), bundle)


def grade_located(study: Study, located: LocatedStudy, bundle: Bundle) -> StudyGrades:
    """Grade a study whose levels were found.

    Parameters
    ----------
    study : Study
    located : LocatedStudy
        What :func:`~stenograde.predict.locate.locate_study` found in it.
    bundle : Bundle
        Holds every setting; there are no others.

    Returns
    -------
    grades : StudyGrades
        Every cell of the bundle's scheme, graded or with the reason why not; its seconds count locating, too.

    Raises
    ------
    UnreadableInstanceError
        If a slice that is needed cannot be decoded.
    """
    start = time.perf_counter()
    points = located.points
    study, _ = keep_reachable(check_pixels(study), located.series, points)
    entry = bundle.table.grader
    where = cell_points(study, points.levels, bundle)
    looks: tuple[Callable[[], Any], ...] = (
        partial(_judge, study, points, where, bundle),
        partial(_measure_foramina, study, where, bundle),
        partial(_measure, study, located, bundle),
        partial(_judge_discs, study, points, bundle),
        partial(_mid_sagittal, located),
    )
    judged, foramina, measured, discs, mid_sagittal = in_threads(lambda look: look(), looks)
    measurements, recesses = measured
    rooms = foramina | recesses
    where = settled_points(where, rooms, bundle)
    found = _Findings(study, points, where, measurements, judged, rooms)
    cells = tuple(_grade_cell(cell, found, bundle) for cell in bundle.scheme.cells)
    return StudyGrades(
        study_uid=study.uid,
        scheme=bundle.scheme,
        bundle=bundle.stamp,
        series=tuple(SeriesUse(one.uid, one.role, one.why) for one in study.series),
        levels=points.positions(),
        cells=cells,
        measurements=measurements,
        unused=study.unused,
        warnings=_warnings(study, located, entry),
        mid_sagittal=mid_sagittal,
        seconds=located.seconds + time.perf_counter() - start,
        caution=entry.caution if entry else "",
        evidence=bundle.evidence,
        discs=discs,
        disc_scores=bundle.table.discs.scores if bundle.table.discs else (),
        disc_source=bundle.table.discs.source if bundle.table.discs else "",
    )


def _measure(
    study: Study, located: LocatedStudy, bundle: Bundle
) -> tuple[tuple[Measurement, ...], dict[Cell, MeasuredCell]]:
    """Measure the canal and, where there are axial slices, the dural sac and with a net for them the recesses."""
    fluid_bright = located.series.weighting in {Weighting.T2, Weighting.STIR}
    points, entry = located.points, bundle.table.recesses
    measurements = measure_canal(points, located.stack.intensities if fluid_bright else None)
    axial = study.by_role(Role.AXIAL_T2)
    if axial is None:
        return measurements, {}
    tissues = look_at_levels(study, points.levels, entry, bundle.recesses) if entry is not None else {}
    fat = {level: seen.fat_over_nerve for level, seen in tissues.items()}
    areas = measure_sac(axial, points, measurements, fat)
    return measurements + areas, measure_recesses(tissues, entry) if entry is not None else {}


def _judge(
    study: Study, points: LevelPoints, where: Mapping[Cell, Point], bundle: Bundle
) -> dict[Cell, Judged] | None:
    """Ask the bundle's grader, and its heads in the grader's place; None where it has none."""
    entry, fixed = bundle.table.grader, bundle.table.fixed
    if entry is None:
        return None
    judged = judge_levels(study, moved_levels(points.levels, where), entry, bundle.grader)
    if fixed is not None:
        judged |= judge_by_heads(study, points.levels, fixed, bundle.fixed_heads, bundle.middle_maps)
    return judged


def _judge_discs(study: Study, points: LevelPoints, bundle: Bundle) -> tuple[DiscFindings, ...]:
    entry = bundle.table.discs
    return judge_discs(study, points, entry, bundle.disc_heads, bundle.middle_maps) if entry else ()


def _measure_foramina(study: Study, where: Mapping[Cell, Point], bundle: Bundle) -> dict[Cell, MeasuredCell]:
    entry = bundle.table.foramina
    return measure_foramina(study, where, entry, bundle.foramina) if entry is not None else {}


def _warnings(study: Study, located: LocatedStudy, entry: GraderEntry | None) -> tuple[str, ...]:
    """Return what a reader must know of a study's grades: doubts about names first, each once."""
    missing = []
    if located.series.weighting not in {Weighting.T2, Weighting.STIR}:
        missing.append(
            "there is no sagittal T2 series; levels and canal are found in T1, where fluid is dark"
        )
    if study.by_role(Role.AXIAL_T2) is None:
        missing.append("there is no axial T2 series; the canal is graded from the sagittal series alone")
    caution = [entry.caution] if entry is not None and entry.caution else []
    return tuple(dict.fromkeys([*located.doubts, *caution, *study.warnings, *located.notes, *missing]))


def _grade_cell(cell: Cell, found: _Findings, bundle: Bundle) -> CellGrade:
    level = found.points.levels.get(cell.level)
    if level is None:
        reason = f"{cell.level.shown} lies outside the imaged field or could not be found"
        return CellGrade(cell, Status.NOT_IMAGED, reason)
    point = found.where[cell]
    evidence = _evidence(cell, found, point, level)
    room = found.rooms.get(cell)
    measured_here = room.measurements if room is not None else ()
    of_cell = partial(CellGrade, cell, point=point, evidence=evidence, measurements=measured_here)
    entry = bundle.table.grader
    if found.judged is not None and entry is not None:
        said = found.judged[cell]
        grade = of_cell(*_standing(cell.condition, bundle), probabilities=said.probabilities)
        return _with_doubts(grade, said.doubt, found, bundle, entry)
    if cell.condition in NOT_GRADED:
        return of_cell(Status.NOT_GRADED, NOT_GRADED[cell.condition])
    if level.disc.guessed:
        return of_cell(Status.ABSTAINED, GUESSED)
    if _is_unseen(cell, found.points):
        return of_cell(Status.ABSTAINED, UNSEEN)
    measured = _measured(cell, found, bundle)
    if measured is None:
        return of_cell(Status.ABSTAINED, UNFOLLOWED)
    return of_cell(*_standing(cell.condition, bundle), probabilities=measured)


def _standing(condition: Condition, bundle: Bundle) -> tuple[Status, str]:
    """Return whether what the bundle says of a condition is a grade or a draft, and why it is a draft."""
    known = bundle.evidence.get(condition)
    if known is None:
        if bundle.table.grader is None:
            return Status.GRADED, ""
        return Status.DRAFT, f"the bundle does not say what its grades of {UNSHOWN[condition]} rest on"
    if not known.is_draft:
        return Status.GRADED, ""
    reason = (
        f"the network that grades {UNSHOWN[condition]} has seen phantoms only and was not shown to do better on "
        "patients than knowing the level alone"
    )
    if known.score is None:
        return Status.DRAFT, reason
    people = f"{known.patients} patient{'s' if known.patients > 1 else ''}, {known.cells} cells"
    return Status.DRAFT, f"{reason} (log loss {known.score:.2f} against {known.level_share:.2f}; {people})"


def _with_doubts(
    grade: CellGrade, doubt: str, found: _Findings, bundle: Bundle, entry: GraderEntry
) -> CellGrade:
    """Pool a grade with the second opinion where there is one, and withdraw a grade that is in doubt.

    Where the grader cannot rely on its pictures, the second opinion, which does not use them, is the grade.
    """
    cell = grade.cell
    is_canal = cell.condition is Condition.SPINAL_CANAL_STENOSIS
    opinion = _second_opinion(grade, found, bundle, entry)
    if found.points.levels[cell.level].disc.guessed:
        doubt = GUESSED
    elif _is_unseen(cell, found.points):
        doubt, opinion = UNSEEN, None
    elif doubt and opinion is not None:
        alone = f"from {opinion.source} alone: {doubt}"
        # measured by what has learnt from patients: a draft only where the bundle says that even that rests on phantoms
        stated = cell.condition in bundle.evidence
        status = grade.status if stated or not is_canal else Status.GRADED
        reason = f"{grade.reason}; {alone}" if status is Status.DRAFT else alone
        return replace(grade, status=status, probabilities=opinion.probabilities, reason=reason)
    if not doubt and opinion is not None and abs(opinion.grades_apart) >= entry.abstain_grades:
        doubt = (
            f"the grader and {opinion.source} are {abs(opinion.grades_apart):.1f} severities apart "
            f"(measurements: {opinion.probabilities.severity.shown})"
        )
    if opinion is not None and grade.probabilities is not None:
        grade = replace(grade, probabilities=grade.probabilities.pooled(opinion.probabilities))
    if not doubt:
        return replace(grade, second_opinion=opinion)
    return replace(grade, status=Status.ABSTAINED, reason=doubt, second_opinion=opinion)


def _is_unseen(cell: Cell, points: LevelPoints) -> bool:
    is_canal = cell.condition is Condition.SPINAL_CANAL_STENOSIS
    return is_canal and not points.acquired[points.levels[cell.level].station]


def _second_opinion(
    grade: CellGrade, found: _Findings, bundle: Bundle, entry: GraderEntry
) -> SecondOpinion | None:
    if grade.cell.condition is Condition.SPINAL_CANAL_STENOSIS:
        source, measured = "the canal's measurements", _measured(grade.cell, found, bundle)
    else:
        room = found.rooms.get(grade.cell)
        source, measured = ROOMS[grade.cell.condition], room.probabilities if room is not None else None
    if measured is None or grade.probabilities is None:
        return None
    apart = measured.expected_rank - grade.probabilities.expected_rank
    return SecondOpinion(source, measured, apart, abs(apart) >= entry.flag_grades)


def _measured(cell: Cell, found: _Findings, bundle: Bundle) -> Probabilities | None:
    """Return what the canal's measurements say; None when there are too few."""
    model = bundle.table.canal
    narrowing = model.narrowing(tuple(m for m in found.measurements if m.level is cell.level))
    return None if narrowing is None else model.probabilities(narrowing)


def _evidence(cell: Cell, found: _Findings, point: Point, level: LevelPoint) -> tuple[Evidence, ...]:
    evidence = []
    for role in SEEN_IN[cell.condition]:
        series = found.study.by_role(role)
        if series is None:
            continue
        seen = slice_through(series, point, level.up if role is Role.AXIAL_T2 else None)
        if seen is not None:
            # decoded here, so that nothing ever rests on a slice that cannot be read
            seen.volume.slices([seen.slice])
            evidence.append(seen.evidence(series))
    return tuple(evidence)


def _mid_sagittal(located: LocatedStudy) -> MidSagittal | None:
    """Outlines of the one slice that the middle of the canal lies on, and that slice as evidence."""
    points = located.points
    line = points.canal.centre
    middle = geometry.as_point(points.surface.to_patient(line[len(line) // 2])[0])
    seen = slice_through(located.series, middle)
    if seen is None:
        return None
    marked = points.surface.marked
    on_slice = geometry.to_patient(seen.volume.affine, [[seen.slice, seen.row, seen.column]])
    on_grid = round(float(geometry.to_index(marked.affine, on_slice)[0, 0]))
    on_grid = min(max(on_grid, 0), marked.size[0] - 1)
    return MidSagittal(seen.evidence(located.series), outlines_of(points, on_grid), canal_profile(points))
