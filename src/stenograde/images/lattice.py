"""Values on a lattice, and between its points."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

Grid = NDArray[np.floating[Any]]
"""Values at sample points; float32 in practice, for speed."""


def pairs_of(values: Grid, after: Grid) -> NDArray[np.complex64]:
    """Return values as real parts, and how much larger those after them are as imaginary ones: one look-up gives both.

    Parameters
    ----------
    values, after : ndarray of any shape, float32

    Returns
    -------
    pairs : ndarray of shape (n,), complex64
    """
    pairs = np.empty(values.size, np.complex64)
    pairs.real, pairs.imag = values.ravel(), (after - values).ravel()
    return pairs


class Lattice:
    """Several values at each point of one lattice, linear between its points and those of its edge beyond it.

    In single precision, with half of the look-ups: five to ten times as fast as ``scipy.ndimage.map_coordinates``.

    Parameters
    ----------
    values : ndarray of shape (n_1, …, n_d), float32
        All of one shape.

    Raises
    ------
    ValueError
        If they are not.

    Examples
    --------
    >>> lattice = Lattice(np.array([[0, 1], [2, 3]], np.float32))
    >>> lattice.at(np.float32([0.5, 9]), np.float32([0.25, -1]))[0].tolist()
    [1.25, 2.0]
    """

    def __init__(self, *values: Grid) -> None:
        self.shape = values[0].shape
        shapes = [one.shape for one in values]
        if any(shape != self.shape for shape in shapes) or min(self.shape) < 1:
            msg = f"values of a lattice must be of one shape of 1 or more, got {shapes}"
            raise ValueError(msg)
        twice = [(0, int(n == 1)) for n in self.shape]  # (between two points are those of one)
        wide = [np.pad(one, twice, mode="edge") if min(self.shape) == 1 else one for one in values]
        self._kept = wide[0].shape
        after = [np.concatenate([one[..., 1:], one[..., -1:]], axis=-1) for one in wide]
        self._pairs = list(map(pairs_of, wide, after))

    def values(self, number: int) -> Grid:
        """Return one of the values on the lattice's own points."""
        return self._pairs[number].real.reshape(self._kept)[tuple(map(slice, self.shape))]

    def at(self, *places: Grid) -> tuple[Grid, ...]:
        """Return the values at places.

        Parameters
        ----------
        places : ndarray of shape (n,), float32
            Along each axis, in steps of the lattice.

        Returns
        -------
        values : tuple of ndarray of shape (n,), float32
        """
        index = np.zeros(places[0].shape, np.int32)
        shares = []
        for place, n in zip(places, self._kept, strict=True):
            share = np.clip(place, 0, np.float32(n - 1), dtype=np.float32)
            cell = np.minimum(share.astype(np.int32), n - 2)
            shares.append(np.subtract(share, cell, out=share, dtype=np.float32, casting="unsafe"))
            index *= n
            index += cell
        *before, last = shares
        steps = [int(np.prod(self._kept[axis + 1 :])) for axis in range(len(before))]
        totals = tuple(np.zeros(index.shape, np.float32) for _ in self._pairs)
        for corner in product((0, 1), repeat=len(before)):
            here = index + np.int32(sum(step for step, far in zip(steps, corner, strict=True) if far))
            for total, pairs in zip(totals, self._pairs, strict=True):
                pair = pairs.take(here)
                value = pair.imag * last
                value += pair.real
                for share, far in zip(before, corner, strict=True):
                    value *= share if far else 1 - share
                np.add(total, value, out=total)
        return totals
