"""Preparation of a stored picture for a network: cropped, resampled, brightness normalised; numpy only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from skimage import exposure
from skimage.transform import resize

Intensity = Literal["minmax", "percentile", "equalise", "clahe"]
"""Mapping of brightness to [0, 1]: by the extremes (grayscale normalisation), by the 1st and 99th percentile, by
histogram equalisation, or by its contrast-limited form."""


@dataclass(frozen=True)
class PictureConfig:
    """Preparation of a picture, the same in training and in use."""

    size_px: tuple[int, int] = (256, 256)
    """Rows and columns of the result."""
    intensity: Intensity = "minmax"
    centre: tuple[float, float] = (0.5, 0.5)
    """Row and column of the centre of the crop, as fractions of the picture."""
    share: tuple[float, float] = (1.0, 1.0)
    """Height and width of the crop, as fractions of the picture; outside the picture, its border is repeated."""

    def __post_init__(self) -> None:
        if min(self.size_px) < 1 or min(self.share) <= 0 or min(self.centre) < 0 or max(self.centre) > 1:
            msg = (
                f"a picture needs size_px >= 1, share > 0 and centre within 0 to 1, "
                f"got {self.size_px}, {self.share}, {self.centre}"
            )
            raise ValueError(msg)


@dataclass(frozen=True)
class InputConfig:
    """Conversion of grey pictures to the input of a net, the same in training and in use."""

    channels: int = 3
    """Number of copies of the one grey channel."""
    mean: tuple[float, ...] = (0.0,)
    """Subtracted from grey values of 0 to 1; one for all channels, or one each."""
    std: tuple[float, ...] = (1.0,)
    """Divisor of the result; one for all channels, or one each."""

    def __post_init__(self) -> None:
        if (
            self.channels < 1
            or not {len(self.mean), len(self.std)} <= {1, self.channels}
            or min(self.std) <= 0
        ):
            msg = (
                f"an input needs channels >= 1, and mean and std > 0 with one value or one for each channel, "
                f"got {self.channels}, {self.mean}, {self.std}"
            )
            raise ValueError(msg)


def prepare_picture(picture: NDArray[np.float32], config: PictureConfig) -> NDArray[np.uint8]:
    """Return a picture prepared for a network.

    Parameters
    ----------
    picture : ndarray of shape (rows, columns)
        Stored intensities, on any scale.
    config : PictureConfig

    Returns
    -------
    prepared : ndarray of shape ``config.size_px``, uint8
        Values 0 to 255; a picture with a single value is 0 throughout.

    Raises
    ------
    ValueError
        If the picture is not two-dimensional, is empty, or holds a value that is not finite.
    """
    grey = np.asarray(picture, np.float32)
    if grey.ndim != 2 or grey.size == 0 or not np.isfinite(grey).all():
        msg = f"a picture must be a filled (rows, columns) array of finite values, got shape {grey.shape}"
        raise ValueError(msg)
    cut = resize(_cut(grey, config), config.size_px, order=1, anti_aliasing=True, preserve_range=True)
    return np.rint(255 * _normalised(cut.astype(np.float32), config.intensity)).astype(np.uint8)


def _cut(picture: NDArray[np.float32], config: PictureConfig) -> NDArray[np.float32]:
    places = []
    for n, centre, share in zip(picture.shape, config.centre, config.share, strict=True):
        size = max(1, round(share * n))
        first = round(centre * n - size / 2)
        places.append(np.clip(np.arange(first, first + size), 0, n - 1))
    return picture[np.ix_(*places)]


def _normalised(picture: NDArray[np.float32], how: Intensity) -> NDArray[np.float32]:
    limits = (1, 99) if how == "percentile" else (0, 100)
    low, high = (float(value) for value in np.percentile(picture, limits))
    if high <= low:
        return np.zeros_like(picture)
    scaled = np.clip((picture - low) / (high - low), 0, 1)
    if how == "equalise":
        return exposure.equalize_hist(scaled).astype(np.float32)
    if how == "clahe":
        return exposure.equalize_adapthist(scaled).astype(np.float32)
    return scaled
