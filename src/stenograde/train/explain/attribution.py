"""Which places of its crops a grader's answer rests on: integrated gradients, by captum.

They are taken of the crops themselves: those of the encoder's middle maps, which Grad-CAM looks at, too, hardly changed
when the weights were made random; see ``docs/explain.md``.

References
----------
Sundararajan et al., "Axiomatic attribution for deep networks", 2017, arXiv:1703.01365.
Adebayo et al., "Sanity checks for saliency maps", 2018, arXiv:1810.03292: a map that does not change when the weights
are made random shows the picture, not the net.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from captum.attr import IntegratedGradients
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor

from stenograde.evaluate.vector_scaling import VectorScaling
from stenograde.train.explain.torch_grader import TorchGrader

STEPS = 16
"""Places between baseline and crop at which gradients are taken (Gauss-Legendre)."""

BASELINE_MM = 4.8
"""Standard deviation of the blur that makes the baseline, mm. A grey crop is none: norms over groups of channels
amplify what little there is of a picture close to it, and the gradients do not add up to the answer's difference."""

SMOOTH_MM = 1.2
"""Standard deviation of the smoothing of a map before it is looked at, mm: single pixels say nothing."""

_AT_ONCE = 2
"""Crops of a level that go through the net at once; more are slower, as their maps do not fit into a core's cache."""


@dataclass(frozen=True, eq=False)
class Attributed:
    """What each place of the crops of a level adds to the log odds of moderate or severe of one cell."""

    values: NDArray[np.float32]
    """Shape (2 views, kinds, slices, rows, columns); above 0 what speaks for moderate or severe."""
    log_odds: float
    """Of the crops."""
    baseline_log_odds: float
    """Of the blurred crops."""

    @property
    def remainder(self) -> float:
        """What the places leave unexplained of the difference between crops and baseline; near 0."""
        return self.log_odds - self.baseline_log_odds - float(self.values.sum(dtype=np.float64))

    def smoothed(self, grid_mm: float) -> NDArray[np.float32]:
        """Return the map as it is looked at, smoothed within each slice of a crop."""
        blur = SMOOTH_MM / grid_mm
        return ndimage.gaussian_filter(self.values, (0, 0, 0, blur, blur), mode="constant")


class LogOdds:
    """Calibrated log odds of moderate or severe of one cell of a level, as a function of its crops.

    Parameters
    ----------
    grader : TorchGrader
    present : tensor of shape (1, 2 views, kinds)
    level : tensor of shape (1, levels)
        One-hot.
    place : int
        The cell's place among those of its level.
    scaling : VectorScaling
        How the logits of its condition become probabilities.
    """

    def __init__(
        self, grader: TorchGrader, present: Tensor, level: Tensor, *, place: int, scaling: VectorScaling
    ) -> None:
        self._grader, self._present, self._level = grader, present, level
        self._place, self._temperature = place, scaling.temperature
        self._shifts = torch.tensor(scaling.shifts, dtype=torch.float32)

    def __call__(self, crops: Tensor) -> Tensor:
        """Return log odds, shape (n,), of crops of shape (n, 2 views, kinds, slices, rows, columns)."""
        logits = self._grader.logits(crops, self._present, self._level)[:, self._place]
        scaled = logits / self._temperature + self._shifts
        return torch.logsumexp(scaled[:, 1:], dim=1) - scaled[:, 0]


def attribute(log_odds: LogOdds, crops: Tensor, *, grid_mm: float, steps: int = STEPS) -> Attributed:
    """Return what each place of the crops of a level adds to the log odds of a cell.

    Parameters
    ----------
    log_odds : LogOdds
    crops : tensor of shape (1, 2 views, kinds, slices, rows, columns)
    grid_mm : float
        Distance between the rows and columns of a crop, mm.
    steps : int
    """
    blurred = blurred_crops(crops, grid_mm)
    found = IntegratedGradients(log_odds).attribute(
        crops, blurred, n_steps=steps, method="gausslegendre", internal_batch_size=_AT_ONCE
    )
    with torch.inference_mode():
        there, without = (float(log_odds(one)) for one in (crops, blurred))
    return Attributed(found[0].detach().numpy().astype(np.float32), there, without)


def blurred_crops(crops: Tensor, grid_mm: float) -> Tensor:
    """Return the baseline: crops without any detail, blurred within each slice."""
    blur = BASELINE_MM / grid_mm
    return torch.from_numpy(ndimage.gaussian_filter(crops.numpy(), (0, 0, 0, 0, blur, blur), mode="nearest"))
