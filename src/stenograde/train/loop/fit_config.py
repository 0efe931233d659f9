"""How a net is fitted, on what, and with what result: the plain types of the training loop."""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from typing import Literal, Protocol

from torch import Tensor, nn

Batch = dict[str, Tensor]
"""``input`` and ``target``; where a method has them, ``extra`` (n, f), ``weight`` (n,) and ``also`` (n, k): further
yes-or-no questions, 1, 0 or NaN where unknown, whose logits are the output's last columns."""

LossOf = Callable[[Tensor, Batch], Tensor]
"""(output, batch) to a scalar, the mean over the batch."""


class Batches(Protocol):
    """Batches of one data set that depend on the epoch alone, so that a fit can resume where it stopped."""

    def __len__(self) -> int:
        """Return how many batches an epoch has, over all processes."""
        ...

    def batches(self, epoch: int, rank: int, world: int) -> Generator[Batch, None, None]:
        """Give every ``world``-th batch of an epoch, from the ``rank``-th on; closing it ends its threads."""
        ...


@dataclass(frozen=True)
class FitConfig:
    """How a net is fitted."""

    epochs: int = 60
    batch: int = 8
    """Samples per step and process."""
    optimiser: Literal["adamw", "adam", "sgd"] = "adamw"
    learning_rate: float = 3e-3
    """Peak of the schedule."""
    head_multiplier: float = 1.0
    """Multiple of the learning rate that the parameters of ``net.head`` get."""
    momentum: float = 0.9
    """Momentum of sgd; the others have their own."""
    weight_decay: float = 1e-4
    """Decoupled for adamw, otherwise added to the gradient."""
    schedule: Literal["one_cycle", "cosine", "constant"] = "one_cycle"
    """How the learning rate changes, step by step."""
    clip: float = 5.0
    """Longest gradient; longer ones are scaled down. 0 for no limit."""
    average: float = 0.99
    """Decay of the running average of the weights, which is what comes out; 0 for none."""
    patience: int | None = None
    """Stop when the validation loss has not fallen for this many epochs."""
    precision: Literal["32", "bf16"] = "bf16"
    """bf16 is mixed: weights stay in 32 bits. On a CPU it is quicker only with avx512_bf16 or amx_bf16."""
    compiled: Literal["no", "cuda", "always"] = "no"
    """Whether the net is compiled for training (``torch.compile``, which needs a C compiler): takes minutes before the
    first step, and pays where there are many. ``cuda`` is on a GPU only."""
    seed: int = 7
    workers: int = 1
    """Threads that make samples ahead; 0 for none."""
    accelerator: Literal["auto", "cpu", "cuda"] = "auto"
    devices: int = 1
    """Processes on each node, one per device; where torchrun started the program, it decides."""
    nodes: int = 1
    """Machines; where torchrun started the program, it decides."""

    def __post_init__(self) -> None:
        if self.epochs < 1 or self.batch < 1 or self.workers < 0 or min(self.devices, self.nodes) < 1:
            msg = (
                f"fit needs epochs >= 1, batch >= 1, workers >= 0, devices >= 1 and nodes >= 1, got "
                f"{self.epochs}, {self.batch}, {self.workers}, {self.devices}, {self.nodes}"
            )
            raise ValueError(msg)
        if not (self.learning_rate > 0 and self.head_multiplier > 0 and 0 <= self.momentum < 1):
            msg = (
                f"fit needs learning_rate > 0, head_multiplier > 0 and 0 <= momentum < 1, got "
                f"{self.learning_rate}, {self.head_multiplier}, {self.momentum}"
            )
            raise ValueError(msg)
        if self.weight_decay < 0 or self.clip < 0 or not 0 <= self.average < 1:
            msg = (
                f"fit needs weight_decay >= 0, clip >= 0 and 0 <= average < 1, got "
                f"{self.weight_decay}, {self.clip}, {self.average}"
            )
            raise ValueError(msg)
        if self.patience is not None and self.patience < 1:
            msg = f"patience must be at least 1, or not set, got {self.patience}"
            raise ValueError(msg)


@dataclass(frozen=True)
class EpochRecord:
    """What one epoch gave. Accuracies are None where targets are no classes, validation where there is none."""

    epoch: int
    """Counted from 1."""
    loss: float
    accuracy: float | None
    validation_loss: float | None
    validation_accuracy: float | None
    learning_rate: float
    """At the end of the epoch, of the parameters that are not the head's."""
    seconds: float = field(compare=False)
    """Wall time, validation included."""


@dataclass(frozen=True, eq=False)
class Fitted:
    """A fitted net and how it came about."""

    net: nn.Module
    """In evaluation mode, with the weights of ``best_epoch``."""
    history: tuple[EpochRecord, ...]
    best_epoch: int
    """Epoch of the lowest validation loss, or the last one where nothing was validated; counted from 1."""
