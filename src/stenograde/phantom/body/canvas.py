"""Canvas for painting tissues: points, their signal and label, and textures."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.fft import irfftn, rfftn

from stenograde.phantom.body.anatomy import Anatomy, Row
from stenograde.phantom.body.curve import Grid
from stenograde.phantom.body.tissues import Tissue

EDGE_MM = 1.2
"""Width of the transition from one tissue to the next, mm: surfaces are rough, and oblique in thick slices.

Chosen so that spectra and gradients come close to those of real slices (``benchmarks/realism.py``).
"""

_AHEAD = 64
"""Number of periods by which a texture is offset, so that no cell number is negative."""


@dataclass(frozen=True, eq=False)
class Points:
    """Sample points in both frames, each array of shape (n,), float32, mm."""

    s: Grid
    left: Grid
    behind: Grid
    xyz: Grid
    """Body frame, shape (3, n)."""
    entry: NDArray[np.intp]
    """Table entry nearest to each point."""
    tables: Grid
    """Dimensions along the curve: :attr:`Anatomy.tables`."""

    @classmethod
    def of(cls, anatomy: Anatomy, xyz: Grid) -> Points:
        """Find the spine coordinates of points in the body frame, shape (3, n)."""
        s, left, behind = anatomy.curve.to_spine(xyz)
        return cls(s, left, behind, xyz, anatomy.curve.entry(s), anatomy.tables)

    def take(self, where: NDArray[np.intp]) -> Points:
        """Return the points at given indices."""
        s, left, behind = (part.take(where) for part in (self.s, self.left, self.behind))
        return Points(s, left, behind, self.xyz.take(where, axis=1), self.entry.take(where), self.tables)

    def row(self, row: Row) -> Grid:
        """Return one dimension at each point."""
        return self.tables[row].take(self.entry)

    def sided(self, left: Row, right: Row) -> Grid:
        """Return one dimension at each point, for the side on which the point lies."""
        return np.where(self.left > 0, self.row(left), self.row(right))


class Canvas:
    """Signal and label of points, painted one tissue over another.

    Parameters
    ----------
    n_points : int
    signals : ndarray of shape (n_tissues,) or (n_channels, n_tissues), float32
        Signal of each tissue, in one contrast or in several at once.
    texture : float
        Factor on the deviation of textures from 1.
    """

    def __init__(self, n_points: int, signals: Grid, texture: float = 1.0) -> None:
        self.signals = signals
        self.strength = np.float32(texture)
        self.signal = np.zeros((*signals.shape[:-1], n_points), np.float32)
        """Shape (n_points,) or (n_channels, n_points)."""
        self.label = np.zeros(n_points, np.uint8)

    def paint(
        self, cover: Grid, tissue: Tissue, *, texture: Grid | None = None, code: int | NDArray[np.uint8] = 0
    ) -> None:
        """Paint a tissue over what is already there.

        Parameters
        ----------
        cover : ndarray of shape (n_points,), float32
            Fraction of each point that the tissue covers, 0 to 1.
        tissue : Tissue
        texture : ndarray of shape (n_points,), optional
            Factor on the signal.
        code : int or ndarray of shape (n_points,)
            Label of the points that the tissue covers by more than half.
        """
        value: Grid = self.signals[..., tissue, None]
        if texture is not None:
            if self.strength != 1:
                texture = np.maximum(1 + self.strength * (texture - 1), 0)
            value = value * texture
        self.signal += cover * (value - self.signal)
        np.copyto(self.label, np.asarray(code, dtype=np.uint8), where=cover > 0.5)

    def part(self, where: NDArray[np.intp]) -> Canvas:
        """Return a copy of some points, to be painted separately and put back by :meth:`put`."""
        part = Canvas(0, self.signals, float(self.strength))
        part.signal, part.label = self.signal.take(where, axis=-1), self.label.take(where)
        return part

    def put(self, where: NDArray[np.intp], part: Canvas) -> None:
        """Put painted points back."""
        self.signal[..., where], self.label[where] = part.signal, part.label


def cover(distance_mm: Grid, edge_mm: float = EDGE_MM) -> Grid:
    """Return the fraction of each point inside a shape, from its signed distance (negative inside), mm."""
    return np.clip(0.5 - distance_mm / np.float32(edge_mm), 0, 1)


def box(extents: tuple[Grid, ...], round_mm: float) -> Grid:
    """Return the signed distance to a box with rounded edges.

    Parameters
    ----------
    extents : tuple of ndarray of shape (n,)
        Signed distance to the faces of the box along each axis, mm.
    round_mm : float
        Radius of the edges, mm.
    """
    outside = np.maximum(extents[0] + round_mm, 0) ** 2
    inside = extents[0]
    for extent in extents[1:]:
        outside = outside + np.maximum(extent + round_mm, 0) ** 2
        inside = np.maximum(inside, extent)
    return np.sqrt(outside) + np.minimum(inside + round_mm, 0) - round_mm


@lru_cache(maxsize=4)
def _grains(seed: int, smooth: float, size: int) -> Grid:
    """Smoothed white noise, periodic and flattened, mean 0, standard deviation 1."""
    white = np.random.default_rng([seed, size]).standard_normal((size,) * 3, dtype=np.float32)
    whole, half = np.fft.fftfreq(size), np.fft.rfftfreq(size)
    low, last = (np.exp(-2 * (np.pi * smooth * f) ** 2).astype(np.float32) for f in (whole, half))
    grains = irfftn(rfftn(white) * low[:, None, None] * low[:, None] * last, s=white.shape)
    return (grains / grains.std()).astype(np.float32).ravel()


class Noise:
    """Smooth random texture as a fixed function of position; mean 0, standard deviation 1.

    Parameters
    ----------
    seed : int
        Seed of the grains, which repeat; noises with equal ``seed``, ``smooth`` and ``size`` share them.
    place : int
        Selects the offset within the grains.
    grain_mm : float
        Size of a grain, mm.
    smooth : float
        Cells per grain: more of them look smoother and repeat sooner.
    size : int
        Cells along each axis, a power of two; the texture repeats after them.
    linear : bool
        Interpolate between cells, for grains large enough to make cells visible; slower.
    """

    def __init__(
        self,
        seed: int,
        place: int,
        grain_mm: float,
        *,
        smooth: float = 2.5,
        size: int = 64,
        linear: bool = False,
    ) -> None:
        self._values, self._size = _grains(seed, smooth, size), size
        self._step = np.float32(smooth / grain_mm)
        self._start = np.random.default_rng([seed, place]).integers(size, size=3) + _AHEAD * size
        self._linear = linear

    def at(self, x: Grid, y: Grid, z: Grid) -> Grid:
        """Return the texture at points, each array of shape (n,), mm."""
        step = self._step
        places = [c * step + np.float32(start) for c, start in zip((x, y, z), self._start, strict=True)]
        low = [place.astype(np.int32) for place in places]
        values, size = self._values, self._size
        x0, y0, z0 = (cell & (size - 1) for cell in low)
        if not self._linear:
            return values.take((x0 * size + y0) * size + z0)
        x1, y1, z1 = ((cell + 1) & (size - 1) for cell in low)
        u, v, w = (place - cell for place, cell in zip(places, low, strict=True))
        total = np.zeros_like(u)
        for i, across in ((x0, 1 - u), (x1, u)):
            for j, along in ((y0, 1 - v), (y1, v)):
                row = (i * size + j) * size
                below = values.take(row + z0)
                total += across * along * (below + w * (values.take(row + z1) - below))
        return total
