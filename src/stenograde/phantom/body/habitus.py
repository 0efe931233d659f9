"""Differences between patients outside the spine: bowel, gas, fat, muscle, vessels; drawn from the texture seed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Habitus:
    """Soft tissue of one patient; all ranges are by eye, none is measured."""

    visceral_fat_mm: float
    """Distance from the vertebral bodies to the bowel."""
    strands: float
    """Amount of strands, small vessels and nodes in the fat in front of the spine, -0.3 to 1.6."""
    crus_mm: float
    """Thickness of the crura of the diaphragm."""
    loop_mm: float
    """Size of the bowel loops."""
    loop_stretch: tuple[float, float, float]
    """Compression of the loops along x, y and z."""
    content: float
    """Amount of the abdomen that is filled bowel rather than fat, -0.4 to 0.6."""
    content_signal: float
    """Factor on the signal of the bowel content."""
    wall: float
    """Thickness of the bowel walls, 0 to 1."""
    gas: float
    """Threshold above which loops contain gas: the lower, the more gas."""
    psoas: float
    """Factor on the radius of psoas."""
    streak_mm: float
    """Size of the fat streaks in muscle."""
    septa: float
    """Darkness of the septa in fat, as a fraction of its signal."""
    back_curve_mm: float
    """Twice the radius of curvature of the back."""
    furrow_mm: float
    """Depth of the furrow over the spinous processes."""
    vessels_mm: tuple[float, float, float, float]
    """Aorta and vena cava: distance to the left of the midline, then radius."""
    uneven: float
    """Standard deviation of the unevenness of all tissues, with grains of 1 to 7 mm, as a fraction of the signal."""
    marrow_fat: float
    """Fat fraction of the marrow."""
    winding_mm: float
    """How far the aorta winds sideways and forwards."""
    deep_fat: float
    """Amount of fat between the laminae and the muscle on them, 0 to 2."""
    seams: float
    """Share of fat in the seams between the muscles of the back."""

    @classmethod
    def draw(cls, seed: int) -> Habitus:
        """Draw a habitus.

        Parameters
        ----------
        seed : int
            The patient's texture seed.
        """
        rng = np.random.default_rng([seed, 5])
        stretch = np.exp(rng.normal(0, 0.35, 3))
        vessels = rng.normal([8.0, -17.0, 9.0, 10.5], [4.0, 3.0, 1.3, 1.5])
        return cls(
            visceral_fat_mm=float(rng.gamma(1.5, 4.0)),
            strands=float(rng.uniform(-0.3, 1.6)),
            crus_mm=float(rng.uniform(1.5, 4.5)),
            loop_mm=float(rng.uniform(8.0, 20.0)),
            loop_stretch=(float(stretch[0]), float(stretch[1]), float(stretch[2])),
            content=float(rng.uniform(-0.4, 0.6)),
            content_signal=float(rng.uniform(0.5, 1.6)),
            wall=float(rng.uniform(0.2, 1.0)),
            gas=float(rng.uniform(0.9, 2.6)),
            psoas=float(rng.uniform(0.75, 1.2)),
            streak_mm=float(rng.uniform(1.5, 3.5)),
            septa=float(rng.uniform(0.05, 0.5)),
            back_curve_mm=float(rng.uniform(360, 650)),
            furrow_mm=float(rng.uniform(0.5, 7.0)),
            vessels_mm=tuple(float(mm) for mm in vessels),  # type: ignore[arg-type]  # four
            uneven=float(rng.uniform(0.06, 0.20)),
            marrow_fat=float(np.clip(rng.normal(0.4, 0.13), 0.1, 0.8)),
            winding_mm=float(rng.gamma(1.5, 2.0)),
            deep_fat=float(rng.gamma(1.3, 0.7)),
            seams=float(rng.uniform(0.1, 0.7)),
        )
