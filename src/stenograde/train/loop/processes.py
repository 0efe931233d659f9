"""The processes and devices of a fit, and what they exchange."""

from __future__ import annotations

import logging
import os

import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

from stenograde.train.loop.fit_config import Batch, FitConfig

PRECISIONS = {"32": "32-true", "bf16": "bf16-mixed"}
"""Fabric's name of each of our precisions."""


def start_fabric(config: FitConfig) -> Fabric:
    """Return the launched Fabric of a fit.

    Where torchrun started the program, its number of processes counts, as its variables give it, so that the same
    settings run on one device and on many.
    """
    # its messages at each start repeat our settings
    logging.getLogger("lightning_fabric").setLevel(logging.WARNING)
    devices, nodes = config.devices, config.nodes
    if torch.distributed.is_torchelastic_launched():
        devices = int(os.environ["LOCAL_WORLD_SIZE"])
        nodes = int(os.environ["WORLD_SIZE"]) // devices
    fabric = Fabric(
        accelerator=config.accelerator,
        devices=devices,
        num_nodes=nodes,
        strategy="ddp" if devices * nodes > 1 else "auto",
        precision=PRECISIONS[config.precision],  # type: ignore[arg-type]
    )
    fabric.launch()
    return fabric


def share_buffers(fabric: Fabric, net: nn.Module) -> None:
    """Give every process the buffers of the first: running statistics differ after a step."""
    if fabric.world_size > 1:
        for buffer in net.buffers():
            torch.distributed.broadcast(buffer, src=0)


class Tally:
    """Mean loss and accuracy over batches, and in the end over processes.

    Accuracy is counted where the target is one class code per sample and the output one score per class.
    """

    def __init__(self) -> None:
        self.losses: list[Tensor] = []
        self.sizes: list[int] = []
        self.hits: list[Tensor] = []

    def add(self, loss: Tensor, output: Tensor, batch: Batch) -> None:
        """Count a batch; nothing waits for the device."""
        self.losses.append(loss.detach())
        self.sizes.append(len(output))
        target = batch.get("target")
        if "also" in batch and output.ndim == 2:
            output = output[:, : output.shape[1] - batch["also"].shape[1]]
        if target is not None and target.dtype == torch.int64 and target.ndim == 1 and output.ndim == 2:
            self.hits.append((output.detach().argmax(dim=1) == target).sum())

    def means(self, fabric: Fabric) -> tuple[float, float | None]:
        """Return loss and accuracy, the latter None where it was not counted."""
        sizes = torch.tensor(self.sizes, dtype=torch.float64)
        losses = torch.stack(self.losses).double().cpu() if self.losses else sizes
        hits = (
            torch.stack(self.hits).double().cpu().sum() if self.hits else torch.zeros((), dtype=torch.float64)
        )
        sums = torch.stack([(losses * sizes).sum(), hits, sizes.sum()]).to(fabric.device)
        loss, right, n = (float(value) for value in fabric.all_reduce(sums, reduce_op="sum"))
        return loss / n, right / n if self.hits else None
