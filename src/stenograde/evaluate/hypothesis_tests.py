"""Is one method better than another, or was it luck: tests over repeats, and tests on the same pictures.

Tests over repeats follow the fourth document. Its repeats share their pictures, so they are not independent and its
p-values are too small; the corrected resampled t-test stands beside them. Tests on the same pictures come twice where
the usual form takes rows for independent: once so, and once with the patient as the unit.

References
----------
Nadeau and Bengio, "Inference for the generalization error", 2003, 10.1023/A:1024068626366.
DeLong, DeLong and Clarke-Pearson, 1988, 10.2307/2531595; Sun and Xu, 2014, 10.1109/LSP.2014.2337313 (its ranks).
Obuchowski, "Nonparametric analysis of clustered ROC curve data", 1997, 10.2307/2533958.
McNemar, 1947, 10.1007/BF02295996; Obuchowski, "On the comparison of correlated proportions for clustered data", 1998,
10.1002/(SICI)1097-0258(19980715)17:13<1495::AID-SIM863>3.0.CO;2-I.
Cohen, "Statistical Power Analysis for the Behavioral Sciences", 1988 (d, g, h).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from stenograde.evaluate.intervals import Interval, interval_of, patient_weights
from stenograde.evaluate.metrics import QUESTIONS, Metric, metric_named
from stenograde.evaluate.predictions import Predictions, matched

Floats = NDArray[np.float64]

SIGNIFICANCE = 0.05
"""p-value below which a sample does not pass as Normal, or two variances as equal (seed document 4: p < 0.05)."""


@dataclass(frozen=True)
class RepeatsTest:
    """Scores of two methods over repeated splits, compared."""

    mean_a: float
    mean_b: float
    difference: float
    """Difference of the means, a minus b."""
    normal_p: tuple[float, float]
    """Kolmogorov-Smirnov p-value of each against the Normal of its own mean and deviation. Since those are taken from
    the sample, the test is lenient; it is the document's."""
    equal_variance_p: float
    """Bartlett's p-value."""
    test: Literal["t-test", "Welch's t-test"]
    """The t-test where both pass as Normal and their variances as equal, else Welch's."""
    p: float
    """Two-sided; too small, because repeats share pictures."""
    corrected_p: float | None
    """p of the corrected resampled t-test over differences repeat by repeat; None where repeats have no partners."""
    cohens_d: float
    """Difference in pooled standard deviations of single repeats."""


@dataclass(frozen=True)
class DeLongTest:
    """Areas under two ROC curves on the same pictures, compared."""

    auc_a: float
    auc_b: float
    difference: float
    """a minus b."""
    low: float
    """Bounds of the 95 % interval of the difference, with patients as units."""
    high: float
    p: float
    """Two-sided, with patients as units (Obuchowski)."""
    p_rows: float
    """Two-sided, as if pictures were independent (DeLong)."""
    effect: float
    """Difference of the distances between two Normal classes of equal spread that would give the areas, in standard
    deviations (Cohen's d of each, 2 ** 0.5 times the Normal quantile of the area)."""


@dataclass(frozen=True)
class McNemarTest:
    """How many pictures only one of two methods classifies correctly."""

    only_a: int
    only_b: int
    p: float
    """Exact, two-sided, as if pictures were independent."""
    p_patients: float
    """Two-sided, with patients as units (Obuchowski)."""
    odds_ratio: float
    """``only_a / only_b``; infinite where b is never alone in being right, NaN where neither is."""
    cohens_g: float
    """Distance of a's share of the disagreements from one half: .05 small, .15 medium, .25 large."""
    cohens_h: float
    """Difference of the two accuracies on the arcsine scale: .2 small, .5 medium, .8 large."""


@dataclass(frozen=True)
class PairedDifference:
    """One score of two methods on the same pictures."""

    a: float
    b: float
    difference: Interval
    """a minus b, each draw of patients taken for both."""


def compare_repeats(a: ArrayLike, b: ArrayLike, *, test_over_train: float = 0.25) -> RepeatsTest:
    """Compare scores over repeated splits, as the fourth document does and with its correction.

    Parameters
    ----------
    a, b : array-like of shape (repeats,)
        One score per repeat. For the corrected test repeat i of both must be the same split.
    test_over_train : float
        Pictures tested on over pictures trained on; 0.25 for 80:20.

    Raises
    ------
    ValueError
        If there are fewer than three repeats, a score is not finite, or the ratio is not above zero.
    """
    one, two = (np.asarray(scores, np.float64) for scores in (a, b))
    if (
        min(one.size, two.size) < 3
        or not np.isfinite(np.concatenate([one, two])).all()
        or test_over_train <= 0
    ):
        msg = (
            f"repeats to compare must be at least three finite scores each, with test_over_train above 0, got "
            f"{one.tolist()}, {two.tolist()} and {test_over_train}"
        )
        raise ValueError(msg)
    normal = (_normal_p(one), _normal_p(two))
    alike = float(stats.bartlett(one, two).pvalue) if min(np.ptp(one), np.ptp(two)) > 0 else 0.0
    plain = min(*normal, alike) >= SIGNIFICANCE
    pooled = np.sqrt(
        ((one.size - 1) * one.var(ddof=1) + (two.size - 1) * two.var(ddof=1)) / (one.size + two.size - 2)
    )
    difference = float(one.mean() - two.mean())
    return RepeatsTest(
        mean_a=float(one.mean()),
        mean_b=float(two.mean()),
        difference=difference,
        normal_p=normal,
        equal_variance_p=alike,
        test="t-test" if plain else "Welch's t-test",
        p=float(stats.ttest_ind(one, two, equal_var=plain).pvalue) if pooled > 0 else _certain(difference),
        corrected_p=_corrected_p(one - two, test_over_train) if one.size == two.size else None,
        cohens_d=_over(difference, float(pooled)),
    )


def delong(a: Predictions, b: Predictions, *, question: str = "auc_any") -> DeLongTest:
    """Compare the areas under two ROC curves on the same pictures.

    Parameters
    ----------
    a, b : Predictions
        Answers for the same pictures, in any order.
    question : {"auc_any", "auc_worst"}

    Raises
    ------
    DatasetError
        If the two are not about the same pictures.
    ValueError
        If the question is unknown, or all pictures have the same answer to it.
    """
    if question not in QUESTIONS:
        msg = f"question must be one of {', '.join(QUESTIONS)}, got {question!r}"
        raise ValueError(msg)
    parts = [QUESTIONS[question](predictions) for predictions in (a, matched(a, b))]
    positive = parts[0][1]
    if positive.all() or not positive.any():
        msg = f"an ROC curve needs pictures of both answers, got {positive.sum()} positive of {positive.size}"
        raise ValueError(msg)
    aucs, of_positives, of_negatives = zip(
        *(_placements(scores, positive) for scores, _ in parts), strict=True
    )
    over_positives, over_negatives = of_positives[0] - of_positives[1], of_negatives[0] - of_negatives[1]
    difference = float(aucs[0] - aucs[1])
    by_patient = _clustered_error(over_positives, over_negatives, a.units[positive], a.units[~positive])
    rows = np.arange(len(a))
    by_row = _clustered_error(over_positives, over_negatives, rows[positive], rows[~positive])
    reach = float(stats.norm.ppf(0.975)) * by_patient
    return DeLongTest(
        auc_a=float(aucs[0]),
        auc_b=float(aucs[1]),
        difference=difference,
        low=difference - reach,
        high=difference + reach,
        p=_normal_two_sided(difference, by_patient),
        p_rows=_normal_two_sided(difference, by_row),
        effect=_distance(float(aucs[0])) - _distance(float(aucs[1])),
    )


def mcnemar(a: Predictions, b: Predictions) -> McNemarTest:
    """Compare which of the same pictures two methods classify correctly.

    Raises
    ------
    DatasetError
        If the two are not about the same pictures.
    """
    right_a, right_b = (p.predicted == p.labels for p in (a, matched(a, b)))
    only_a, only_b = int((right_a & ~right_b).sum()), int((right_b & ~right_a).sum())
    apart = only_a + only_b
    per_patient = np.bincount(a.units, weights=right_a.astype(np.float64) - right_b)
    spread = float(np.sqrt((per_patient**2).sum()))
    angles = [2 * np.arcsin(np.sqrt(right.mean())) for right in (right_a, right_b)]
    return McNemarTest(
        only_a=only_a,
        only_b=only_b,
        p=float(stats.binomtest(only_a, apart, 0.5).pvalue) if apart else 1.0,
        p_patients=_normal_two_sided(float(per_patient.sum()), spread),
        odds_ratio=_over(float(only_a), float(only_b)) if apart else float("nan"),
        cohens_g=only_a / apart - 0.5 if apart else 0.0,
        cohens_h=float(angles[0] - angles[1]),
    )


def paired_bootstrap(
    a: Predictions, b: Predictions, metric: str | Metric, *, draws: int = 1000, seed: int = 0
) -> PairedDifference:
    """Return a score of two methods and the 95 % interval of the difference, patients being drawn for both alike.

    Raises
    ------
    DatasetError
        If the two are not about the same pictures.
    ValueError
        If the metric is unknown or there are no draws.
    """
    chosen = metric_named(metric) if isinstance(metric, str) else metric
    other = matched(a, b)
    drawn = np.concatenate(
        [
            chosen.weighted(a, weights) - chosen.weighted(other, weights)
            for weights in patient_weights(a.units, draws=draws, seed=seed)
        ]
    )
    value_a, value_b = chosen(a), chosen(other)
    return PairedDifference(value_a, value_b, interval_of(value_a - value_b, drawn))


def _normal_p(scores: Floats) -> float:
    """Kolmogorov-Smirnov p-value against the fitted Normal; 0 for a sample of one value, which has none."""
    if np.ptp(scores) == 0:
        return 0.0
    return float(stats.kstest(scores, "norm", args=(scores.mean(), scores.std(ddof=1))).pvalue)


def _corrected_p(differences: Floats, test_over_train: float) -> float:
    k, mean = differences.size, float(differences.mean())
    error = float(np.sqrt((1 / k + test_over_train) * differences.var(ddof=1)))
    return float(2 * stats.t.sf(abs(mean) / error, k - 1)) if error > 0 else _certain(mean)


def _placements(scores: Floats, positive: NDArray[np.bool_]) -> tuple[float, Floats, Floats]:
    """Area, and for each positive (negative) the share of negatives (positives) on its right side."""
    up, down = scores[positive], scores[~positive]
    ranks = stats.rankdata(np.concatenate([up, down]))
    above = (ranks[: up.size] - stats.rankdata(up)) / down.size
    below = 1 - (ranks[up.size :] - stats.rankdata(down)) / up.size
    return float(above.mean()), above, below


def _clustered_error(
    above: Floats, below: Floats, units_above: NDArray[np.int64], units_below: NDArray[np.int64]
) -> float:
    """Give a difference of areas its standard error (Obuchowski); with each row its own unit it is DeLong's."""
    n = int(np.concatenate([units_above, units_below]).max()) + 1
    # sums over each unit of what differs from the mean
    ups = np.bincount(units_above, weights=above - above.mean(), minlength=n)
    downs = np.bincount(units_below, weights=below - below.mean(), minlength=n)
    with_up, with_down, with_any = (
        np.unique(units).size
        for units in (units_above, units_below, np.concatenate([units_above, units_below]))
    )
    variance = (
        _enlarged(with_up) * (ups @ ups) / above.size**2
        + _enlarged(with_down) * (downs @ downs) / below.size**2
        + 2 * _enlarged(with_any) * (ups @ downs) / (above.size * below.size)
    )
    return math.sqrt(max(float(variance), 0.0))


def _enlarged(units: int) -> float:
    return units / (units - 1) if units > 1 else float("nan")


def _distance(auc: float) -> float:
    return float(np.sqrt(2) * stats.norm.ppf(auc))


def _normal_two_sided(value: float, error: float) -> float:
    if np.isnan(error):
        return float("nan")
    return float(2 * stats.norm.sf(abs(value) / error)) if error > 0 else _certain(value)


def _certain(difference: float) -> float:
    """p-value where nothing varies: 1 for no difference, 0 for any."""
    return 1.0 if difference == 0 else 0.0


def _over(upper: float, lower: float) -> float:
    if lower > 0:
        return upper / lower
    return 0.0 if upper == 0 else float(np.copysign(np.inf, upper))
