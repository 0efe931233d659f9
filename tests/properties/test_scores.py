"""What must hold of scores whatever the predictions are."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from tests.made_predictions import counted_predictions, raised

from stenograde.evaluate.baselines import majority
from stenograde.evaluate.calibration import top_reliability
from stenograde.evaluate.hypothesis_tests import delong, mcnemar
from stenograde.evaluate.intervals import patient_bootstrap
from stenograde.evaluate.metrics import METRICS, confusion
from stenograde.evaluate.predictions import Predictions, as_csv, matched, read_predictions
from stenograde.evaluate.prevalence import accuracy_at, npv_at, ppv_at

words = st.text(st.characters(exclude_categories=("C",)), min_size=1, max_size=8)


@st.composite
def predictions(draw: st.DrawFn) -> Predictions:
    """Any predictions: two to four classes, patients known or not, equal probabilities among them."""
    n, c = draw(st.integers(1, 12)), draw(st.integers(2, 4))
    parts = draw(hnp.arrays(np.int64, (n, c), elements=st.integers(0, 6)))
    parts[:, 0] += parts.sum(1) == 0
    patients = draw(st.lists(st.none() | st.sampled_from("abc"), min_size=n, max_size=n))
    return Predictions(
        classes=tuple(draw(st.lists(words, min_size=c, max_size=c, unique=True))),
        names=tuple(draw(st.lists(words, min_size=n, max_size=n, unique=True))),
        patients=tuple(patients),
        labels=np.array(draw(st.lists(st.integers(0, c - 1), min_size=n, max_size=n))),
        probabilities=parts / parts.sum(1, keepdims=True),
        groups=draw(st.none() | st.tuples(*[st.sampled_from(("l4_l5", "l5_s1"))] * n)),
    )


@given(predictions(), st.randoms(use_true_random=False))
def test_scores_do_not_depend_on_the_order_of_pictures(made: Predictions, random: object) -> None:
    places = list(range(len(made)))
    random.shuffle(places)  # type: ignore[attr-defined]
    shuffled = made.chosen(places)
    for name, metric in METRICS.items():
        assert metric(shuffled) == pytest.approx(metric(made), nan_ok=True), name


@given(predictions())
def test_scores_lie_where_they_must(made: Predictions) -> None:
    for name, metric in METRICS.items():
        value = metric(made)
        low, high = {"log_loss": (0, 37), "brier": (0, 2), "quadratic_kappa": (-1, 1)}.get(name, (0, 1))
        assert np.isnan(value) or low - 1e-9 <= value <= high + 1e-9, name
    assert confusion(made).sum() == len(made)
    assert METRICS["accuracy"](made) == pytest.approx(np.trace(confusion(made)) / len(made))


@given(predictions())
def test_a_picture_counted_twice_is_as_two_of_it(made: Predictions) -> None:
    doubled = replace(
        made,
        names=made.names + tuple(f"{name} again" + "!" * 20 for name in made.names),
        patients=made.patients * 2,
        labels=np.tile(made.labels, 2),
        probabilities=np.tile(made.probabilities, (2, 1)),
        groups=None,
    )
    for name, metric in METRICS.items():
        assert metric(doubled) == pytest.approx(metric(made), nan_ok=True), name


@given(predictions(), st.floats(0.1, 10))
def test_raising_all_probabilities_of_two_classes_keeps_what_is_said_and_the_area(
    made: Predictions, temperature: float
) -> None:
    scaled = raised(made, 1 / temperature)
    np.testing.assert_array_equal(scaled.predicted, made.predicted)
    assert 0 <= top_reliability(scaled).error <= 1
    if len(made.classes) == 2:
        assert METRICS["auc_any"](scaled) == pytest.approx(METRICS["auc_any"](made), abs=1e-9, nan_ok=True)


@settings(max_examples=40)
@given(made=predictions())
def test_the_csv_gives_back_what_went_in(made: Predictions, tmp_path_factory: pytest.TempPathFactory) -> None:
    path: Path = tmp_path_factory.mktemp("csv") / "p.csv"
    path.write_text(as_csv(made), encoding="utf-8", newline="")
    back = read_predictions(path)
    assert (back.classes, back.names, back.patients, back.groups) == (
        made.classes,
        made.names,
        made.patients,
        made.groups,
    )
    np.testing.assert_array_equal(back.labels, made.labels)
    np.testing.assert_array_equal(back.probabilities, made.probabilities)


@given(predictions())
def test_matching_with_oneself_in_any_order_changes_nothing(made: Predictions) -> None:
    assert as_csv(matched(made, made.chosen(reversed(range(len(made)))))) == as_csv(made)


@settings(max_examples=40)
@given(predictions())
def test_an_interval_holds_its_bounds_in_order(made: Predictions) -> None:
    found = patient_bootstrap(made, "accuracy", draws=30)
    assert 0 <= found.low <= found.high <= 1
    assert found.draws == 30


@given(predictions())
def test_the_majority_answer_tells_nothing_apart(made: Predictions) -> None:
    answer = majority(made.labels, made)
    area = METRICS["auc_any"](answer)
    assert np.isnan(area) or area == 0.5
    assert METRICS["accuracy"](answer) == pytest.approx(np.bincount(made.labels).max() / len(made))


@given(predictions(), predictions())
def test_two_methods_compared_either_way_round_differ_in_sign_only(
    one: Predictions, other: Predictions
) -> None:
    n, c = min(len(one), len(other)), min(len(one.classes), len(other.classes))
    a, b = (_cut(p, n, c, like=one) for p in (one, other))
    there, back = mcnemar(a, b), mcnemar(b, a)
    assert (there.only_a, there.only_b) == (back.only_b, back.only_a)
    assert there.p == pytest.approx(back.p)
    assert 0 <= there.p_patients <= 1
    positive = a.labels > 0
    if positive.any() and not positive.all():
        forth, to = delong(a, b), delong(b, a)
        assert forth.difference == pytest.approx(-to.difference, abs=1e-12)
        assert forth.p == pytest.approx(to.p, nan_ok=True)


def _cut(p: Predictions, n: int, c: int, *, like: Predictions) -> Predictions:
    """Return predictions about the first n pictures of others, over the first c classes."""
    shares = p.probabilities[:n, :c] + 1e-3
    return Predictions(
        like.classes[:c],
        like.names[:n],
        like.patients[:n],
        np.minimum(like.labels[:n], c - 1),
        shares / shares.sum(1, keepdims=True),
    )


@given(
    hnp.arrays(np.int64, (3, 3), elements=st.integers(1, 20)),
    st.tuples(*[st.floats(0.01, 1)] * 3),
    st.integers(1, 9),
)
def test_scores_at_a_prevalence_do_not_depend_on_how_many_of_a_class_were_tested(
    counts: np.ndarray, parts: tuple[float, float, float], times: int
) -> None:
    shares = tuple(part / sum(parts) for part in parts)
    more = counts * np.array([[times], [1], [1]])
    one, other = counted_predictions(counts), counted_predictions(more)
    for metric in (
        accuracy_at(shares),
        *(score(shares, code) for score in (ppv_at, npv_at) for code in range(3)),
    ):
        assert metric(one) == pytest.approx(metric(other))
    recalls = np.diag(counts) / counts.sum(1)
    assert accuracy_at(shares)(one) == pytest.approx(np.dot(shares, recalls))
