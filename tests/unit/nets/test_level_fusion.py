"""Cross-attention from the cells of a level to its crops: masks, sides, and that it learns."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch", reason="needs the extra 'train'")

from stenograde.levels.crop import CropKind  # noqa: E402
from stenograde.nets.level_fusion import LevelFusion, LevelFusionConfig  # noqa: E402

CONFIG = LevelFusionConfig(slices=3, size_px=32, widths=(16, 16), features=16, heads=2)


@pytest.fixture
def net() -> LevelFusion:
    torch.manual_seed(0)
    return LevelFusion(CONFIG).eval()


def some(n: int = 3) -> tuple[torch.Tensor, torch.Tensor]:
    rng = torch.Generator().manual_seed(3)
    return torch.randn(n, 2, len(CropKind), 3, 32, 32, generator=rng), torch.ones(n, 2, len(CropKind))


def test_logits_have_a_row_per_cell_of_a_level(net: LevelFusion) -> None:
    assert net(*some()).shape == (3, 5, 3)


def test_swapping_the_views_swaps_left_and_right(net: LevelFusion) -> None:
    crops, present = some()
    present[0, 1, 2] = 0
    with torch.inference_mode():
        one, other = net(crops, present), net(crops.flip(1), present.flip(1))
    torch.testing.assert_close(other, one[:, [0, 2, 1, 4, 3]])
    assert not torch.allclose(one[:, 1], one[:, 2])


@pytest.mark.parametrize("kind", range(len(CropKind)))
def test_what_stands_in_the_place_of_a_missing_crop_does_not_matter(net: LevelFusion, kind: int) -> None:
    crops, present = some()
    present[:, :, kind] = 0
    noisy = crops.clone()
    noisy[:, :, kind] = 100 * torch.randn_like(noisy[:, :, kind])
    with torch.inference_mode():
        assert torch.equal(net(crops, present), net(noisy, present))
        assert not torch.equal(net(crops, present), net(crops, torch.ones_like(present)))


def test_a_level_without_any_crop_gets_a_constant(net: LevelFusion) -> None:
    crops, present = some()
    with torch.inference_mode():
        said = net(crops, torch.zeros_like(present))
    assert torch.isfinite(said).all()
    torch.testing.assert_close(said[0], said[1])


def test_the_other_side_is_heard_through_the_cells_alone(net: LevelFusion) -> None:
    crops, present = some()
    with torch.inference_mode():
        one = net(crops, present)
        crops[:, 1] = 0
        other = net(crops, present)
    assert not torch.allclose(one[:, 1], other[:, 1]), "the left foramen hears of the right side"


def test_it_learns_a_side() -> None:
    """A bright foramen on one side must become a grade on that side alone."""
    torch.manual_seed(1)
    net = LevelFusion(CONFIG)
    rng = torch.Generator().manual_seed(1)
    crops = 0.3 * torch.randn(48, 2, len(CropKind), 3, 32, 32, generator=rng)
    truth = torch.zeros(48, 5, dtype=torch.int64)
    truth[:, 1:3] = torch.randint(2, (48, 2), generator=rng)
    for side in range(2):
        crops[truth[:, 1 + side] == 1, side, 1, :, 8:24, 8:24] += 2
    present = torch.ones(48, 2, len(CropKind))
    optimiser = torch.optim.Adam(net.parameters(), lr=3e-3)
    for _ in range(40):
        optimiser.zero_grad()
        torch.nn.functional.cross_entropy(net(crops, present).flatten(0, 1), truth.flatten()).backward()
        optimiser.step()
    net.eval()
    with torch.inference_mode():
        assert float((net(crops, present).argmax(dim=2) == truth).float().mean()) > 0.97


def test_settings_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match="heads must divide features"):
        LevelFusionConfig(features=10)
    with pytest.raises(ValueError, match="of 1 or more"):
        LevelFusionConfig(grid=0)
