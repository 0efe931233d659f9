"""Tissues and the signal that a spin echo gives them."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum, auto

import numpy as np

from stenograde.datasets.phantom.curve import Grid


class Tissue(IntEnum):
    """What a point of the phantom is made of."""

    AIR = 0
    FAT = auto()
    MARROW = auto()
    SACRAL_MARROW = auto()
    CORTEX = auto()
    MUSCLE = auto()
    LIGAMENT = auto()
    ANNULUS = auto()
    WET_NUCLEUS = auto()
    DRY_NUCLEUS = auto()
    CSF = auto()
    CORD = auto()
    ROOT = auto()
    VEIN = auto()
    FLOWING_BLOOD = auto()
    BOWEL = auto()
    SKIN = auto()


_RELAXATION = {
    Tissue.AIR: (0.0, 1000.0, 50.0),
    Tissue.FAT: (0.95, 290.0, 120.0),
    Tissue.MARROW: (0.80, 520.0, 100.0),
    Tissue.SACRAL_MARROW: (0.80, 470.0, 105.0),
    Tissue.CORTEX: (0.10, 700.0, 12.0),
    Tissue.MUSCLE: (0.80, 1000.0, 44.0),
    Tissue.LIGAMENT: (0.42, 850.0, 32.0),
    Tissue.ANNULUS: (0.60, 950.0, 40.0),
    Tissue.WET_NUCLEUS: (0.85, 1300.0, 115.0),
    Tissue.DRY_NUCLEUS: (0.72, 1000.0, 55.0),
    Tissue.CSF: (1.00, 4000.0, 1400.0),
    Tissue.CORD: (0.80, 950.0, 85.0),
    Tissue.ROOT: (0.74, 1000.0, 70.0),
    Tissue.VEIN: (0.80, 1250.0, 130.0),
    Tissue.FLOWING_BLOOD: (0.08, 1300.0, 80.0),
    Tissue.BOWEL: (0.75, 900.0, 75.0),
    Tissue.SKIN: (0.60, 800.0, 35.0),
}
"""Proton density (share of water), T1 and effective T2 in an echo train, ms, at 1.5 T.

Muscle, fat, cord and marrow follow Stanisz et al., Magn Reson Med 2005;54:507 and Gold et al., AJR
2004;183:343; fat's T2 is longer, as in fast spin echo (Henkelman et al., J Magn Reson Imaging 1992;2:533).
The rest is set so that the contrast resembles clinical pictures and is no measurement.
"""


@dataclass(frozen=True)
class SpinEcho:
    """Timing of a spin echo.

    Raises
    ------
    ValueError
        If a time is not above zero.
    """

    repetition_ms: float
    """TR."""
    echo_ms: float
    """TE, effective."""
    train: int = 1
    """Echoes per excitation."""

    def __post_init__(self) -> None:
        if self.repetition_ms <= 0 or self.echo_ms <= 0 or self.train < 1:
            msg = f"spin echo must have times above zero, got TR {self.repetition_ms}, TE {self.echo_ms} ms"
            raise ValueError(msg)

    def signals(self) -> Grid:
        """Return the signal of each tissue, shape (n_tissues,): PD (1 - exp(-TR/T1)) exp(-TE/T2).

        Examples
        --------
        >>> t2 = SpinEcho(3600, 110).signals()
        >>> bool(t2[Tissue.CSF] > t2[Tissue.MARROW] > t2[Tissue.MUSCLE])
        True
        >>> t1 = SpinEcho(550, 11).signals()
        >>> bool(t1[Tissue.FAT] > t1[Tissue.MARROW] > t1[Tissue.CSF])
        True
        """
        density, t1, t2 = np.array([_RELAXATION[tissue] for tissue in Tissue]).T
        signal = density * (1 - np.exp(-self.repetition_ms / t1)) * np.exp(-self.echo_ms / t2)
        return signal.astype(np.float32)
