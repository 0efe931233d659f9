"""Audit the labels of a cohort with predictions that were made out of fold: a table of those to look at again."""

from __future__ import annotations

import csv
import io
import math
from dataclasses import dataclass
from pathlib import Path

from stenograde.datasets.rsna2024 import read_labels
from stenograde.datasets.submission import read_submissions
from stenograde.errors import DatasetError
from stenograde.evaluate.label_audit import AuditedLabel, audit_cells
from stenograde.files import inert_cell
from stenograde.terms import Cell, Severity

AUDIT_COLUMNS = (
    *("rank", "study_id", "condition", "level", "side", "label", "suggested"),
    *(severity.value for severity in Severity),
    "score",
)
"""Columns of :func:`as_audit_csv`, in order."""


@dataclass(frozen=True)
class SuspiciousLabel:
    """A labelled cell of a study, and what the predictions say of it."""

    study: str
    cell: Cell
    audited: AuditedLabel


@dataclass(frozen=True)
class CohortAudit:
    """The labels of a cohort that are to be looked at again, the most suspicious first."""

    suspicious: tuple[SuspiciousLabel, ...]
    studies: int
    """Studies with labels and predictions."""
    cells: int
    """Cells with both; all of them were ranked."""
    doubted: int
    """Cells for which confident learning suggests another severity."""


def audit_cohort(
    labels: Path, predictions: Path, *, share: float = 0.05, model: str | None = None
) -> CohortAudit:
    """Rank the labels of a cohort by how little its predictions and each study's other labels support them.

    All conditions are ranked together; see :func:`~stenograde.evaluate.label_audit.audit_cells`.

    Parameters
    ----------
    labels : Path
        Laid out as ``train.csv`` of RSNA 2024.
    predictions : Path
        Laid out as a submission, made out of fold: by a model that was not trained on the study.
    share : float
        Share of the ranked labels that is returned, rounded up.
    model : str, optional
        Whose predictions, where the table holds those of several.

    Raises
    ------
    DatasetError
        If a table cannot be read, or no cell is in both.
    ValueError
        If the share is not above 0 and at most 1.
    """
    if not 0 < share <= 1:
        msg = f"share must be above 0 and at most 1, got {share}"
        raise ValueError(msg)
    truth, by_model = read_labels(labels), read_submissions(predictions, model=model)
    if len(by_model) > 1:
        names = ", ".join(map(repr, by_model))
        msg = f"predictions to audit by must be one model's, got those of {names}; choose one with --model"
        raise DatasetError(msg)
    said = next(iter(by_model.values()), {})
    cells = [
        (study, cell, severity)
        for study, known in truth.items()
        for cell, severity in known.items()
        if cell in said.get(study, {})
    ]
    if not cells:
        msg = f"{predictions} must hold predictions of cells that {labels} labels, got none"
        raise DatasetError(msg)
    ranked = audit_cells(
        [said[study][cell] for study, cell, _ in cells],
        [severity.rank for *_, severity in cells],
        [cell for _, cell, _ in cells],
        [study for study, *_ in cells],
    )
    return CohortAudit(
        suspicious=tuple(
            SuspiciousLabel(*cells[one.place][:2], one) for one in ranked[: math.ceil(share * len(ranked))]
        ),
        studies=len({study for study, *_ in cells}),
        cells=len(ranked),
        doubted=sum(one.suggested is not None for one in ranked),
    )


def as_audit_csv(audit: CohortAudit) -> str:
    """Return a table with one row per label to look at: :data:`AUDIT_COLUMNS`.

    ``score`` is the probability of the stated severity; ``suggested`` is empty where confident learning would keep the
    label, and ``side`` for the canal.
    """
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(AUDIT_COLUMNS)
    severities = tuple(Severity)
    for rank, one in enumerate(audit.suspicious, start=1):
        found, cell = one.audited, one.cell
        words = (
            inert_cell(one.study),
            cell.condition.value,
            cell.level.value,
            cell.side.value if cell.side else "",
            severities[found.stated].value,
            "" if found.suggested is None else severities[found.suggested].value,
        )
        numbers = (f"{number:.6f}" for number in (*found.probabilities, found.score))
        writer.writerow((rank, *words, *numbers))
    return out.getvalue()
