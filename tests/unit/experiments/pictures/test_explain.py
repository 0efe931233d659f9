"""A Grad-CAM map shows the place that raised the score, and nothing where nothing did."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the extra 'train'")

from torch import Tensor, nn  # noqa: E402

from stenograde.evaluate.predictions import Predictions  # noqa: E402
from stenograde.experiments.pictures.explain import grad_cam, heated, telling_cases  # noqa: E402


class _Bright(nn.Module):
    """Class 1 is the mean brightness of the picture above 0.5; class 0 its opposite."""

    def __init__(self) -> None:
        super().__init__()
        self.cam_layer = nn.Conv2d(1, 1, 1)
        nn.init.ones_(self.cam_layer.weight)
        nn.init.constant_(self.cam_layer.bias, -0.5)

    def forward(self, images: Tensor, extra: Tensor | None = None) -> Tensor:
        score = self.cam_layer(images).mean((2, 3))
        return torch.cat([-score, score], dim=1) + (0 if extra is None else extra)


def _spot() -> Tensor:
    image = torch.zeros(1, 1, 24, 32)
    image[0, 0, 4:8, 20:26] = 1.0
    return image


@pytest.mark.parametrize("frozen", [False, True])
def test_the_map_is_hot_where_the_score_comes_from(frozen: bool) -> None:
    net = _Bright().requires_grad_(not frozen)
    heat = grad_cam(net, _spot(), 1)
    assert heat.shape == (24, 32)
    assert heat.max() == 1.0
    inside = np.zeros((24, 32), bool)
    inside[4:8, 20:26] = True
    assert (heat[inside] == 1).all()
    assert (heat[~inside] == 0).all()


def test_for_the_other_class_the_spot_is_cold() -> None:
    heat = grad_cam(_Bright(), _spot(), 0)
    assert heat[5, 22] == 0
    assert heat[20, 3] == 1


def test_a_map_of_nothing_is_zero_and_the_net_is_left_as_it_was() -> None:
    net = _Bright().train()
    assert (grad_cam(net, torch.zeros(1, 1, 8, 8), 1, extra=torch.zeros(1, 2)) == 0).all()
    assert net.training
    assert not net.cam_layer._forward_hooks


def test_more_than_one_picture_is_refused() -> None:
    with pytest.raises(ValueError, match=r"shape \(1, channels, rows, columns\), got \(2, 1, 8, 8\)"):
        grad_cam(_Bright(), torch.zeros(2, 1, 8, 8), 1)


def test_heat_colours_the_picture_only_where_it_is() -> None:
    picture = np.full((4, 5), 100, np.uint8)
    heat = np.zeros((4, 5), np.float32)
    heat[1, 2] = 1.0
    shown = heated(picture, heat)
    assert shown.shape == (4, 5, 3)
    assert (shown[0] == 100).all()
    assert shown[1, 2, 0] > 150
    assert len(set(shown[1, 2].tolist())) > 1


def test_telling_cases_are_the_surest_of_each_class_and_the_surest_mistakes() -> None:
    shares = np.array([[0.9, 0.1], [0.8, 0.2], [0.3, 0.7], [0.05, 0.95], [0.99, 0.01], [0.4, 0.6]])
    labels = np.array([0, 0, 1, 1, 1, 0])
    names = tuple("abcdef")
    found = telling_cases(Predictions(("x", "y"), names, (None,) * 6, labels, shares))
    assert found == (3, 0, 4, 5)
