"""Encoders of timm and MONAI by name: same call, same form of maps, whatever the library's own."""

from __future__ import annotations

from types import ModuleType

import pytest

torch = pytest.importorskip("torch", reason="needs the extra 'train'")

from stenograde.nets.library_encoders import MONAI_ENCODERS, MonaiEncoder, TimmEncoder  # noqa: E402
from stenograde.nets.slice_classifier import SliceClassifier, SliceClassifierConfig  # noqa: E402


@pytest.fixture(scope="module")
def monai() -> ModuleType:
    """The package, imported outside any one test, since importing it and what it brings changes the environment."""
    return pytest.importorskip("monai.networks.nets", reason="needs the extra 'train'")


@pytest.mark.parametrize(
    ("name", "size_px", "maps"),
    [
        ("test_resnet", (64, 96), (96, 2, 3)),  # channels first
        ("test_mambaout", (64, 96), (64, 2, 3)),  # channels last
        ("test_vit", (64, 96), (64, 4, 6)),  # a class token and one for each patch of 16 pixels
    ],
)
@pytest.mark.parametrize("channels", [1, 3])
def test_timm_gives_maps_and_features(
    name: str, size_px: tuple[int, int], maps: tuple[int, ...], channels: int
) -> None:
    config = SliceClassifierConfig(name, "timm", channels=channels, size_px=size_px)
    net, found = SliceClassifier(config).eval(), []
    net.cam_layer.register_forward_hook(lambda _module, _inputs, output: found.append(output))
    logits = net(torch.randn(2, channels, *size_px))
    assert logits.shape == (2, 3)
    assert found[0].shape == (2, *maps)
    # Grad-CAM needs the way from the maps to a logit
    assert bool(torch.autograd.grad(logits[:, 0].sum(), found[0])[0].any())


@pytest.mark.parametrize("name", ["test_resnet", "test_mambaout"])
def test_features_are_those_that_timm_gives_itself(name: str) -> None:
    encoder = TimmEncoder(name, channels=1, size_px=(64, 64)).eval()
    images = torch.randn(2, 1, 64, 64)
    with torch.inference_mode():
        torch.testing.assert_close(encoder(images), encoder.net(images))


def test_maps_of_a_transformer_lie_where_the_picture_has_them() -> None:
    encoder, found = TimmEncoder("test_vit", channels=1, size_px=(64, 96)).eval(), []
    encoder.net.blocks = torch.nn.Identity()  # so that no patch hears of another
    encoder.cam_layer.register_forward_hook(lambda _module, _inputs, output: found.append(output))
    images = torch.randn(1, 1, 64, 96)
    changed = images.clone()
    changed[..., 32:48, 80:96] += 1.0
    with torch.inference_mode():
        encoder(images)
        encoder(changed)
    differs = (found[0] - found[1]).abs().amax(dim=1)[0] > 1e-4
    assert differs.nonzero().tolist() == [[2, 5]]


def test_making_an_encoder_leaves_no_trace_in_its_statistics() -> None:
    encoder = TimmEncoder("test_resnet", channels=1, size_px=(64, 64))
    assert encoder.training
    assert int(encoder.net.bn1.num_batches_tracked) == 0


@pytest.mark.usefixtures("monai")
@pytest.mark.parametrize(
    ("name", "width"), [("resnet10", 512), ("densenet121", 1024), ("efficientnet-b0", 1280)]
)
def test_monai_gives_maps_and_features(name: str, width: int) -> None:
    net, found = SliceClassifier(SliceClassifierConfig(name, "monai", size_px=(64, 96))).eval(), []
    net.cam_layer.register_forward_hook(lambda _module, _inputs, output: found.append(output))
    logits = net(torch.randn(1, 1, 64, 96))
    assert found[0].shape == (1, width, 2, 3)
    assert bool(torch.autograd.grad(logits[:, 0].sum(), found[0])[0].any())
    # none of the library's own classifiers is left
    assert net.encoder.width == width


@pytest.mark.usefixtures("monai")
def test_resnet50_of_monai_takes_the_weights_of_timm() -> None:
    ours = MonaiEncoder("resnet50", channels=3).net.state_dict()
    theirs = TimmEncoder("resnet50", channels=3, size_px=(64, 64)).net.state_dict()
    assert {name: value.shape for name, value in ours.items()} == {n: v.shape for n, v in theirs.items()}


def test_unknown_names_are_refused_and_near_ones_offered() -> None:
    with pytest.raises(ValueError, match=r"a model of timm, got 'resnet5'; near it: resnet50"):
        TimmEncoder("resnet5", channels=1, size_px=(64, 64))
    with pytest.raises(ValueError, match=r"one of MONAI's resnet10.*, got 'resnet5'"):
        MonaiEncoder("resnet5", channels=1)
    assert "resnet50" in MONAI_ENCODERS
