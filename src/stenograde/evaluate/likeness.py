"""How alike two pictures are: perceptual hashes, and fine detail laid over each other, shifted, zoomed or mirrored.

Slices of different patients look alike as a whole: same organs, same place, same black surround. Grey values as they
are therefore say little, and all that follows compares detail, which is what remains when a blurred copy is subtracted.
Pictures come as thumbnails of ``SIDE`` squared.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray
from scipy.fft import dctn
from scipy.ndimage import gaussian_filter
from skimage.transform import resize

Floats = NDArray[np.float32]

SIDE = 64
"""Rows and columns of a thumbnail."""

_HASH_SIDE = 8
"""Rows and columns of the low frequencies that make a hash: 64 bits."""

_FINE, _MIDDLE, _COARSE = 2.0, 4.0, 6.0
"""Blur that is subtracted to leave detail, standard deviation in thumbnail pixels: to judge, to align, to search."""

_RIM = 6
"""Rows and columns at each edge that are not compared: there a shifted picture has nothing of its own to show."""

_PLAY = 4
"""How far two pictures in the same frame are shifted against each other at most, thumbnail pixels."""

_SEARCH_SIDE = 16
"""Rows and columns in which the search compares."""

_SEARCH_RIM = 2

_SHIFTS = (-0.1, -0.05, 0.0, 0.05, 0.1)
_ZOOMS = (0.93, 1.0, 1.07)
"""What the search tries along either axis, as shares of the picture: the range of the augmentation of the second
document (shift 0.1, zoom 0.1), in steps that leave the search's pixels at most two thirds of a pixel apart."""

_TRIES = 15
"""Most steps of one alignment; on Sudirman's slices more of them found no more twins."""

_SMALL_STEP, _LONG_STEP = 5e-4, 0.05
"""Steps of zoom or shift at which the alignment ends (a thirtieth of a thumbnail pixel), and at most takes, shares."""

_ZOOM_RANGE = (0.8, 1.25)
"""Range that the zoom of an alignment stays in."""


@dataclass(frozen=True)
class Change:
    """How a picture is laid over another."""

    zoom: tuple[float, float]
    """Down and across; above 1 shows more of the picture, smaller."""
    shift: tuple[float, float]
    """Down and across, as shares of the picture."""
    mirrored: bool
    """Left and right are swapped first."""


def thumbnails(pictures: NDArray[np.uint8]) -> Floats:
    """Return pictures of shape (n, rows, columns) as thumbnails of shape (n, SIDE, SIDE)."""
    if pictures.shape[1:] == (SIDE, SIDE):
        return np.asarray(pictures, np.float32)
    made = np.empty((len(pictures), SIDE, SIDE), np.float32)
    for place, picture in enumerate(pictures):
        grey = np.asarray(picture, np.float32)
        made[place] = resize(grey, (SIDE, SIDE), order=1, anti_aliasing=True, preserve_range=True)
    return made


def mirror_images(pictures: Floats) -> Floats:
    """Return pictures with left and right swapped."""
    return pictures[:, :, ::-1]


def perceptual_hashes(thumbs: Floats) -> NDArray[np.uint64]:
    """Return a 64-bit hash of each thumbnail: which of its low frequencies are above their median.

    Brightness, contrast and noise hardly change it; bits that differ count how unlike two pictures are as a whole.

    References
    ----------
    Zauner, "Implementation and benchmarking of perceptual image hash functions", 2010 (the DCT-based hash).
    """
    half = thumbs.reshape(len(thumbs), SIDE // 2, 2, SIDE // 2, 2).mean((2, 4))
    waves = dctn(half, axes=(1, 2), norm="ortho")[:, :_HASH_SIDE, :_HASH_SIDE].reshape(len(thumbs), -1)
    # the first frequency is the mean brightness, which is far from all others and says nothing
    bits = waves > np.median(waves[:, 1:], axis=1, keepdims=True)
    return np.packbits(bits, axis=1).view(np.uint64)[:, 0]


def bits_apart(first: NDArray[np.uint64], second: NDArray[np.uint64]) -> NDArray[np.uint8]:
    """Return how many bits differ for each pair, shape (first, second)."""
    return np.bitwise_count(first[:, None] ^ second[None, :])


def likeness_in_place(first: Floats, second: Floats) -> float:
    """Return the correlation of detail of two thumbnails in the same frame, moved a little to fit best; -1 to 1."""
    one, two = _detail(first, _FINE), _detail(second, _FINE)
    inner = _unit(_inner(one).ravel())
    n = SIDE - 2 * _RIM
    places = [_RIM + move for move in range(-_PLAY, _PLAY + 1)]
    return max(float(inner @ _unit(two[r : r + n, c : c + n].ravel())) for r, c in product(places, places))


def likeness_aligned(first: Floats, second: Floats, change: Change) -> float:
    """Return the correlation of detail after laying the first over the second as well as possible; -1 to 1.

    Parameters
    ----------
    first, second : ndarray of shape (SIDE, SIDE)
    change : Change
        A rough start, from which shift and zoom are refined.
    """
    turned = first[:, ::-1] if change.mirrored else first
    start = np.array([change.zoom[0], change.shift[0], change.zoom[1], change.shift[1]])
    how = _aligned(_detail(turned, _MIDDLE), _inner(_detail(second, _MIDDLE)), start)
    fine = _unit(_inner(_detail(second, _FINE)).ravel())
    return float(_unit(_laid(_detail(turned, _FINE), how).ravel()) @ fine)


def searched(first: Floats, second: Floats) -> tuple[Floats, NDArray[np.int16]]:
    """Return for each pair how alike coarse detail can be made by shift, zoom and mirror.

    Parameters
    ----------
    first : ndarray of shape (n, SIDE, SIDE)
        Thumbnails that are changed.
    second : ndarray of shape (m, SIDE, SIDE)

    Returns
    -------
    likeness : ndarray of shape (n, m)
        -1 to 1.
    which : ndarray of shape (n, m)
        Place of the best change in :func:`tried_changes`.
    """
    lines = {line: _rows(*line) for line in product(_ZOOMS, _SHIFTS)}
    still = _unit(_shrunk(lines[1.0, 0.0] @ _details(second), lines[1.0, 0.0]))
    detail = _details(first)
    changed_down = {line: rows @ detail for line, rows in lines.items()}
    best = np.full((len(first), len(second)), -np.inf, np.float32)
    which = np.zeros(best.shape, np.int16)
    for place, change in enumerate(tried_changes()):
        across = lines[change.zoom[1], change.shift[1]]
        across = across[:, ::-1] if change.mirrored else across
        alike = _unit(_shrunk(changed_down[change.zoom[0], change.shift[0]], across)) @ still.T
        better = alike > best
        best[better] = alike[better]
        which[better] = place
    return best, which


def tried_changes() -> tuple[Change, ...]:
    """Return every change that :func:`searched` tries."""
    return tuple(_changes())


def _changes() -> Iterator[Change]:
    for down, across, mirrored in product(product(_ZOOMS, _SHIFTS), product(_ZOOMS, _SHIFTS), (False, True)):
        yield Change((down[0], across[0]), (down[1], across[1]), mirrored)


def _detail(picture: Floats, blur: float) -> Floats:
    return picture - gaussian_filter(picture, blur)


def _inner(picture: Floats) -> Floats:
    return picture[_RIM:-_RIM, _RIM:-_RIM]


def _details(pictures: Floats) -> Floats:
    return pictures - gaussian_filter(pictures, (0, _COARSE, _COARSE))


def _unit(rows: Floats) -> Floats:
    """Rows less their mean, of length 1; a row of one value stays 0."""
    centred = rows - rows.mean(-1, keepdims=True)
    length = np.linalg.norm(centred, axis=-1, keepdims=True)
    unit: Floats = centred / np.where(length > 1e-6, length, np.inf)
    return unit


def _sampling(zoom: float, shift: float) -> Floats:
    """Matrix that takes a line of SIDE pixels zoomed about its middle and shifted, its ends repeated."""
    middle = (SIDE - 1) / 2
    at = np.clip((np.arange(SIDE) - middle) * zoom + middle + shift * SIDE, 0, SIDE - 1)
    weights: Floats = np.maximum(1 - np.abs(at[:, None] - np.arange(SIDE)), 0).astype(np.float32)
    return weights


def _laid(picture: Floats, how: NDArray[np.float64]) -> Floats:
    """Inner part of a picture changed by (zoom, shift) down and across."""
    down, across = (_sampling(how[axis], how[axis + 1])[_RIM:-_RIM] for axis in (0, 2))
    return np.asarray(down @ picture @ across.T, np.float32)


def _aligned(picture: Floats, still: Floats, start: NDArray[np.float64]) -> NDArray[np.float64]:
    """Zoom and shift that make two details correlate most: Gauss-Newton steps, 10.1109/TPAMI.2008.113."""
    target = _unit(still.ravel())
    from_middle = np.arange(_RIM, SIDE - _RIM) - (SIDE - 1) / 2
    how, best, best_how = start, -np.inf, start
    for _ in range(_TRIES):
        laid = _laid(picture, how)
        seen = _unit(laid.ravel())
        if (alike := float(seen @ target)) > best:
            best, best_how = alike, how
        down, across = np.gradient(laid)
        slopes = np.stack(
            [
                (down * from_middle[:, None] / how[0]).ravel(),
                (down * SIDE / how[0]).ravel(),
                (across * from_middle / how[2]).ravel(),
                (across * SIDE / how[2]).ravel(),
            ],
            axis=1,
        )
        slopes -= slopes.mean(0)
        slopes -= np.outer(seen, seen @ slopes)
        step = np.linalg.lstsq(slopes, (target - seen) * np.linalg.norm(laid - laid.mean()), rcond=None)[0]
        if np.abs(step).max() < _SMALL_STEP:
            break
        how = how + np.clip(step, -_LONG_STEP, _LONG_STEP)
        how[[0, 2]] = np.clip(how[[0, 2]], *_ZOOM_RANGE)
    return best_how


def _rows(zoom: float, shift: float) -> Floats:
    """Matrix that takes a changed line of SIDE pixels straight to the inner pixels of the search."""
    means = np.kron(np.eye(_SEARCH_SIDE), np.full((1, SIDE // _SEARCH_SIDE), _SEARCH_SIDE / SIDE))
    rows: Floats = (means[_SEARCH_RIM:-_SEARCH_RIM] @ _sampling(zoom, shift)).astype(np.float32)
    return rows


def _shrunk(rows: Floats, across: Floats) -> Floats:
    """Pictures whose rows were taken, now their columns too, each as one line of pixels."""
    return np.asarray(rows @ across.T, np.float32).reshape(len(rows), -1)
