"""Predictions in the layout of a submission to RSNA 2024: a row per study and cell, a column per severity."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from stenograde.datasets.tables import read_rows
from stenograde.errors import DatasetError
from stenograde.grades import Probabilities
from stenograde.terms import LUMBAR_MRI, Cell, Severity

COLUMNS = ("row_id", *(severity.value for severity in Severity))

MODEL = "model"
"""Column that names what a row was said by, where one table holds the rows of several models."""

_SHOWN = 5
"""So many models are named in a message."""

SUM_TOLERANCE = 0.01
"""Greatest difference from 1 of the sum of a row's probabilities; within it, they are divided by their sum."""

_CELLS = {cell.name: cell for cell in LUMBAR_MRI.cells}


@dataclass(frozen=True)
class _Row:
    study: str
    cell: Cell
    probabilities: Probabilities


def read_submission(path: Path, *, model: str | None = None) -> dict[str, dict[Cell, Probabilities]]:
    """Return the prediction for each cell, by study.

    Parameters
    ----------
    path : Path
        CSV, compressed by gzip or not, with the columns ``row_id`` (study, underscore, cell), ``normal_mild``,
        ``moderate`` and ``severe``; of the others, ``model`` names what a row was said by, and the rest is ignored.
    model : str, optional
        Whose rows are read, where the table holds those of several models.

    Raises
    ------
    DatasetError
        If the table cannot be read, a row names no cell or occurs twice (also because several models said it, and none
        is chosen), its probabilities are invalid, or the model is none of those in the table.
    """
    said: dict[str, dict[Cell, Probabilities]] = {}
    rows = read_rows(path, COLUMNS)
    _check_model(path, rows, model)
    for number, row in enumerate(rows, start=2):
        if model is not None and row[MODEL] != model:
            continue
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


def _check_model(path: Path, rows: Sequence[Mapping[str, str]], asked: str | None) -> None:
    """Check that it is clear whose rows are read."""
    found = list(dict.fromkeys(row.get(MODEL, "") for row in rows))
    told = ", ".join(found[:_SHOWN]) + (f" and {len(found) - _SHOWN} more" if len(found) > _SHOWN else "")
    if asked is not None and asked not in (found if rows and MODEL in rows[0] else ()):
        msg = f"--model must be one of the column {MODEL} of {path.name} ({told or 'none'}), got {asked!r}"
        raise DatasetError(msg)
    if asked is None and len(found) > 1 and len({row["row_id"] for row in rows}) < len(rows):
        msg = f"{path.name} must say each cell once, got {len(found)} models: {told}; choose one with --model"
        raise DatasetError(msg)


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
    # written so that NaN is rejected, and nothing overflows
    total = math.fsum(shares) if all(0 <= share <= 2 for share in shares) else math.nan
    if not abs(total - 1) <= SUM_TOLERANCE:
        msg = f"probabilities of {name} must be at least 0 and sum to one, got {', '.join(texts)}"
        raise ValueError(msg)
    return _Row(study, cell, Probabilities(share / total for share in shares))
