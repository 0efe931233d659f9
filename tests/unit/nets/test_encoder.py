"""The small encoder has the promised scale, either kind of norm, and downsampling that can be made steady."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch", reason="needs the extra 'train'")

from stenograde.nets.encoder import Blur, GroupNorm, ResidualBlock, SmallResnet, SmallResnetConfig  # noqa: E402

TINY = SmallResnetConfig(widths=(16, 32), depths=(1, 2))


@pytest.mark.parametrize("downsampling", ["strided", "blurred"])
@pytest.mark.parametrize("size_px", [(32, 48), (33, 47), (40, 41)])
def test_maps_are_rounded_up_to_the_stride(downsampling: str, size_px: tuple[int, int]) -> None:
    config = SmallResnetConfig(widths=(16, 32), depths=(1, 1), downsampling=downsampling)  # type: ignore[arg-type]
    net = SmallResnet(config, channels=3)
    wanted = tuple(-(-size // config.stride) for size in size_px)
    assert net.maps(torch.zeros(2, 3, *size_px)).shape == (2, 32, *wanted)
    assert net(torch.zeros(2, 3, *size_px)).shape == (2, net.width)


def test_weights_are_those_of_a_hand_count() -> None:
    stem = 9 * 1 * 16 + 2 * 16
    first = 9 * 16 * 16 + 2 * 16 + 9 * 16 * 16 + 2 * 16  # its shortcut only averages
    second = 9 * 16 * 32 + 2 * 32 + 9 * 32 * 32 + 2 * 32 + (16 * 32 + 2 * 32)
    third = 2 * (9 * 32 * 32 + 2 * 32)
    assert sum(weight.numel() for weight in SmallResnet(TINY).parameters()) == stem + first + second + third


def test_a_first_stage_that_keeps_the_size_gives_maps_twice_as_fine() -> None:
    fine = SmallResnetConfig(widths=(16, 32), depths=(1, 1), first_stage="keeps")
    assert fine.stride == 4
    assert SmallResnet(fine).maps(torch.zeros(1, 1, 48, 32)).shape == (1, 32, 12, 8)


def test_blocks_start_as_their_shortcuts() -> None:
    block = SmallResnet(TINY).stages[1][1].eval()
    maps = torch.rand(1, 32, 4, 4)
    assert isinstance(block, ResidualBlock)
    assert block(maps).equal(maps)
    random = (
        SmallResnet(SmallResnetConfig(widths=TINY.widths, depths=TINY.depths, start="random"))
        .stages[1][1]
        .eval()
    )
    assert not random(maps).equal(maps)


def test_group_norms_do_not_mix_pictures() -> None:
    net = SmallResnet(SmallResnetConfig(widths=(16, 32), depths=(1, 1), norm="group"))
    images = torch.randn(3, 1, 32, 32)
    torch.testing.assert_close(net(images)[:1], net(images[:1]))
    batch = SmallResnet(TINY)
    assert not torch.allclose(batch(images)[:1], batch(images[:1]), atol=1e-3)


def test_group_norm_is_that_of_torch() -> None:
    ours, theirs = GroupNorm(2, 32), torch.nn.GroupNorm(2, 32)
    with torch.no_grad():
        for weight, copy in zip(ours.parameters(), theirs.parameters(), strict=True):
            copy.copy_(weight.normal_())
    maps = torch.randn(2, 32, 3, 3)
    torch.testing.assert_close(ours(maps), theirs(maps))


def test_blur_keeps_an_even_picture_and_removes_a_chequered_one() -> None:
    blur = Blur()
    even = torch.full((1, 2, 6, 8), 3.0)
    torch.testing.assert_close(blur(even), even[:, :, :3, :4])
    chequered = torch.tensor([1.0, -1.0]).repeat(4)[None, None, None, :].expand(1, 2, 8, 8)
    assert float(blur(chequered)[:, :, :, 1:].abs().max()) < 1e-6


@pytest.mark.parametrize("size_px", [(6, 8), (7, 5)])
def test_blur_is_a_binomial_filter_with_the_edge_going_on(size_px: tuple[int, int]) -> None:
    maps = torch.randn(2, 1, *size_px)
    line = torch.tensor([0.25, 0.5, 0.25])
    padded = torch.nn.functional.pad(maps, (1, 1, 1, 1), mode="replicate")
    wanted = torch.nn.functional.conv2d(padded, (line[:, None] * line)[None, None], stride=2)
    torch.testing.assert_close(Blur()(maps), wanted)


def test_blurred_downsampling_is_steadier_under_a_shift_of_one_pixel() -> None:
    def restlessness(downsampling: str) -> float:
        torch.manual_seed(0)
        config = SmallResnetConfig(widths=(32, 32), depths=(1, 1), downsampling=downsampling)  # type: ignore[arg-type]
        net = SmallResnet(config).eval()
        wide = torch.rand(16, 1, 64, 65)
        with torch.inference_mode():
            here, there = net(wide[..., :-1]), net(wide[..., 1:])
        return float((here - there).square().mean().sqrt() / here.std())

    assert restlessness("blurred") < 0.8 * restlessness("strided")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"widths": (20, 32)}, r"widths must be multiples of 16, got \(20, 32\)"),
        ({"widths": (32, 64)}, "depths must be 2 positive counts"),
        ({"depths": (1, 0, 1, 1)}, "depths must be 4 positive counts"),
    ],
)
def test_impossible_shapes_are_refused(settings: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        SmallResnetConfig(**settings)  # type: ignore[arg-type]
