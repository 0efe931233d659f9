"""Losses of classification: cross-entropy, focal and ordinal, each with class weights if asked for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from stenograde.evaluate.rsna_metric import SEVERITY_WEIGHTS, UNKNOWN
from stenograde.train.loop.fit_config import Batch, LossOf


@dataclass(frozen=True)
class LossConfig:
    """What a wrong answer costs."""

    kind: Literal["cross_entropy", "focal", "ordinal"] = "cross_entropy"
    """focal counts easy pictures less (Lin et al., doi:10.1109/ICCV.2017.324); ordinal asks of the soft-max the
    questions 'worse than class k?' (Frank and Hall, doi:10.1007/3-540-44795-4_13), so that two classes off costs
    more than one; classes must then ascend."""
    class_weights: Literal["none", "inverse_frequency"] = "none"
    """inverse_frequency lets each class count alike in the mean over the training pictures."""
    focal_gamma: float = 2.0
    """How much easy pictures are discounted, for focal."""
    smoothing: float = 0.0
    """Share of the target spread over all classes, for cross_entropy."""

    def __post_init__(self) -> None:
        if self.focal_gamma < 0 or not 0 <= self.smoothing < 1:
            msg = f"a loss needs focal_gamma >= 0 and 0 <= smoothing < 1, got {self.focal_gamma}, {self.smoothing}"
            raise ValueError(msg)


def inverse_frequencies(codes: NDArray[np.int64], classes: int) -> Tensor:
    """Return the weight of each class: its inverse frequency, with a mean of 1 over the codes.

    Parameters
    ----------
    codes : ndarray of shape (n,)
    classes : int
        Classes that no code has weigh 0.

    Returns
    -------
    weights : tensor of shape (classes,), float32

    Examples
    --------
    >>> inverse_frequencies(np.array([0, 0, 0, 1]), 2).tolist()
    [0.6666666865348816, 2.0]
    """
    counts = np.bincount(codes, minlength=classes)
    weights = len(codes) / (np.count_nonzero(counts) * np.maximum(counts, 1)) * (counts > 0)
    return torch.tensor(weights, dtype=torch.float32)


def build_loss(config: LossConfig, codes: NDArray[np.int64], classes: int) -> LossOf:
    """Return the loss of logits (n, classes) and ``target`` codes (n,); a batch's ``weight`` (n,) counts too.

    ``codes`` are the classes of the training pictures, for the class weights.
    """
    of_class = inverse_frequencies(codes, classes) if config.class_weights == "inverse_frequency" else None

    def loss_of(output: Tensor, batch: Batch) -> Tensor:
        target = batch["target"]
        each = _each(config, output, target)
        if of_class is not None:
            each = each * of_class.to(each.device)[target]
        if "weight" in batch:
            each = each * batch["weight"]
        return each.mean()

    return loss_of


def with_questions(loss_of: LossOf, weight: float) -> LossOf:
    """Return a loss that adds, where a batch has further questions ``also``, their weighted mean cross-entropy.

    ``loss_of`` takes the output without the questions' logits.
    """

    def joined(output: Tensor, batch: Batch) -> Tensor:
        if "also" not in batch:
            return loss_of(output, batch)
        answers = batch["also"]
        classes = output.shape[1] - answers.shape[1]
        known = ~answers.isnan()
        each = functional.binary_cross_entropy_with_logits(
            output[:, classes:], answers.nan_to_num(), reduction="none"
        )
        asked = (each * known).sum() / known.sum().clamp(min=1)
        return loss_of(output[:, :classes], batch) + weight * asked

    return joined


def _each(config: LossConfig, output: Tensor, target: Tensor) -> Tensor:
    """Return the loss of each picture, shape (n,)."""
    if config.kind == "focal":
        cross = functional.cross_entropy(output, target, reduction="none")
        return (1 - torch.exp(-cross)).clamp(min=0) ** config.focal_gamma * cross
    if config.kind == "ordinal":
        return _ordinal(output, target)
    return functional.cross_entropy(output, target, reduction="none", label_smoothing=config.smoothing)


def _ordinal(output: Tensor, target: Tensor) -> Tensor:
    log_p = functional.log_softmax(output, dim=1)
    # log P(class > k) and log P(class <= k) for k from the first to the last but one
    worse = torch.flip(torch.logcumsumexp(torch.flip(log_p, [1]), dim=1), [1])[:, 1:]
    not_worse = torch.logcumsumexp(log_p, dim=1)[:, :-1]
    is_worse = target[:, None] > torch.arange(output.shape[1] - 1, device=output.device)
    return -torch.where(is_worse, worse, not_worse).sum(dim=1)


def condition_loss(
    output: Tensor,
    target: Tensor,
    parts: Sequence[int],
    *,
    weights: Sequence[float] | None = SEVERITY_WEIGHTS,
) -> Tensor:
    """Return the weighted logarithmic loss of RSNA 2024, the mean over conditions; unlabelled cells do not count.

    Parameters
    ----------
    output : tensor of shape (n, cells, severities)
        Logits.
    target : tensor of shape (n, cells), int64
        Ranks, ``UNKNOWN`` without a label.
    parts : sequence of int
        How many cells, one after the other, are of each condition.
    weights : sequence of float or None
        Of each severity; None for all alike.
    """
    weight = None if weights is None else output.new_tensor(weights)
    sizes = list(parts)
    losses = [
        functional.cross_entropy(said.flatten(0, 1), true.flatten(), weight=weight, ignore_index=UNKNOWN)
        for said, true in zip(output.split(sizes, dim=1), target.split(sizes, dim=1), strict=True)
        if bool((true != UNKNOWN).any())
    ]
    return torch.stack(losses).mean() if losses else output.sum() * 0
