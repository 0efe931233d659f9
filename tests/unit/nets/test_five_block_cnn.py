"""The five-block network is the published one: layers, order, numbers of weights."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch", reason="needs the extra 'train'")

from torch import nn  # noqa: E402

from stenograde.nets.five_block_cnn import FiveBlockCnn, FiveBlockConfig  # noqa: E402

TINY = FiveBlockConfig(channels=1, size_px=(16, 24), widths=(4, 6), dense=(10, 8))


def test_published_network_has_the_weights_of_a_hand_count() -> None:
    # a 3x3 convolution with bias: 9 * in * out + out
    convolutions = (
        (9 * 3 * 32 + 32) + (9 * 32 * 32 + 32)  # 896 + 9 248
        + (9 * 32 * 64 + 64) + (9 * 64 * 64 + 64)  # 18 496 + 36 928
        + (9 * 64 * 128 + 128) + (9 * 128 * 128 + 128)  # 73 856 + 147 584
        + (9 * 128 * 256 + 256) + (9 * 256 * 256 + 256)  # 295 168 + 590 080
        + (9 * 256 * 512 + 512) + (9 * 512 * 512 + 512)  # 1 180 160 + 2 359 808
    )  # fmt: skip
    # scale and shift of each channel, two norms in each block
    block_norms = 2 * 2 * (32 + 64 + 128 + 256 + 512)
    # five halvings of 256: 8 x 8 places of 512 channels
    dense = (8 * 8 * 512 * 512 + 512) + 2 * 512 + (512 * 256 + 256) + 2 * 256
    output = 256 * 3 + 3
    assert convolutions == 4_712_224
    assert convolutions + block_norms + dense + output == 21_627_555
    net = FiveBlockCnn(FiveBlockConfig())
    assert sum(weight.numel() for weight in net.parameters()) == 21_627_555
    # running mean and variance, which Keras counts as "non-trainable"
    running = sum(b.numel() for name, b in net.named_buffers() if "running" in name)
    assert running == 2 * 2 * (32 + 64 + 128 + 256 + 512) + 2 * (512 + 256)


def test_layers_stand_in_the_published_order() -> None:
    net = FiveBlockCnn(FiveBlockConfig(size_px=(32, 32), dense=(8, 4)))
    block = [nn.Conv2d, nn.ReLU, nn.BatchNorm2d] * 2 + [nn.MaxPool2d, nn.Dropout]
    assert [[type(layer) for layer in layers] for layers in net.blocks] == [block] * 5
    assert [layers[0].out_channels for layers in net.blocks] == [32, 64, 128, 256, 512]
    assert [layers[3].kernel_size for layers in net.blocks] == [(3, 3)] * 5
    dense = [nn.Linear, nn.ReLU, nn.BatchNorm1d, nn.Dropout]
    assert [[type(layer) for layer in layers] for layers in list(net.dense)[1:]] == [dense] * 2
    assert [layers[3].p for layers in list(net.dense)[1:]] == [0.5, 0.5]


def test_initial_weights_are_those_of_keras() -> None:
    layer = FiveBlockCnn(FiveBlockConfig(size_px=(32, 32), dense=(8, 4))).blocks[3][3]
    bound = (6 / (9 * 256 + 9 * 256)) ** 0.5  # glorot_uniform: sqrt(6 / (fan in + fan out))
    assert 0.95 * bound < float(layer.weight.detach().abs().max()) <= bound
    assert not layer.bias.detach().any()


def test_every_weight_has_a_gradient_and_extra_inputs_count() -> None:
    net = FiveBlockCnn(FiveBlockConfig(channels=1, size_px=(16, 24), widths=(4, 6), dense=(10, 8), extra=2))
    net(torch.rand(6, 1, 16, 24), torch.rand(6, 2)).square().mean().backward()
    assert all(weight.grad is not None and bool(weight.grad.any()) for weight in net.parameters())
    net.eval()
    with torch.inference_mode():
        picture = torch.rand(1, 1, 16, 24)
        assert not net(picture, torch.zeros(1, 2)).equal(net(picture, torch.ones(1, 2)))


def test_cam_layer_gives_the_last_maps_before_pooling() -> None:
    net, found = FiveBlockCnn(TINY).eval(), []
    net.cam_layer.register_forward_hook(lambda _module, _inputs, maps: found.append(maps))
    net(torch.rand(2, 1, 16, 24))
    assert found[0].shape == (2, 6, 8, 12)


def test_head_is_the_last_layer_alone() -> None:
    assert sum(weight.numel() for weight in FiveBlockCnn(TINY).head.parameters()) == 8 * 3 + 3


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"size_px": (31, 256)}, r"size_px must be 32 or more on each side, got \(31, 256\)"),
        ({"channels": 2}, "channels must be 1 or 3, got 2"),
        ({"classes": 1}, "classes must be 2 or more, got 1"),
        ({"extra": -1}, "extra must be 0 or more, got -1"),
        ({"widths": ()}, "must be positive counts"),
        ({"block_dropout": 1.0}, r"block_dropout must be from 0 to below 1, got 1\.0"),
        ({"norm_momentum": 0.0}, "norm_momentum must be above 0"),
    ],
)
def test_impossible_shapes_are_refused(settings: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        FiveBlockConfig(**settings)  # type: ignore[arg-type]
