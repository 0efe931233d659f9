"""One disc on the mid-sagittal surface, as it was measured."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Disc:
    """One disc on the mid-sagittal surface; points are (row, column) on its grid."""

    name: str
    centre: tuple[float, float]
    axis: tuple[float, float]
    """Unit vector along the disc, to the back."""
    height_mm: float
    length_mm: float
    """Anteroposterior extent, mm."""
    margin: tuple[float, float]
    """Middle of the posterior margin."""
    heat: float
    sacral_heat: float
    guessed: bool = False
    """True when only the gap between its neighbours speaks for it."""

    @property
    def down(self) -> NDArray[np.float64]:
        """Unit vector across the disc, to the feet."""
        return np.array([self.axis[1], -self.axis[0]])
