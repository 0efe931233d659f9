"""Whatever is labelled and said, an evaluation has a number or a reason, and its page and card are never NaN."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.made_cohorts import made_cohort

from stenograde.config import as_plain
from stenograde.evaluate.selective import risk_coverage
from stenograde.grading.cohort import GradedStudy
from stenograde.grading.evaluation import evaluate_graded
from stenograde.grading.kept_grades import GradedCohort
from stenograde.report.evaluation_html import as_evaluation_html
from stenograde.report.model_card import as_model_card
from stenograde.terms import Condition, Severity


@st.composite
def cohorts(draw: st.DrawFn) -> tuple[GradedStudy, ...]:
    """One to six studies; some conditions without labels, or of one severity, some cells without an answer."""
    kept = draw(st.sets(st.sampled_from(Condition)))
    only = draw(st.none() | st.sampled_from(Severity))
    studies = []
    for study in made_cohort(draw(st.integers(1, 6)), draw(st.integers(0, 99))):
        severities = {
            cell: only or severity for cell, severity in study.severities.items() if cell.condition in kept
        }
        one = replace(study, severities=severities)
        kind = draw(st.sampled_from(("whole", "failed", "silent", "unplaced")))
        if kind == "failed":
            one = GradedStudy(study.name, severities, failure="no spine")
        elif kind == "silent":
            said = {cell: shares for cell, shares in one.said.items() if cell.side is None}
            one = replace(one, said=said, graded=one.graded & said.keys())
        elif kind == "unplaced":
            one = replace(one, point_errors_mm={}, field_t=None, scanner="", roles=())
        studies.append(one)
    return tuple(studies)


@given(cohorts())
@settings(max_examples=25)
def test_everything_is_a_number_or_has_a_reason(graded: tuple[GradedStudy, ...]) -> None:
    evaluation = evaluate_graded(GradedCohort(graded, ()), {}, draws=3)
    for condition in evaluation.conditions:
        for name, score in condition.scores.items():
            assert score.known or condition.absent[name]
            assert not (score.bounded and len(graded) == 1), "one study has no interval"
        assert sum(condition.statuses.values()) == condition.cells == sum(condition.severities.values())
        assert sum(map(sum, condition.confusion)) == condition.answered
    for part in evaluation.parts:
        for name in ("as_graded", "weighted", "graded_only", "level_share", "difference"):
            assert getattr(part, name).known or part.absent[name]
    for group in evaluation.groups:
        assert group.log_loss.known
        for name in ("auc_severe", "level_share"):
            assert getattr(group, name).known or group.absent[name]
    numbers = {
        "schema": "stenograde/evaluation/1",
        "version": "0",
        "made_on": "2025-01-01",
        "bundle": {"name": "made", "version": "1", "hash": "0" * 64},
        "evidence": {},
        "data": "cohort",
        "labels": "train.csv",
        "shares": None,
        "draws": 3,
        "seed": 0,
        **as_plain(evaluation),
    }
    json.dumps(numbers, allow_nan=False)
    for text in (as_evaluation_html(numbers), as_model_card(numbers)):
        assert not re.search(r"\b(nan|None|inf)\b", text)


@given(
    st.lists(st.tuples(st.sampled_from((0.4, 0.5, 0.7, 0.9)), st.booleans()), min_size=1, max_size=30),
    st.integers(0, 5),
)
def test_risk_is_what_counting_gives_in_any_order(answers: list[tuple[float, bool]], n_silent: int) -> None:
    sure, wrong = zip(*answers, strict=True)
    n = len(answers) + n_silent
    curve = risk_coverage(sure, wrong, n=n)
    for limit, coverage, risk in zip(
        sorted(set(sure), reverse=True), curve.coverage, curve.risk, strict=True
    ):
        taken = [missed for one, missed in answers if one >= limit]
        assert coverage * n == len(taken) or np.isclose(coverage * n, len(taken))
        assert np.isclose(risk, np.mean(taken))
    turned = risk_coverage(sure[::-1], wrong[::-1], n=n)
    np.testing.assert_allclose(curve.risk, turned.risk)
    assert 0 <= curve.area <= 1
