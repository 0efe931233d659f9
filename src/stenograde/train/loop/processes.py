"""The processes and devices of a fit, and what they exchange."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

from stenograde.train.loop.fit_config import Batch, FitConfig

PRECISIONS = {"32": "32-true", "bf16": "bf16-mixed"}
"""Fabric's name of each of our precisions."""


_PATIENCE = timedelta(days=30)
"""How long a process waits for those before it; torchrun ends it when one of them fails."""


def is_first() -> bool:
    """Return whether this is the first of the processes that torchrun started, or the only one."""
    return not torch.distributed.is_torchelastic_launched() or os.environ["RANK"] == "0"


@contextmanager
def one_by_one(what: str) -> Iterator[None]:
    """Let the processes that torchrun started do the body one after the other, the first one first.

    So the first makes what is kept on disk, and the others find it there. They meet at torchrun's own store, as the
    process group does not exist before the first fit, and its limits of time are those of single steps.

    Parameters
    ----------
    what : str
        Name of the body, the same in all processes.
    """
    if not torch.distributed.is_torchelastic_launched():
        yield
        return
    rank, turn = int(os.environ["RANK"]), f"{os.environ['TORCHELASTIC_RESTART_COUNT']}/{what}"
    store = torch.distributed.TCPStore(  # type: ignore[attr-defined]  # documented, but in no __all__
        os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"]), is_master=False, timeout=_PATIENCE
    )
    visit = store.add(f"stenograde/{turn}/visits/{rank}", 1)
    if rank:
        store.wait([f"stenograde/{turn}/done/{visit}/{rank - 1}"])
    yield
    store.set(f"stenograde/{turn}/done/{visit}/{rank}", "1")


def n_processes(config: FitConfig) -> int:
    """Return how many processes fit together."""
    devices, nodes = _devices_and_nodes(config)
    return devices * nodes


def _devices_and_nodes(config: FitConfig) -> tuple[int, int]:
    if not torch.distributed.is_torchelastic_launched():
        return config.devices, config.nodes
    devices = int(os.environ["LOCAL_WORLD_SIZE"])
    return devices, int(os.environ["WORLD_SIZE"]) // devices


def start_fabric(config: FitConfig) -> Fabric:
    """Return the launched Fabric of a fit.

    Where torchrun started the program, its number of processes counts, as its variables give it, so that the same
    settings run on one device and on many.
    """
    # its messages at each start repeat our settings
    logging.getLogger("lightning_fabric").setLevel(logging.WARNING)
    devices, nodes = _devices_and_nodes(config)
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
