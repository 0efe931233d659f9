"""Probabilities are those of the net, whatever the batches."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the extra 'train'")

from torch import Tensor, nn  # noqa: E402

from stenograde.experiments.pictures.inference import predict_probabilities  # noqa: E402
from stenograde.images.pictures import InputConfig  # noqa: E402
from stenograde.train.pictures.batches import as_input  # noqa: E402

PICTURES = np.random.default_rng(0).integers(0, 256, (7, 6, 6)).astype(np.uint8)
INPUT = InputConfig(1, (0.5,), (0.25,))


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.conv, self.drop, self.head = nn.Conv2d(1, 5, 3), nn.Dropout(0.5), nn.Linear(5, 3)

    def forward(self, images: Tensor, extra: Tensor | None = None) -> Tensor:
        features = self.drop(self.conv(images).mean(dim=(2, 3)))
        return self.head(features if extra is None else features + extra)


def test_probabilities_are_the_soft_max_of_the_net_without_drop_out() -> None:
    got = predict_probabilities(Net(), PICTURES, INPUT, batch=3, precision="32", accelerator="cpu")
    with torch.no_grad():
        wanted = Net().eval()(as_input(PICTURES, INPUT)).softmax(1).numpy()
    assert got.shape == (7, 3)
    assert got.dtype == np.float64
    assert got == pytest.approx(wanted, abs=1e-6)
    assert got.sum(axis=1) == pytest.approx(np.ones(7), abs=1e-12)


def test_bf16_is_near() -> None:
    exact, mixed = (
        predict_probabilities(Net(), PICTURES, INPUT, precision=precision, accelerator="cpu")
        for precision in ("32", "bf16")
    )
    assert mixed == pytest.approx(exact, abs=0.02)


def test_extra_inputs_reach_the_net() -> None:
    extra = np.random.default_rng(1).normal(size=(7, 5)).astype(np.float32)
    got = predict_probabilities(
        Net(), PICTURES, INPUT, extra=extra, batch=2, precision="32", accelerator="cpu"
    )
    with torch.no_grad():
        wanted = Net().eval()(as_input(PICTURES, INPUT), torch.from_numpy(extra)).softmax(1).numpy()
    assert got == pytest.approx(wanted, abs=1e-6)
