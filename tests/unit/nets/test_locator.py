"""The locator gives one logit per class and pixel, and every weight takes part."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch", reason="needs the extra 'train'")

from stenograde.nets.locator import N_CLASSES, N_HEAT_MAPS, Locator, LocatorConfig  # noqa: E402


def test_output_has_the_rows_and_columns_of_the_input() -> None:
    config = LocatorConfig(widths=(4, 6, 8))
    logits = Locator(config)(torch.zeros(2, 1, 3 * config.stride, 5 * config.stride))
    assert logits.shape == (2, N_CLASSES + N_HEAT_MAPS, 24, 40)


def test_every_weight_has_a_gradient() -> None:
    net = Locator(LocatorConfig(widths=(4, 6, 8)))
    net(torch.randn(2, 1, 32, 32)).square().mean().backward()
    assert all(weight.grad is not None and bool(weight.grad.any()) for weight in net.parameters())


def test_number_of_weights_is_that_of_a_hand_count() -> None:
    # encoder 4>4>4, 4>6>6; lift 6>4; decoder 4>4>4; head 4 > 24: 3x3 convolutions without bias, 2 per norm
    encoder = 9 * (4 * 4 + 4 * 4) + 16 + 9 * (4 * 6 + 6 * 6) + 24
    decoder = 6 * 4 + 4 + 9 * (4 * 4 + 4 * 4) + 16
    head = 4 * 24 + 24
    net = Locator(LocatorConfig(widths=(4, 6)))
    assert sum(weight.numel() for weight in net.parameters()) == encoder + decoder + head


@pytest.mark.parametrize(
    ("settings", "message"),
    [({"widths": (4,)}, "two or more positive"), ({"spacing_mm": 9.0}, r"from 0\.2 to 2\.0, got 9\.0")],
)
def test_impossible_shapes_are_refused(settings: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        LocatorConfig(**settings)  # type: ignore[arg-type]
