"""A study's grades as a Comprehensive 3D Structured Report after TID 1500, made with highdicom.

One measurement group (TID 1501) for each level holds what is measured, what is said of each cell and disc as coded
evaluations (row 11), the reasons as text under the same concept (row 12), and the probabilities (TID 300) with the
points that they rest on. What is said of the whole study stands among the report's own evaluations (TID 1500, row 12).
Values are those of ``grades.json``, rounded alike.

TID 1501 may be extended: a group has the pixel of its level, too, as a viewer shows a group at one place of one image.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from highdicom import sr
from pydicom import Dataset
from pydicom.uid import UID

from stenograde import concepts
from stenograde.concepts import Concept
from stenograde.dicom.write.codes import code_of, own_scheme
from stenograde.dicom.write.kinds import ResultKind
from stenograde.dicom.write.references import instance_of
from stenograde.dicom.write.series import MANUFACTURER, Edition, finished, plain
from stenograde.dicom.write.sources import Sources, is_multiframe, sop_class_of
from stenograde.grades import (
    PFIRRMANN_GRADES,
    CellGrade,
    DiscFindings,
    Evidence,
    Measurement,
    Point,
    Status,
    StudyGrades,
    is_said,
)
from stenograde.terms import Condition, Level, Severity, Unit

USE: Final = "Research use only: not a medical device. Made by software; no grade here is a diagnosis."

_PROBABILITY_DIGITS, _VALUE_DIGITS, _MM_DIGITS = 6, 4, 3
"""As in ``grades.json``; a test compares the two."""

_Coordinates = list[sr.CoordinatesForMeasurement | sr.CoordinatesForMeasurement3D]

_CONTAINS: Final = sr.RelationshipTypeValues.CONTAINS


@dataclass(frozen=True)
class _Places:
    """What points and pixels are told by."""

    sources: Sources
    frame_of_reference: str
    """Of the series that the levels were found in; empty where it states none."""


def structured_report(grades: StudyGrades, sources: Sources, edition: Edition) -> Dataset:
    """Return the report of a graded study.

    Parameters
    ----------
    grades : StudyGrades
        Drafts are left out, and it is said that they are.
    sources : Sources
        The study that was graded.
    edition : Edition

    Returns
    -------
    ds : Dataset
        Comprehensive 3D SR, UNVERIFIED until a person signs it (:mod:`stenograde.dicom.write.signing`); ready for
        :func:`stenograde.dicom.write.series.as_file`.

    Raises
    ------
    UnreadableInstanceError
        If evidence lies in no source instance, or the header of the source cannot be copied.
    """
    places = _Places(sources, _frame_of_reference(grades, sources))
    # (first what a viewer can show: one that cannot show the first group shows none)
    levels = sorted(grades.scheme.levels, key=lambda level: _pixel_of(grades, level) is None)
    groups = [_group(grades, level, places, edition) for level in levels]
    said = [_code(concepts.OUTCOME, concepts.STUDY_GRADED), _text(concepts.INTENDED_USE, USE)]
    drafts = sum(grade.status is Status.DRAFT for grade in grades.cells)
    if drafts:
        words = f"{drafts} of {len(grades.cells)} cells have drafts, which are not in this report"
        said.append(_text(concepts.DRAFTS, words))
    said += [_text(concepts.WARNING, warning) for warning in grades.warnings]
    return _document(groups, said, sources, edition)


def not_graded_report(reason: str, sources: Sources, edition: Edition) -> Dataset:
    """Return the report of a study that could not be graded, which says why.

    Raises
    ------
    UnreadableInstanceError
        If the header of the source cannot be copied.
    """
    said = [
        _code(concepts.OUTCOME, concepts.STUDY_NOT_GRADED),
        _text(concepts.OUTCOME, reason),
        _text(concepts.INTENDED_USE, USE),
    ]
    return _document([], said, sources, edition)


def _document(
    groups: Sequence[sr.MeasurementsAndQualitativeEvaluations],
    said: Sequence[sr.ContentItem],
    sources: Sources,
    edition: Edition,
) -> Dataset:
    """Make a document of its content; UIDs, patient and study are those of every object of the edition."""
    made = sr.Comprehensive3DSR(
        evidence=[_stub(sources, place) for place in range(len(sources.instances))],
        content=_root(groups, said, sources, edition),
        series_instance_uid=edition.series_uid(ResultKind.SR),
        series_number=ResultKind.SR.series_number,
        sop_instance_uid=edition.instance_uid(ResultKind.SR),
        instance_number=1,
        manufacturer=MANUFACTURER,
        is_complete=True,
        is_final=False,
        is_verified=False,
        coding_schemes=[own_scheme()],
    )
    ds = finished(made, sources, edition, ResultKind.SR)
    for keyword in ("FrameOfReferenceUID", "PositionReferenceIndicator"):
        if keyword in ds:  # (of images; a document's points name theirs each)
            delattr(ds, keyword)
    return ds


def _stub(sources: Sources, place: int) -> Dataset:
    """Return what the document must know of an instance to name it: nothing of the patient."""
    instance, ds = sources.instances[place], Dataset()
    ds.SOPClassUID, ds.SOPInstanceUID = sop_class_of(instance), instance.sop_instance_uid
    ds.StudyInstanceUID, ds.SeriesInstanceUID = sources.study_uid, instance.series_uid
    for keyword in (
        "PatientID",
        "PatientName",
        "PatientBirthDate",
        "PatientSex",
        "AccessionNumber",
        "StudyID",
    ):
        setattr(ds, keyword, "")
    ds.StudyDate = ds.StudyTime = None
    return ds


def _root(
    groups: Sequence[sr.MeasurementsAndQualitativeEvaluations],
    said: Sequence[sr.ContentItem],
    sources: Sources,
    edition: Edition,
) -> Dataset:
    """Return the root of TID 1500; highdicom's own knows no evaluations of the whole (row 12)."""
    is_mr = sources.instances[0].text("Modality") in {"", "MR"}
    content = sr.ContentSequence()
    content.extend(sr.LanguageOfContentItemAndDescendants(code_of(concepts.ENGLISH)))
    content.extend(_observer(edition))
    content.append(
        sr.CodeContentItem(
            code_of(concepts.PROCEDURE_REPORTED),
            code_of(concepts.MR_PROCEDURE if is_mr else concepts.PROCEDURE),
            sr.RelationshipTypeValues.HAS_CONCEPT_MOD,
        )
    )
    if groups:
        content.append(
            _container(concepts.IMAGING_MEASUREMENTS, [item for group in groups for item in group])
        )
    content.append(_container(concepts.QUALITATIVE_EVALUATIONS, said))
    root = sr.ContainerContentItem(code_of(concepts.REPORT), template_id="1500")
    root.ContentSequence = content
    return root


def _container(name: Concept, items: Sequence[sr.ContentItem]) -> sr.ContainerContentItem:
    container = sr.ContainerContentItem(code_of(name), relationship_type=_CONTAINS)
    container.ContentSequence = sr.ContentSequence(items)
    return container


def _observer(edition: Edition) -> sr.ObservationContext:
    device = sr.ObserverContext(
        code_of(concepts.DEVICE),
        sr.DeviceObserverIdentifyingAttributes(
            edition.device_uid,
            name=MANUFACTURER,
            manufacturer_name=MANUFACTURER,
            model_name=plain(edition.bundle.name),
            serial_number=plain(edition.bundle.hash),
        ),
    )
    return sr.ObservationContext(observer_device_context=device)


def _group(
    grades: StudyGrades, level: Level, places: _Places, edition: Edition
) -> sr.MeasurementsAndQualitativeEvaluations:
    """Return the measurement group of a level."""
    position = next((one for one in grades.levels if one.level is level), None)
    cells = [grades.of(cell) for cell in grades.scheme.at(level)]
    discs = [disc for disc in grades.discs if disc.level is level]
    measured = [one for one in grades.measurements if one.level is level and math.isfinite(one.value)]
    numbers = [_measured(one, places) for one in measured]
    numbers += [number for grade in cells for number in _probabilities(grade, places)]
    numbers += [number for disc in discs for number in _disc_probabilities(disc, places)]
    pixel = _pixel_of(grades, level)
    said: list[sr.ContentItem] = [_center(pixel, places.sources)] if pixel else []
    said += [_code(concepts.IMAGED, concepts.yes_or_no(position is not None and position.imaged))]
    said += [_code(concepts.CERTAIN, concepts.yes_or_no(position.certain))] if position else []
    said += [item for grade in cells for item in _evaluations(grade)]
    said += [item for disc in discs for item in _disc_evaluations(disc)]
    group = sr.MeasurementsAndQualitativeEvaluations(
        sr.TrackingIdentifier(edition.uid(f"level {level.value}", 1), level.shown),
        algorithm_id=sr.AlgorithmIdentification(
            MANUFACTURER,
            edition.software,
            [
                f"bundle {plain(edition.bundle.name)} {plain(edition.bundle.version)}",
                f"bundle hash {plain(edition.bundle.hash)}",
            ],
        ),
        finding_sites=[sr.FindingSite(code_of(concepts.level_code(level)))],
        measurements=numbers,
    )
    group[0].ContentSequence.extend(said)
    return group


def _pixel_of(grades: StudyGrades, level: Level) -> Evidence | None:
    """Return the pixel of a level: the canal's, else the disc's; None where neither was seen."""
    canals = [cell for cell in grades.scheme.at(level) if cell.condition is Condition.SPINAL_CANAL_STENOSIS]
    seen = [pixel for cell in canals for pixel in grades.of(cell).evidence]
    seen += [pixel for disc in grades.discs if disc.level is level for pixel in disc.evidence]
    return next(filter(_is_finite, seen), None)


def _center(evidence: Evidence, sources: Sources) -> sr.ScoordContentItem:
    pixel = _pixel(evidence, sources)
    item = sr.ScoordContentItem(
        code_of(concepts.CENTER), pixel.graphic_type, pixel.value, relationship_type=_CONTAINS
    )
    item.ContentSequence = sr.ContentSequence(pixel.ContentSequence)
    return item


def _evaluations(grade: CellGrade) -> Iterator[sr.ContentItem]:
    """Give what is said of a cell, and the reason under the same concept."""
    name = concepts.cell_code(grade.cell.condition, grade.cell.side)
    if grade.status is Status.GRADED and grade.probabilities:
        yield _code(name, concepts.said_code(grade.probabilities.said))
    else:
        yield _code(name, concepts.status_code(grade.status))
    if grade.reason:
        yield _text(name, grade.reason)
    if grade.second_opinion and grade.status is Status.GRADED:
        opinion = grade.second_opinion
        yield _code(concepts.SECOND_OPINION, concepts.said_code(opinion.probabilities.said))
        if opinion.disagrees:
            way = "worse" if opinion.grades_apart > 0 else "milder"
            yield _text(
                concepts.SECOND_OPINION, f"disagrees: {abs(opinion.grades_apart):.1f} severities {way}"
            )


def _probabilities(grade: CellGrade, places: _Places) -> Iterator[sr.Measurement]:
    """Give the probabilities of a graded cell; the most probable one names the pixels, the others the point."""
    if grade.status is not Status.GRADED or grade.probabilities is None:
        return
    point = _in_patient((grade.point,) if grade.point else (), places)
    pixels = _in_images(grade.evidence, places)
    for severity, share in zip(Severity, grade.probabilities, strict=True):
        where = (pixels or point) if severity is grade.severity else point
        yield _number(concepts.probability_code(grade.cell, severity), share, where)


def _disc_evaluations(disc: DiscFindings) -> Iterator[sr.ContentItem]:
    if disc.status is not Status.GRADED:
        yield _code(concepts.DISC, concepts.status_code(disc.status))
    for finding, share in disc.probabilities.items():
        yield _code(concepts.finding_code(finding), concepts.yes_or_no(is_said(share)))
    if disc.pfirrmann:
        yield _code(concepts.PFIRRMANN_GRADE, concepts.pfirrmann_code(disc.said_grades))
    if disc.reason:
        yield _text(concepts.DISC, disc.reason)


def _disc_probabilities(disc: DiscFindings, places: _Places) -> Iterator[sr.Measurement]:
    where = _in_images(disc.evidence, places)
    for finding, share in disc.probabilities.items():
        yield _number(concepts.finding_probability_code(finding), share, where)
    for grade, share in zip(PFIRRMANN_GRADES, disc.pfirrmann, strict=False):
        likeliest = share == max(disc.pfirrmann)
        yield _number(concepts.pfirrmann_probability_code(grade), share, where if likeliest else None)


def _measured(measurement: Measurement, places: _Places) -> sr.Measurement:
    """Return what was measured, with the line that it was taken along."""
    return sr.Measurement(
        code_of(concepts.quantity_code(measurement.quantity)),
        round(float(measurement.value), _VALUE_DIGITS) + 0.0,
        code_of(concepts.unit_code(measurement.quantity.unit)),
        referenced_coordinates=_in_patient(measurement.points, places) or None,
    )


def _number(name: Concept, share: float, where: _Coordinates | None) -> sr.Measurement:
    value = round(float(share), _PROBABILITY_DIGITS) + 0.0
    return sr.Measurement(
        code_of(name), value, code_of(concepts.unit_code(Unit.ONE)), referenced_coordinates=where or None
    )


def _in_patient(points: Sequence[Point], places: _Places) -> _Coordinates:
    """Return points of the patient as one point or line; a number has these or pixels, not both (TID 320)."""
    lps = np.round(np.array(points, np.float64).reshape(-1, 3), _MM_DIGITS)
    if not (places.frame_of_reference and len(lps) and np.isfinite(lps).all()):
        return []
    kind = "POINT" if len(lps) == 1 else "POLYLINE"
    return [sr.CoordinatesForMeasurement3D(kind, lps, places.frame_of_reference)]


def _in_images(evidence: Sequence[Evidence], places: _Places) -> _Coordinates:
    """Return pixels, each with its image."""
    return [_pixel(one, places.sources) for one in evidence if _is_finite(one)]


def _is_finite(evidence: Evidence) -> bool:
    return math.isfinite(evidence.row) and math.isfinite(evidence.column)


def _pixel(evidence: Evidence, sources: Sources) -> sr.CoordinatesForMeasurement:
    """Return a pixel of an image; the middle of the first one is (0.5, 0.5) (PS3.3 C.18.6.1.2)."""
    instance = instance_of(sources, evidence.sop_instance_uid, evidence.series_uid)
    column, row = (round(float(one), _MM_DIGITS) + 0.5 for one in (evidence.column, evidence.row))
    image = sr.SourceImageForRegion(
        sop_class_of(instance),
        instance.sop_instance_uid,
        [evidence.frame + 1] if is_multiframe(instance) else None,
    )
    return sr.CoordinatesForMeasurement("POINT", np.array([[column, row]]), image)


def _frame_of_reference(grades: StudyGrades, sources: Sources) -> str:
    """Return the frame of reference that points are told in; empty where none is stated."""
    seen = grades.mid_sagittal.slice if grades.mid_sagittal else None
    instance = instance_of(sources, seen.sop_instance_uid, seen.series_uid) if seen else sources.instances[0]
    uid = instance.text("FrameOfReferenceUID")
    return uid if uid and UID(uid).is_valid else ""


def _code(name: Concept, value: Concept) -> sr.CodeContentItem:
    return sr.CodeContentItem(code_of(name), code_of(value), _CONTAINS)


def _text(name: Concept, text: str) -> sr.TextContentItem:
    return sr.TextContentItem(code_of(name), plain(text), _CONTAINS)
