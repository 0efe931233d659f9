"""Where a network looked: Grad-CAM maps of right and wrong cases, as pictures.

References
----------
Selvaraju et al., "Grad-CAM: visual explanations from deep networks via gradient-based localization", 2017,
10.1109/ICCV.2017.74. A map says what raised the score of a class, not why, nor that it is right to.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from stenograde.evaluate.predictions import Predictions

_STRONGEST = 0.55
"""Opacity of the heat where it is strongest, so that the anatomy below can still be seen."""

_HEAT = np.array([[0, 0, 4], [87, 16, 110], [188, 55, 84], [249, 142, 9], [252, 255, 164]], np.float32)
"""Five stops of a scale that grows evenly in lightness (matplotlib's "inferno"), so that it reads for any eye."""


def grad_cam(net: nn.Module, image: Tensor, code: int, *, extra: Tensor | None = None) -> NDArray[np.float32]:
    """Return which places of a picture raised the score of a class.

    Parameters
    ----------
    net : Module
        With ``cam_layer``, whose output of shape (1, maps, rows, columns) is weighed.
    image : Tensor of shape (1, channels, rows, columns)
        As the network takes it.
    code : int
        The class asked about.
    extra : Tensor of shape (1, f), optional
        What the network takes beside the picture.

    Returns
    -------
    map : ndarray of shape (rows, columns), float32
        0 to 1, at the picture's size; all 0 where nothing raised the score.

    Raises
    ------
    ValueError
        If more than one picture is given, or the layer gives no maps.
    """
    if image.ndim != 4 or len(image) != 1:
        msg = f"image must have shape (1, channels, rows, columns), got {tuple(image.shape)}"
        raise ValueError(msg)
    kept: list[Tensor] = []
    layer = net.cam_layer
    assert isinstance(layer, nn.Module)
    hook = layer.register_forward_hook(lambda _module, _inputs, output: kept.append(output))
    was_training = net.training
    net.eval()
    try:
        with torch.inference_mode(mode=False), torch.enable_grad():
            # a leaf that asks for a gradient, so that a net whose weights are frozen can be asked, too
            score = net(image.clone().requires_grad_(), extra)[0, code]
            maps = kept[-1]
            if maps.ndim != 4:
                msg = f"cam_layer must give maps of shape (1, maps, rows, columns), got {tuple(maps.shape)}"
                raise ValueError(msg)
            (slopes,) = torch.autograd.grad(score, maps)
    finally:
        hook.remove()
        net.train(was_training)
    raised = functional.relu((slopes.mean((2, 3), keepdim=True) * maps).sum(1, keepdim=True)).detach().float()
    full = functional.interpolate(raised, image.shape[2:], mode="bilinear", align_corners=False)[0, 0]
    top = float(full.max())
    shown = full / top if top > 0 else torch.zeros_like(full)
    return shown.cpu().numpy().astype(np.float32)


def heated(picture: NDArray[np.uint8], heat: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Return a grey picture with a map laid over it in colour, shape (rows, columns, 3)."""
    place = np.clip(heat, 0, 1) * (len(_HEAT) - 1)
    below = np.minimum(place.astype(np.int64), len(_HEAT) - 2)
    share = (place - below)[..., None]
    colour = _HEAT[below] * (1 - share) + _HEAT[below + 1] * share
    opacity = _STRONGEST * np.clip(heat, 0, 1)[..., None]
    return np.rint(picture[..., None] * (1 - opacity) + colour * opacity).astype(np.uint8)


def telling_cases(predictions: Predictions, each: int = 2) -> tuple[int, ...]:
    """Return the places of the surest right and the surest wrong answers, right ones first.

    Right ones are taken from each class in turn, so that the common class does not fill the row.
    """
    sureness = predictions.probabilities.max(1)
    right = predictions.predicted == predictions.labels
    chosen: list[int] = []
    ranked = [
        sorted(np.flatnonzero(right & (predictions.labels == code)), key=lambda i: -sureness[i])
        for code in reversed(range(len(predictions.classes)))
    ]
    for rank in range(each):
        chosen += [int(of_class[rank]) for of_class in ranked if len(of_class) > rank]
    wrong = sorted(np.flatnonzero(~right), key=lambda i: -sureness[i])
    return (*chosen[:each], *(int(place) for place in wrong[:each]))
