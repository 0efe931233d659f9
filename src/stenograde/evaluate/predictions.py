"""What a method predicts for each picture, beside the truth: the table every score reads, in memory and as CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from stenograde.errors import DatasetError
from stenograde.files import inert_cell, regular_bytes, text_of_cell

COLUMNS = ("image", "patient", "level", "label")
"""First columns of the CSV, in order; one column per class follows."""

SUM_TOLERANCE = 1e-3
"""How far the probabilities of a picture may sum from one: what three-digit rounding leaves of three classes."""


@dataclass(frozen=True, eq=False)
class Predictions:
    """Probabilities over classes for pictures whose label is known.

    Raises
    ------
    ValueError
        If lengths differ, nothing is there, names or classes repeat, a label is none of the classes, or a row of
        probabilities is not within 0 to 1 summing to one.
    """

    classes: tuple[str, ...]
    """In the order of their codes; for severities ascending."""
    names: tuple[str, ...]
    """Names of the pictures, unique."""
    patients: tuple[str | None, ...]
    """Patient of each picture; None where unknown, and then the picture counts as a patient of its own."""
    labels: NDArray[np.int64]
    """Code of the true class, shape (n,)."""
    probabilities: NDArray[np.float64]
    """Shape (n, classes)."""
    groups: tuple[str | None, ...] | None = None
    """What is known of each picture beforehand (its level); None where unknown."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "labels", np.array(self.labels, np.int64))
        object.__setattr__(self, "probabilities", np.array(self.probabilities, np.float64))
        self._check_lengths()
        self._check_values()
        self.labels.flags.writeable = False
        self.probabilities.flags.writeable = False

    def _check_lengths(self) -> None:
        n, c = len(self.names), len(self.classes)
        groups = n if self.groups is None else len(self.groups)
        shapes = (len(self.patients), groups, self.labels.shape, self.probabilities.shape)
        if n < 1 or c < 2 or shapes != (n, n, (n,), (n, c)):
            msg = (
                f"predictions must have one patient, group, label and row of probabilities per picture and at least "
                f"two classes, got {n} pictures, {c} classes, {shapes[0]} patients, {groups} groups, "
                f"labels {shapes[2]}, probabilities {shapes[3]}"
            )
            raise ValueError(msg)

    def _check_values(self) -> None:
        for what, words in (("picture names", self.names), ("classes", self.classes)):
            if len(set(words)) < len(words):
                msg = f"{what} must be unique, got {_first_repeated(words)!r} more than once"
                raise ValueError(msg)
        outside = np.flatnonzero((self.labels < 0) | (self.labels >= len(self.classes)))
        if outside.size:
            msg = (
                f"labels must be codes from 0 to {len(self.classes) - 1}, got {self.labels[outside[0]]} "
                f"for {self.names[outside[0]]}; leave out pictures without a label"
            )
            raise ValueError(msg)
        p = self.probabilities
        # written so that a NaN counts as wrong
        sound = (p >= 0).all(1) & (p <= 1).all(1) & (np.abs(p.sum(1) - 1) <= SUM_TOLERANCE)
        if not sound.all():
            first = int(np.flatnonzero(~sound)[0])
            msg = (
                f"probabilities must lie within 0 to 1 and sum to one, got {p[first].tolist()} "
                f"for {self.names[first]}"
            )
            raise ValueError(msg)

    def __len__(self) -> int:
        return len(self.names)

    @property
    def predicted(self) -> NDArray[np.int64]:
        """Code of the most probable class, shape (n,); the lower code of equals."""
        return self.probabilities.argmax(1)

    @property
    def units(self) -> NDArray[np.int64]:
        """Number of the patient of each picture from 0, shape (n,): what a bootstrap draws.

        A picture of an unknown patient is a unit of its own.
        """
        places: dict[tuple[bool, str], int] = {}
        keys = (
            (patient is None, name if patient is None else patient)
            for name, patient in zip(self.names, self.patients, strict=True)
        )
        return np.array([places.setdefault(key, len(places)) for key in keys], np.int64)

    def chosen(self, places: Iterable[int]) -> Predictions:
        """Return the pictures at the given places, in that order."""
        at = [int(place) for place in places]
        return replace(
            self,
            names=tuple(self.names[i] for i in at),
            patients=tuple(self.patients[i] for i in at),
            labels=self.labels[at],
            probabilities=self.probabilities[at],
            groups=None if self.groups is None else tuple(self.groups[i] for i in at),
        )


def joined(parts: Sequence[Predictions]) -> Predictions:
    """Return the predictions of several folds as one.

    Raises
    ------
    ValueError
        If there are none, classes differ, a picture is in two of them, or only some have groups.
    """
    if not parts or len({part.classes for part in parts}) > 1 or len({p.groups is None for p in parts}) > 1:
        msg = f"predictions to join must be some, of the same classes and all or none with groups, got {len(parts)}"
        raise ValueError(msg)
    groups = [group for part in parts for group in part.groups or ()]
    return Predictions(
        classes=parts[0].classes,
        names=tuple(name for part in parts for name in part.names),
        patients=tuple(patient for part in parts for patient in part.patients),
        labels=np.concatenate([part.labels for part in parts]),
        probabilities=np.concatenate([part.probabilities for part in parts]),
        groups=tuple(groups) if groups else None,
    )


def matched(first: Predictions, second: Predictions) -> Predictions:
    """Return the second predictions in the order of the first, for a comparison picture by picture.

    Raises
    ------
    DatasetError
        If the two are not about the same classes, pictures, patients and labels.
    """
    if first.classes != second.classes:
        msg = (
            f"classes of both results must be the same in the same order, got {', '.join(first.classes)} "
            f"and {', '.join(second.classes)}"
        )
        raise DatasetError(msg)
    places = {name: place for place, name in enumerate(second.names)}
    only_first = [name for name in first.names if name not in places]
    only_second = sorted(places.keys() - set(first.names))
    if only_first or only_second:
        msg = (
            f"images of both results must be the same, got {len(only_first)} only in the first{_such_as(only_first)} "
            f"and {len(only_second)} only in the second{_such_as(only_second)}; compare results of the same split"
        )
        raise DatasetError(msg)
    ordered = second.chosen(places[name] for name in first.names)
    for i, name in enumerate(first.names):
        if first.labels[i] != ordered.labels[i]:
            one, other = (first.classes[p.labels[i]] for p in (first, ordered))
            msg = f"labels of both results must be the same, got {one} and {other} for {name}"
            raise DatasetError(msg)
        if first.patients[i] != ordered.patients[i]:
            msg = (
                f"patients of both results must be the same, got {first.patients[i]} and {ordered.patients[i]} "
                f"for {name}"
            )
            raise DatasetError(msg)
    return ordered


def as_csv(predictions: Predictions) -> str:
    """Return a table with one row per picture: image, patient, level, label, then a probability per class.

    Numbers are written so that :func:`read_predictions` gives back the very same; what is unknown is empty.
    """
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow((*COLUMNS, *predictions.classes))
    groups = predictions.groups or (None,) * len(predictions)
    for i, name in enumerate(predictions.names):
        shares = (repr(share) for share in predictions.probabilities[i].tolist())
        label = predictions.classes[predictions.labels[i]]
        texts = (name, predictions.patients[i] or "", groups[i] or "", label)
        writer.writerow((*map(inert_cell, texts), *shares))
    return out.getvalue()


def read_predictions(path: Path) -> Predictions:
    """Read a table as :func:`as_csv` writes it.

    Raises
    ------
    DatasetError
        If the file cannot be read, or is no such table.
    """
    try:
        text = regular_bytes(path).decode("utf-8")
        header, *rows = [
            list(map(text_of_cell, row)) for row in csv.reader(io.StringIO(text, newline="")) if row
        ] or [[]]
    except (OSError, UnicodeDecodeError, csv.Error) as exc:
        msg = f"predictions must be a readable CSV file, got {path} ({exc})"
        raise DatasetError(msg) from exc
    if tuple(header[: len(COLUMNS)]) != COLUMNS:
        msg = f"columns of {path} must begin with {', '.join(COLUMNS)}, got {', '.join(header) or 'none'}"
        raise DatasetError(msg)
    classes = tuple(header[len(COLUMNS) :])
    try:
        return _from_rows(classes, rows)
    except ValueError as exc:
        msg = f"{path} does not hold predictions: {exc}"
        raise DatasetError(msg) from exc


def _from_rows(classes: tuple[str, ...], rows: Sequence[Sequence[str]]) -> Predictions:
    codes = {name: code for code, name in enumerate(classes)}
    labels, shares = [], []
    for number, row in enumerate(rows, start=2):
        if len(row) != len(COLUMNS) + len(classes) or row[3] not in codes:
            msg = (
                f"row {number} must have {len(COLUMNS) + len(classes)} fields and a label among "
                f"{', '.join(classes)}, got {len(row)} fields and {row[3] if len(row) > 3 else 'no label'!r}"
            )
            raise ValueError(msg)
        labels.append(codes[row[3]])
        shares.append([float(word) for word in row[4:]])
    groups = tuple(row[2] or None for row in rows)
    return Predictions(
        classes=classes,
        names=tuple(row[0] for row in rows),
        patients=tuple(row[1] or None for row in rows),
        labels=np.array(labels, np.int64),
        probabilities=np.array(shares, np.float64).reshape(len(rows), len(classes)),
        groups=groups if any(groups) else None,
    )


def _such_as(names: Sequence[str]) -> str:
    return f" (such as {names[0]})" if names else ""


def _first_repeated(words: Sequence[str]) -> str:
    seen: set[str] = set()
    for word in words:
        if word in seen:
            return word
        seen.add(word)
    return ""
