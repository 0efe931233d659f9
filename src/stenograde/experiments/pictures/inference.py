"""Probabilities of pictures from a net in memory; bundles are run without torch, see ``predict``."""

from __future__ import annotations

from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from stenograde.heap import keep_freed_memory
from stenograde.images.pictures import InputConfig
from stenograde.train.pictures.batches import as_input


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
    # no Fabric: under torchrun it would want all processes, and each may predict for itself
    on_gpu = accelerator == "cuda" or (accelerator == "auto" and torch.cuda.is_available())
    device = torch.device("cuda", torch.cuda.current_device()) if on_gpu else torch.device("cpu")
    net = net.to(device, memory_format=torch.channels_last).eval()  # type: ignore[call-overload]
    parts = []
    with torch.inference_mode(), torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16"):
        for start in range(0, len(pictures), batch):
            inputs = as_input(pictures[start : start + batch], config).to(device)
            inputs = inputs.to(memory_format=torch.channels_last)
            if extra is None:
                logits = net(inputs)
            else:
                logits = net(inputs, torch.from_numpy(extra[start : start + batch]).to(device))
            parts.append(logits.double().softmax(dim=1).cpu().numpy())
    return np.concatenate(parts)
