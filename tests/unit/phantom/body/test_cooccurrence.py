"""Virtual patients are stenosed as often, and in the same cells together, as those of RSNA 2024."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.stats import multivariate_normal, norm

from stenograde.phantom import Population
from stenograde.phantom.body.cooccurrence import RSNA_SHARES, correlation, enriched, severity_of_rank
from stenograde.phantom.body.stenosis import (
    area_of,
    foramen_of,
    recess_of,
    severity_of_area,
    severity_of_recess,
)
from stenograde.terms import LUMBAR_MRI, Cell, Condition, Level, Severity, Side

_CELLS = LUMBAR_MRI.cells


@cache
def _drawn(n: int = 6000) -> NDArray[np.int64]:
    rng, population = np.random.default_rng(1), Population()
    drawn = [population.draw_severities(rng) for _ in range(n)]
    return np.array([[int(one[cell]) for cell in _CELLS] for one in drawn])


def test_every_grade_is_as_frequent_as_in_rsna() -> None:
    for k, cell in enumerate(_CELLS):
        shares = RSNA_SHARES[cell.condition][LUMBAR_MRI.levels.index(cell.level)]
        np.testing.assert_allclose(
            [(_drawn()[:, k] == grade).mean() for grade in range(3)], shares, atol=0.02
        )


def test_any_severe_canal_is_as_frequent_as_in_rsna_though_it_was_never_given() -> None:
    canals = [k for k, cell in enumerate(_CELLS) if cell.condition is Condition.SPINAL_CANAL_STENOSIS]
    assert (_drawn()[:, canals] == 2).any(axis=1).mean() == pytest.approx(0.185, abs=0.015)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("spinal_canal_stenosis_l4_l5", "left_subarticular_stenosis_l4_l5"),
        ("left_subarticular_stenosis_l4_l5", "right_subarticular_stenosis_l4_l5"),
        ("left_neural_foraminal_narrowing_l4_l5", "left_neural_foraminal_narrowing_l5_s1"),
    ],
)
def test_two_cells_are_abnormal_together_as_a_bivariate_normal_has_it(first: str, second: str) -> None:
    cells = [Cell.parse(first), Cell.parse(second)]
    rho = correlation(*cells)
    borders = [
        norm.ppf(RSNA_SHARES[cell.condition][LUMBAR_MRI.levels.index(cell.level)][0]) for cell in cells
    ]
    both_normal = multivariate_normal.cdf(borders, mean=[0, 0], cov=[[1, rho], [rho, 1]])
    drawn = _drawn()[:, [_CELLS.index(cell) for cell in cells]]
    assert (drawn == 0).all(axis=1).mean() == pytest.approx(both_normal, abs=0.025)


@given(
    rank=st.floats(0, 1),
    shares=st.sampled_from([*RSNA_SHARES[Condition.SUBARTICULAR_STENOSIS], (0.0, 0.5, 0.5)]),
)
def test_severity_of_a_rank_has_the_grade_of_its_share_and_its_geometry(
    rank: float, shares: tuple[float, float, float]
) -> None:
    severity = severity_of_rank(rank, shares)
    grade = tuple(Severity)[int(severity)]
    below = sum(shares[: grade.rank])
    assert below - 1e-9 <= rank <= below + shares[grade.rank] + 1e-9
    assert severity_of_area(area_of(severity, 170.0)) is grade
    assert severity_of_recess(recess_of(severity)) is grade
    assert foramen_of(severity).severity is grade


def test_a_worse_population_is_worse_in_every_cell() -> None:
    worse = Population().worse(0.7).severity_shares
    for condition, rows in RSNA_SHARES.items():
        for before, after in zip(rows, worse[condition], strict=True):
            assert after[0] < before[0]
            assert after[2] > before[2]
            assert sum(after) == pytest.approx(1)
    assert enriched((0.8, 0.15, 0.05), 0.0) == pytest.approx((0.8, 0.15, 0.05))


def test_correlation_does_not_ask_which_cell_comes_first() -> None:
    canal = Cell(Condition.SPINAL_CANAL_STENOSIS, Level.L3_L4)
    recess = Cell(Condition.SUBARTICULAR_STENOSIS, Level.L4_L5, Side.RIGHT)
    assert correlation(canal, recess) == correlation(recess, canal) == 0.49
