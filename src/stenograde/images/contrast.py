"""Detection, in images of the lumbar spine, of whether fluid is bright (T2, STIR) or dark (T1).

There are two ways, for two planes. A sagittal picture is judged by itself, by a convolutional network of 7,469 weights
(``fluid_net.json``, beside this file) on a local-contrast picture of 3 mm pixels. An axial picture is judged
by the sagittal ones: where those show fluid, is it brighter or darker than its surroundings?

The network was fitted by ``benchmarks/fluid.py`` to the 317 mid-sagittal slices of SPIDER (van der Graaf et
al., 10.5281/zenodo.10159290, CC BY 4.0), T1 against T2; ``fluid_net.json`` holds the scores that this
command measured on unseen patients.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from importlib import resources
from typing import Final

import numpy as np
from numpy.typing import NDArray

from stenograde.images.resample import resample

Picture = NDArray[np.float32]

PIXEL_MM: Final = 3.0
"""Pixel size at which sagittal pictures are judged, mm: the dural sac is four to six pixels wide."""

SIZE_PX: Final = 80
"""Rows and columns of the picture that is judged: the middle 240 mm."""

NEIGHBOURHOOD_MM: Final = 18.0
"""Standard deviation of the neighbourhood for local contrast, mm."""

CERTAIN: Final = 0.9
"""Probability from which the picture decides."""

CERTAIN_SHARE: Final = 0.6
"""Fraction of the pictures, the most certain ones, whose mean decides."""

FLUID_CONTRAST: Final = (1.2, -0.2)
"""Thresholds for fluid: local contrast above the first in the bright series, below the second in the dark one."""

MIN_FLUID_POINTS: Final = 200
"""Smallest number of fluid points by which an axial series is judged."""

_FLOOR: Final = 0.05
"""Smallest standard deviation that local contrast divides by, as a fraction of the brightest value."""


@dataclass(frozen=True)
class FluidSignal:
    """Appearance of fluid in images."""

    p_bright: float
    """Probability that fluid is bright."""
    how: str = "by the picture"

    @property
    def is_bright(self) -> bool | None:
        """Whether fluid is bright; None if the images do not decide."""
        if max(self.p_bright, 1 - self.p_bright) < CERTAIN:
            return None
        return self.p_bright > 0.5


def local_contrast(picture: Picture, pixel_mm: float) -> Picture:
    """Return the deviation of each pixel from the mean of its neighbourhood, in local standard deviations.

    Parameters
    ----------
    picture : ndarray of shape (rows, columns), float32
    pixel_mm : float
        Pixel size, mm.

    Returns
    -------
    contrast : ndarray of the same shape, float32
        Local contrast, independent of the scale of intensities and nearly so of the receiver coil's shading.
    """
    highest = max(float(np.percentile(picture, 99.5)), 1e-6)
    scaled = np.clip(picture, 0, highest) / np.float32(highest)
    down, across = (_blur(n, NEIGHBOURHOOD_MM / pixel_mm) for n in picture.shape)
    mean = down @ scaled @ across.T
    variance = down @ (scaled * scaled) @ across.T - mean * mean
    return ((scaled - mean) / np.sqrt(np.maximum(variance, 0) + _FLOOR**2)).astype(np.float32)


@lru_cache(maxsize=16)
def _blur(n: int, sigma: float) -> NDArray[np.float32]:
    """Return the matrix by which a Gaussian blurs n pixels, which are mirrored at both ends, shape (n, n).

    That of ``scipy.ndimage.gaussian_filter1d``, which takes a fifth of a second to load before anything is known of a
    study; for pictures as small as these the matrix is the faster one, too.
    """
    reach = int(4 * sigma + 0.5)
    weights = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma) ** 2)
    mirrored = np.pad(np.arange(n), reach, mode="symmetric")
    matrix = np.zeros((n, n))
    for place, weight in enumerate(weights / weights.sum()):
        np.add.at(matrix, (np.arange(n), mirrored[place : place + n]), weight)
    return matrix.astype(np.float32)


def thumbnail(picture: Picture, spacing_mm: tuple[float, float]) -> Picture:
    """Return the middle of a picture on 3 mm pixels, with zeros outside the picture.

    Parameters
    ----------
    picture : ndarray of shape (rows, columns), float32
    spacing_mm : tuple of float
        Distance between rows and between columns, mm.

    Returns
    -------
    small : ndarray of shape (SIZE_PX, SIZE_PX), float32
    """
    small = resample(picture, spacing_mm, (PIXEL_MM, PIXEL_MM))
    return centred(small)


def centred(small: Picture) -> Picture:
    """Crop or pad a picture around its middle to SIZE_PX rows and columns."""
    for axis in (0, 1):
        excess = small.shape[axis] - SIZE_PX
        if excess > 0:
            small = np.take(small, np.arange(excess // 2, excess // 2 + SIZE_PX), axis)
        elif excess < 0:
            before = -excess // 2
            pad = [(0, 0), (0, 0)]
            pad[axis] = (before, -excess - before)
            small = np.pad(small, pad)
    return small


def fluid_signal(pictures: Sequence[Picture], spacing_mm: tuple[float, float]) -> FluidSignal:
    """Judge the brightness of fluid from sagittal pictures of one series.

    Parameters
    ----------
    pictures : sequence of ndarray of shape (rows, columns), float32
        Slices from the middle of the series, with rows from head to feet; anterior may be left or right.
    spacing_mm : tuple of float
        Distance between rows and between columns, mm.

    Returns
    -------
    signal : FluidSignal
        Signal from the mean logit of the most certain pictures: away from the canal, a picture says little.
    """
    net = _net()
    logits = [net.logit(local_contrast(thumbnail(picture, spacing_mm), PIXEL_MM)) for picture in pictures]
    n_certain = max(round(CERTAIN_SHARE * len(logits)), 1)
    return FluidSignal(_sigmoid(float(np.mean(sorted(logits, key=abs)[-n_certain:]))))


def fluid_by_reference(
    judged: NDArray[np.float32], bright: NDArray[np.float32], dark: NDArray[np.float32]
) -> FluidSignal:
    """Judge the brightness of fluid at points where two other series are known to show it bright and dark.

    Parameters
    ----------
    judged, bright, dark : ndarray of shape (n,), float32
        Local contrast at the same points in the series to be judged, in one that shows fluid bright, and in
        one that shows it dark.

    Returns
    -------
    signal : FluidSignal
        Signal from the probability that a fluid point is brighter than another point (the area under the ROC curve).
    """
    fluid = (bright > FLUID_CONTRAST[0]) & (dark < FLUID_CONTRAST[1])
    n = int(fluid.sum())
    if n < MIN_FLUID_POINTS or n == len(fluid):
        return FluidSignal(0.5, f"by {n} points of fluid in the sagittal series, too few")
    ranks = np.empty(len(judged))
    ranks[np.argsort(judged, kind="stable")] = np.arange(1, len(judged) + 1)
    area = (ranks[fluid].sum() - n * (n + 1) / 2) / (n * (len(judged) - n))
    return FluidSignal(_sigmoid(30.0 * (area - 0.5)), f"at {n} points of fluid in the sagittal series")


@dataclass(frozen=True, eq=False)
class _FluidNet:
    """Three convolutions, mean and maximum response of each channel, one weighted sum."""

    kernels: tuple[NDArray[np.float32], ...]
    """Kernels, each of shape (channels out, channels in, 5, 5)."""
    biases: tuple[NDArray[np.float32], ...]
    head: NDArray[np.float32]
    """Weights of the sum, shape (2 * channels,)."""
    head_bias: float

    def logit(self, picture: Picture) -> float:
        """Return the log odds that fluid is bright in a local-contrast picture."""
        planes = _convolved(picture[None], self.kernels[0], self.biases[0], step=1)
        rows, columns = planes.shape[1] // 2 * 2, planes.shape[2] // 2 * 2
        planes = planes[:, :rows, :columns].reshape(len(planes), rows // 2, 2, columns // 2, 2).mean((2, 4))
        planes = _convolved(planes, self.kernels[1], self.biases[1], step=2)
        planes = _convolved(planes, self.kernels[2], self.biases[2], step=1)
        pooled = np.concatenate([planes.mean((1, 2)), planes.max((1, 2))])
        return float(self.head @ pooled) + self.head_bias


def _convolved(
    planes: NDArray[np.float32], kernel: NDArray[np.float32], bias: NDArray[np.float32], *, step: int
) -> NDArray[np.float32]:
    windows = np.lib.stride_tricks.sliding_window_view(planes, kernel.shape[2:], axis=(1, 2))
    windows = windows[:, ::step, ::step]
    summed = np.tensordot(kernel, windows, axes=([1, 2, 3], [0, 3, 4]))
    return np.maximum(summed + bias[:, None, None], 0)


@cache
def _net() -> _FluidNet:
    text = resources.files("stenograde.images").joinpath("fluid_net.json").read_text(encoding="utf-8")
    stored = json.loads(text)["weights"]
    arrays = {name: np.asarray(values, np.float32) for name, values in stored.items()}
    return _FluidNet(
        kernels=tuple(arrays[f"kernel_{layer}"] for layer in (1, 2, 3)),
        biases=tuple(arrays[f"bias_{layer}"] for layer in (1, 2, 3)),
        head=arrays["head"],
        head_bias=float(arrays["head_bias"]),
    )


def _sigmoid(logit: float) -> float:
    return float(1 / (1 + np.exp(-np.clip(logit, -50, 50))))
