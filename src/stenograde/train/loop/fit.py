"""One training loop, top to bottom: batches, net, loss, optimiser, checkpoint; resumable at any moment.

It runs on one CPU or GPU, and on several processes where torchrun started them. All randomness depends on the seed,
the epoch and the process alone, and the state is kept epoch by epoch: a fit that was killed and started again gives
the same history and weights, on a CPU bit by bit.
"""

from __future__ import annotations

import logging
import math
import time
from contextlib import closing, nullcontext
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import cast

import numpy as np
import torch
from lightning_fabric import Fabric
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from stenograde.errors import ConfigError
from stenograde.heap import keep_freed_memory
from stenograde.train.loop.checkpoint import Stateful, load_best, load_checkpoint, save_best, save_checkpoint
from stenograde.train.loop.fit_config import Batch, Batches, EpochRecord, FitConfig, Fitted, LossOf
from stenograde.train.loop.fit_log import open_log
from stenograde.train.loop.optimise import build_optimiser, build_schedule
from stenograde.train.loop.processes import Tally, share_buffers, start_fabric
from stenograde.workers import Progress, Step

log = logging.getLogger(__name__)


def fit(
    net: nn.Module,
    train: Batches,
    config: FitConfig,
    *,
    loss_of: LossOf,
    folder: Path,
    validation: Batches | None = None,
    progress: Progress | None = None,
) -> Fitted:
    """Fit a net; it comes back on the device that was used, the same in every process.

    Parameters
    ----------
    net : Module
        Called on ``input``, and on ``extra`` too where batches have it. It is changed.
    train : Batches
        Batches that cannot be shared out evenly among the processes are left out.
    config : FitConfig
    loss_of : callable
        (output, batch) to a scalar; the output is in 32 bits.
    folder : Path
        Gets checkpoint and logs, and where it holds a checkpoint the fit resumes from it. All processes must see it.
    validation : Batches, optional
        Its loss is taken after each epoch, and the weights of the best epoch come out.
    progress : callable, optional
        Called in the first process with the folder's name: after each batch, and after each epoch with its loss.

    Raises
    ------
    ConfigError
        If the folder's checkpoint is of another fit, or a loss is not finite.
    ValueError
        If patience is set without validation, or there are fewer batches than processes.
    """
    keep_freed_memory()
    fabric = start_fabric(config)
    steps = _steps(train, validation, config, fabric.world_size)
    parts = _Parts.made(net.to(fabric.device, memory_format=torch.channels_last), config, steps)  # type: ignore[call-overload]
    history = load_checkpoint(folder, parts.stateful(), config)
    # what is compiled wraps the net, whose weights keep their names
    trained = cast(nn.Module, torch.compile(parts.net)) if compiles(config, fabric.device) else parts.net
    wrapped, optimiser = fabric.setup(trained, parts.optimiser)
    epochs = _Epochs(fabric, parts, loss_of, config, wrapped, optimiser, progress, folder.name)
    with open_log(folder, epochs_done=len(history)) if fabric.is_global_zero else nullcontext() as logs:
        while not _is_done(history, config):
            history.append(epochs.whole(train, validation, len(history), steps))
            if logs is not None:
                if validation is not None and _best_epoch(history) == len(history):
                    save_best(folder, parts.kept.state_dict())
                save_checkpoint(folder, parts.stateful(), history, config)
                logs.write(history)
                epochs.tell(history[-1])
            log.info("epoch %d of %d, loss %.4f", len(history), config.epochs, history[-1].loss)
    weights = (
        load_best(folder) if fabric.is_global_zero and validation is not None else parts.kept.state_dict()
    )
    parts.kept.load_state_dict(fabric.broadcast(weights))
    best = _best_epoch(history) if validation is not None else len(history)
    return Fitted(parts.kept.eval(), tuple(history), best)


@dataclass(frozen=True, eq=False)
class _Parts:
    """What a fit changes as it goes."""

    net: nn.Module
    average: AveragedModel | None
    optimiser: Optimizer
    schedule: LRScheduler

    @classmethod
    def made(cls, net: nn.Module, config: FitConfig, steps: int) -> _Parts:
        average = None
        if config.average:
            average = AveragedModel(net, multi_avg_fn=get_ema_multi_avg_fn(config.average), use_buffers=True)
        optimiser = build_optimiser(net, config)
        return cls(net, average, optimiser, build_schedule(optimiser, config, steps=config.epochs * steps))

    @property
    def kept(self) -> nn.Module:
        """The net whose weights come out."""
        return self.net if self.average is None else self.average.module

    def stateful(self) -> dict[str, Stateful]:
        parts: dict[str, Stateful | None] = {
            "net": self.net,
            "average": self.average,
            "optimiser": self.optimiser,
            "schedule": self.schedule,
        }
        return {name: part for name, part in parts.items() if part is not None}

    def rate(self) -> float:
        return float(self.optimiser.param_groups[0]["lr"])


@dataclass(frozen=True, eq=False)
class _Epochs:
    """Goes through batches once, to learn from them or to check."""

    fabric: Fabric
    parts: _Parts
    loss_of: LossOf
    config: FitConfig
    wrapped_net: nn.Module
    wrapped_optimiser: Optimizer
    progress: Progress | None
    name: str

    def whole(self, train: Batches, validation: Batches | None, epoch: int, steps: int) -> EpochRecord:
        """Learn in an epoch, counted from 0, and check."""
        start = time.perf_counter()
        loss, accuracy = self.train(train, epoch, steps)
        checked, right = self.check(validation) if validation is not None else (None, None)
        rate, seconds = self.parts.rate(), time.perf_counter() - start
        record = EpochRecord(epoch + 1, loss, accuracy, checked, right, rate, seconds)
        _refuse_infinite(record)
        return record

    def tell(self, done: EpochRecord) -> None:
        """Report an epoch."""
        if self.progress:
            losses = (done.loss, done.validation_loss)
            self.progress(Step(self.name, done.epoch, self.config.epochs, "epoch", *losses))

    def train(self, batches: Batches, epoch: int, steps: int) -> tuple[float, float | None]:
        """Learn from the batches of an epoch, counted from 0; return mean loss and accuracy."""
        fabric, tally = self.fabric, Tally()
        # one seed per epoch and process, so that drop-out does not depend on where a fit was interrupted
        torch.manual_seed(
            int(np.random.SeedSequence([self.config.seed, epoch, fabric.global_rank]).generate_state(1)[0])
        )
        self.wrapped_net.train()
        with closing(batches.batches(epoch, fabric.global_rank, fabric.world_size)) as made:
            for number, batch in enumerate(islice(made, steps), start=1):
                moved = fabric.to_device(batch)
                output = _output(self.wrapped_net, moved).float()
                loss = self.loss_of(output, moved)
                self._step(loss)
                tally.add(loss, output, moved)
                if self.progress and fabric.is_global_zero:
                    self.progress(Step(self.name, epoch + number / steps, self.config.epochs, "epoch"))
        share_buffers(fabric, self.parts.kept)
        return tally.means(fabric)

    def check(self, batches: Batches) -> tuple[float, float | None]:
        """Return mean loss and accuracy of the kept weights."""
        fabric, tally, net = self.fabric, Tally(), self.parts.kept.eval()
        with (
            torch.inference_mode(),
            closing(batches.batches(0, fabric.global_rank, fabric.world_size)) as made,
        ):
            for batch in made:
                moved = fabric.to_device(batch)
                with fabric.autocast():
                    output = _output(net, moved)
                tally.add(self.loss_of(output.float(), moved), output, moved)
        return tally.means(fabric)

    def _step(self, loss: Tensor) -> None:
        self.wrapped_optimiser.zero_grad(set_to_none=True)
        self.fabric.backward(loss)
        if self.config.clip:
            nn.utils.clip_grad_norm_(self.parts.net.parameters(), self.config.clip)
        self.wrapped_optimiser.step()
        self.parts.schedule.step()
        if self.parts.average is not None:
            self.parts.average.update_parameters(self.parts.net)


def _output(net: nn.Module, batch: Batch) -> Tensor:
    pictures = batch["input"]
    if pictures.ndim == 4:
        pictures = pictures.to(memory_format=torch.channels_last)
    return net(pictures, batch["extra"]) if "extra" in batch else net(pictures)


def compiles(config: FitConfig, device: torch.device) -> bool:
    """Return whether a net is compiled on a device."""
    return config.compiled in {"always", device.type}


def _steps(train: Batches, validation: Batches | None, config: FitConfig, world: int) -> int:
    if config.patience is not None and validation is None:
        msg = f"fit must have validation batches for patience {config.patience}, got none"
        raise ValueError(msg)
    if len(train) < world:
        msg = f"there must be a training batch for each of {world} processes, got {len(train)}"
        raise ValueError(msg)
    return len(train) // world


def _best_epoch(history: list[EpochRecord]) -> int:
    """Return the first epoch, from 1, with the lowest validation loss."""
    return 1 + int(np.argmin([record.validation_loss or 0.0 for record in history]))


def _is_done(history: list[EpochRecord], config: FitConfig) -> bool:
    waited = len(history) - _best_epoch(history) if history else 0
    return len(history) >= config.epochs or (config.patience is not None and waited >= config.patience)


def _refuse_infinite(record: EpochRecord) -> None:
    if not math.isfinite(record.loss) or not math.isfinite(record.validation_loss or 0.0):
        msg = (
            f"loss must be finite, got {record.loss} in training and {record.validation_loss} in validation at "
            f"epoch {record.epoch}; lower the learning rate or clip more"
        )
        raise ConfigError(msg)
