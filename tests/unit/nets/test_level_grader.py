"""The level grader swaps left and right exactly, and sees nothing of what is absent."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.distance import mahalanobis

torch = pytest.importorskip("torch", reason="needs the extra 'train'")

from stenograde.nets.level_grader import (  # noqa: E402
    GraderGraph,
    LevelGrader,
    LevelGraderConfig,
)

SMALL = LevelGraderConfig(slices=3, size_px=16, widths=(16, 16), kept=4, features=6)
SWAPPED = [0, 2, 1, 4, 3]
"""Cells of a level with left and right exchanged."""


@pytest.fixture(scope="module")
def net() -> LevelGrader:
    torch.manual_seed(0)
    made = LevelGrader(SMALL).eval()
    torch.nn.init.normal_(made.attention)
    return made


def crops(n: int = 3, seed: int = 1) -> torch.Tensor:
    return torch.randn(n, 2, 4, 3, 16, 16, generator=torch.Generator().manual_seed(seed))


def present(n: int = 3, seed: int = 2) -> torch.Tensor:
    return (torch.rand(n, 2, 4, generator=torch.Generator().manual_seed(seed)) < 0.6).float()


@torch.no_grad()
def test_swapping_the_views_swaps_left_and_right_exactly(net: LevelGrader) -> None:
    logits = net(crops(), present())
    swapped = net(crops().flip(1), present().flip(1))

    assert logits.shape == (3, 5, 3)
    assert torch.equal(swapped, logits[:, SWAPPED])


@torch.no_grad()
def test_what_an_absent_crop_holds_changes_nothing(net: LevelGrader) -> None:
    there = present()
    noise = torch.where(there[..., None, None, None] > 0, crops(), 50 * crops(seed=9))
    assert not torch.equal(noise, crops())
    assert torch.equal(net(noise, there), net(crops(), there))


@torch.no_grad()
def test_what_a_present_crop_holds_matters(net: LevelGrader) -> None:
    everything = torch.ones(3, 2, 4)
    for kind in range(4):
        other = crops().clone()
        other[:, :, kind] = crops(seed=9)[:, :, kind]
        assert not torch.allclose(net(other, everything), net(crops(), everything))


@torch.no_grad()
def test_levels_of_a_batch_do_not_depend_on_each_other(net: LevelGrader) -> None:
    together = net(crops(), present())
    for k in range(3):
        alone = net(crops()[k : k + 1], present()[k : k + 1])
        torch.testing.assert_close(alone[0], together[k], atol=1e-5, rtol=0)


@torch.no_grad()
def test_where_nothing_is_there_logits_are_the_same_for_all(net: LevelGrader) -> None:
    logits = net(crops(), torch.zeros(3, 2, 4))
    assert torch.isfinite(logits).all()
    assert torch.equal(logits[0], logits[1])


@torch.no_grad()
def test_strangeness_is_the_mahalanobis_distance(net: LevelGrader) -> None:
    usual = torch.randn(500, 6, generator=torch.Generator().manual_seed(3)) @ torch.randn(
        6, 6, generator=torch.Generator().manual_seed(4)
    )
    net.set_usual(2, usual, shrink=0.0)
    strange = torch.randn(5, 2, 4, 6, generator=torch.Generator().manual_seed(5))
    inverse = np.linalg.inv(np.cov(usual.double().numpy().T))
    wanted = [
        mahalanobis(one, usual.double().mean(0).numpy(), inverse) / np.sqrt(6)
        for one in strange[:, 0, 2].double().numpy()
    ]
    np.testing.assert_allclose(net.strangeness(strange)[:, 0, 2].numpy(), wanted, rtol=1e-3)
    graph = GraderGraph(net)(crops(), present())
    assert [tuple(part.shape) for part in graph] == [(3, 5, 3), (3, 2, 4)]


def test_the_shipped_shape_is_small() -> None:
    net = LevelGrader(LevelGraderConfig())
    assert sum(value.numel() for value in net.state_dict().values()) * 6 < 7e6, (
        "a graph in 32 and weights in 16 bits"
    )


@pytest.mark.parametrize(("wrong", "match"), [({"kinds": 0}, "of 1 or more"), ({"dropout": 1.0}, "below 1")])
def test_a_shape_out_of_range_is_refused(wrong: dict[str, float], match: str) -> None:
    with pytest.raises(ValueError, match=match):
        LevelGraderConfig(**wrong)
