"""Fusion nets fitted on slice vectors: what they learn, what a missing series costs, resumption."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the extra 'train'")

from stenograde.experiments.fusion.fit import (  # noqa: E402
    SeriesSet,
    cells_loss,
    fit_fusion,
    probabilities_of,
    some_left_out,
)
from stenograde.experiments.vectors.embed import CohortVectors, StudyVectors  # noqa: E402
from stenograde.nets.series_fusion import Fusion, SeriesFusionConfig  # noqa: E402
from stenograde.terms import LUMBAR_MRI, Condition, Role  # noqa: E402
from stenograde.train.loop.fit_config import FitConfig  # noqa: E402

HOW = FitConfig(
    epochs=25, batch=16, learning_rate=5e-3, workers=0, precision="32", accelerator="cpu", average=0.0
)
CONFIG = SeriesFusionConfig(width=8, hidden=16, dropout=0.0)


def cohort(n: int, seed: int) -> CohortVectors:
    """Every series tells every cell, by which of its first numbers is large."""
    rng = np.random.default_rng(seed)
    studies = []
    for k in range(n):
        ill = int(rng.integers(3))
        vectors = {role: 0.3 * rng.normal(size=(5, 8)).astype(np.float32) for role in Role}
        for values in vectors.values():
            values[:, ill] += 3.0
        if k == 0:
            del vectors[Role.AXIAL_T2]
        severities = np.full(25, ill, np.int64)
        severities[k % 25] = -1
        studies.append(StudyVectors(f"s{k}", vectors, severities, {}))
    return CohortVectors(tuple(studies), "pre-trained: no")


@pytest.mark.parametrize("fusion", list(Fusion))
def test_each_fusion_learns_and_bears_a_missing_series(fusion: Fusion, tmp_path: Path) -> None:
    train = SeriesSet.of(cohort(64, 0))
    test = SeriesSet.of(cohort(40, 1)).scaled_by(train)
    scaled = train.scaled_by(train)
    net = fit_fusion(scaled, test, replace(CONFIG, fusion=fusion), HOW, folder=tmp_path)
    for kept in (tuple(Role), (Role.SAGITTAL_T1,), (Role.AXIAL_T2, Role.SAGITTAL_T2_STIR)):
        said = probabilities_of(net, test.with_only(kept))
        np.testing.assert_allclose(said.sum(axis=-1), 1)
        known = test.severities >= 0
        seen = test.with_only(kept).there.any(axis=(1, 2))
        right = (said.argmax(axis=-1) == test.severities)[seen] | ~known[seen]
        assert right.mean() > 0.9, kept


def test_a_fit_that_is_done_is_not_fitted_again(tmp_path: Path) -> None:
    train = SeriesSet.of(cohort(32, 0))
    how = replace(HOW, epochs=2)
    one = fit_fusion(train, train, CONFIG, how, folder=tmp_path)
    other = fit_fusion(train, train, CONFIG, how, folder=tmp_path)
    np.testing.assert_array_equal(probabilities_of(one, train), probabilities_of(other, train))


def test_scaling_is_learnt_from_training_and_leaves_gaps_alone() -> None:
    train, test = SeriesSet.of(cohort(32, 0)), SeriesSet.of(cohort(8, 1))
    scaled = train.scaled_by(train)
    for j in range(3):
        known = scaled.values[:, j][scaled.there[:, j]]
        np.testing.assert_allclose(known.mean(axis=0), 0, atol=1e-5)
        np.testing.assert_allclose(known.std(axis=0), 1, atol=1e-5)
    assert (test.scaled_by(train).values[~test.there] == 0).all()


def test_left_out_series_leave_something() -> None:
    there = SeriesSet.of(cohort(400, 0)).there.any(axis=2)
    left = some_left_out(there, np.random.default_rng(0))
    assert left.any(axis=1).all()
    assert not (left & ~there).any()
    whole = (left == there).all(axis=1)
    assert 0.5 < whole.mean() < 0.75


def test_the_loss_is_the_metric_of_rsna_and_leaves_out_what_nobody_graded() -> None:
    from stenograde.evaluate.rsna_metric import CohortAnswers, rsna_score

    rng = np.random.default_rng(0)
    logits, severities = rng.normal(size=(6, 25, 3)), rng.integers(-1, 3, (6, 25))
    said = np.exp(logits) / np.exp(logits).sum(axis=-1, keepdims=True)
    score = rsna_score(CohortAnswers(said, severities), draws=1)
    wanted = np.mean([score[condition.value].value for condition in Condition])
    loss = cells_loss(torch.from_numpy(logits), {"target": torch.from_numpy(severities)})
    assert float(loss) == pytest.approx(wanted, rel=1e-6)
    nothing = torch.full((6, 25), -1)
    assert float(cells_loss(torch.from_numpy(logits), {"target": nothing})) == 0
    assert len(LUMBAR_MRI.cells) == 25
