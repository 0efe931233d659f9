"""Flow voids: flowing fluid leaves the slice, or loses phase coherence, between excitation and echo."""

from __future__ import annotations

import numpy as np

from stenograde.phantom.body.anatomy import Row
from stenograde.phantom.body.canal import sac_distance
from stenograde.phantom.body.canvas import Canvas, Points
from stenograde.phantom.body.scene import Scene

_QUIET_MM = 110.0
"""Way below which fluid hardly flows (by eye: about L2), mm above the L5/S1 disc."""


def paint_flow(scene: Scene, points: Points, canvas: Canvas, strength: float) -> None:
    """Darken the fluid, in patches, where it flows: the middle of the sac, behind and above the end of the cord.

    Parameters
    ----------
    scene : Scene
    points : Points
    canvas : Canvas
        Painted in place, after the canal.
    strength : float
        Fraction of the signal lost where flow is fastest.
    """
    inside = np.flatnonzero(sac_distance(points) < 0)
    if not inside.size:
        return
    close = points.take(inside)
    depth, width = close.row(Row.SAC_DEPTH), close.row(Row.SAC_WIDTH)
    up = (close.behind - close.row(Row.SAC_CENTRE)) / depth
    middle = np.clip(1 - up * up - (close.left / width) ** 2, 0, 1)
    patch = 0.6 + 0.4 * scene.medium.at(close.left, close.behind, close.s * np.float32(0.3))
    high = np.clip((close.s - _QUIET_MM) / 40 + 0.5, 0.1, 1)
    canvas.signal[..., inside] *= 1 - strength * np.clip(middle * patch * high, 0, 1)
