"""Average predictions laid out as submissions to RSNA 2024, cell by cell."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from stenograde.datasets.submission import Said, read_submission
from stenograde.errors import ConfigError, DatasetError
from stenograde.grades import EVEN_ODDS, Probabilities

Mean = Literal["arithmetic", "geometric"]
"""How probabilities are averaged; a geometric mean, which follows the surer, is made to sum to one."""


def ensemble(tables: Sequence[Path], *, weights: Sequence[float] = (), mean: Mean = "arithmetic") -> Said:
    """Return the weighted mean of the predictions of several tables.

    Parameters
    ----------
    tables : sequence of Path
        At least two submissions with the same rows, in any order.
    weights : sequence of float
        How much each table counts; alike if there are none.
    mean : {"arithmetic", "geometric"}

    Raises
    ------
    ConfigError
        If there are fewer than two tables, or not one weight above zero for each.
    DatasetError
        If a table cannot be read, is empty, or lacks a row of another.
    """
    counts = tuple(weights) or (1.0,) * len(tables)
    sound = len(counts) == len(tables) and all(one > 0 for one in counts) and math.isfinite(sum(counts))
    if len(tables) < 2 or not sound:
        told = ", ".join(map(str, counts))
        msg = (
            "an ensemble needs at least two tables, and one --weight above 0 for each or none at all, got "
            f"{len(tables)} tables and the weights {told or 'of none'}"
        )
        raise ConfigError(msg)
    said = [read_submission(path) for path in tables]
    rows = [{(study, cell) for study, cells in one.items() for cell in cells} for one in said]
    every = set().union(*rows)
    if not every:
        msg = f"tables must hold predictions, got none in {tables[0]}"
        raise DatasetError(msg)
    for path, there in zip(tables, rows, strict=True):
        if lacking := sorted((f"{study}_{cell.name}" for study, cell in every - there)):
            msg = (
                f"tables must have the same rows, got {path} without {len(lacking)} of {len(every)}, the first of "
                f"which is {lacking[0]}"
            )
            raise DatasetError(msg)
    shares = np.array(counts) / sum(counts)
    return {
        study: {cell: _mean([one[study][cell] for one in said], shares, mean) for cell in cells}
        for study, cells in said[0].items()
    }


def _mean(said: Sequence[Probabilities], shares: NDArray[np.float64], mean: Mean) -> Probabilities:
    """Mean of some opinions, whose shares sum to one; even odds where a geometric one leaves no severity."""
    each = np.array(said)
    found = shares @ each if mean == "arithmetic" else np.prod(each ** shares[:, None], axis=0)
    total = found.sum()
    return Probabilities(found / total) if total > 0 else EVEN_ODDS
