"""Stacks to vectors: widths, order, and that published weights would fit."""

from __future__ import annotations

from pathlib import Path

import pytest

torch = pytest.importorskip("torch", reason="needs the extra 'train'")
pytest.importorskip("monai", reason="needs monai")

from monai.networks import nets  # noqa: E402
from torch import Tensor  # noqa: E402
from torch.nn import functional  # noqa: E402

from stenograde.nets.volume_encoder import MEDICALNET, StackEncoder  # noqa: E402
from stenograde.nets.weights import load_weights  # noqa: E402


@pytest.mark.parametrize(("name", "width"), [("resnet50", 2048), ("resnet_tiny", 128), ("medicalnet10", 512)])
def test_widths(name: str, width: int) -> None:
    assert StackEncoder(name).width == width


def test_slices_are_normalised_as_the_published_weights_were_shown_pictures() -> None:
    """timm's tables say 0.5 and 0.5 for TensorFlow's EfficientNet-Lite; torchvision's ResNet has ImageNet's own."""
    lite, resnet = StackEncoder("tf_efficientnet_lite0"), StackEncoder("resnet50")
    assert lite.mean.flatten().tolist() == lite.deviation.flatten().tolist() == [0.5] * 3
    torch.testing.assert_close(resnet.mean.flatten(), torch.tensor([0.485, 0.456, 0.406]))


def test_a_slice_is_embedded_by_itself_and_in_order() -> None:
    net = StackEncoder("resnet_tiny")
    slices = torch.rand(5, 64, 64, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        whole = net(slices)
        torch.testing.assert_close(whole[3:4], net(slices[3:4]), rtol=1e-4, atol=1e-5)
    assert whole.shape == (5, 128)


def test_a_volume_gives_a_vector_for_every_eight_slices_that_depends_on_all() -> None:
    net = StackEncoder("medicalnet10")
    slices = torch.rand(17, 64, 64, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        one = net(slices)
        other = net(slices.flip(0))
    assert one.shape == (3, 512)
    assert net.sees_stack
    assert not torch.allclose(one, other.flip(0)), "the order of slices matters in three dimensions"


@pytest.mark.parametrize("name", ["medicalnet10", "medicalnet18"])
def test_weights_as_medicalnet_publishes_them_fit(name: str, tmp_path: Path) -> None:
    """The published files hold 'module.'-prefixed names under 'state_dict', and no classifier."""
    torch.manual_seed(1)
    builder, shortcut = MEDICALNET[name]
    published = getattr(nets, builder)(
        spatial_dims=3,
        n_input_channels=1,
        conv1_t_size=7,
        conv1_t_stride=2,
        shortcut_type=shortcut,
        bias_downsample=shortcut == "A",
        feed_forward=False,
    ).eval()
    stored = {f"module.{key}": value for key, value in published.state_dict().items()}
    torch.save({"state_dict": stored}, tmp_path / "w.pth")
    net = StackEncoder(name)
    report = load_weights(net, tmp_path / "w.pth")
    assert not report.missing
    assert not report.unexpected
    slices = torch.rand(19, 64, 64)
    with torch.inference_mode():
        theirs = as_published(published.state_dict(), slices)
        torch.testing.assert_close(net(slices), theirs, rtol=1e-4, atol=1e-5)


def as_published(weights: dict[str, Tensor], slices: Tensor) -> Tensor:
    """Med3D's net written down plainly: strides 2, 2, 1, 2, 1, 1 and dilations of 2 and 4 in the last two stages."""

    def normed(values: Tensor, name: str) -> Tensor:
        mean, var = weights[f"{name}.running_mean"], weights[f"{name}.running_var"]
        return functional.batch_norm(values, mean, var, weights[f"{name}.weight"], weights[f"{name}.bias"])

    maps = functional.conv3d(
        ((slices - 0.5) / 0.25)[None, None], weights["conv1.weight"], stride=2, padding=3
    )
    maps = functional.max_pool3d(torch.relu(normed(maps, "bn1")), 3, 2, 1)
    for stage, stride, dilation in ((1, 1, 1), (2, 2, 1), (3, 1, 2), (4, 1, 4)):
        for number in range(
            sum(key.startswith(f"layer{stage}.") and key.endswith("conv1.weight") for key in weights)
        ):
            name = f"layer{stage}.{number}"
            step = stride if number == 0 else 1
            first = functional.conv3d(
                maps, weights[f"{name}.conv1.weight"], stride=step, padding=dilation, dilation=dilation
            )
            first = torch.relu(normed(first, f"{name}.bn1"))
            second = functional.conv3d(
                first, weights[f"{name}.conv2.weight"], padding=dilation, dilation=dilation
            )
            second = normed(second, f"{name}.bn2")
            if f"{name}.downsample.0.weight" in weights:
                shortcut = functional.conv3d(maps, weights[f"{name}.downsample.0.weight"], stride=step)
                shortcut = normed(shortcut, f"{name}.downsample.1")
            else:
                shortcut = maps[:, :, ::step, ::step, ::step]
                empty = second.shape[1] - shortcut.shape[1]
                shortcut = functional.pad(shortcut, (0, 0, 0, 0, 0, 0, 0, empty))
            maps = torch.relu(second + shortcut)
    return maps.mean(dim=(3, 4))[0].T


def test_an_encoder_nobody_has_is_refused() -> None:
    with pytest.raises(ValueError, match="must be a model of timm, got 'resnet_5o'"):
        StackEncoder("resnet_5o")
