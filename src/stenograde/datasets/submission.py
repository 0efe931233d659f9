"""Predictions in the layout of a submission to RSNA 2024: a row per study and cell, a column per severity."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Mapping, Sequence
from pathlib import Path

from stenograde.datasets.tables import read_rows
from stenograde.errors import DatasetError
from stenograde.files import inert_cell
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


Said = dict[str, dict[Cell, Probabilities]]
"""Probabilities for each cell, by study."""


def read_submissions(path: Path, *, model: str | None = None) -> dict[str, Said]:
    """Return the predictions of each model in a table; the only key is empty where no model is named.

    Parameters
    ----------
    path : Path
        CSV, compressed by gzip or not, with the columns ``row_id`` (study, underscore, cell), ``normal_mild``,
        ``moderate`` and ``severe``; of the others, ``model`` names what a row was said by, and the rest is ignored.
    model : str, optional
        The one whose rows are read.

    Raises
    ------
    DatasetError
        If the table cannot be read, a row names no cell or is there twice for a model, its probabilities are invalid,
        or the model is none of those in the table.
    """
    by_model: dict[str, Said] = {}
    rows = read_rows(path, COLUMNS)
    _check_model(path, rows, model)
    for number, row in enumerate(rows, start=2):
        by = row.get(MODEL, "")
        if model is not None and by != model:
            continue
        said = by_model.setdefault(by, {})
        try:
            study, cell, probabilities = _read(row)
        except ValueError as exc:
            msg = f"{exc} ({path.name} line {number})"
            raise DatasetError(msg) from exc
        of_study = said.setdefault(study, {})
        if cell in of_study:
            msg = f"row_id must be there once, got {row['row_id']} again ({path.name} line {number})"
            raise DatasetError(msg)
        of_study[cell] = probabilities
    return by_model


def read_submission(path: Path) -> Said:
    """Return the predictions of a table that says each cell once.

    Raises
    ------
    DatasetError
        As :func:`read_submissions` does, and if several models say the same cell.
    """
    by_model = read_submissions(path)
    joined: Said = {}
    for study, cells in (item for said in by_model.values() for item in said.items()):
        of_study = joined.setdefault(study, {})
        if of_study.keys() & cells.keys():
            msg = (
                f"{path.name} must say each cell once, got {len(by_model)} models: {_listed(list(by_model))}; give a "
                "table of one model"
            )
            raise DatasetError(msg)
        of_study.update(cells)
    return joined


def as_submission_csv(said: Mapping[str, Mapping[Cell, Probabilities]]) -> str:
    """Return a submission: the studies in the given order, and the cells of each by name, as in RSNA 2024's sample.

    :func:`read_submission` gives back the same numbers, but for the rounding of a sum of three.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for study, cells in said.items():
        for cell in sorted(cells, key=lambda one: one.name):
            writer.writerow((inert_cell(f"{study}_{cell.name}"), *map(repr, cells[cell])))
    return text.getvalue()


def _check_model(path: Path, rows: Sequence[Mapping[str, str]], asked: str | None) -> None:
    """Check that a model that is asked for is in the table."""
    found = list(dict.fromkeys(row[MODEL] for row in rows if MODEL in row))
    if asked is not None and asked not in found:
        told = _listed(found) or "none"
        msg = f"--model must be one of the column {MODEL} of {path.name} ({told}), got {asked!r}"
        raise DatasetError(msg)


def _listed(models: Sequence[str]) -> str:
    more = f" and {len(models) - _SHOWN} more" if len(models) > _SHOWN else ""
    return ", ".join(models[:_SHOWN]) + more


def _read(row: Mapping[str, str]) -> tuple[str, Cell, Probabilities]:
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
    return study, cell, Probabilities(share / total for share in shares)
