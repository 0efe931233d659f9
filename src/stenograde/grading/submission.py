"""Score predictions made elsewhere, laid out as submissions to RSNA 2024."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from stenograde.datasets.rsna2024 import read_labels
from stenograde.datasets.submission import read_submission
from stenograde.errors import DatasetError
from stenograde.evaluate.intervals import Interval
from stenograde.evaluate.rsna_metric import answers_of, rsna_score, severe_auc


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


def score_submission(
    labels: Path, predictions: Path, *, model: str | None = None, draws: int = 1000, seed: int = 0
) -> SubmissionScores:
    """Score predictions against labels laid out as ``train.csv`` of RSNA 2024.

    Parameters
    ----------
    labels, predictions : Path
    model : str, optional
        Whose predictions, where the table holds those of several.
    draws, seed : int
        Of the bootstrap.

    Raises
    ------
    DatasetError
        If a table cannot be read, or no cell is in both.
    """
    truth, said = read_labels(labels), read_submission(predictions, model=model)
    studies = [name for name in truth if name in said]
    known = [
        {cell: severity for cell, severity in truth[name].items() if cell in said[name]} for name in studies
    ]
    scored = sum(map(len, known))
    if not scored:
        msg = f"{predictions} must hold predictions of cells that {labels} labels, got none"
        raise DatasetError(msg)
    answers = answers_of([said[name] for name in studies], known)
    return SubmissionScores(
        n_studies=len(studies),
        scored_cells=scored,
        labelled_cells_without_prediction=sum(map(len, truth.values())) - scored,
        predictions_without_label=sum(map(len, said.values())) - scored,
        score=rsna_score(answers, draws=draws, seed=seed),
        auc=severe_auc(answers, draws=draws, seed=seed),
    )
