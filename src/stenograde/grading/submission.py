"""Score and compare predictions made elsewhere, laid out as submissions to RSNA 2024."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from stenograde.datasets.rsna2024 import read_labels
from stenograde.datasets.submission import Said, read_submission, read_submissions
from stenograde.errors import DatasetError
from stenograde.evaluate.baselines import trivial_answers
from stenograde.evaluate.intervals import Interval
from stenograde.evaluate.rsna_metric import (
    absent_areas,
    absent_scores,
    answers_of,
    rsna_differences,
    rsna_score,
    severe_auc,
)
from stenograde.terms import Cell, Severity

Labels = Mapping[str, Mapping[Cell, Severity]]
"""Severities by study, of the cells that have a label."""

_UNSAID = "no labelled cell with a prediction"


@dataclass(frozen=True)
class SubmissionScores:
    """Scores of the cells that have a label and a prediction, and how many cells have only one of the two."""

    n_studies: int
    scored_cells: int
    labelled_cells_without_prediction: int
    predictions_without_label: int
    score: dict[str, Interval]
    """See :func:`~stenograde.evaluate.rsna_metric.rsna_score`."""
    auc: dict[str, Interval]
    """See :func:`~stenograde.evaluate.rsna_metric.severe_auc`."""
    absent: dict[str, dict[str, str]]
    """Why a value of ``score`` or ``auc`` is NaN (null in JSON), by its name."""


@dataclass(frozen=True)
class TrivialScores:
    """Scores of the answers that look at no picture, on the labels that their shares were counted in."""

    n_studies: int
    scored_cells: int
    score: dict[str, dict[str, Interval]]
    """Parts of the metric and their mean, by the name of the answer."""
    absent: dict[str, str]
    """Why a part is NaN (null in JSON), by its name; alike for all answers."""


@dataclass(frozen=True)
class PairedPart:
    """One part of the metric for two methods, on the same cells and the same draws of studies."""

    a: Interval
    b: Interval
    difference: Interval
    """a minus b."""


@dataclass(frozen=True)
class SubmissionComparison:
    """Two methods on the cells that have a label and a prediction of both."""

    n_studies: int
    compared_cells: int
    only_a: int
    """Labelled cells that only the first predicts; they are left out."""
    only_b: int
    score: dict[str, PairedPart]
    absent: dict[str, str]
    """Why a part is NaN (null in JSON), by its name."""


def score_submissions(
    labels: Path, predictions: Path, *, model: str | None = None, draws: int = 1000, seed: int = 0
) -> dict[str, SubmissionScores]:
    """Score predictions against labels laid out as ``train.csv`` of RSNA 2024, each model of the table by itself.

    Parameters
    ----------
    labels, predictions : Path
    model : str, optional
        The one that is scored.
    draws, seed : int
        Of the bootstrap.

    Returns
    -------
    scores : dict
        By model; the only key is empty where the table names none.

    Raises
    ------
    DatasetError
        If a table cannot be read, or no cell of a model is in both.
    """
    truth, by_model = read_labels(labels), read_submissions(predictions, model=model)
    scores = {}
    for name, said in (by_model or {"": {}}).items():
        known = _known(truth, said)
        if not known:
            by = f" by {name}" if name else ""
            msg = f"{predictions} must hold predictions{by} of cells that {labels} labels, got none"
            raise DatasetError(msg)
        scores[name] = _scores(truth, said, known, draws=draws, seed=seed)
    return scores


def score_trivial_answers(labels: Path, *, draws: int = 1000, seed: int = 0) -> TrivialScores:
    """Score the answers of :func:`~stenograde.evaluate.baselines.trivial_answers` on the labels of a table.

    Raises
    ------
    DatasetError
        If the table cannot be read or labels no cell.
    """
    truth = read_labels(labels)
    n_cells = _n_cells(truth)
    if not n_cells:
        msg = f"{labels} must label cells, got none"
        raise DatasetError(msg)
    severities = list(truth.values())
    answers = {
        name: answers_of([said] * len(truth), severities) for name, said in trivial_answers(truth).items()
    }
    return TrivialScores(
        n_studies=len(truth),
        scored_cells=n_cells,
        score={name: rsna_score(one, draws=draws, seed=seed) for name, one in answers.items()},
        absent=absent_scores(next(iter(answers.values()))),
    )


def compare_submissions(
    labels: Path, a: Path, b: Path, *, draws: int = 1000, seed: int = 0
) -> SubmissionComparison:
    """Compare two tables of predictions, paired by study, on the labelled cells that both predict.

    Raises
    ------
    DatasetError
        If a table cannot be read, or no labelled cell is in both.
    """
    truth, one, other = read_labels(labels), read_submission(a), read_submission(b)
    known = _known(truth, one, other)
    if not known:
        msg = f"{a} and {b} must both predict cells that {labels} labels, got none in common"
        raise DatasetError(msg)
    n_cells, severities = _n_cells(known), list(known.values())
    mine, theirs = (answers_of([said[name] for name in known], severities) for said in (one, other))
    scores = [rsna_score(answers, draws=draws, seed=seed) for answers in (mine, theirs)]
    differences = rsna_differences(mine, theirs, draws=draws, seed=seed)
    return SubmissionComparison(
        n_studies=len(known),
        compared_cells=n_cells,
        only_a=_n_cells(_known(truth, one)) - n_cells,
        only_b=_n_cells(_known(truth, other)) - n_cells,
        score={
            name: PairedPart(scores[0][name], scores[1][name], difference)
            for name, difference in differences.items()
        },
        absent=absent_scores(mine, nothing=f"{_UNSAID} of both"),
    )


def _scores(truth: Labels, said: Said, known: Labels, *, draws: int, seed: int) -> SubmissionScores:
    answers = answers_of([said[name] for name in known], list(known.values()))
    scored = _n_cells(known)
    return SubmissionScores(
        n_studies=len(known),
        scored_cells=scored,
        labelled_cells_without_prediction=_n_cells(truth) - scored,
        predictions_without_label=sum(map(len, said.values())) - scored,
        score=rsna_score(answers, draws=draws, seed=seed),
        auc=severe_auc(answers, draws=draws, seed=seed),
        absent={
            "score": absent_scores(answers, nothing=_UNSAID),
            "auc": absent_areas(answers, nothing=_UNSAID),
        },
    )


def _known(truth: Labels, *said: Said) -> dict[str, dict[Cell, Severity]]:
    """Labels of the cells that all methods predict, by study; studies without any are left out."""
    found = {
        name: {cell: rank for cell, rank in cells.items() if all(cell in one.get(name, {}) for one in said)}
        for name, cells in truth.items()
    }
    return {name: cells for name, cells in found.items() if cells}


def _n_cells(labels: Labels) -> int:
    return sum(map(len, labels.values()))
