"""The graded discs of SPIDER: what a radiologist said of each, and the slices that show them, one of each series.

Two folders of one data directory are read; the second is optional: ``spider_midsagittal/`` with
``radiological_gradings.csv``, and ``spider_t2space_masks/``, of which a patient's middle slice is taken.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

from stenograde.datasets.marked_slice import MarkedSlice
from stenograde.datasets.spider import LEVEL_OF_LABEL, read_midsagittal_slices, read_space_slices
from stenograde.datasets.tables import read_rows
from stenograde.errors import DatasetError
from stenograde.terms import Level

SERIES: Final = ("t1", "t2", "t2_space")
"""Series of the set, by the names of its files."""

LEVELS: Final = tuple(LEVEL_OF_LABEL.values())
"""Levels that are graded, from L5/S1 upwards."""

DiscKey = tuple[str, Level]
"""Patient and level of a disc."""


def read_gradings(data: Path, columns: Collection[str]) -> dict[DiscKey, Mapping[str, float | None]]:
    """Read the gradings of the lumbar discs.

    Parameters
    ----------
    data : Path
        Folder with ``spider_midsagittal``.
    columns : collection of str
        Columns of ``radiological_gradings.csv``.

    Returns
    -------
    gradings : dict
        By disc, the number in each column; None where nobody graded.

    Raises
    ------
    DatasetError
        If the table cannot be read, or a grading is no number.
    """
    path = data / "spider_midsagittal" / "radiological_gradings.csv"
    graded: dict[DiscKey, Mapping[str, float | None]] = {}
    for row in read_rows(path, ("Patient", "IVD label", *columns)):
        level = LEVEL_OF_LABEL.get(row["IVD label"])
        if level is not None:
            graded[row["Patient"], level] = {name: _number(row[name], name) for name in columns}
    return graded


def slices_by_series(data: Path) -> Iterator[tuple[str, MarkedSlice]]:
    """Give one slice of each series of each patient, with the series by its name in :data:`SERIES`.

    Raises
    ------
    DatasetError
        If the layout of the data is not as expected.
    """
    for one in read_midsagittal_slices(data):
        series = one.name.partition("_")[2].lower()
        if series in SERIES:
            yield series, one
    if (data / "spider_t2space_masks").is_dir():
        by_patient: dict[str, list[MarkedSlice]] = {}
        for one in read_space_slices(data):
            by_patient.setdefault(one.patient, []).append(one)
        for of_one in by_patient.values():
            yield "t2_space", _middle(of_one)


def _middle(slices: Sequence[MarkedSlice]) -> MarkedSlice:
    """Return the middle one of a patient's slices, which end in their numbers."""
    ranked = sorted(slices, key=lambda one: int(one.name.rpartition("slice")[2]))
    return ranked[len(ranked) // 2]


def _number(text: str, column: str) -> float | None:
    try:
        return float(text) if text else None
    except ValueError as exc:
        msg = f"'{column}' of radiological_gradings.csv must be a number or empty, got {text!r}"
        raise DatasetError(msg) from exc
