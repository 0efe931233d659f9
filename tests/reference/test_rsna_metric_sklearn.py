"""The metric of RSNA 2024 against one made of scikit-learn's log_loss, cell by cell."""

from __future__ import annotations

import numpy as np
import pytest

from stenograde.evaluate.intervals import patient_weights
from stenograde.evaluate.rsna_metric import (
    ANY_SEVERE,
    PARTS,
    UNKNOWN,
    CohortAnswers,
    absent_areas,
    absent_scores,
    answers_of,
    rsna_differences,
    rsna_score,
    severe_auc,
)
from stenograde.terms import LUMBAR_MRI, Condition, Severity

metrics = pytest.importorskip("sklearn.metrics", reason="the reference is scikit-learn")

WEIGHTS = np.array([1.0, 2.0, 4.0])


def made(n: int = 30, seed: int = 0, unlabelled: float = 0.1) -> CohortAnswers:
    rng = np.random.default_rng(seed)
    severities = rng.choice(3, (n, 25), p=[0.7, 0.2, 0.1])
    logits = rng.normal(size=(n, 25, 3)) + 1.5 * np.eye(3)[severities]
    p = np.exp(logits) / np.exp(logits).sum(axis=2, keepdims=True)
    severities[rng.random((n, 25)) < unlabelled] = UNKNOWN
    return CohortAnswers(p, severities)


def columns(condition: Condition) -> list[int]:
    return [k for k, cell in enumerate(LUMBAR_MRI.cells) if cell.condition is condition]


def test_parts_are_those_of_scikit_learn() -> None:
    answers = made()
    scores = rsna_score(answers, draws=20)
    parts = []
    for condition in Condition:
        p, y = answers.probabilities[:, columns(condition)], answers.severities[:, columns(condition)]
        known = y >= 0
        parts.append(metrics.log_loss(y[known], p[known], sample_weight=WEIGHTS[y[known]], labels=[0, 1, 2]))
        assert scores[condition.value].value == pytest.approx(parts[-1])
    canal = columns(Condition.SPINAL_CANAL_STENOSIS)
    truth, said, weights = [], [], []
    for p, y in zip(answers.probabilities[:, canal], answers.severities[:, canal], strict=True):
        known = y >= 0
        truth.append(int((y[known] == 2).any()))
        said.append(p[known, 2].max())
        weights.append(WEIGHTS[y[known]].max())
    parts.append(metrics.log_loss(truth, said, sample_weight=weights))
    assert scores[ANY_SEVERE].value == pytest.approx(parts[-1])
    assert scores["score"].value == pytest.approx(np.mean(parts))
    assert scores["score"].low < scores["score"].value < scores["score"].high


def loss_of(answers: CohortAnswers, condition: Condition, of_studies: np.ndarray) -> float:
    """Weighted loss of a condition, with each study counted so many times."""
    y, p = answers.severities[:, columns(condition)], answers.probabilities[:, columns(condition)]
    known = y >= 0
    weights = WEIGHTS[y[known]] * of_studies[np.nonzero(known)[0]]
    return metrics.log_loss(y[known], p[known], sample_weight=weights, labels=[0, 1, 2])


def test_differences_and_their_intervals_are_those_of_scikit_learn_on_the_same_draws() -> None:
    one, other = made(), CohortAnswers(made(seed=2).probabilities, made().severities)
    n = len(one.severities)
    found = rsna_differences(one, other, draws=40, seed=3)
    drawn = np.concatenate(list(patient_weights(np.arange(n), draws=40, seed=3)))
    for condition in Condition:
        value, *others = (
            loss_of(one, condition, w) - loss_of(other, condition, w) for w in (np.ones(n), *drawn)
        )
        told = found[condition.value]
        assert told.value == pytest.approx(value, abs=1e-9)
        assert (told.low, told.high) == pytest.approx(np.percentile(others, (2.5, 97.5)), abs=1e-9)
    assert found["score"].value == pytest.approx(np.mean([found[name].value for name in PARTS]))


@pytest.mark.parametrize("labelled", [(), *[(condition,) for condition in Condition], tuple(Condition)])
@pytest.mark.parametrize("rank", [0, 2, None])
def test_what_is_absent_is_what_is_no_number(labelled: tuple[Condition, ...], rank: int | None) -> None:
    answers = made(5)
    severities = np.full(answers.severities.shape, UNKNOWN)
    for condition in labelled:
        severities[:, columns(condition)] = (
            answers.severities[:, columns(condition)] if rank is None else rank
        )
    answers = CohortAnswers(answers.probabilities, severities)
    for scores, absent in ((rsna_score, absent_scores), (severe_auc, absent_areas)):
        unknown = {name for name, value in scores(answers, draws=2).items() if not value.known}
        assert absent(answers).keys() == unknown


def test_areas_are_those_of_scikit_learn() -> None:
    answers = made(seed=1)
    areas = severe_auc(answers, draws=20)
    wanted = []
    for condition in Condition:
        p, y = answers.probabilities[:, columns(condition)], answers.severities[:, columns(condition)]
        wanted.append(metrics.roc_auc_score(y[y >= 0] == 2, p[y >= 0][:, 2]))
        assert areas[condition.value].value == pytest.approx(wanted[-1])
    assert areas["macro"].value == pytest.approx(np.mean(wanted))


def test_weighted_answers_are_better_where_probabilities_are_true() -> None:
    rng = np.random.default_rng(4)
    p = rng.dirichlet([2, 1, 0.5], (400, 25))
    y = (p.cumsum(axis=2) < rng.random((400, 25, 1))).sum(axis=2)
    answers = CohortAnswers(p, y)
    for condition in Condition:
        said, weighted = (
            rsna_score(one, draws=1)[condition.value].value for one in (answers, answers.weighted())
        )
        assert weighted < said


def test_what_is_not_said_counts_as_even_odds() -> None:
    cell = LUMBAR_MRI.cells[7]
    answers = answers_of([{}], [{cell: Severity.SEVERE}])
    assert rsna_score(answers, draws=1)[cell.condition.value].value == pytest.approx(np.log(3))
    assert np.isnan(rsna_score(answers, draws=1)[Condition.SUBARTICULAR_STENOSIS.value].value)


def test_shapes_and_sums_are_checked() -> None:
    with pytest.raises(ValueError, match="answers must be of shape"):
        CohortAnswers(np.full((2, 24, 3), 1 / 3), np.zeros((2, 25), np.int64))
    with pytest.raises(ValueError, match=r"sum to one, got \[1.0, 1.0, 1.0\]"):
        CohortAnswers(np.ones((2, 25, 3)), np.zeros((2, 25), np.int64))


@pytest.mark.parametrize(
    "wrong", [(np.nan, 0.5, 0.5), (np.nan,) * 3, (np.inf, -np.inf, 1.0), (-0.5, 1.0, 0.5)]
)
def test_one_cell_that_is_no_probability_is_refused(wrong: tuple[float, ...]) -> None:
    p = np.full((2, 25, 3), 1 / 3)
    p[1, 7] = wrong
    with pytest.raises(ValueError, match="must be finite, at least 0 and sum to one, got"):
        CohortAnswers(p, np.zeros((2, 25), np.int64))
