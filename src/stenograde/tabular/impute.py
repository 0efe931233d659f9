"""Encoding of study metadata as numbers: gaps filled by random forests, categories as indicators."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor
from sklearn.utils.validation import check_is_fitted

Row = Mapping[str, str | float | None]
"""Known metadata of one study, by name; None, NaN, an empty text or a missing entry is a gap."""

Table = NDArray[np.float64]


class MetadataEncoder(TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """Encoder from rows of metadata to numbers without gaps.

    Each column is predicted from all others by a random forest, in rounds that start from means and shares
    (missForest: Stekhoven and Buehlmann, Bioinformatics 2012;28:112). :class:`sklearn.impute.IterativeImputer` does so
    for numbers only: given indicators, it would predict the values of one category from one another. A category becomes
    one indicator per value; for a gap, these are the class shares of the forest, which add up to 1.

    Parameters
    ----------
    numbers, categories : tuple of str
        Names of columns. Values of a category not seen when fitting count as gaps.
    rounds : int
        Rounds over the columns.
    trees : int
        Number of trees in each forest.
    seed : int
    """

    def __init__(
        self,
        numbers: tuple[str, ...] = (),
        categories: tuple[str, ...] = (),
        *,
        rounds: int = 3,
        trees: int = 100,
        seed: int = 0,
    ) -> None:
        self.numbers = numbers
        self.categories = categories
        self.rounds = rounds
        self.trees = trees
        self.seed = seed

    def fit(self, rows: Sequence[Row], y: object = None) -> Self:
        """Learn the values of the categories and the dependence between columns.

        Raises
        ------
        ValueError
            If there is no row or no column, or a number is invalid.
        """
        self.fit_transform(rows, y)
        return self

    def fit_transform(self, rows: Sequence[Row], y: object = None) -> Table:
        """Fit, and return the same numbers as :meth:`transform`."""
        del y
        if not rows or not (self.numbers or self.categories):
            msg = f"metadata must have rows and columns, got {len(rows)} rows and {self.numbers}, {self.categories}"
            raise ValueError(msg)
        self.values_ = {
            name: tuple(sorted({str(row[name]) for row in rows if not _is_gap(row.get(name))}))
            for name in self.categories
        }
        table = self._with_gaps(rows)
        gaps = np.isnan(table)
        known = np.where(gaps, 0, table).sum(axis=0)
        self.usual_ = known / np.maximum((~gaps).sum(axis=0), 1)
        table = np.where(gaps, self.usual_, table)
        self.forests_: list[tuple[slice, Any]] = []
        for _ in range(self.rounds):
            for columns in self._groups():
                if columns.stop == columns.start or columns.stop - columns.start == table.shape[1]:
                    continue
                there = ~gaps[:, columns.start]
                if not there.any():
                    continue
                forest = self._forest(table[there], columns)
                self.forests_.append((columns, forest))
                _fill(table, ~there, columns, forest)
        return table

    def transform(self, rows: Sequence[Row]) -> Table:
        """Return one row per study and one column per number and value of a category, shape (n, columns)."""
        check_is_fitted(self, "forests_")
        table = self._with_gaps(rows)
        gaps = np.isnan(table)
        table = np.where(gaps, self.usual_, table)
        for columns, forest in self.forests_:
            _fill(table, gaps[:, columns.start], columns, forest)
        return table

    def _groups(self) -> list[slice]:
        """Return the columns of each number, then of each category."""
        widths = [1] * len(self.numbers) + [len(values) for values in self.values_.values()]
        ends = np.cumsum(widths).tolist()
        return [slice(end - width, end) for width, end in zip(widths, ends, strict=True)]

    def _forest(self, table: Table, columns: slice) -> Any:
        others, own = np.delete(table, columns, axis=1), table[:, columns]
        settings = {"n_estimators": self.trees, "min_samples_leaf": 2, "random_state": self.seed}
        if columns.start < len(self.numbers):
            return RandomForestRegressor(**settings).fit(others, own[:, 0])
        return RandomForestClassifier(**settings).fit(others, own.argmax(axis=1))

    def _with_gaps(self, rows: Sequence[Row]) -> Table:
        columns = [[_number(name, row.get(name)) for row in rows] for name in self.numbers]
        for name, values in self.values_.items():
            texts = ["" if _is_gap(row.get(name)) else str(row.get(name)) for row in rows]
            columns += [
                [float(text == value) if text in values else np.nan for text in texts] for value in values
            ]
        return np.array(columns, np.float64).reshape(len(columns), len(rows)).T


def _fill(table: Table, gaps: NDArray[np.bool_], columns: slice, forest: Any) -> None:
    """Predict the gaps in the columns of one number or category, in place."""
    if not gaps.any():
        return
    others = np.delete(table[gaps], columns, axis=1)
    if isinstance(forest, RandomForestRegressor):
        table[gaps, columns] = forest.predict(others)[:, None]
        return
    shares = np.zeros((len(others), columns.stop - columns.start))
    shares[:, forest.classes_] = forest.predict_proba(others)
    table[gaps, columns] = shares


def _is_gap(value: object) -> bool:
    return value is None or value == "" or (isinstance(value, float) and np.isnan(value))


def _number(name: str, value: str | float | None) -> float:
    if value is None or _is_gap(value):
        return float("nan")
    try:
        return float(value)
    except ValueError as exc:
        msg = f"{name} must be a number or a gap, got {value!r}"
        raise ValueError(msg) from exc
