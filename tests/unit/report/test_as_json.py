"""The document ``stenograde/grades/3`` holds what its schema says, and nothing that JSON cannot hold."""

from __future__ import annotations

import dataclasses
import json
from copy import deepcopy
from typing import Any

import pytest
from jsonschema import Draft202012Validator, ValidationError
from tests.golden.report.example import NOT_YET, example_grades

from stenograde.evidence import ConditionEvidence, RestsOn
from stenograde.grades import CellGrade, Evidence, Measurement, Probabilities, Status
from stenograde.report.as_json import as_json, schema
from stenograde.terms import LUMBAR_MRI, Condition, Level, Quantity

VALID = Draft202012Validator(schema())


@pytest.fixture
def document() -> dict[str, Any]:
    return as_json(example_grades())


def test_schema_is_itself_valid() -> None:
    Draft202012Validator.check_schema(schema())


def test_document_has_the_keys_of_its_version_in_order(document: dict[str, Any]) -> None:
    VALID.validate(document)
    assert list(document) == list(schema()["properties"])
    assert document["schema"] == "stenograde/grades/3"


def test_cell_when_graded_then_it_carries_severity_probability_and_evidence(document: dict[str, Any]) -> None:
    cell = document["cells"][3]
    assert (cell["condition"], cell["level"], cell["side"]) == ("spinal_canal_stenosis", "L4/L5", None)
    assert cell["severity"] == "severe"
    assert cell["probability"] == {"normal_mild": 0.04, "moderate": 0.13, "severe": 0.83}
    assert [item["series_uid"] for item in cell["evidence"]] == ["2.25.101", "2.25.103"]
    assert set(cell["evidence"][0]) == {"series_uid", "sop_instance_uid", "frame", "row", "column"}


def test_cell_when_not_graded_then_it_says_why_and_nothing_else(document: dict[str, Any]) -> None:
    cell = document["cells"][5]
    assert (cell["side"], cell["status"], cell["reason"]) == ("left", "not_graded", NOT_YET)
    assert cell["severity"] is None
    assert cell["probability"] is None
    assert cell["point_lps_mm"] is not None


def test_cell_when_abstained_then_it_keeps_the_probabilities_it_would_not_act_on() -> None:
    grades = example_grades()
    first = CellGrade(
        LUMBAR_MRI.cells[0], Status.ABSTAINED, "too close to call", Probabilities((0.4, 0.3, 0.3))
    )
    cell = as_json(dataclasses.replace(grades, cells=(first, *grades.cells[1:])))["cells"][0]
    assert cell["severity"] is None
    assert cell["probability"]["normal_mild"] == 0.4


def test_numbers_when_not_finite_then_they_are_null_or_left_out() -> None:
    grades = example_grades()
    nan, infinity = float("nan"), float("inf")
    first = dataclasses.replace(
        grades.cells[0], point=(nan, 0.0, 0.0), evidence=(Evidence("2.25.1", "2.25.2", nan, 3.0),)
    )
    broken = dataclasses.replace(
        grades,
        cells=(first, *grades.cells[1:]),
        measurements=(
            Measurement(
                Quantity.CANAL_AP_RATIO, Level.L1_L2, nan, ((0.0, infinity, 0.0), (1.0, 2.0, -0.0001))
            ),
        ),
    )
    document = as_json(broken)
    VALID.validate(document)
    assert json.dumps(document, allow_nan=False)
    assert document["cells"][0]["point_lps_mm"] is None
    assert document["cells"][0]["evidence"] == []
    assert document["measurements"][0]["value"] is None
    assert json.dumps(document["measurements"][0]["points"]) == "[[1.0, 2.0, 0.0]]"


BROKEN = [
    ("an unknown key", lambda d: d.update(patient_name="x"), "patient_name"),
    ("a graded cell without severity", lambda d: d["cells"][0].update(severity=None), "None is not of type"),
    ("a graded cell without probability", lambda d: d["cells"][0].update(probability=None), "None is not"),
    ("no reason", lambda d: d["cells"][9].update(reason=""), "should be non-empty|too short"),
    ("a canal with a side", lambda d: d["cells"][0].update(side="left"), "'left' is not of type 'null'"),
    ("a foramen without a side", lambda d: d["cells"][9].update(side=None), "None is not of type 'string'"),
    (
        "an invented grade",
        lambda d: d["cells"][9].update(severity="severe"),
        "'severe' is not of type 'null'",
    ),
    ("a point of a level not imaged", lambda d: d["levels"][0].update(imaged=False), "is not of type 'null'"),
    ("another version", lambda d: (d.update(schema="stenograde/grades/4"), d.pop("discs")), "is not one of"),
    ("no evidence on patients", lambda d: d.pop("evidence"), "'evidence' is a required property"),
    ("no wording", lambda d: d["cells"][0].pop("wording"), "'wording' is a required property"),
    ("no word on discs", lambda d: d.pop("discs"), "'discs' is a required property"),
    ("discs of an earlier version", lambda d: d.update(schema="stenograde/grades/2"), "False schema"),
    (
        "a disc without an answer that has no reason",
        lambda d: d["discs"]["levels"][4].update(reason=""),
        "should be non-empty|is too short|non-empty",
    ),
    (
        "a made-up finding",
        lambda d: d["discs"]["levels"][0]["findings"].update(tumour={"probability": 1, "wording": "Yes"}),
        "is not one of",
    ),
    (
        "a sixth Pfirrmann grade",
        lambda d: d["discs"]["levels"][0]["pfirrmann"].update(grade=6),
        "is greater than the maximum of 5",
    ),
    ("an old document with news", lambda d: d.update(schema="stenograde/grades/1"), "False schema"),
    (
        "a draft with a severity",
        lambda d: d["cells"][0].update(status="draft", reason="x"),
        "is not of type 'null'",
    ),
]


@pytest.mark.parametrize(("spoil", "match"), [case[1:] for case in BROKEN], ids=[case[0] for case in BROKEN])
def test_schema_when_a_document_breaks_a_rule_then_it_is_refused(
    document: dict[str, Any], spoil: Any, match: str
) -> None:
    spoiled = deepcopy(document)
    spoil(spoiled)
    with pytest.raises(ValidationError, match=match):
        VALID.validate(spoiled)


def test_second_opinion_is_told_with_how_far_apart_it_is(document: dict[str, Any]) -> None:
    agrees, differs = document["cells"][2]["second_opinion"], document["cells"][3]["second_opinion"]
    assert document["cells"][0]["second_opinion"] is None
    assert (agrees["severity"], agrees["disagrees"]) == ("severe", False)
    assert differs == {
        "source": "the canal's measurements",
        "severity": "normal_mild",
        "probability": {"normal_mild": 0.7, "moderate": 0.25, "severe": 0.05},
        "severities_apart": -1.44,
        "disagrees": True,
    }


def as_version_1(document: dict[str, Any]) -> dict[str, Any]:
    """The document as the version before wrote it."""
    cells = [{key: value for key, value in cell.items() if key != "wording"} for cell in document["cells"]]
    kept = {key: value for key, value in document.items() if key not in {"evidence", "discs"}}
    return kept | {"schema": "stenograde/grades/1", "cells": cells}


def test_schema_when_a_document_is_of_version_2_then_it_is_accepted(document: dict[str, Any]) -> None:
    old = {key: value for key, value in document.items() if key != "discs"}
    assert VALID.is_valid(old | {"schema": "stenograde/grades/2"})
    assert not VALID.is_valid(old | {"schema": "stenograde/grades/3"})


def test_discs_are_told_with_what_is_known_of_their_findings(document: dict[str, Any]) -> None:
    discs = document["discs"]
    assert [one["finding"] for one in discs["scores"]] == ["narrowing", "pfirrmann"]
    assert [one["measure"] for one in discs["scores"]] == ["AUC", "quadratic kappa"]
    worst, guessed = discs["levels"][3:]
    assert worst["findings"] == {"narrowing": {"probability": 0.93, "wording": "Yes"}}
    assert worst["pfirrmann"]["wording"] == "5"
    assert sum(worst["pfirrmann"]["probability"].values()) == pytest.approx(1)
    assert (guessed["status"], guessed["findings"], guessed["pfirrmann"]) == ("abstained", {}, None)


def test_discs_are_null_where_the_bundle_asks_for_none() -> None:
    document = as_json(dataclasses.replace(example_grades(), discs=(), disc_scores=(), disc_source=""))
    VALID.validate(document)
    assert document["discs"] is None


def test_schema_when_a_document_is_of_version_1_then_it_is_accepted_unless_it_has_a_draft(
    document: dict[str, Any],
) -> None:
    old = as_version_1(document)
    VALID.validate(old)
    old["cells"][0].update(status="draft", severity=None, reason="seen no patient")
    with pytest.raises(ValidationError):
        VALID.validate(old)


def test_cell_when_a_draft_then_it_has_probabilities_and_a_reason_but_no_severity() -> None:
    shares = Probabilities((0.05, 0.05, 0.9))
    draft = CellGrade(LUMBAR_MRI.cells[0], Status.DRAFT, "has seen phantoms only", shares)
    grades = example_grades()
    document = as_json(dataclasses.replace(grades, cells=(draft, *grades.cells[1:])))
    VALID.validate(document)
    cell = document["cells"][0]
    assert (cell["status"], cell["severity"], cell["wording"]) == ("draft", None, None)
    assert cell["probability"]["severe"] == 0.9


def test_evidence_on_patients_is_told_by_condition() -> None:
    known = ConditionEvidence(RestsOn.PHANTOMS_ONLY, 1, 10, 2.4, 2.3, "stenograde score COHORT")
    evidence = {Condition.NEURAL_FORAMINAL_NARROWING: known}
    document = as_json(dataclasses.replace(example_grades(), evidence=evidence))
    VALID.validate(document)
    (told,) = document["evidence"]
    assert (told["condition"], told["kind"], told["draft"]) == (
        "neural_foraminal_narrowing",
        "phantoms only",
        True,
    )
    assert (told["patients"], told["cells"], told["score"], told["level_share"]) == (1, 10, 2.4, 2.3)


def test_wording_when_no_severity_is_sure_then_the_numbers_stay_and_the_words_do_not_claim_one(
    document: dict[str, Any],
) -> None:
    cell = document["cells"][2]
    assert cell["probability"] == {"normal_mild": 0.3, "moderate": 0.52, "severe": 0.18}
    assert cell["wording"] == "Normal/Mild or moderate"
    assert document["cells"][3]["wording"] == "Severe"
