"""One training loop, top to bottom: samples, net, loss, optimiser, checkpoint; resumable at any moment."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from torch.utils.data import DataLoader, Dataset, Sampler

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class FitConfig:
    """How a net is fitted."""

    epochs: int = 60
    batch: int = 8
    learning_rate: float = 3e-3
    """Peak of a one-cycle schedule."""
    weight_decay: float = 1e-4
    average: float = 0.99
    """Decay of the running average of the weights, which is what comes out."""
    seed: int = 7
    workers: int = 1
    """Processes that make samples ahead."""
    device: str = "cpu"
    bfloat16: bool = True

    def __post_init__(self) -> None:
        if self.epochs < 1 or self.batch < 1 or self.workers < 0:
            msg = f"fit needs epochs >= 1, batch >= 1, workers >= 0, got {self.epochs}, {self.batch}, {self.workers}"
            raise ValueError(msg)


class _Shuffled(Sampler[tuple[int, int]]):
    """Gives (epoch, index) in an order that depends on the seed and the epoch alone."""

    def __init__(self, n: int, seed: int) -> None:
        self.n, self.seed, self.epoch = n, seed, 0

    def __len__(self) -> int:
        return self.n

    def __iter__(self) -> Any:
        order = torch.randperm(
            self.n, generator=torch.Generator().manual_seed(self.seed * 10_007 + self.epoch)
        )
        return iter([(self.epoch, int(index)) for index in order])


def fit(
    net: nn.Module,
    samples: Dataset[dict[str, Tensor]],
    loss_of: Callable[[Tensor, dict[str, Tensor]], Tensor],
    config: FitConfig,
    *,
    checkpoint: Path,
    progress: Callable[[int, float], None] | None = None,
) -> nn.Module:
    """Fit a net and return its weight average.

    Parameters
    ----------
    net : Module
        Called on ``batch["input"]``.
    samples : Dataset
        Indexed by (epoch, index), so that augmentation depends on nothing but these.
    loss_of : callable
        (output, batch) to a scalar.
    config : FitConfig
    checkpoint : Path
        Written after each epoch, atomically; when it exists, training goes on from there.
    progress : callable, optional
        Called with (epochs done, mean loss) after each epoch.

    Returns
    -------
    net : Module
        With averaged weights, in evaluation mode.
    """
    torch.manual_seed(config.seed)
    device = torch.device(config.device)
    net = net.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    average = AveragedModel(net, multi_avg_fn=get_ema_multi_avg_fn(config.average), use_buffers=True)
    optimiser = torch.optim.AdamW(net.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay)
    shuffled = _Shuffled(len(samples), config.seed)  # type: ignore[arg-type]
    loader = DataLoader(
        samples,
        batch_size=config.batch,
        sampler=shuffled,
        num_workers=config.workers,
        drop_last=len(shuffled) > config.batch,
        persistent_workers=config.workers > 0,
    )
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, config.learning_rate, total_steps=config.epochs * len(loader), pct_start=0.15
    )
    parts: dict[str, Any] = {"net": net, "average": average, "optimiser": optimiser, "schedule": schedule}
    first = _resume(parts, checkpoint)
    for epoch in range(first, config.epochs):
        shuffled.epoch = epoch
        net.train()
        total = 0.0
        for made in loader:
            batch = {name: value.to(device) for name, value in made.items()}
            inputs = batch["input"].to(memory_format=torch.channels_last)
            with torch.autocast(device.type, torch.bfloat16, enabled=config.bfloat16):
                output = net(inputs)
            loss = loss_of(output.float(), batch)
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
            nn.utils.clip_grad_norm_(net.parameters(), 5.0)
            optimiser.step()
            schedule.step()
            average.update_parameters(net)
            total += float(loss.detach())
        _save(parts, checkpoint, epoch + 1)
        log.info("epoch %d of %d, loss %.4f", epoch + 1, config.epochs, total / len(loader))
        if progress:
            progress(epoch + 1, total / len(loader))
    return average.module.eval()


def _save(parts: dict[str, Any], checkpoint: Path, epochs_done: int) -> None:
    checkpoint.parent.mkdir(parents=True, exist_ok=True)
    partial = checkpoint.with_suffix(".partial")
    torch.save({name: part.state_dict() for name, part in parts.items()} | {"epochs": epochs_done}, partial)
    partial.replace(checkpoint)


def _resume(parts: dict[str, Any], checkpoint: Path) -> int:
    if not checkpoint.is_file():
        return 0
    stored = torch.load(checkpoint, map_location="cpu", weights_only=True)
    for name, part in parts.items():
        part.load_state_dict(stored[name])
    log.info("going on after epoch %d of %s", stored["epochs"], checkpoint.name)
    return int(stored["epochs"])
