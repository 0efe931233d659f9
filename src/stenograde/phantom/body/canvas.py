"""Canvas for painting tissues: points, their signal and label, and textures."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache, wraps

import numpy as np
from numpy.typing import NDArray
from scipy.fft import irfftn, rfftn

from stenograde.images.lattice import Grid, pairs_of
from stenograde.phantom.body.anatomy import Anatomy, Row
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
    entry: NDArray[np.intp]
    """Table entry nearest to each point."""
    tables: Grid
    """Dimensions along the curve: :attr:`Anatomy.tables`."""
    place: Grid | None = None
    """Body frame, shape (3, n); None where it is that of the points which these are some of."""
    within: tuple[Points, NDArray[np.intp]] | None = None
    """The points that these are some of, and which."""
    _known: dict[object, Grid] = field(default_factory=dict, repr=False)
    """What was asked for; read only."""

    @classmethod
    def of(cls, anatomy: Anatomy, xyz: Grid) -> Points:
        """Find the spine coordinates of points in the body frame, shape (3, n)."""
        s, left, behind = anatomy.curve.to_spine(xyz)
        return cls(s, left, behind, anatomy.curve.entry(s), anatomy.tables, xyz)

    def take(self, where: NDArray[np.intp]) -> Points:
        """Return the points at given indices."""
        s, left, behind = (part.take(where) for part in (self.s, self.left, self.behind))
        return Points(s, left, behind, self.entry.take(where), self.tables, within=(self, where))

    def once(self, what: object, work: Callable[[], Grid]) -> Grid:
        """Return what is the same whoever asks: it is worked out for the first who does."""
        if what not in self._known:
            found = work()
            found.flags.writeable = False
            self._known[what] = found
        return self._known[what]

    def row(self, row: Row) -> Grid:
        """Return one dimension at each point."""
        return self.once(row, lambda: self.tables[row].take(self.entry))

    def sided(self, left: Row, right: Row) -> Grid:
        """Return one dimension at each point, for the side on which the point lies."""
        return self.once((left, right), lambda: np.where(self.left > 0, self.row(left), self.row(right)))

    @property
    def xyz(self) -> Grid:
        """Body frame, shape (3, n)."""
        if self.place is not None:
            return self.place
        assert self.within is not None  # (points have a place, or are some of others)
        whole, where = self.within
        return self.once("xyz", lambda: np.stack([part.take(where) for part in whole.xyz]))

    @property
    def aside(self) -> Grid:
        """Distance from the curve to either side, mm."""
        return self.once("aside", lambda: np.abs(self.left))

    def grain(self, noise: Noise) -> Grid:
        """Return a texture where the points lie in the body; it is worked out for all that these are some of."""

        def worked_out() -> Grid:
            if self.within is None:
                return noise.at(*self.xyz)
            whole, where = self.within
            return whole.grain(noise).take(where)

        return self.once(noise, worked_out)


def once(work: Callable[[Points], Grid]) -> Callable[[Points], Grid]:
    """Work something out for the first who asks it of the same points."""

    @wraps(work)
    def asked(points: Points) -> Grid:
        return points.once(work, lambda: work(points))

    return asked


class Canvas:
    """Signal and label of points, painted one tissue over another.

    Parameters
    ----------
    n_points : int
    signals : ndarray of shape (n_tissues,) or (n_channels, n_tissues), float32
        Signal of each tissue, in one contrast or in several at once.
    texture : float
        Factor on the deviation of textures from 1.
    label : ndarray of shape (n_points,), uint8, optional
        Labels of the points, painted as well where they are given.
    """

    def __init__(
        self, n_points: int, signals: Grid, texture: float = 1.0, label: NDArray[np.uint8] | None = None
    ) -> None:
        self.signals = signals
        self.strength = np.float32(texture)
        self.signal = np.zeros((*signals.shape[:-1], n_points), np.float32)
        """Shape (n_points,) or (n_channels, n_points)."""
        self.label = label

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
        if texture is not None and self.strength != 1:
            texture = np.maximum(1 + self.strength * (texture - 1), 0)
        for signal, value in zip(
            np.atleast_2d(self.signal), np.atleast_2d(self.signals)[:, tissue], strict=True
        ):
            more = np.subtract(value if texture is None else value * texture, signal)
            more *= cover
            np.add(signal, more, out=signal)
        if self.label is not None:
            np.copyto(self.label, np.asarray(code, dtype=np.uint8), where=cover > 0.5)

    def part(self, where: NDArray[np.intp]) -> Canvas:
        """Return a copy of some points, to be painted separately and put back by :meth:`put`."""
        label = None if self.label is None else self.label.take(where)
        part = Canvas(0, self.signals, float(self.strength), label)
        part.signal = np.empty((*self.signal.shape[:-1], len(where)), np.float32)
        for values, whole in zip(np.atleast_2d(part.signal), np.atleast_2d(self.signal), strict=True):
            whole.take(where, out=values, mode="clip")  # (indices are known to lie within)
        return part

    def copy(self) -> Canvas:
        """Return a copy, to be painted separately."""
        new = Canvas(0, self.signals, float(self.strength), None if self.label is None else self.label.copy())
        new.signal = self.signal.copy()
        return new

    def put(self, where: NDArray[np.intp], part: Canvas) -> None:
        """Put painted points back."""
        for whole, values in zip(np.atleast_2d(self.signal), np.atleast_2d(part.signal), strict=True):
            whole[where] = values
        if self.label is not None and part.label is not None:
            self.label[where] = part.label


def norm(x: Grid, y: Grid) -> Grid:
    """Return the length of vectors, as ``np.hypot`` does at five times the cost where nothing is extreme."""
    total = x * x
    total += y * y
    return np.sqrt(total, out=total)


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


@lru_cache(maxsize=4)
def _pairs_of_grains(seed: int, smooth: float, size: int) -> NDArray[np.complex64]:
    """Grains with those after them along z; the last is followed by the first."""
    grid = _grains(seed, smooth, size).reshape((size,) * 3)
    return pairs_of(grid, np.roll(grid, -1, axis=2))


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
        self._kind, self._size = (seed, smooth, size), size
        self._values = _grains(*self._kind)
        self._grain_mm, self._step = grain_mm, np.float32(smooth / grain_mm)
        self._start = np.random.default_rng([seed, place]).integers(size, size=3) + _AHEAD * size
        self._linear = linear

    def at(self, x: Grid, y: Grid, z: Grid) -> Grid:
        """Return the texture at points, each array of shape (n,), mm."""
        places = []
        for c, start in zip((x, y, z), self._start, strict=True):
            place = np.multiply(c, self._step, dtype=np.float32)
            place += np.float32(start)
            places.append(place)
        cells = [place.astype(np.int32) for place in places]
        if not self._linear:
            i, j, k = map(self._part_of_index, cells, range(3))
            return self._values.take(i | j | k)
        u, v, w = (
            np.subtract(place, cell, out=place, dtype=np.float32, casting="unsafe")
            for place, cell in zip(places, cells, strict=True)
        )
        x0, y0, z0 = cells
        part, pairs = self._part_of_index, _pairs_of_grains(*self._kind)
        total, behind = np.zeros_like(u), part(z0, 2)
        rows = (part(y0, 1), 1 - v), (part(y0 + 1, 1), v)
        for i, across in ((part(x0, 0), 1 - u), (part(x0 + 1, 0), u)):
            plane = i | behind
            for j, along in rows:
                pair = pairs.take(plane | j)
                value = pair.imag * w
                value += pair.real
                value *= along
                value *= across
                total += value
        return total

    def correlation(self, apart_mm: Grid) -> Grid:
        """Return the correlation of the texture at points that lie apart."""
        return np.exp(-((apart_mm / self._grain_mm) ** 2) / 4)

    def _part_of_index(self, cell: NDArray[np.int32], axis: int) -> NDArray[np.int32]:
        """Return what the cells along one axis add to where a value is kept; they repeat."""
        part = cell & (self._size - 1)
        part <<= (2 - axis) * (self._size.bit_length() - 1)
        return part
