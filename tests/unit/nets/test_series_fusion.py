"""Fusion of series from slice embeddings: what is missing weighs nothing, whatever stands in its place."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the extra 'train'")

from stenograde.nets.series_fusion import (  # noqa: E402
    Fusion,
    GatedAttentionPool,
    Pooling,
    SeriesFusion,
    SeriesFusionConfig,
    masked_share,
    masked_softmax,
)
from stenograde.terms import LUMBAR_MRI, Condition  # noqa: E402

CONFIG = SeriesFusionConfig(width=24, hidden=8)


def some(seed: int = 0, n: int = 4, slices: int = 6) -> tuple[torch.Tensor, torch.Tensor]:
    rng = torch.Generator().manual_seed(seed)
    there = torch.rand(n, 3, slices, generator=rng) < 0.8
    there[:, :, 0] = True
    return torch.randn(n, 3, slices, CONFIG.width, generator=rng), there


@pytest.mark.parametrize("fusion", list(Fusion))
@pytest.mark.parametrize("pooling", [None, *Pooling])
def test_logits_have_a_row_per_cell(fusion: Fusion, pooling: Pooling | None) -> None:
    net = SeriesFusion(replace(CONFIG, fusion=fusion, pooling=pooling)).eval()
    assert net(*some()).shape == (4, 25, 3)


@pytest.mark.parametrize("fusion", list(Fusion))
@pytest.mark.parametrize("missing", [0, 1, 2])
def test_what_stands_in_the_place_of_a_missing_series_does_not_matter(fusion: Fusion, missing: int) -> None:
    torch.manual_seed(1)
    net = SeriesFusion(replace(CONFIG, fusion=fusion)).eval()
    slices, there = some()
    there[:, missing] = False
    noisy = torch.where(there[..., None], slices, torch.randn_like(slices) * 100)
    with torch.inference_mode():
        assert torch.equal(net(slices, there), net(noisy, there))
        assert not torch.equal(net(slices, there), net(slices, torch.ones_like(there)))


@pytest.mark.parametrize("fusion", list(Fusion))
def test_order_and_padding_of_slices_do_not_matter(fusion: Fusion) -> None:
    net = SeriesFusion(replace(CONFIG, fusion=fusion)).eval()
    slices, there = some()
    order = torch.tensor([3, 1, 5, 0, 2, 4])
    longer = torch.nn.functional.pad(slices, (0, 0, 0, 3)), torch.nn.functional.pad(there, (0, 3))
    with torch.inference_mode():
        wanted = net(slices, there)
        torch.testing.assert_close(net(slices[:, :, order], there[:, :, order]), wanted)
        torch.testing.assert_close(net(*longer), wanted)


def test_a_study_without_any_series_gets_finite_logits() -> None:
    slices, there = some()
    for fusion in Fusion:
        logits = SeriesFusion(replace(CONFIG, fusion=fusion)).eval()(slices, torch.zeros_like(there))
        assert torch.isfinite(logits).all()


def test_separate_models_are_averaged_over_the_series_that_are_there() -> None:
    torch.manual_seed(2)
    net = SeriesFusion(replace(CONFIG, fusion=Fusion.SEPARATE)).eval()
    slices, there = some()
    alone = []
    with torch.inference_mode():
        for k in range(3):
            only = torch.zeros_like(there)
            only[:, k] = there[:, k]
            alone.append(net(slices, only))
        there[:, 2] = False
        torch.testing.assert_close(net(slices, there), (alone[0] + alone[1]) / 2)


def test_the_mean_is_that_of_numpy_and_attention_weights_sum_to_one() -> None:
    slices, there = some()
    net = SeriesFusion(replace(CONFIG, fusion=Fusion.LATE))
    vectors, weights = net.pooled(slices, there)
    masked = np.ma.masked_array(slices.numpy(), np.broadcast_to(~there.numpy()[..., None], slices.shape))
    np.testing.assert_allclose(vectors.numpy(), masked.mean(axis=2).filled(0), rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(weights, masked_share(there))
    pool = GatedAttentionPool(CONFIG.width, 8)
    pooled, weights = pool(slices, there)
    torch.testing.assert_close(weights.sum(dim=-1), torch.ones(4, 3))
    assert (weights[~there] == 0).all()
    torch.testing.assert_close(pooled, torch.einsum("nks,nksw->nkw", weights, slices))


def test_attention_learns_which_slice_tells() -> None:
    """The class is written in one slice of twelve, marked by its last number: the trained weights must find it."""
    torch.manual_seed(0)
    rng = torch.Generator().manual_seed(5)
    slices = torch.randn(256, 12, 8, generator=rng)
    place = torch.randint(12, (256,), generator=rng)
    target = torch.randint(2, (256,), generator=rng)
    slices[:, :, -1] = 0
    slices[torch.arange(256), place, -1] = 4
    slices[torch.arange(256), place, 0] = 3.0 * (2 * target - 1)
    there = torch.ones(256, 12, dtype=torch.bool)
    pool, head = GatedAttentionPool(8, 16), torch.nn.Linear(8, 2)
    optimiser = torch.optim.Adam([*pool.parameters(), *head.parameters()], lr=0.02)
    for _ in range(150):
        optimiser.zero_grad()
        torch.nn.functional.cross_entropy(head(pool(slices, there)[0]), target).backward()
        optimiser.step()
    weights = pool(slices, there)[1].detach()
    assert float((weights.argmax(dim=1) == place).float().mean()) > 0.95
    assert float(weights[torch.arange(256), place].mean()) > 0.6


def test_softmax_over_nothing_is_zero() -> None:
    scores, there = torch.tensor([[1.0, 2.0], [3.0, 4.0]]), torch.tensor([[True, True], [False, False]])
    torch.testing.assert_close(masked_softmax(scores, there)[0], torch.softmax(scores[0], dim=0))
    assert (masked_softmax(scores, there)[1] == 0).all()


def test_parts_are_the_cells_of_the_conditions() -> None:
    cells = [cell.condition for cell in LUMBAR_MRI.cells]
    assert SeriesFusionConfig().parts == tuple(cells.count(condition) for condition in Condition)
    assert cells == sorted(cells, key=list(Condition).index), "cells of a condition stand together, in order"


def test_settings_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match="must add up to the 25 cells"):
        SeriesFusionConfig(parts=(5, 10))
    with pytest.raises(ValueError, match="of 1 or more"):
        SeriesFusionConfig(width=0)
    with pytest.raises(ValueError, match="dropout must be"):
        SeriesFusionConfig(dropout=1.0)
