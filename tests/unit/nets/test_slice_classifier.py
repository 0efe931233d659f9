"""Our own encoder by name or by shape, one or three channels, with or without further inputs."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch", reason="needs the extra 'train'")

from stenograde.nets.encoder import SmallResnetConfig  # noqa: E402
from stenograde.nets.slice_classifier import (  # noqa: E402
    OWN_ENCODERS,
    SliceClassifier,
    SliceClassifierConfig,
)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("extra", [0, 5])
def test_logits_have_a_column_for_each_class(channels: int, extra: int) -> None:
    config = SliceClassifierConfig(
        "resnet_tiny", "own", classes=4, channels=channels, size_px=(32, 64), extra=extra
    )
    further = torch.rand(2, extra) if extra else None
    assert SliceClassifier(config)(torch.rand(2, channels, 32, 64), further).shape == (2, 4)


@pytest.mark.parametrize("name", OWN_ENCODERS)
def test_named_encoders_of_ours_suit_bfloat16(name: str) -> None:
    net = SliceClassifier(SliceClassifierConfig(name, "own", size_px=(32, 32))).eval()
    assert all(width % 32 == 0 for width in OWN_ENCODERS[name].widths)
    images = torch.randn(2, 1, 32, 32)
    with torch.inference_mode():
        exact = net(images)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            rough = net(images).float()
    torch.testing.assert_close(rough, exact, atol=0.05, rtol=0.05)


def test_shape_of_our_encoder_can_be_given() -> None:
    shape = SmallResnetConfig(widths=(16, 48), depths=(1, 1))
    net = SliceClassifier(SliceClassifierConfig("resnet_tiny", "own", own=shape, extra=2))
    assert net.head.linear.in_features == 48 + 2


def test_questions_are_answered_in_training_only() -> None:
    net = SliceClassifier(SliceClassifierConfig("resnet_tiny", "own", size_px=(32, 32), questions=2))
    images = torch.rand(2, 1, 32, 32)
    assert net.train()(images).shape == (2, 5)
    assert net.eval()(images).shape == (2, 3)


def test_extra_inputs_move_the_logits_and_are_never_dropped() -> None:
    config = SliceClassifierConfig("resnet_tiny", "own", size_px=(32, 32), extra=2, dropout=0.9)
    net = SliceClassifier(config)
    with torch.no_grad():
        net.head.linear.weight[:, :-2] = 0.0  # only the further inputs are left to see
    images, further = torch.rand(3, 1, 32, 32), torch.eye(3)[:, :2]
    wanted = further @ net.head.linear.weight[:, -2:].T + net.head.linear.bias
    torch.testing.assert_close(net(images, further), wanted)


@pytest.mark.parametrize(
    ("extra", "given", "message"),
    [
        (2, None, "extra inputs must be 2 values for each picture, got none"),
        (0, torch.zeros(1, 3), r"must be 0 values for each picture, got a tensor of shape \(1, 3\)"),
    ],
)
def test_missing_and_unwanted_extra_inputs_are_refused(
    extra: int, given: torch.Tensor | None, message: str
) -> None:
    net = SliceClassifier(SliceClassifierConfig("resnet_tiny", "own", size_px=(32, 32), extra=extra)).eval()
    with pytest.raises(ValueError, match=message):
        net(torch.rand(1, 1, 32, 32), given)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"encoder": "resnet_huge", "source": "own"}, "one of ours, resnet_tiny.*, got 'resnet_huge'"),
        ({"encoder": "resnet50", "source": "timm", "own": SmallResnetConfig()}, "own must be left out"),
        ({"encoder": "resnet_tiny", "source": "own", "size_px": (24, 64)}, "size_px must be 32 or more"),
        ({"encoder": "resnet_tiny", "source": "own", "dropout": 1.5}, "dropout must be from 0 to below 1"),
    ],
)
def test_impossible_settings_are_refused(settings: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        SliceClassifierConfig(**settings)  # type: ignore[arg-type]
