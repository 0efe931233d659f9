"""Predictions in the layout of a submission to RSNA 2024: a row per study and cell, a column per severity."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from stenograde.datasets.tables import read_rows
from stenograde.errors import DatasetError
from stenograde.grades import Probabilities
from stenograde.terms import LUMBAR_MRI, Cell, Severity

COLUMNS = ("row_id", *(severity.value for severity in Severity))

SUM_TOLERANCE = 0.01
"""Greatest difference from 1 of the sum of a row's probabilities; within it, they are divided by their sum."""

_CELLS = {cell.name: cell for cell in LUMBAR_MRI.cells}


@dataclass(frozen=True)
class _Row:
    study: str
    cell: Cell
    probabilities: Probabilities


def read_submission(path: Path) -> dict[str, dict[Cell, Probabilities]]:
    """Return the prediction for each cell, by study.

    Parameters
    ----------
    path : Path
        CSV, compressed by gzip or not, with the columns ``row_id`` (study, underscore, cell), ``normal_mild``,
        ``moderate`` and ``severe``; others are ignored.

    Raises
    ------
    DatasetError
        If the table cannot be read, a row names no cell or occurs twice, or its probabilities are invalid.
    """
    said: dict[str, dict[Cell, Probabilities]] = {}
    for number, row in enumerate(read_rows(path, COLUMNS), start=2):
        try:
            one = _read(row)
        except ValueError as exc:
            msg = f"{exc} ({path.name} line {number})"
            raise DatasetError(msg) from exc
        of_study = said.setdefault(one.study, {})
        if one.cell in of_study:
            msg = f"row_id must be there once, got {row['row_id']} again ({path.name} line {number})"
            raise DatasetError(msg)
        of_study[one.cell] = one.probabilities
    return said


def _read(row: Mapping[str, str]) -> _Row:
    name = row["row_id"]
    study, cell = next(
        ((name[: -len(cell) - 1], _CELLS[cell]) for cell in _CELLS if name.endswith(f"_{cell}")), ("", None)
    )
    if not study or cell is None:
        msg = f"row_id must be a study and a cell, such as 4003253_{LUMBAR_MRI.cells[0].name}, got {name!r}"
        raise ValueError(msg)
    texts = [row[column] for column in COLUMNS[1:]]
    try:
        shares = [float(text) for text in texts]
    except ValueError:
        shares = [math.nan]
    total = math.fsum(shares)
    # written so that NaN is rejected
    if not (min(shares) >= 0 and abs(total - 1) <= SUM_TOLERANCE):
        msg = f"probabilities of {name} must be at least 0 and sum to one, got {', '.join(texts)}"
        raise ValueError(msg)
    return _Row(study, cell, Probabilities(share / total for share in shares))
