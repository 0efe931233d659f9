"""A sagittal slice with a mask of its structures, as far as they are known."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

UNKNOWN = 255
"""Mask value of a pixel about which the annotation says nothing."""

NOT_VERTEBRA = 254
"""Mask value of a pixel known only not to be vertebra."""


@dataclass(frozen=True, eq=False)
class MarkedSlice:
    """One sagittal slice, upright, anterior to the left.

    ``mask`` holds :attr:`~stenograde.terms.Structure.code` values, 0 for background, :data:`UNKNOWN` or
    :data:`NOT_VERTEBRA`; None when the slice has no annotation.
    """

    name: str
    patient: str
    picture: NDArray[np.float32]
    """Shape (rows, columns)."""
    mask: NDArray[np.uint8] | None
    spacing_mm: tuple[float, float]
    """Distance between rows, then between columns."""
