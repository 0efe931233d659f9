"""The FHIR document fits FHIR R4, says what grades.json says, and names no patient."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from fhir.resources.R4B.bundle import Bundle
from tests.fhir_r4 import fhir_errors
from tests.golden.report.example import STUDY_UID, example_grades

from stenograde.grades import CellGrade, LevelPosition, Probabilities, Status, StudyGrades
from stenograde.report.as_fhir import OWN_SYSTEM, USE, as_fhir, not_graded_as_fhir
from stenograde.report.as_json import as_json
from stenograde.terms import Level

MADE_AT = datetime(2026, 5, 6, 7, 8, 9, tzinfo=UTC)
SHORT = {"spinal_canal_stenosis": "SCS", "neural_foraminal_narrowing": "NFN", "subarticular_stenosis": "SAS"}
SHARES = {"NM": "normal_mild", "MOD": "moderate", "SEV": "severe"}


def grades() -> StudyGrades:
    example = example_grades()
    cells, levels, shares = list(example.cells), list(example.levels), Probabilities((0.2, 0.3, 0.5))
    cells[5] = CellGrade(cells[5].cell, Status.DRAFT, "has seen phantoms only", shares)
    cells[6] = CellGrade(cells[6].cell, Status.ABSTAINED, "too close to call", shares)
    cells[7] = CellGrade(cells[7].cell, Status.NOT_IMAGED, "outside the field")
    levels[4] = LevelPosition(Level.L5_S1, (0.0, 0.0, 0.0), imaged=True, certain=False)
    return replace(example, cells=tuple(cells), levels=tuple(levels))


def resources(document: dict[str, Any], kind: str) -> list[dict[str, Any]]:
    found = [entry["resource"] for entry in document["entry"]]
    return [one for one in found if one["resourceType"] == kind]


def own_code(concept: dict[str, Any]) -> str:
    return next(one["code"] for one in concept["coding"] if one["system"] == OWN_SYSTEM)


@pytest.fixture
def document() -> dict[str, Any]:
    return json.loads(json.dumps(as_fhir(grades(), made_at=MADE_AT), allow_nan=False))


def test_it_is_valid_fhir_r4(document: dict[str, Any]) -> None:
    refused = not_graded_as_fhir("1.2", "no series", grades().bundle, made_at=MADE_AT)
    assert fhir_errors(document) == []
    assert fhir_errors(refused) == []
    read = Bundle.model_validate(document)
    assert [entry.fullUrl for entry in read.entry] == [entry["fullUrl"] for entry in document["entry"]]
    Bundle.model_validate(refused)


def test_what_is_no_fhir_is_found_out(document: dict[str, Any]) -> None:
    document["entry"][0]["resource"]["status"] = 7
    document["entry"][1]["resource"]["grade"] = "unknown to FHIR"
    with pytest.raises(ValueError, match="grade"):
        Bundle.model_validate(document)
    wrong, unknown = fhir_errors(document)
    assert wrong.startswith("DiagnosticReport/status: 7 ")
    assert "'grade' was unexpected" in unknown


def test_every_reference_leads_to_an_entry(document: dict[str, Any]) -> None:
    (report,) = resources(document, "DiagnosticReport")
    urls = [entry["fullUrl"] for entry in document["entry"]]
    observations = resources(document, "Observation")
    assert len(set(urls)) == len(urls)
    assert [one["reference"] for one in report["result"]] == [f"urn:uuid:{one['id']}" for one in observations]
    assert {one["device"]["reference"] for one in observations} <= set(urls)
    assert report["imagingStudy"][0]["identifier"]["value"] == f"urn:oid:{STUDY_UID}"


def test_cells_say_what_grades_json_says(document: dict[str, Any]) -> None:
    at = {
        (one["bodySite"]["text"].split()[2], own_code(one["code"])): one
        for one in resources(document, "Observation")
    }
    for cell in as_json(grades())["cells"]:
        code = SHORT[cell["condition"]] + (f"-{cell['side'][0].upper()}" if cell["side"] else "")
        one = at[cell["level"], code]
        if cell["status"] == "graded":
            parts = one["component"]
            shares = {
                SHARES[own_code(part["code"]).rpartition("-")[2]]: part["valueQuantity"] for part in parts
            }
            assert {name: share["value"] for name, share in shares.items()} == cell["probability"]
            assert (
                one["valueCodeableConcept"]["text"]
                .lower()
                .startswith({"Normal/Mild": "normal or mild"}.get(cell["wording"], cell["wording"].lower()))
            )
            assert "dataAbsentReason" not in one
        else:
            assert "valueCodeableConcept" not in one
            assert "component" not in one
            assert one["dataAbsentReason"]["coding"][1]["code"] in {
                "LEFT-OUT",
                "ABSTAINED",
                "NOT-IMAGED",
                "NOT-GRADED",
            }
            assert one["note"][0]["text"].lower().startswith(cell["reason"].lower())


def test_measurements_and_discs_say_what_grades_json_says(document: dict[str, Any]) -> None:
    told, found = as_json(grades()), resources(document, "Observation")
    values = [one["valueQuantity"] for one in found if "valueQuantity" in one]
    assert sorted((value["value"], value["code"]) for value in values) == sorted(
        (one["value"], one["unit"].replace("²", "2")) for one in told["measurements"]
    )
    discs = [one for one in found if own_code(one["code"]) == "DISC"]
    for one, disc in zip(discs, told["discs"]["levels"], strict=True):
        if disc["status"] != "graded":
            assert own_code(one["dataAbsentReason"]) == "ABSTAINED"
            continue
        parts = {own_code(part["code"]): part for part in one["component"]}
        assert (
            parts["P-D-NARROWING"]["valueQuantity"]["value"] == disc["findings"]["narrowing"]["probability"]
        )
        assert (
            parts["D-NARROWING"]["valueCodeableConcept"]["text"] == disc["findings"]["narrowing"]["wording"]
        )
        shares = [parts[f"P-PFG-{grade}"]["valueQuantity"]["value"] for grade in range(1, 6)]
        assert shares == list(disc["pfirrmann"]["probability"].values())


def test_nothing_is_final_and_the_use_is_told(document: dict[str, Any]) -> None:
    (report,) = resources(document, "DiagnosticReport")
    assert report["status"] == "preliminary"
    assert {one["status"] for one in resources(document, "Observation")} == {"preliminary"}
    assert report["conclusion"].startswith("Research use only: not a medical device.")
    assert "Severe canal stenosis at L4/L5" in report["conclusion"]
    assert "No Manufacturer in any instance." in report["conclusion"]
    assert "L5/S1" in report["conclusion"]
    assert not {"subject", "patient"} & set(report)


def test_a_doubtful_name_is_noted_on_what_is_said_of_its_level(document: dict[str, Any]) -> None:
    for one in resources(document, "Observation"):
        notes = [note["text"] for note in one.get("note", ())]
        is_doubtful = "L5/S1" in one["bodySite"]["text"]
        assert ("The name of the level is uncertain." in notes) == is_doubtful


def test_a_study_that_is_not_graded_says_why() -> None:
    document = not_graded_as_fhir("1.2.3", "there is no sagittal series", grades().bundle, made_at=MADE_AT)
    (report,) = resources(document, "DiagnosticReport")
    assert report["status"] == "cancelled"
    assert report["conclusion"] == f"{USE} Not graded: there is no sagittal series."
    assert resources(document, "Observation") == []


def test_a_second_run_gives_the_same_ids() -> None:
    first, second = (as_fhir(grades(), made_at=at) for at in (MADE_AT, datetime(2027, 1, 1, tzinfo=UTC)))
    assert [one["fullUrl"] for one in first["entry"]] == [one["fullUrl"] for one in second["entry"]]
    assert first["id"] == second["id"]
    other = as_fhir(replace(grades(), bundle=replace(grades().bundle, hash="0")), made_at=MADE_AT)
    assert not {one["fullUrl"] for one in first["entry"]} & {one["fullUrl"] for one in other["entry"]}
