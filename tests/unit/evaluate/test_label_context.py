"""Labels in context: against scikit-learn, what a patient's other labels tell, and what must not count."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from stenograde.evaluate.label_audit import audit_cells, audit_labels
from stenograde.evaluate.label_context import probabilities_in_context, softmax_weights
from stenograde.terms import LUMBAR_MRI, Cell

CELLS = LUMBAR_MRI.cells


def cohort(
    patients: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, tuple[Cell, ...], list[str]]:
    """Return what a grader says of all cells, and labels of readers each of whom is strict or mild throughout."""
    narrowing = rng.normal(size=(patients, 1)) + rng.normal(size=(patients, len(CELLS)))
    reader = rng.choice([-1.5, 1.5], size=(patients, 1))
    limits = np.array([1.0, 2.5])
    truth = ((narrowing + reader)[..., None] > limits).sum(axis=2)
    below = 1 / (1 + np.exp((narrowing[..., None] - limits) / 0.9))
    shares = np.diff(below, axis=2, prepend=0.0, append=1.0)
    names = [f"patient {number}" for number in range(patients) for _ in CELLS]
    return shares.reshape(-1, 3), truth.ravel(), CELLS * patients, names


def test_weights_when_scikit_learn_fits_the_same_loss_then_probabilities_are_the_same() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(300, 4))
    classes = (x @ rng.normal(size=(4, 3)) + rng.gumbel(size=(300, 3))).argmax(axis=1)
    found = softmax_weights(x, np.zeros((300, 3)), classes, penalties=np.full(4, 5.0), steps=500)
    wanted = LogisticRegression(C=1 / 5, fit_intercept=False, tol=1e-10, max_iter=2000).fit(x, classes)
    said = np.exp(x @ found)
    assert said / said.sum(axis=1, keepdims=True) == pytest.approx(wanted.predict_proba(x), abs=1e-4)


def test_weights_when_the_start_is_right_then_they_are_nearly_none() -> None:
    rng = np.random.default_rng(1)
    start = 2 * rng.normal(size=(5000, 3))
    classes = (start + rng.gumbel(size=start.shape)).argmax(axis=1)
    weights = softmax_weights(
        rng.normal(size=(5000, 2)), start, classes, penalties=np.full(2, 1.0), steps=100
    )
    assert np.abs(weights).max() < 0.1


def test_readers_when_strict_or_mild_throughout_then_the_other_labels_tell_and_more_is_found() -> None:
    rng = np.random.default_rng(2)
    shares, truth, cells, names = cohort(150, rng)
    planted = rng.permutation(truth.size) < 0.03 * truth.size
    stated = np.where(planted, (truth + rng.integers(1, 3, truth.size)) % 3, truth)
    top = round(0.05 * truth.size)
    conditions = [cell.condition.value for cell in cells]
    found = [
        planted[[one.place for one in ranked[:top]]].sum() / planted.sum()
        for ranked in (
            audit_cells(shares, stated, cells, names),
            audit_labels(shares, stated, groups=conditions),
        )
    ]
    assert found[0] > found[1] + 0.1


def test_a_label_when_it_is_changed_then_what_is_said_of_it_is_not() -> None:
    shares, truth, cells, names = cohort(40, np.random.default_rng(3))
    before = probabilities_in_context(shares, truth, cells, names)
    for place in (0, 7, 24):
        changed = truth.copy()
        changed[place] = (truth[place] + 1) % 3
        after = probabilities_in_context(shares, changed, cells, names)
        assert after[place] == pytest.approx(before[place], abs=1e-9)
        beside = [other for other in range(25) if other != place]
        assert np.abs(after[beside] - before[beside]).max() > 1e-4


def test_left_and_right_when_swapped_then_they_are_told_the_same() -> None:
    shares, truth, cells, names = cohort(40, np.random.default_rng(4))
    other = {"left": "right", "right": "left"}
    swapped = [
        Cell.parse(cell.name.replace(cell.side, other[cell.side], 1)) if cell.side else cell for cell in cells
    ]
    assert probabilities_in_context(shares, truth, swapped, names) == pytest.approx(
        probabilities_in_context(shares, truth, cells, names), abs=1e-6
    )


def test_patients_when_each_has_one_cell_then_the_audit_is_that_of_cells_alone() -> None:
    shares, truth, cells, _ = cohort(12, np.random.default_rng(5))
    alone = [str(number) for number in range(len(truth))]
    conditions = [cell.condition.value for cell in cells]
    assert audit_cells(shares, truth, cells, alone) == audit_labels(shares, truth, groups=conditions)


def test_a_cohort_when_small_then_calibrated_probabilities_nearly_remain() -> None:
    shares, truth, cells, names = cohort(6, np.random.default_rng(6))
    said = probabilities_in_context(shares, truth, cells, names)
    assert np.abs(said - shares).max() < 0.35
    assert np.abs(said - shares).mean() < 0.1


def test_what_is_given_when_unsound_then_it_is_refused() -> None:
    shares, truth, cells, names = cohort(6, np.random.default_rng(7))
    with pytest.raises(ValueError, match=r"must have a row, class, cell .* got 150, 150, 150, 149"):
        audit_cells(shares, truth, cells, names[:-1])
    with pytest.raises(ValueError, match="cells must be one for each of 150 labels, got 149"):
        audit_cells(shares, truth, cells[:-1], names)
    neck = Cell.parse("left_neural_foraminal_narrowing_c3_c4")
    with pytest.raises(ValueError, match=r"left_neural_foraminal_narrowing_c3_c4"):
        audit_cells(shares, truth, (neck, *cells[1:]), names)
