"""Pedicle screws: a void, with signal displaced along the read-out and piled up around it."""

from __future__ import annotations

import numpy as np

from stenograde.images.lattice import Grid
from stenograde.phantom.body.anatomy import Row
from stenograde.phantom.body.canvas import Points
from stenograde.phantom.body.curve import Array
from stenograde.phantom.body.patient import Phantom
from stenograde.phantom.scanner.acquisition import SlicePlane
from stenograde.phantom.scanner.receiver import sample_points

_VOID_MM = 5.5
"""Radius of the void around the axis of a screw: a titanium screw of 6 to 7 mm and the dephasing beside it."""

_SHIFT_MM = 5.0
"""Shift along the read-out at the edge of the void, mm, by eye; beyond, it falls off with the third power."""


def screws(phantom: Phantom, levels: int) -> Array:
    """Return both ends of each pedicle screw in spine coordinates, shape (n_screws, 2, 3), mm.

    Parameters
    ----------
    phantom : Phantom
    levels : int
        Number of levels fixed, from L5/S1 up: one level has four screws.
    """
    anatomy, out = phantom.anatomy, []
    for k in range(anatomy.n_sacral - 1, anatomy.n_sacral + levels):
        way = float(anatomy.pedicle_way_mm[k])
        wall = anatomy.at(Row.BODY_DEPTH, way)
        aside = anatomy.at(Row.CANAL_WIDTH, way) + float(anatomy.pedicle_mm[k])
        for side in (-1.0, 1.0):
            head, tip = (way, side * (aside + 3), wall + 26), (way, side * (aside - 5), wall - 22)
            out.append((head, tip))
    return np.array(out if levels else np.zeros((0, 2, 3)))


def add_metal(signal: Grid, phantom: Phantom, plane: SlicePlane, levels: int) -> Grid:
    """Return a slice with the voids and the distortion of pedicle screws.

    Parameters
    ----------
    signal : ndarray of shape (n_channels, rows, columns), float32
    phantom : Phantom
    plane : SlicePlane
    levels : int
        Number of levels fixed, from L5/S1 up.

    Returns
    -------
    signal : ndarray of shape (n_channels, rows, columns), float32
        Only signal in the voids, or displaced out of the image, is lost.
    """
    points = Points.of(phantom.anatomy, sample_points(phantom, plane, signal.shape[1:]))
    place = np.stack([points.s, points.left, points.behind])
    near = np.full(place.shape[1], np.inf, np.float32)
    shift = np.zeros(place.shape[1], np.float32)
    for head, tip in screws(phantom, levels):
        axis = tip - head
        length = float(np.linalg.norm(axis))
        axis /= length
        off = place - head[:, None]
        along = np.clip(axis @ off, 0, length)
        off -= axis[:, None] * along
        distance = np.linalg.norm(off, axis=0).astype(np.float32) + np.float32(1e-3)
        cosine = off[0] / distance  # the field points towards the head
        weak = (_VOID_MM / np.maximum(distance, _VOID_MM)) ** 3
        shift += (_SHIFT_MM * weak * (3 * cosine**2 - 1) / 2).astype(np.float32)
        near = np.minimum(near, distance)
    kept = signal * np.clip((near - _VOID_MM) / 1.5 + 0.5, 0, 1).reshape(signal.shape[1:])
    pixel_mm = plane.pixel_mm * plane.matrix / signal.shape[2]
    return _moved(kept, shift.reshape(signal.shape[1:]) / np.float32(pixel_mm))


def _moved(signal: Grid, shift_px: Grid) -> Grid:
    """Move the signal of each pixel along its row, split between the two pixels it falls on."""
    rows, columns = shift_px.shape
    target = np.arange(columns) + shift_px
    left = np.floor(target).astype(np.int64)
    out = np.zeros_like(signal)
    line = np.arange(rows)[:, None] * columns
    for place, share in ((left, left + 1 - target), (left + 1, target - left)):
        fits = (place >= 0) & (place < columns)
        where = (line + place)[fits]
        for k, values in enumerate(signal):
            total = np.bincount(where, (values * share)[fits], rows * columns)
            out[k] += total.reshape(rows, columns).astype(np.float32)
    return out
