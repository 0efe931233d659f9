"""Crops of one disc fused: what is missing does not matter, and wrong shapes are refused."""

from __future__ import annotations

from dataclasses import replace

import pytest

torch = pytest.importorskip("torch", reason="needs the extra 'train'")

from torch.nn import functional  # noqa: E402

from stenograde.nets.disc_fusion import DiscFusion, DiscFusionConfig, EverySubset  # noqa: E402

SMALL = DiscFusionConfig(widths=(32, 32), hidden=8)


def test_a_missing_crop_does_not_matter_and_all_questions_are_answered() -> None:
    torch.manual_seed(0)
    net = DiscFusion(SMALL).eval()
    crops = torch.randn(4, 3, 32, 40)
    extra = torch.tensor([[1.0, 0, 1, 0, 0, 0, 1, 0]]).repeat(4, 1)
    other = crops.clone()
    other[:, 1] = 100 * torch.randn(4, 32, 40)
    with torch.inference_mode():
        said = net(crops, extra)
        torch.testing.assert_close(said, net(other, extra), rtol=0, atol=0)
        other[:, 0] += 1
        assert not torch.allclose(said, net(other, extra))
    assert said.shape == (4, 7)


def test_every_subset_is_answered_as_if_no_more_were_there() -> None:
    torch.manual_seed(0)
    net = DiscFusion(SMALL).eval()
    both = EverySubset(net, [True, False, True]).eval()
    crops = torch.randn(2, 3, 32, 40)
    level = [0.0, 0, 0, 1, 0]
    extra = torch.tensor([[1.0, 0, 1, *level], [0, 0, 1, *level]])
    with torch.inference_mode():
        said = both(crops, extra)
        assert said.shape == (2, 3, 7)
        torch.testing.assert_close(said[:, 0], net(crops, extra))
        for place, kept in ((1, [1.0, 0, 0]), (2, [0.0, 0, 1])):
            alone = net(crops[:1], torch.tensor([[*kept, *level]]))
            torch.testing.assert_close(said[:1, place], alone)
    # of the second disc the first series is not there, and so neither is that subset
    assert torch.isnan(said[1, 1]).all()
    assert not torch.isnan(said[1, [0, 2]]).any()


def test_series_of_like_contrast_share_an_encoder() -> None:
    assert len(DiscFusion(SMALL).encoders) == 2


def test_a_frozen_encoder_is_seen_through_means_of_its_middle_maps_and_never_trained() -> None:
    torch.manual_seed(0)
    net = DiscFusion(replace(SMALL, frozen="tf_efficientnet_lite0", grid=2))
    assert net.maps is not None
    crops, extra = torch.randn(6, 3, 64, 80), torch.tensor([[1.0, 1, 1, 0, 0, 0, 1, 0]]).repeat(6, 1)
    before = {name: value.clone() for name, value in net.maps.state_dict().items()}
    net.train()(crops, extra).sum().backward()
    assert all(value.grad is None for value in net.maps.parameters())
    assert all(torch.equal(value, before[name]) for name, value in net.maps.state_dict().items())
    # the encoder's own maps of what it is shown: three deviations are the ends of its scale
    shown = (crops[:, 1:2] / 3).clamp(-1, 1)
    means = torch.cat([functional.adaptive_avg_pool2d(one, 2) for one in net.maps(shown)], dim=1).flatten(1)
    net.eval()
    wanted = net.encoders[1][-1](net.encoders[1][0](means)) + net.kinds[1]
    torch.testing.assert_close(net.vectors(crops)[:, 1], wanted, rtol=1e-4, atol=1e-5)


def test_weights_need_a_frozen_encoder() -> None:
    with pytest.raises(ValueError, match=r"set net\.frozen"):
        DiscFusion(SMALL).start_from("imagenet")


def test_shapes_that_cannot_be_are_refused() -> None:
    with pytest.raises(ValueError, match="without gaps, got \\(0, 2, 2\\)"):
        DiscFusionConfig(encoder_of_series=(0, 2, 2))
    with pytest.raises(ValueError, match="dropout in \\[0, 1\\)"):
        DiscFusionConfig(dropout=1.0)
