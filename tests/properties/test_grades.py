"""Three numbers are probabilities or do not exist; a pool of two opinions favours neither."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.properties.strategies import probabilities

from stenograde.grades import Probabilities
from stenograde.terms import Severity

any_share = st.floats(allow_nan=True, allow_infinity=True) | st.floats(-0.1, 1.1)


@given(st.tuples(any_share, any_share, any_share))
def test_three_numbers_are_probabilities_only_if_finite_not_negative_and_of_sum_one(
    shares: tuple[float, float, float],
) -> None:
    sound = all(math.isfinite(share) and share >= 0 for share in shares) and abs(sum(shares) - 1) <= 1e-6
    if sound:
        assert Probabilities(shares) == shares
    else:
        with pytest.raises(ValueError, match=r"^probabilities must be 3 of at least 0 that sum to 1, got"):
            Probabilities(shares)


@given(probabilities(), st.integers(0, 2), st.sampled_from([math.nan, math.inf, -math.inf, -1e-9]))
def test_probabilities_when_one_is_spoilt_then_they_are_refused(
    sound: Probabilities, place: int, share: float
) -> None:
    spoilt = [*sound[:place], share, *sound[place + 1 :]]
    with pytest.raises(ValueError, match=r"^probabilities must be"):
        Probabilities(spoilt)


@given(probabilities())
def test_severity_is_the_mildest_of_the_most_probable_and_the_mean_rank_lies_between_the_ends(
    one: Probabilities,
) -> None:
    assert one[one.severity.rank] == max(one)
    assert all(share < max(one) for share in one[: one.severity.rank])
    assert 0 <= one.expected_rank <= 2 + 1e-6


@given(st.sampled_from(Severity))
def test_mean_rank_of_what_is_certain_is_its_rank(severity: Severity) -> None:
    certain = Probabilities(float(other is severity) for other in Severity)
    assert certain.severity is severity
    assert certain.expected_rank == severity.rank


@given(probabilities(), probabilities())
def test_pool_sums_to_one_is_symmetric_and_agrees_where_both_do(
    one: Probabilities, other: Probabilities
) -> None:
    both = one.pooled(other)
    assert math.isclose(sum(both), 1, abs_tol=1e-12)
    assert both == other.pooled(one)
    assert one.pooled(one) == pytest.approx(one)
    if one.severity is other.severity:
        assert both[one.severity.rank] == pytest.approx(max(both))


def test_opinions_that_exclude_each_other_leave_even_odds() -> None:
    one, other = Probabilities((1.0, 0.0, 0.0)), Probabilities((0.0, 0.0, 1.0))
    assert one.pooled(other) == (1 / 3, 1 / 3, 1 / 3)
