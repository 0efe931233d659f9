"""Look of a series beyond its timing: tissue signals, texture, noise, coil, resolution; and its artefacts."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from stenograde.images.lattice import Grid
from stenograde.phantom.body.tissues import Tissue
from stenograde.phantom.scanner.sequences import ContrastMode

Range = tuple[float, float]
"""Smallest and largest value of a uniform draw."""


@dataclass(frozen=True)
class Artefacts:
    """Artefacts of an acquisition; none by default.

    Raises
    ------
    ValueError
        If a strength is negative, the flow void is above 1, or there are more than five levels of screws.
    """

    ghosting: float = 0.0
    """Modulation of the lines along the phase direction, as a fraction: it makes ghosts of the image."""
    motion_mm: float = 0.0
    """Movement of the patient along the phase direction, once or twice within each slice."""
    bandwidth_hz: float | None = None
    """Bandwidth per pixel; fat is shifted by 3.5 ppm of the field over it. None: no chemical shift."""
    metal_levels: int = 0
    """Levels fixed by pedicle screws, from L5/S1 up, with voids, signal pile-up and distortion around them."""
    flow_void: float = 0.0
    """Fraction of its signal that fluid loses where it flows fastest, behind and above the end of the cord."""

    def __post_init__(self) -> None:
        if min(self.ghosting, self.motion_mm, self.metal_levels, self.flow_void) < 0:
            msg = f"strengths of artefacts must not be below 0, got {self}"
            raise ValueError(msg)
        if self.flow_void > 1 or self.metal_levels > 5 or (self.bandwidth_hz or 1.0) <= 0:
            msg = f"flow void must be at most 1, metal levels at most 5, bandwidth above 0 Hz, got {self}"
            raise ValueError(msg)


NO_ARTEFACTS = Artefacts()
"""No artefact at all."""


@dataclass(frozen=True)
class Look:
    """Ranges from which the look of a series is drawn."""

    jitter: Range = (0.03, 0.12)
    """Standard deviation of the log signal of each tissue."""
    free: float = 0.0
    """Share of series whose tissue signals are drawn freely, whatever the physics."""
    texture: Range = (0.3, 1.0)
    """Factor on how strongly tissues are textured."""
    snr: Range = (12.0, 120.0)
    """Ratio of the signal of marrow to the standard deviation of the noise; its logarithm is uniform."""
    reach_mm: Range = (45.0, 100.0)
    """Depth below the skin at which the surface coil has lost most of its gain."""
    floor: Range = (0.2, 0.7)
    """Gain far from the coil, as a fraction of the gain at the skin."""
    bias: Range = (0.0, 0.06)
    """Standard deviation of the logarithm of a further smooth bias field."""
    acquired: Range = (0.45, 1.0)
    """Acquired over stored matrix size along the phase direction; in SPIDER, 0.5 to 0.9 of the stored rows."""
    level: Range = (330.0, 520.0)
    """Stored value of marrow before the gain of the coil."""

    def draw_signals(self, rng: np.random.Generator, signals: Grid) -> Grid:
        """Jitter the signals of the tissues, or draw them freely.

        Free signals follow SynthSeg (Billot et al., Med Image Anal 2023;86:102789).

        Parameters
        ----------
        rng : numpy.random.Generator
        signals : ndarray of shape (n_tissues,)

        Returns
        -------
        signals : ndarray of shape (n_tissues,), float32
            Air stays dark.
        """
        sigma = float(rng.uniform(*self.jitter))
        jittered = signals * np.exp(sigma * rng.standard_normal(len(signals)))
        free = rng.uniform(0.03, 1.0, len(signals))
        if rng.random() < self.free:
            jittered = free * float(signals.max())
        jittered[Tissue.AIR] = 0.0
        return np.asarray(jittered, dtype=np.float32)


LOOKS = {
    ContrastMode.CLINICAL: Look(),
    ContrastMode.RANDOMISED: Look(
        jitter=(0.02, 0.35),
        free=0.1,
        texture=(0.4, 1.8),
        snr=(8.0, 80.0),
        reach_mm=(40.0, 160.0),
        floor=(0.15, 0.7),
        bias=(0.0, 0.30),
        acquired=(0.45, 1.0),
        level=(200.0, 700.0),
    ),
    ContrastMode.LONG_TE_3T: Look(
        jitter=(0.05, 0.15), snr=(14.0, 30.0), reach_mm=(45.0, 70.0), bias=(0.10, 0.20), acquired=(0.6, 0.75)
    ),
}
"""Look of each contrast mode; ranges by eye."""
