"""Probabilities of pictures from a net in memory; bundles are run without torch, see ``predict``."""

from __future__ import annotations

from typing import Literal

import numpy as np
import torch
from lightning_fabric import Fabric
from numpy.typing import NDArray
from torch import nn

from stenograde.images.pictures import InputConfig
from stenograde.train.allocator import keep_freed_memory
from stenograde.train.batches import as_input
from stenograde.train.processes import PRECISIONS


def predict_probabilities(
    net: nn.Module,
    pictures: NDArray[np.uint8],
    config: InputConfig,
    *,
    extra: NDArray[np.float32] | None = None,
    batch: int = 32,
    precision: Literal["32", "bf16"] = "bf16",
    accelerator: Literal["auto", "cpu", "cuda"] = "auto",
) -> NDArray[np.float64]:
    """Return the probability of each class for each picture.

    Parameters
    ----------
    net : Module
        Is put into evaluation mode and on the device.
    pictures : ndarray of shape (n, rows, columns), uint8
        Prepared as in training; may be mapped from disk.
    config : InputConfig
        As in training.
    extra : ndarray of shape (n, f), float32, optional
    batch : int
        Pictures at once.
    precision : {"32", "bf16"}
    accelerator : {"auto", "cpu", "cuda"}

    Returns
    -------
    probabilities : ndarray of shape (n, classes), float64
        Rows sum to one.
    """
    keep_freed_memory()
    fabric = Fabric(accelerator=accelerator, devices=1, precision=PRECISIONS[precision])  # type: ignore[arg-type]
    net = net.to(fabric.device, memory_format=torch.channels_last).eval()  # type: ignore[call-overload]
    parts = []
    with torch.inference_mode(), fabric.autocast():
        for start in range(0, len(pictures), batch):
            inputs = as_input(pictures[start : start + batch], config).to(fabric.device)
            inputs = inputs.to(memory_format=torch.channels_last)
            if extra is None:
                logits = net(inputs)
            else:
                logits = net(inputs, torch.from_numpy(extra[start : start + batch]).to(fabric.device))
            parts.append(logits.double().softmax(dim=1).cpu().numpy())
    return np.concatenate(parts)
