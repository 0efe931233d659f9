"""Which severities cannot be excluded: conformal prediction sets of ordinal classes, calibrated by patient.

A set holds every class that is not too far out in the tails of what the grader says: not too much probability may lie
on milder classes, nor on more severe ones. How much is too much is learnt for each true class on its own
(class-conditional, or Mondrian), so that rare Severe is covered as often as common Normal/Mild. What may be missed of a
class in the middle is missed half on either side, so that Moderate is called Normal/Mild no more often than Severe;
that also leaves hardly any set empty and hardly a gap.

The cells of a patient are alike, and only patients are exchangeable; so the patient is the unit. A limit is the mass up
to which the wanted share of the calibration lies, where one new patient, whose cells may be anywhere, stands beside the
others and weight is kept for it. There are two ways to count:

- ``patient``: a cell weighs one over the number of cells of its class in its patient, and the new patient one, as any
  other. This is hierarchical conformal prediction (Lee et al.; Dunn et al. draw one cell of each patient instead):
  whatever the grader, coverage is at least nominal for a random cell of the class in a random patient who has one.
- ``cell``: each cell weighs one, for coverage of a random cell of the class, which is what a table counts. It is
  another number, as patients with many cells of a class are often the easier ones (up to 3 points on RSNA 2024). The
  new patient weighs as much as it has cells of the class, which nobody knows. With the greatest number that any patient
  has, coverage is at least nominal (conformal risk control, theorem 1; the loss of a patient is its missed cells less
  those it may miss), but far above nominal where cells are few. So the weight is the least, from one cell on, with
  which the calibration patients are covered when each in turn is the new one.

With one cell per patient, both are split conformal prediction. The promise is for patients like those of the
calibration, and for probabilities made as those were; out-of-fold ones stand for those of the folds' mean.

References
----------
Vovk, "Conditional validity of inductive conformal predictors", 2012, arXiv:1209.2673 (class-conditional).
Dunn, Wasserman and Ramdas, "Distribution-free prediction sets for two-layer hierarchical models", 2022, JASA,
10.1080/01621459.2022.2060112. Lee, Barber and Willett, "Distribution-free inference with hierarchical data", 2023,
arXiv:2306.06342. Angelopoulos et al., "Conformal risk control", 2022, arXiv:2208.02814.
Lu, Angelopoulos and Pomerantz, "Improving trustworthiness of AI disease severity rating in medical imaging with ordinal
conformal prediction sets", MICCAI 2022, arXiv:2207.02238 (contiguous sets, lumbar stenosis).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from stenograde.evaluate.labelled_cells import Codes, Floats, checked_classes, checked_probabilities

Flags = NDArray[np.bool_]
Patients = Sequence[str] | NDArray[np.str_] | Codes

NO_LIMIT = 1.0
"""No more probability than this can lie in a tail."""

_DIGITS = 12
"""Decimals of a mass in a tail."""

_ROUNDING = 1e-9
"""What sums of weights may be off by."""


@dataclass(frozen=True)
class ConformalSets:
    """Limits that make probabilities into sets of classes; plain numbers, as a TOML table holds them.

    Raises
    ------
    ValueError
        If the coverage or a limit is not within 0 to 1, or there are not limits for each of at least two classes.
    """

    coverage: float
    """Share of the cells of each class whose set is to hold the class."""
    limits: tuple[tuple[float, float], ...]
    """By class, ascending: how much probability may lie on milder and on more severe classes."""
    patients: tuple[int, ...]
    """Calibration patients who have the class."""
    cells: tuple[int, ...]
    """Calibration cells of the class."""
    per: Literal["cell", "patient"] = "cell"
    """What is covered: a random cell of the class, or one of a random patient who has the class."""

    def __post_init__(self) -> None:
        n, known = len(self.limits), {len(self.patients), len(self.cells)}
        sound = all(0 <= limit <= NO_LIMIT for pair in self.limits for limit in pair)
        if not (0 < self.coverage < 1 and sound and n >= 2 and known == {n}):
            msg = (
                "conformal sets must have a coverage within 0 to 1, and two limits within 0 to 1, patients and cells "
                f"for each of two classes or more, got {self.coverage}, {self.limits}, {self.patients}, {self.cells}"
            )
            raise ValueError(msg)

    @property
    def always(self) -> tuple[int, ...]:
        """Classes that are in every set, because too few patients say where to end."""
        return tuple(place for place, pair in enumerate(self.limits) if min(pair) >= NO_LIMIT)

    def sets(self, probabilities: ArrayLike) -> Flags:
        """Return which classes cannot be excluded: neighbours, at least one.

        Where no class is within its limits, it is the one that is least outside, and gaps are filled. Both only enlarge
        sets, so coverage is at least what it was.

        Parameters
        ----------
        probabilities : ndarray of shape (n, classes)

        Returns
        -------
        sets : ndarray of shape (n, classes), bool

        Raises
        ------
        ValueError
            If the shape is another, or a row is not at least 0 and of sum one.

        Examples
        --------
        >>> limits = ConformalSets(0.9, ((1.0, 0.3), (0.8, 0.8), (0.9, 1.0)), (90, 40, 20), (400, 60, 30))
        >>> limits.sets([(0.9, 0.1, 0.0), (0.75, 0.2, 0.05), (0.3, 0.4, 0.3)]).astype(int).tolist()
        [[1, 0, 0], [1, 1, 0], [0, 1, 1]]
        """
        tails = _tails(checked_probabilities(probabilities, len(self.limits)))
        beyond = (tails - np.array(self.limits)).max(axis=2)
        inside = beyond <= 0
        nothing = np.flatnonzero(~inside.any(axis=1))
        inside[nothing, beyond[nothing].argmin(axis=1)] = True
        from_below = np.logical_or.accumulate(inside, axis=1)
        from_above = np.logical_or.accumulate(inside[:, ::-1], axis=1)[:, ::-1]
        return from_below & from_above

    def abstentions(self, probabilities: ArrayLike) -> tuple[str, ...]:
        """Return for each cell why it gets no grade, as a phrase; empty where its set excludes a severity.

        Examples
        --------
        >>> limits = ConformalSets(0.9, ((1.0, 0.8), (0.8, 0.8), (0.9, 1.0)), (90, 40, 20), (400, 60, 30))
        >>> limits.abstentions([(0.9, 0.1, 0.0), (0.3, 0.4, 0.3)])
        ('', 'no severity can be excluded at 90 % coverage')
        """
        reason = f"no severity can be excluded at {100 * self.coverage:.3g} % coverage"
        sizes = self.sets(probabilities).sum(axis=1).tolist()
        return tuple(reason if size == len(self.limits) else "" for size in sizes)


@dataclass(frozen=True)
class ClassCoverage:
    """How many cells of a class have a set that holds the class."""

    cells: int
    patients: int
    """Patients who have the class."""
    per_cell: float
    """Share of the cells; NaN without any."""
    per_patient: float
    """Mean over the patients of the share of their cells; NaN without any."""


def fit_conformal(
    probabilities: ArrayLike,
    truth: ArrayLike,
    patients: Patients,
    *,
    coverage: float = 0.9,
    per: Literal["cell", "patient"] = "cell",
) -> ConformalSets:
    """Return the limits with which sets hold the true class of new patients' cells as often as asked.

    Fit conditions apart: their graders differ. A class with too few patients to say is in every set
    (:attr:`ConformalSets.always`): at 90 % fewer than 9 for the mildest and the most severe, fewer than 19 for one in
    the middle, which has two limits; where patients have different numbers of cells, it is the effective number of
    patients that counts (Kish, "Survey sampling", 1965: square of the sum over sum of the squares).

    Parameters
    ----------
    probabilities : ndarray of shape (n, classes)
        Of cells that the grader was not trained on, such as out-of-fold ones; classes ascending.
    truth : ndarray of shape (n,), int
        Number of the true class.
    patients : sequence of length n
        Whose cell it is.
    coverage : float
        Within 0 to 1.
    per : {"cell", "patient"}
        What is covered: a random cell of the class, or a random one of a random patient who has the class.

    Raises
    ------
    ValueError
        If lengths differ, there is nothing, a row does not sum to one or a truth is no class.
    """
    tails = _tails(checked_probabilities(probabilities))
    classes, codes = checked_classes(truth, tails.shape[:2]), _patient_codes(patients, len(tails))
    if per not in {"cell", "patient"} or not 0 < coverage < 1:
        msg = f"coverage must be above 0 and below 1, per cell or per patient, got {coverage}, per {per}"
        raise ValueError(msg)
    limits, n_patients, last = [], [], tails.shape[1] - 1
    for place in range(last + 1):
        chosen = classes == place
        _, of_class = np.unique(codes[chosen], return_inverse=True)
        share = coverage if place in {0, last} else (1 + coverage) / 2
        milder, worse = (_limit(tails[chosen, place, side], of_class, share, per) for side in (0, 1))
        limits.append((milder if place else NO_LIMIT, worse if place < last else NO_LIMIT))
        n_patients.append(int(of_class.max(initial=-1)) + 1)
    n_cells = np.bincount(classes, minlength=last + 1).tolist()
    return ConformalSets(coverage, tuple(limits), tuple(n_patients), tuple(n_cells), per)


def coverage_by_class(sets: Flags, truth: ArrayLike, patients: Patients) -> tuple[ClassCoverage, ...]:
    """Return how often sets hold the true class, for each class.

    Parameters
    ----------
    sets : ndarray of shape (n, classes), bool
    truth, patients
        As in :func:`fit_conformal`; patients that limits were not fitted on.

    Raises
    ------
    ValueError
        If lengths differ, there is nothing or a truth is no class.
    """
    classes, codes = checked_classes(truth, np.shape(sets)), _patient_codes(patients, len(sets))
    found = []
    for place in range(sets.shape[1]):
        chosen = classes == place
        names, of_class, counts = np.unique(codes[chosen], return_inverse=True, return_counts=True)
        held = sets[chosen, place].astype(np.float64)
        by_patient = np.bincount(of_class, weights=held, minlength=names.size) / counts
        means = (float(one.mean()) if one.size else math.nan for one in (held, by_patient))
        found.append(ClassCoverage(held.size, names.size, *means))
    return tuple(found)


def _tails(probabilities: Floats) -> Floats:
    """Return the mass on milder and on more severe classes of each class, shape (n, classes, 2).

    Rounded, so that masses that are equal are equal whichever way they were added up.
    """
    up_to = np.cumsum(probabilities, axis=1)
    masses = np.stack([up_to - probabilities, up_to[:, -1:] - up_to], axis=2)
    return np.clip(masses.round(_DIGITS), 0.0, NO_LIMIT)


def _limit(scores: Floats, patients: Codes, coverage: float, per: str) -> float:
    """Return the limit of one tail of the cells of a class; their patients are numbered from 0 on."""
    if not scores.size:
        return NO_LIMIT
    weights = np.ones(scores.size) if per == "cell" else 1 / np.bincount(patients)[patients]
    totals = np.bincount(patients, weights=weights)
    effective = totals.sum() ** 2 / (totals**2).sum()
    if effective < coverage / (1 - coverage) - _ROUNDING:
        return NO_LIMIT
    order = np.argsort(scores, kind="stable")
    scores, patients, weights = scores[order], patients[order], weights[order]
    most = round(totals.max())  # 1 per patient
    kept = next((one for one in range(1, most) if _holds(scores, patients, coverage, one)), most)
    return _quantile(scores, weights, coverage, kept)


def _holds(scores: Floats, patients: Codes, coverage: float, kept: int) -> bool:
    """Whether the limits of all others cover each patient, so many cells being kept for it; scores ascend."""
    of_patient = np.split(np.argsort(patients, kind="stable"), np.cumsum(np.bincount(patients))[:-1])
    covered = 0
    for own in of_patient:
        among_others = math.ceil(coverage * (scores.size - own.size + kept) - _ROUNDING) - 1
        place = among_others + np.count_nonzero(own - np.arange(own.size) <= among_others)
        limit = scores[place] if place < scores.size else NO_LIMIT
        covered += int(np.count_nonzero(scores[own] <= limit))
    return covered >= coverage * scores.size - _ROUNDING


def _quantile(scores: Floats, weights: Floats, coverage: float, kept: int) -> float:
    """Return the score up to which lies the wanted share of all weight, with what is kept for a new patient."""
    reached = np.cumsum(weights)
    place = int(np.searchsorted(reached, coverage * (reached[-1] + kept) - _ROUNDING))
    return float(scores[place]) if place < scores.size else NO_LIMIT


def _patient_codes(patients: Patients, n_cells: int) -> Codes:
    names = np.asarray(patients)
    if names.shape != (n_cells,):
        msg = f"patients must be one for each of {n_cells} cells, got shape {names.shape}"
        raise ValueError(msg)
    return np.unique(names, return_inverse=True)[1]
