"""Tests of differences: known examples, and what patients with several pictures do to them."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats
from tests.made_predictions import made_predictions, stated_predictions

from stenograde.errors import DatasetError
from stenograde.evaluate.hypothesis_tests import compare_repeats, delong, mcnemar, paired_bootstrap
from stenograde.evaluate.predictions import Predictions

NORMAL = stats.norm.ppf(np.linspace(0.025, 0.975, 20))
"""Twenty scores that no test will doubt to be Normal."""


def _tripled(predictions: Predictions) -> Predictions:
    """Return each picture three times, as three pictures of one patient."""
    n = len(predictions)
    tripled = predictions.chosen(np.repeat(np.arange(n), 1))
    return Predictions(
        tripled.classes,
        tuple(f"{name}/{k}" for k in range(3) for name in tripled.names),
        tripled.names * 3,
        np.tile(tripled.labels, 3),
        np.tile(tripled.probabilities, (3, 1)),
    )


def test_repeats_when_normal_with_equal_variances_then_it_is_the_t_test() -> None:
    a, b = 0.93 + 0.01 * NORMAL, 0.90 + 0.01 * NORMAL[::-1]
    found = compare_repeats(a, b)
    assert found.test == "t-test"
    assert found.p == pytest.approx(stats.ttest_ind(a, b).pvalue)
    assert (found.mean_a, found.mean_b, found.difference) == pytest.approx((0.93, 0.90, 0.03))
    assert found.cohens_d == pytest.approx(0.03 / a.std(ddof=1))


def test_repeats_when_variances_differ_then_it_is_welchs() -> None:
    a, b = 0.93 + 0.03 * NORMAL, 0.90 + 0.003 * NORMAL
    found = compare_repeats(a, b)
    assert found.equal_variance_p < 0.05 < min(found.normal_p)
    assert found.test == "Welch's t-test"
    assert found.p == pytest.approx(stats.ttest_ind(a, b, equal_var=False).pvalue)


def test_repeats_when_one_is_not_normal_then_it_is_welchs() -> None:
    lumps = np.repeat([0.8, 0.9], [2, 18])
    found = compare_repeats(lumps, lumps.mean() + lumps.std(ddof=1) * NORMAL)
    assert found.normal_p[0] < 0.05 < found.normal_p[1]
    assert found.test == "Welch's t-test"


def test_repeats_when_corrected_then_the_p_value_is_larger_and_is_the_formulas() -> None:
    rng = np.random.default_rng(3)
    a = 0.91 + 0.01 * rng.normal(size=20)
    b = a - 0.004 + 0.006 * rng.normal(size=20)
    found = compare_repeats(a, b, test_over_train=0.25)
    plain = stats.ttest_rel(a, b)
    # t of the paired test, with 1/20 + 1/4 in place of 1/20 (Nadeau and Bengio, equation 9)
    t = plain.statistic * math.sqrt((1 / 20) / (1 / 20 + 1 / 4))
    assert found.corrected_p == pytest.approx(2 * stats.t.sf(abs(t), 19))
    assert found.corrected_p is not None
    assert found.corrected_p > plain.pvalue


def test_repeats_when_lengths_differ_then_there_is_no_corrected_test() -> None:
    assert compare_repeats(NORMAL, NORMAL[:10]).corrected_p is None


def test_repeats_when_nothing_varies_then_the_answer_is_certain() -> None:
    same, apart = compare_repeats([0.9] * 5, [0.9] * 5), compare_repeats([0.9] * 5, [0.8] * 5)
    assert (same.p, same.corrected_p, same.cohens_d) == (1, 1, 0)
    assert (apart.p, apart.corrected_p, apart.cohens_d) == (0, 0, math.inf)


@pytest.mark.parametrize(
    ("a", "b", "ratio"),
    [([0.9, 0.8], [0.9, 0.8, 0.7], 0.25), ([0.9, math.nan, 0.8], [1, 2, 3], 0.25), ([1, 2, 3], [1, 2, 3], 0)],
)
def test_repeats_when_they_cannot_be_compared_then_they_are_refused(
    a: list[float], b: list[float], ratio: float
) -> None:
    with pytest.raises(ValueError, match="at least three finite scores"):
        compare_repeats(a, b, test_over_train=ratio)


def test_delong_when_each_patient_has_one_picture_then_both_forms_are_the_same() -> None:
    a, b = (made_predictions(80, 1, of_method=k) for k in (0, 1))
    found = delong(a, b)
    assert found.p == pytest.approx(found.p_rows)
    assert 0 < found.p < 1
    assert found.low < found.difference < found.high


def test_delong_when_every_picture_is_there_three_times_then_only_the_rows_believe_it() -> None:
    one = [made_predictions(80, 1, of_method=k) for k in (0, 1)]
    found, tripled = delong(*one), delong(*(_tripled(p) for p in one))
    assert tripled.difference == pytest.approx(found.difference)
    assert tripled.p_rows < found.p_rows
    assert tripled.p == pytest.approx(found.p, rel=0.02)


def test_delong_when_the_two_change_places_then_so_does_the_sign() -> None:
    a, b = (made_predictions(30, of_method=k) for k in (0, 1))
    there, back = delong(a, b, question="auc_worst"), delong(b, a, question="auc_worst")
    assert there.difference == pytest.approx(-back.difference)
    assert there.p == pytest.approx(back.p)
    assert there.effect == pytest.approx(-back.effect)


def test_delong_when_the_two_are_the_same_then_there_is_no_difference() -> None:
    found = delong(made_predictions(10), made_predictions(10))
    assert (found.difference, found.p, found.p_rows, found.effect) == (0, 1, 1, 0)


def test_delong_when_it_cannot_be_asked_then_it_says_why() -> None:
    a = stated_predictions([0, 0, 1], [0, 1, 1])
    with pytest.raises(ValueError, match="one of auc_any, auc_worst, got 'auc'"):
        delong(a, a, question="auc")
    with pytest.raises(ValueError, match="pictures of both answers, got 0 positive of 3"):
        delong(a, a, question="auc_worst")
    with pytest.raises(DatasetError, match="images of both results"):
        delong(a, a.chosen([0, 1]))


def test_mcnemar_when_methods_disagree_then_it_is_the_exact_sign_test() -> None:
    labels = [0] * 20
    a, b = (
        stated_predictions(labels, [0] * 15 + [1] * 5),
        stated_predictions(labels, [1] * 9 + [0] * 8 + [1] * 3),
    )
    found = mcnemar(a, b)
    assert (found.only_a, found.only_b) == (9, 2)
    # two or fewer of eleven, twice: 2 * (1 + 11 + 55) / 2 ** 11
    assert found.p == pytest.approx(134 / 2048)
    # one picture per patient: (9 - 2) / sqrt(9 + 2), McNemar's own statistic
    assert found.p_patients == pytest.approx(2 * stats.norm.sf(7 / math.sqrt(11)))
    assert found.odds_ratio == 4.5
    assert found.cohens_g == pytest.approx(9 / 11 - 0.5)
    assert found.cohens_h == pytest.approx(2 * math.asin(math.sqrt(0.75)) - 2 * math.asin(math.sqrt(0.4)))


def test_mcnemar_when_pictures_of_a_patient_go_together_then_it_is_less_sure() -> None:
    a = stated_predictions([0] * 12, [0] * 12)
    b = stated_predictions([0] * 12, [0] * 6 + [1] * 6)
    few = tuple("abcdef"[i // 2] for i in range(12))
    alone, grouped = mcnemar(a, b), mcnemar(replace(a, patients=few), replace(b, patients=few))
    assert grouped.p == alone.p
    # six disagreements of three patients, two each, all one way
    assert grouped.p_patients == pytest.approx(2 * stats.norm.sf(6 / math.sqrt(12)))
    assert grouped.p_patients > alone.p_patients


def test_mcnemar_when_methods_agree_then_there_is_no_difference() -> None:
    same = mcnemar(made_predictions(5), made_predictions(5))
    assert (same.p, same.p_patients, same.cohens_g, same.cohens_h) == (1, 1, 0, 0)
    assert math.isnan(same.odds_ratio)


def test_paired_bootstrap_when_methods_are_alike_then_its_interval_is_narrower_than_of_each() -> None:
    a = made_predictions(100)
    shares = a.probabilities * np.random.default_rng(0).uniform(0.8, 1.2, size=a.probabilities.shape)
    b = replace(a, probabilities=shares / shares.sum(1, keepdims=True))
    found = paired_bootstrap(a, b, "auc_any", draws=300)
    both = paired_bootstrap(a, made_predictions(100, of_method=1), "auc_any", draws=300)
    assert found.difference.value == pytest.approx(found.a - found.b)
    assert found.difference.high - found.difference.low < (both.difference.high - both.difference.low) / 3


def test_paired_bootstrap_when_a_method_meets_itself_then_the_difference_is_0_in_every_draw() -> None:
    a = made_predictions(10)
    found = paired_bootstrap(a, a.chosen(reversed(range(len(a)))), "macro_f1", draws=50)
    assert (found.difference.value, found.difference.low, found.difference.high) == (0, 0, 0)
