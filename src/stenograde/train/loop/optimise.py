"""Optimiser and schedule of a fit; the head may have a learning rate of its own."""

from __future__ import annotations

from torch import nn
from torch.optim import SGD, Adam, AdamW, Optimizer
from torch.optim.lr_scheduler import CosineAnnealingLR, LambdaLR, LRScheduler, OneCycleLR

from stenograde.train.loop.fit_config import FitConfig

WARM_UP = 0.15
"""Share of a one-cycle schedule in which the learning rate rises (Smith and Topin, doi:10.1117/12.2520589)."""


def parameter_groups(net: nn.Module, config: FitConfig) -> list[dict[str, object]]:
    """Return the parameters with their learning rates: those of ``net.head`` apart where they have their own.

    Raises
    ------
    ValueError
        If the head is to have its own learning rate and the net has no ``head``.
    """
    if config.head_multiplier == 1:
        return [{"params": list(net.parameters()), "lr": config.learning_rate}]
    head = dict(net.named_children()).get("head")
    if head is None:
        msg = f"net must have a module 'head' for head_multiplier {config.head_multiplier}, got {type(net).__name__}"
        raise ValueError(msg)
    of_head = {id(parameter) for parameter in head.parameters()}
    rest = [parameter for parameter in net.parameters() if id(parameter) not in of_head]
    return [
        {"params": rest, "lr": config.learning_rate},
        {"params": list(head.parameters()), "lr": config.learning_rate * config.head_multiplier},
    ]


def build_optimiser(net: nn.Module, config: FitConfig) -> Optimizer:
    """Return the optimiser of a net's parameters."""
    groups = parameter_groups(net, config)
    if config.optimiser == "sgd":
        return SGD(groups, momentum=config.momentum, weight_decay=config.weight_decay)
    kind = AdamW if config.optimiser == "adamw" else Adam
    return kind(groups, weight_decay=config.weight_decay)


def build_schedule(optimiser: Optimizer, config: FitConfig, *, steps: int) -> LRScheduler:
    """Return the schedule of the learning rates over all steps of a fit."""
    if config.schedule == "one_cycle":
        highest = [group["lr"] for group in optimiser.param_groups]
        # sgd keeps the momentum that was asked for
        return OneCycleLR(
            optimiser,
            highest,
            total_steps=steps,
            pct_start=WARM_UP,
            cycle_momentum=config.optimiser != "sgd",
        )
    if config.schedule == "cosine":
        return CosineAnnealingLR(optimiser, T_max=steps)
    return LambdaLR(optimiser, lambda step: 1.0)
