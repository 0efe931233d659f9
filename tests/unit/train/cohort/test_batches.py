"""Batches of a cohort and what a wrong answer costs, against the metric itself."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

torch = pytest.importorskip("torch", reason="needs the extra 'train'")

from stenograde.evaluate.rsna_metric import UNKNOWN, CohortAnswers, rsna_score  # noqa: E402
from stenograde.train.cohort.assess import in_order  # noqa: E402
from stenograde.train.cohort.batches import (  # noqa: E402
    LevelSource,
    known_of,
    level_batches,
    mixed,
    plain_loss,
    study_loss,
)
from stenograde.train.cohort.config import Mixing  # noqa: E402
from stenograde.train.loop.fit_config import FitConfig  # noqa: E402


@settings(max_examples=30)
@given(st.integers(0, 10_000), st.sampled_from([0.0, 0.3]))
def test_the_loss_of_studies_is_the_metric(seed: int, missing: float) -> None:
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, 2, (6, 5, 5, 3))
    ranks = rng.integers(0, 3, (6, 5, 5))
    ranks[rng.random(ranks.shape) < missing] = UNKNOWN
    ranks[0] = 0  # every part has a label
    odds = np.exp(logits)
    answers = CohortAnswers(in_order(odds / odds.sum(axis=-1, keepdims=True)), in_order(ranks))
    wanted = rsna_score(answers, draws=1)["score"].value
    found = study_loss(torch.from_numpy(logits), {"target": torch.from_numpy(ranks)})
    assert float(found) == pytest.approx(wanted, rel=1e-5)


def test_the_first_loss_weighs_every_cell_alike_and_mixes_labels() -> None:
    rng = np.random.default_rng(0)
    logits, own, other = (torch.from_numpy(rng.normal(size=(4, 5, 3))), *rng.integers(0, 3, (2, 4, 5)))
    log_p = torch.log_softmax(logits, dim=2).numpy()

    def loss(ranks: np.ndarray) -> float:
        each = -np.take_along_axis(log_p, ranks[..., None], 2)[..., 0]
        return float(np.mean([each[:, :1].mean(), each[:, 1:3].mean(), each[:, 3:].mean()]))

    batch = {
        "target": torch.from_numpy(own),
        "other": torch.from_numpy(other),
        "share": torch.full((4,), 0.25, dtype=torch.float64),
    }
    assert float(plain_loss(logits, batch)) == pytest.approx(0.25 * loss(own) + 0.75 * loss(other))


@settings(max_examples=60)
@given(st.integers(0, 10_000), st.sampled_from([(80, 80), (5, 5), (7, 9)]))
def test_the_share_of_a_mixed_picture_is_what_is_left_of_it(seed: int, size: tuple[int, int]) -> None:
    values = np.arange(3, dtype=np.float32)[:, None, None] * np.ones((3, *size), np.float32)
    out, share, own = mixed(values, Mixing(cutmix=1.0, mixup=0.0), np.random.default_rng(seed))
    assert own == 1
    for place in range(3):
        left = (out[place] == place).mean()
        assert left == pytest.approx(share)
        assert set(np.unique(out[place])) <= {place, (place - 1) % 3}


def test_mix_up_leaves_pictures_and_tells_the_share() -> None:
    values = np.zeros((2, 4, 4), np.float32)
    out, share, own = mixed(values, Mixing(cutmix=0.0, mixup=1.0), np.random.default_rng(0))
    assert out is values
    assert 0.5 <= share == own <= 1
    assert mixed(values, Mixing(0.0, 0.0), np.random.default_rng(0))[1:] == (1.0, 1.0)


def test_batches_are_of_levels_with_a_label_and_a_crop_and_the_same_again() -> None:
    present = np.ones((3, 5, 2, 4), bool)
    present[0, 0] = False
    severities = np.zeros((3, 5, 5), np.int64)
    severities[1, 2] = UNKNOWN
    asked: list[tuple[int, int]] = []

    def sample(study: int, level: int, rng: np.random.Generator) -> np.ndarray:
        asked.append((study, level))
        return rng.normal(size=(2, 4, 3, 6, 6)).astype(np.float32)

    source = LevelSource(sample, known_of(present), severities)
    fit = FitConfig(batch=4, seed=3, workers=0)
    batches = level_batches(source, [0, 1], fit, Mixing())
    first = list(batches.batches(0, 0, 1))
    assert len(first) == 2
    assert (0, 0) not in asked
    assert (1, 2) not in asked
    assert {study for study, _ in asked} == {0, 1}
    again = list(batches.batches(0, 0, 1))
    for one, other in zip(first, again, strict=True):
        assert all(torch.equal(one[name], other[name]) for name in one)
    known = first[0]["extra"]
    assert known.shape == (4, 2 * 4 + 5 + 1)
    assert torch.equal(known[:, 8:13].sum(dim=1), torch.ones(4))
