"""Labels by slice location: order, mirror and shift change nothing; clusters are contiguous and ordered."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from stenograde.datasets.sagittal_slices import mid_lateral_of
from stenograde.levels.axial_levels import cluster_numbers

counts = st.integers(1, 40)
steps = st.floats(3.3, 6.5)
"""Distances of sagittal slices in the document's table 1, mm."""


@given(n=counts, step_mm=steps, shift_mm=st.floats(-200, 200))
def test_any_stack_of_the_documents_spacing_has_five_mid_slices_or_all(
    n: int, step_mm: float, shift_mm: float
) -> None:
    labels = mid_lateral_of(shift_mm + step_mm * np.arange(n))
    # of an even number, the slice nearest to the middle has one neighbour more on one side than on the other
    assert labels.count("mid") == (5 if n >= 5 else n)
    first = labels.index("mid")
    assert set(labels[first : first + labels.count("mid")]) == {"mid"}


@given(n=counts.map(lambda one: 2 * one - 1), step_mm=steps)
def test_the_mirrored_stack_has_mirrored_labels(n: int, step_mm: float) -> None:
    locations = step_mm * (np.arange(n) - (n - 1) / 2)
    assert mid_lateral_of(-locations) == mid_lateral_of(locations)[::-1] == mid_lateral_of(locations)


@given(
    locations=arrays(np.float64, st.integers(5, 30), elements=st.integers(-300, 300).map(float), unique=True),
    n=st.integers(1, 5),
    shift_mm=st.integers(-1000, 1000),
)
def test_clusters_are_contiguous_runs_in_order_and_do_not_depend_on_the_origin(
    locations: np.ndarray, n: int, shift_mm: int
) -> None:
    numbers = cluster_numbers(locations, n)
    assert set(numbers.tolist()) == set(range(n))
    assert (np.diff(numbers[np.argsort(locations)]) >= 0).all()

    def squares(of: np.ndarray) -> float:
        return sum(float(np.square(locations[of == k] - locations[of == k].mean()).sum()) for k in range(n))

    # where two divisions are equally good, either may come back
    assert np.isclose(squares(numbers), squares(cluster_numbers(locations + shift_mm, n)), atol=1e-6)
