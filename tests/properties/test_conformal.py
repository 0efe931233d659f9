"""What must hold of conformal sets and of the label audit whatever the probabilities are."""

from __future__ import annotations

import numpy as np
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from stenograde.evaluate.conformal import coverage_by_class, fit_conformal
from stenograde.evaluate.label_audit import audit_labels

Cells = tuple[np.ndarray, np.ndarray, np.ndarray]


@st.composite
def cells(draw: st.DrawFn) -> Cells:
    """Any cells: two to five classes, patients with many cells or one, equal probabilities among them."""
    n, c = draw(st.integers(1, 60)), draw(st.integers(2, 5))
    parts = draw(hnp.arrays(np.int64, (n, c), elements=st.integers(0, 6)))
    parts[:, 0] += parts.sum(1) == 0
    truth = draw(hnp.arrays(np.int64, n, elements=st.integers(0, c - 1)))
    patients = draw(hnp.arrays(np.int64, n, elements=st.integers(0, n)))
    return parts / parts.sum(1, keepdims=True), truth, patients


@given(cells(), st.sampled_from([0.3, 0.5, 0.8, 0.9]), st.sampled_from(["cell", "patient"]))
def test_sets_are_neighbours_and_never_empty_and_whole_ones_abstain(
    made: Cells, coverage: float, per: str
) -> None:
    said, truth, patients = made
    fitted = fit_conformal(said, truth, patients, coverage=coverage, per=per)
    sets = fitted.sets(said)
    assert sets.any(axis=1).all()
    steps = np.diff(np.pad(sets.astype(int), ((0, 0), (1, 1))), axis=1)
    assert ((steps == 1).sum(axis=1) == 1).all()
    assert sets[:, list(fitted.always)].all()
    assert [bool(reason) for reason in fitted.abstentions(said)] == sets.all(axis=1).tolist()


@given(cells(), st.sampled_from(["cell", "patient"]))
def test_cells_that_were_calibrated_on_are_covered_at_least_as_often_as_asked(made: Cells, per: str) -> None:
    said, truth, patients = made
    fitted = fit_conformal(said, truth, patients, coverage=0.5, per=per)
    for one in coverage_by_class(fitted.sets(said), truth, patients):
        covered = one.per_cell if per == "cell" else one.per_patient
        assert one.cells == 0 or covered >= 0.5 - 1e-9


@given(cells(), st.sampled_from(["cell", "patient"]), st.randoms(use_true_random=False))
def test_limits_do_not_depend_on_the_order_of_cells_or_on_names_of_patients(
    made: Cells, per: str, random: object
) -> None:
    said, truth, patients = made
    places = list(range(len(truth)))
    random.shuffle(places)  # type: ignore[attr-defined]
    fitted = fit_conformal(said, truth, patients, coverage=0.5, per=per)
    named = [f"patient {1000 - one}" for one in patients[places]]
    again = fit_conformal(said[places], truth[places], named, coverage=0.5, per=per)
    np.testing.assert_allclose(again.limits, fitted.limits, atol=1e-12)
    assert again.cells == fitted.cells
    assert again.patients == fitted.patients


@given(cells())
def test_turning_the_scale_round_turns_the_sets_round(made: Cells) -> None:
    said, truth, patients = made
    last = said.shape[1] - 1
    fitted = fit_conformal(said, truth, patients, coverage=0.5)
    turned = fit_conformal(said[:, ::-1], last - truth, patients, coverage=0.5)
    np.testing.assert_allclose(np.array(turned.limits)[::-1, ::-1], fitted.limits, atol=1e-12)


@given(cells())
def test_the_audit_ranks_each_label_once_by_its_probability(made: Cells) -> None:
    said, truth, _ = made
    ranked = audit_labels(said, truth)
    assert sorted(one.place for one in ranked) == list(range(len(truth)))
    scores = [one.score for one in ranked]
    assert scores == sorted(scores)
    assert all(one.score == one.probabilities[one.stated] for one in ranked)
    assert all(one.suggested != one.stated for one in ranked)
    assume(len(np.unique(truth)) == 1)
    assert all(one.suggested is None for one in ranked)
