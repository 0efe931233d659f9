"""Approximate signed distances to simple shapes, mm, negative inside; all arguments broadcast."""

from __future__ import annotations

import numpy as np

from stenograde.images.lattice import Grid

Place = tuple[float, float, float]


def capsule(point: tuple[Grid, Grid, Grid], ends: tuple[Place, Place], radius: float) -> Grid:
    """Return the distance to a rod with rounded ends."""
    start, end = (np.array(place, np.float32) for place in ends)
    along = end - start
    length = float(along @ along)
    off = [axis - value for axis, value in zip(point, start, strict=True)]
    share = np.clip((off[0] * along[0] + off[1] * along[1] + off[2] * along[2]) / length, 0, 1)
    squares = sum((part - share * step) ** 2 for part, step in zip(off, along, strict=True))
    return np.sqrt(squares) - np.float32(radius)


def ellipsoid(point: tuple[Grid, Grid, Grid], centre: Place, radii: Place) -> Grid:
    """Return the distance to an ellipsoid: exact at its surface, less so far from it."""
    scaled = [(axis - c) / r for axis, c, r in zip(point, centre, radii, strict=True)]
    root = np.sqrt(scaled[0] ** 2 + scaled[1] ** 2 + scaled[2] ** 2)
    steep = np.sqrt(sum((part / r) ** 2 for part, r in zip(scaled, radii, strict=True)))
    return root * (root - 1) / np.maximum(steep, 1e-4)


def slab(first: Grid, *others: Grid) -> Grid:
    """Return the distance to the region where several signed distances are all negative."""
    out = first
    for other in others:
        out = np.maximum(out, other)
    return out


def cover(distance: Grid, edge_mm: float) -> Grid:
    """Return the fraction of a voxel that lies inside, from the distance of its centre."""
    return np.clip(0.5 - distance / np.float32(edge_mm), 0, 1)
