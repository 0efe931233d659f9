"""Heads for findings of discs: they answer as scikit-learn does, patients stay apart, what is absent has no part."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("sklearn", reason="needs the extra 'tabular'")

from sklearn.linear_model import LogisticRegression
from sklearn.metrics import cohen_kappa_score, log_loss, roc_auc_score

from stenograde.grades import PFIRRMANN, DiscFinding
from stenograde.predict.discs import ABOVE, SETS, pfirrmann_of
from stenograde.train.discs.features import QUESTIONS, DiscTable
from stenograde.train.discs.fitting import HeadFit, fit_heads, level_shares, out_of_fold
from stenograde.train.discs.scoring import LEVEL_ALONE, as_rows, as_scores, scored

HOW = HeadFit(inverse_penalties=(1.0,), share_of_t1=1.0, directions=400, inner_folds=3)
N_PATIENTS, N_FEATURES = 60, 12


def table(seed: int = 0) -> DiscTable:
    """Of T2, the first feature tells narrowing and the second the Pfirrmann grade; all else is noise."""
    rng = np.random.default_rng(seed)
    n = N_PATIENTS * 5
    features = rng.normal(size=(n, 2, N_FEATURES)).astype(np.float32)
    answers = (rng.uniform(size=(n, len(QUESTIONS))) < 0.4).astype(float)
    places = {name: k for k, name in enumerate(QUESTIONS)}
    answers[:, places["narrowing"]] = features[:, 1, 0] + 0.5 * rng.normal(size=n) > 0
    grade = 1 + np.searchsorted((-1, -0.3, 0.3, 1), features[:, 1, 1] + 0.3 * rng.normal(size=n))
    for least, name in enumerate(ABOVE, start=2):
        answers[:, places[name]] = grade >= least
    patients = tuple(str(k // 5) for k in range(n))
    return DiscTable(features, np.ones((n, 2), bool), answers, np.arange(n) % 5, patients)


@pytest.fixture(scope="module")
def discs() -> DiscTable:
    return table()


def test_heads_answer_as_scikit_learn_does_on_scaled_features(discs: DiscTable) -> None:
    """With every direction kept and one strength, a head is scikit-learn's on the same numbers."""
    heads = fit_heads(discs, range(len(discs)), HOW)
    seen = discs.features.astype(float)
    scaled = (seen - seen.mean(axis=0)) / seen.std(axis=0) / np.sqrt(N_FEATURES)
    known = np.concatenate([scaled.reshape(len(discs), -1), np.eye(5)[discs.levels]], axis=1)
    wanted = LogisticRegression(C=1.0, tol=1e-8, solver="newton-cholesky").fit(known, discs.answers[:, 0])
    logits = heads.logits(discs.features, discs.levels, ("t1", "t2"))[:, 0]
    np.testing.assert_allclose(logits, wanted.decision_function(known), atol=2e-3)


def test_pixels_of_a_series_that_is_absent_change_no_answer(discs: DiscTable) -> None:
    there = discs.there.copy()
    there[::3, 0] = False
    noise = discs.features.copy()
    noise[::3, 0] = 1e6
    said = [
        out_of_fold(replace(discs, features=features, there=there), HOW, folds=3, seed=0)
        for features in (discs.features, noise)
    ]
    for name in ("t1+t2", "t2", "t1"):
        np.testing.assert_array_equal(said[0][name].yes, said[1][name].yes)
    assert np.isnan(said[0]["t1+t2"].yes[::3]).all()
    assert np.isfinite(said[0]["t2"].yes).all()


def test_answers_of_a_patient_do_not_depend_on_its_own_labels(discs: DiscTable) -> None:
    """Whatever is chosen is chosen without the patients that are answered for."""
    first = [k for k, patient in enumerate(discs.patients) if patient == "7"]
    answers = discs.answers.copy()
    answers[first] = 1 - answers[first]
    said = [
        out_of_fold(replace(discs, answers=one), replace(HOW, inverse_penalties=(0.1, 10.0)), folds=3, seed=0)
        for one in (discs.answers, answers)
    ]
    for name in ("t1+t2", LEVEL_ALONE):
        np.testing.assert_array_equal(said[0][name].yes[first], said[1][name].yes[first])
        np.testing.assert_array_equal(said[0][name].grades[first], said[1][name].grades[first])


def test_scores_are_those_of_scikit_learn_and_noise_is_not_told(discs: DiscTable) -> None:
    said = out_of_fold(discs, HOW, folds=3, seed=0)
    found = scored(discs, said)
    yes = said["t1+t2"].yes[:, 0]
    narrowing = found[DiscFinding.NARROWING.value]
    assert narrowing.by_way["t1+t2"].value == pytest.approx(roc_auc_score(discs.answers[:, 0], yes))
    assert narrowing.log_loss["t1+t2"] == pytest.approx(log_loss(discs.answers[:, 0], yes))
    places = [tuple(QUESTIONS).index(name) for name in ABOVE]
    truth = 1 + discs.answers[:, places].sum(axis=1)
    kappa = cohen_kappa_score(truth, said["t1+t2"].grades, weights="quadratic")
    assert found[PFIRRMANN].by_way["t1+t2"].value == pytest.approx(kappa)
    assert kappa > 0.8
    told = {one.finding for one in as_scores(found)}
    assert {"narrowing", PFIRRMANN} <= told
    assert "herniation" not in told
    assert {row[-1] for row in as_rows(found)[1:]} == {"yes", "no"}


def test_level_shares_count_per_level(discs: DiscTable) -> None:
    shares = level_shares(discs, range(len(discs)))
    here = discs.answers[discs.levels == 3, 0]
    wanted = (here.sum() + 2 * discs.answers[:, 0].mean()) / (len(here) + 2)
    assert shares[3, 0] == pytest.approx(wanted)


def test_grades_are_told_about_as_often_as_they_were_given(discs: DiscTable) -> None:
    said = out_of_fold(discs, HOW, folds=3, seed=0)["t1+t2"]
    places = [tuple(QUESTIONS).index(name) for name in ABOVE]
    given = np.bincount(discs.answers[:, places].sum(axis=1).astype(int), minlength=5) / len(discs)
    told = np.bincount(said.grades - 1, minlength=5) / len(discs)
    np.testing.assert_allclose(told, given, atol=0.06)


def test_pfirrmann_shares_sum_to_one_even_where_heads_contradict_each_other() -> None:
    shares = pfirrmann_of(np.array([[2.0, 3.0, -1.0, 0.0]]))
    assert shares.min() >= 0
    assert shares.sum() == pytest.approx(1)
    assert shares[0, 1] == 0  # grade 2 is left out, as 3 is no less sure than 2


def test_there_is_a_head_for_every_set(discs: DiscTable) -> None:
    heads = fit_heads(discs, range(len(discs)), HOW)
    assert set(heads.by_set) == set(heads.cuts) == set(SETS)
