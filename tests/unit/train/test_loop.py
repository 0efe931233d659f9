"""The training loop goes on after an interruption as if there had been none."""

from __future__ import annotations

from pathlib import Path

import pytest

torch = pytest.importorskip("torch", reason="needs the extra 'train'")

from torch.utils.data import Dataset  # noqa: E402

from stenograde.train.loop import FitConfig, fit  # noqa: E402

CONFIG = FitConfig(epochs=4, batch=2, workers=0, bfloat16=False, average=0.5, learning_rate=1e-2)


class _Points(Dataset):  # type: ignore[misc]
    """Points on a line, with noise that depends on (epoch, index) alone."""

    def __len__(self) -> int:
        return 6

    def __getitem__(self, at: tuple[int, int]) -> dict[str, torch.Tensor]:
        epoch, index = at
        noise = torch.randn(1, 1, 1, generator=torch.Generator().manual_seed(epoch * 100 + index))
        x = torch.full((1, 1, 1), float(index)) + 0.1 * noise
        return {"input": x, "target": 2 * x + 1}


def _net() -> torch.nn.Module:
    torch.manual_seed(0)
    return torch.nn.Conv2d(1, 1, 1)


def _loss(output: torch.Tensor, batch: dict[str, torch.Tensor]) -> torch.Tensor:
    return torch.nn.functional.mse_loss(output, batch["target"])


class _Stop(Exception):  # noqa: N818
    pass


def test_going_on_after_a_stop_gives_the_same_weights(tmp_path: Path) -> None:
    whole = fit(_net(), _Points(), _loss, CONFIG, checkpoint=tmp_path / "whole.pt")

    def stop(epoch: int, loss: float) -> None:
        if epoch == 2:
            raise _Stop

    with pytest.raises(_Stop):
        fit(_net(), _Points(), _loss, CONFIG, checkpoint=tmp_path / "parts.pt", progress=stop)
    resumed = fit(_net(), _Points(), _loss, CONFIG, checkpoint=tmp_path / "parts.pt")
    for a, b in zip(whole.parameters(), resumed.parameters(), strict=True):
        assert torch.equal(a, b)


def test_the_loss_falls(tmp_path: Path) -> None:
    losses: list[float] = []
    config = FitConfig(epochs=30, batch=2, workers=0, bfloat16=False, learning_rate=3e-2)
    fit(
        _net(),
        _Points(),
        _loss,
        config,
        checkpoint=tmp_path / "c.pt",
        progress=lambda _, loss: losses.append(loss),
    )
    assert losses[-1] < 0.1 * losses[0]


def test_a_finished_fit_is_not_done_again(tmp_path: Path) -> None:
    fit(_net(), _Points(), _loss, CONFIG, checkpoint=tmp_path / "c.pt")
    epochs: list[int] = []
    fit(
        _net(),
        _Points(),
        _loss,
        CONFIG,
        checkpoint=tmp_path / "c.pt",
        progress=lambda epoch, _: epochs.append(epoch),
    )
    assert epochs == []


def test_impossible_settings_are_refused() -> None:
    with pytest.raises(ValueError, match="epochs >= 1"):
        FitConfig(epochs=0)
