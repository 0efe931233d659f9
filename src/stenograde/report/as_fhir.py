"""StudyGrades as FHIR R4: a Bundle of one DiagnosticReport, its Observations, and the Device that made them.

The study is named by its StudyInstanceUID; nothing of the patient is in it, so who receives it must add the subject.
Codes are those of the structured report (:mod:`stenograde.concepts`); values are rounded as in ``grades.json``.

References
----------
https://hl7.org/fhir/R4/diagnosticreport.html, https://hl7.org/fhir/R4/observation.html. ``docs/dicom-codes.md`` says
why R4.
"""

from __future__ import annotations

import math
import uuid
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any, Final

from stenograde import concepts
from stenograde.concepts import Concept
from stenograde.grades import (
    PFIRRMANN_GRADES,
    BundleStamp,
    CellGrade,
    DiscFindings,
    Measurement,
    Status,
    StudyGrades,
    is_said,
)
from stenograde.report.words import findings, gaps, level_doubt, sentence
from stenograde.terms import Level, Severity, Unit

USE: Final = "Research use only: not a medical device. Made by software; not verified by a person."

OWN_SYSTEM: Final = "urn:stenograde:codes"
"""Our own scheme as FHIR names it; 99STENOGRADE in DICOM."""

_SYSTEMS: Final = {
    "SCT": "http://snomed.info/sct",
    "DCM": "http://dicom.nema.org/resources/ontology/DCM",
    "LN": "http://loinc.org",
    "UCUM": "http://unitsofmeasure.org",
    concepts.SCHEME: OWN_SYSTEM,
}
_HL7: Final = "http://terminology.hl7.org/CodeSystem"
_RADIOLOGY: Final = {
    "coding": [{"system": f"{_HL7}/v2-0074", "code": "RAD", "display": "Radiology"}],
    "text": "Radiology",
}
_IMAGING: Final = {
    "coding": [{"system": f"{_HL7}/observation-category", "code": "imaging", "display": "Imaging"}]
}
_ABSENT: Final = {
    Status.DRAFT: ("masked", "Masked"),
    Status.ABSTAINED: ("unknown", "Unknown"),
    Status.NOT_IMAGED: ("not-performed", "Not Performed"),
    Status.NOT_GRADED: ("not-performed", "Not Performed"),
}
_PROBABILITY_DIGITS, _VALUE_DIGITS = 6, 4


def as_fhir(grades: StudyGrades, *, made_at: datetime) -> dict[str, Any]:
    """Return the grades of one study as a FHIR document that :func:`json.dumps` can write.

    Drafts are left out, and it is said that they are. A second run of the same bundle gives the same ids.

    Parameters
    ----------
    grades : StudyGrades
    made_at : datetime
        Local time where it tells no zone.

    Returns
    -------
    document : dict
        A Bundle of type collection.
    """
    device = _device(grades.bundle)
    observations = list(_observations(grades, made_at))
    told = [findings(grades), gaps(grades)]
    doubt = level_doubt(grades)
    told += [f"Names of levels are uncertain: {doubt}"] if doubt else []
    told += [sentence(warning) for warning in grades.warnings]
    report = _report(grades.study_uid, grades.bundle, made_at, "preliminary", " ".join(filter(None, told)))
    report["result"] = [{"reference": _url(one["id"])} for one in observations]
    return _bundle(grades.study_uid, [report, *observations, device], made_at)


def not_graded_as_fhir(
    study_uid: str, reason: str, stamp: BundleStamp, *, made_at: datetime
) -> dict[str, Any]:
    """Return the report of a study that could not be graded, which says why."""
    report = _report(study_uid, stamp, made_at, "cancelled", sentence(f"not graded: {reason}"))
    return _bundle(study_uid, [report, _device(stamp)], made_at)


def _bundle(study_uid: str, resources: Sequence[dict[str, Any]], made_at: datetime) -> dict[str, Any]:
    return {
        "resourceType": "Bundle",
        "id": _id(study_uid, "bundle", resources[-1]["id"]),
        "type": "collection",
        "timestamp": _instant(made_at),
        "entry": [{"fullUrl": _url(one["id"]), "resource": one} for one in resources],
    }


def _report(
    study_uid: str, stamp: BundleStamp, made_at: datetime, status: str, conclusion: str
) -> dict[str, Any]:
    device = _device(stamp)["id"]
    return {
        "resourceType": "DiagnosticReport",
        "id": _id(study_uid, "report", device),
        "identifier": [{"system": "urn:stenograde:report", "value": _id(study_uid, "report", device)}],
        "status": status,
        "category": [_RADIOLOGY],
        "code": _concept(concepts.REPORT),
        "issued": _instant(made_at),
        "imagingStudy": [_study(study_uid)],
        "conclusion": f"{USE} {conclusion}",
    }


def _study(uid: str) -> dict[str, Any]:
    return {"type": "ImagingStudy", "identifier": {"system": "urn:dicom:uid", "value": f"urn:oid:{uid}"}}


def _device(stamp: BundleStamp) -> dict[str, Any]:
    return {
        "resourceType": "Device",
        "id": _id("device", stamp.name, stamp.version, stamp.hash),
        "identifier": [{"system": "urn:stenograde:bundle-hash", "value": stamp.hash or "none"}],
        "deviceName": [{"name": f"stenograde with bundle {stamp.name}", "type": "user-friendly-name"}],
        "manufacturer": "stenograde",
        "modelNumber": stamp.name,
        "version": [{"value": stamp.version}],
    }


def _observations(grades: StudyGrades, made_at: datetime) -> Iterator[dict[str, Any]]:
    """Give one observation for each cell, measurement and disc, levels from the head down."""
    for level in grades.scheme.levels:
        for cell in grades.scheme.at(level):
            yield _observation(grades, made_at, level, _of_cell(grades.of(cell)))
        for measurement in grades.measurements:
            if measurement.level is level and math.isfinite(measurement.value):
                yield _observation(grades, made_at, level, _of_measurement(measurement))
        for disc in grades.discs:
            if disc.level is level:
                yield _observation(grades, made_at, level, _of_disc(disc))


def _observation(
    grades: StudyGrades, made_at: datetime, level: Level, said: dict[str, Any]
) -> dict[str, Any]:
    """Return what is said as an observation at a level."""
    device = _device(grades.bundle)["id"]
    code = said["code"]["coding"][0]["code"]
    position = next((one for one in grades.levels if one.level is level), None)
    doubtful = position is not None and not position.certain
    notes = [*said.pop("note", ()), *([{"text": "The name of the level is uncertain."}] if doubtful else [])]
    return {
        "resourceType": "Observation",
        "id": _id(grades.study_uid, device, level.value, code),
        "status": "preliminary",
        "category": [_IMAGING],
        "bodySite": _concept(concepts.level_code(level)),
        "issued": _instant(made_at),
        "device": {"reference": _url(device)},
        "derivedFrom": [_study(grades.study_uid)],
        **said,
        **({"note": notes} if notes else {}),
    }


def _of_cell(grade: CellGrade) -> dict[str, Any]:
    said: dict[str, Any] = {"code": _concept(concepts.cell_code(grade.cell.condition, grade.cell.side))}
    if grade.reason:
        said["note"] = [{"text": sentence(grade.reason)}]
    if grade.status is not Status.GRADED or grade.probabilities is None:
        return said | {"dataAbsentReason": _absent(grade.status)}
    shares = zip(Severity, grade.probabilities, strict=True)
    return said | {
        "valueCodeableConcept": _concept(concepts.said_code(grade.probabilities.said)),
        "component": [_share(concepts.probability_code(grade.cell, one), share) for one, share in shares],
    }


def _of_measurement(measurement: Measurement) -> dict[str, Any]:
    value = round(float(measurement.value), _VALUE_DIGITS) + 0.0
    return {
        "code": _concept(concepts.quantity_code(measurement.quantity)),
        "valueQuantity": _quantity(value, concepts.unit_code(measurement.quantity.unit)),
    }


def _of_disc(disc: DiscFindings) -> dict[str, Any]:
    said: dict[str, Any] = {"code": _concept(concepts.DISC)}
    if disc.reason:
        said["note"] = [{"text": sentence(disc.reason)}]
    if disc.status is not Status.GRADED:
        return said | {"dataAbsentReason": _absent(disc.status)}
    parts: list[dict[str, Any]] = []
    for finding, share in disc.probabilities.items():
        parts.append(_part(concepts.finding_code(finding), concepts.yes_or_no(is_said(share))))
        parts.append(_share(concepts.finding_probability_code(finding), share))
    if disc.pfirrmann:
        parts.append(_part(concepts.PFIRRMANN_GRADE, concepts.pfirrmann_code(disc.said_grades)))
        shares = zip(PFIRRMANN_GRADES, disc.pfirrmann, strict=True)
        parts += [_share(concepts.pfirrmann_probability_code(grade), share) for grade, share in shares]
    return said | {"component": parts}


def _part(name: Concept, value: Concept) -> dict[str, Any]:
    return {"code": _concept(name), "valueCodeableConcept": _concept(value)}


def _share(name: Concept, share: float) -> dict[str, Any]:
    value = round(float(share), _PROBABILITY_DIGITS) + 0.0
    return {"code": _concept(name), "valueQuantity": _quantity(value, concepts.unit_code(Unit.ONE))}


def _quantity(value: float, unit: Concept) -> dict[str, Any]:
    return {"value": value, "unit": unit.meaning, "system": _SYSTEMS["UCUM"], "code": unit.value}


def _absent(status: Status) -> dict[str, Any]:
    code, display = _ABSENT[status]
    own = concepts.status_code(status)
    return {
        "coding": [{"system": f"{_HL7}/data-absent-reason", "code": code, "display": display}, _coding(own)],
        "text": own.meaning,
    }


def _concept(concept: Concept) -> dict[str, Any]:
    return {"coding": [_coding(concept)], "text": concept.meaning}


def _coding(concept: Concept) -> dict[str, str]:
    return {"system": _SYSTEMS[concept.scheme], "code": concept.value, "display": concept.meaning}


def _id(*parts: str) -> str:
    return str(uuid.uuid5(uuid.NAMESPACE_URL, "\n".join(("urn:stenograde", *parts))))


def _url(id_: str) -> str:
    return f"urn:uuid:{id_}"


def _instant(made_at: datetime) -> str:
    return made_at.astimezone().isoformat(timespec="seconds")
