"""Slices as they hang on a light box: turned, windowed, cut to a size in mm, with what to draw on them.

A :class:`Picture` is drawn in millimetres: one unit of its drawing is 1 mm, so that a scale bar of 20 mm is a
line of length 20, and a pixel that is not square needs no thought.
"""

from __future__ import annotations

import base64
import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import imagecodecs
import numpy as np
from numpy.typing import ArrayLike, NDArray
from PIL import Image

from stenograde import geometry
from stenograde.errors import StudyError
from stenograde.grades import Evidence
from stenograde.images.orient import display_turn
from stenograde.study import Series, Study, Volume

WINDOW_PERCENTILES = (1.0, 99.4)
"""Black and white of a picture, as percentiles of its intensities, %."""

_WINDOW_STEP = 2
"""Of a whole slice, every so many-th row and column is enough for a percentile."""

_JPEG_QUALITY = 88
_NEIGHBOUR_QUALITY = 78
"""Of the slices beside the one that a statement rests on."""

_CUBIC_REACH = 3.0
"""So many pixels, of the coarser of slice and picture, bicubic interpolation looks beside a place, and one to spare."""

_NEIGHBOURS = 1
"""So many slices to each side can be looked at."""

_OBLIQUE = 0.34
"""Direction cosine from which a second letter is shown beside an edge (20 degrees off the axis)."""


@dataclass(frozen=True)
class SourceFrame:
    """A frame of an instance that a picture was made of."""

    series_uid: str
    sop_instance_uid: str
    frame: int
    """From 0."""


@dataclass(frozen=True, eq=False)
class ShownSlice:
    """One slice, turned for display."""

    series: Series
    volume: Volume
    index: int
    """Place of the slice in its volume, from 0."""
    pixels: NDArray[np.float32]
    """Shape (rows, columns), as displayed."""
    affine: NDArray[np.float64]
    """(slice, row, column) index as displayed to LPS mm."""
    corner: tuple[int, int] = (0, 0)
    """Row and column at which the instance's own first pixel lies, where the slice was joined from several."""

    @property
    def size_mm(self) -> tuple[float, float]:
        """Width and height."""
        _, row_mm, column_mm = geometry.spacing_mm(self.affine)
        return self.pixels.shape[1] * column_mm, self.pixels.shape[0] * row_mm

    @property
    def sources(self) -> tuple[SourceFrame, ...]:
        """Frames that the slice was read from: one, or those of the stations that it was joined from."""
        return tuple(SourceFrame(self.series.uid, *one) for one in self.volume.stored_in(self.index))

    @property
    def where(self) -> str:
        """Series and slice in words."""
        role = (
            self.series.role.shown if self.series.role else f"{self.series.plane.value.capitalize()} series"
        )
        n_volumes = len(self.series.volumes)
        stack = (
            f", stack {self.series.volumes.index(self.volume) + 1} of {n_volumes}" if n_volumes > 1 else ""
        )
        return f"{role}{stack}, slice {self.index + 1} of {self.volume.shape[0]}"

    def place(self, points: ArrayLike) -> NDArray[np.float64]:
        """Return where points lie in the displayed slice.

        Parameters
        ----------
        points : array-like of shape (n, 3)
            LPS mm.

        Returns
        -------
        placed : ndarray of shape (n, 3), float64
            x to the right and y downwards from the slice's upper left corner, then the distance to the
            slice's plane; mm.
        """
        index = geometry.to_index(self.affine, np.reshape(np.asarray(points, np.float64), (-1, 3)))
        _, row_mm, column_mm = geometry.spacing_mm(self.affine)
        off_mm = (index[:, 0] - self.index) * geometry.gap_mm(self.affine)
        return np.column_stack([(index[:, 2] + 0.5) * column_mm, (index[:, 1] + 0.5) * row_mm, off_mm])

    def place_pixel(self, row: float, column: float) -> NDArray[np.float64]:
        """Return x and y of a pixel given as it is stored (row and column from 0); mm."""
        there = [self.index, row + self.corner[0], column + self.corner[1]]
        return self.place(geometry.to_patient(self.volume.affine, [there]))[0, :2]

    def letters(self) -> dict[str, str]:
        """Return the patient directions at the four edges, such as ``{"left": "A", ...}``."""
        right, down = (_letters(self.affine[:3, axis]) for axis in (2, 1))
        return {"right": right, "left": _opposite(right), "bottom": down, "top": _opposite(down)}


@dataclass(frozen=True)
class Box:
    """A rectangle on a displayed slice, mm from its upper left corner."""

    x: float
    y: float
    width: float
    height: float

    @classmethod
    def around(cls, x: float, y: float, size_mm: float, within: tuple[float, float]) -> Box:
        """Return a square of ``size_mm`` about a point, shifted or shrunk to stay within (width, height)."""
        width, height = min(size_mm, within[0]), min(size_mm, within[1])
        return cls(
            float(np.clip(x - width / 2, 0, within[0] - width)),
            float(np.clip(y - height / 2, 0, within[1] - height)),
            width,
            height,
        )

    def holds(self, x: float, y: float) -> bool:
        """Say whether a point lies within."""
        return self.x <= x <= self.x + self.width and self.y <= y <= self.y + self.height


@dataclass(frozen=True)
class Drawn:
    """A line or mark to draw over a picture; x and y are mm from the picture's upper left corner."""

    kind: str
    """CSS class: ``vertebra``, ``disc``, ``canal``, ``measure``, ``measured-area``, ``mark``,
    ``centre``, ``point`` or ``guide``."""
    points: tuple[tuple[float, float], ...]
    label: str = ""
    label_at: tuple[float, float] = (0.0, 0.0)
    anchor: str = "middle"

    @property
    def path(self) -> str:
        """Points as an SVG ``points`` attribute."""
        return " ".join(f"{x:.2f},{y:.2f}" for x, y in self.points)


@dataclass(frozen=True)
class Neighbours:
    """The same piece of the slices before and after one; a slice that cannot be decoded ends a row."""

    before: tuple[str, ...]
    """Rasters in the order of the volume, as ``data:`` addresses."""
    after: tuple[str, ...]
    number: int
    """Place of the slice itself in its volume, from 1."""
    n_slices: int


@dataclass(frozen=True)
class Picture:
    """A piece of a slice with what is drawn over it."""

    href: str
    """The raster, as a ``data:`` address."""
    width_mm: float
    height_mm: float
    letters: dict[str, str]
    bar_mm: int
    alt: str
    caption: str
    drawn: tuple[Drawn, ...] = field(default=())
    beside: Neighbours | None = None
    """The same piece of the neighbouring slices, to be looked at."""
    sources: tuple[SourceFrame, ...] = ()
    """What the raster was made of."""


def find_slice(study: Study, evidence: Evidence) -> ShownSlice | None:
    """Return the slice that evidence lies on; None if it is not in the study or cannot be decoded."""
    for series, volume in study.volumes():
        if series.uid != evidence.series_uid:
            continue
        found = volume.find(evidence.sop_instance_uid, evidence.frame)
        if found is not None:
            index, corner = found
            shown = show_slice(series, volume, index)
            return None if shown is None else replace(shown, corner=corner)
    return None


def nearest_slice(series: Series, point: ArrayLike) -> ShownSlice | None:
    """Return the slice of a series nearest to a point (LPS mm); None if the point lies outside all volumes.

    Of several volumes that hold the point, the one in whose middle it lies is taken: slices angled disc by
    disc overlap at their ends.
    """
    best: tuple[float, Volume, int] | None = None
    for volume in series.volumes:
        if not geometry.is_inside(volume.affine, volume.shape, point):
            continue
        place = float(geometry.to_index(volume.affine, np.reshape(point, (1, 3)))[0, 0])
        middle_mm = abs(place - (volume.shape[0] - 1) / 2) * geometry.gap_mm(volume.affine)
        if best is None or middle_mm < best[0]:
            best = middle_mm, volume, int(np.clip(round(place), 0, volume.shape[0] - 1))
    return show_slice(series, best[1], best[2]) if best else None


def show_slice(series: Series, volume: Volume, index: int) -> ShownSlice | None:
    """Return a slice turned for display; None if it cannot be decoded."""
    try:
        pixels = volume.slices([index])[0]
    except StudyError:
        return None
    turn = display_turn(volume.affine, series.plane)
    affine = turn.affine(volume.affine, (volume.shape[1], volume.shape[2]))
    return ShownSlice(series, volume, index, turn.apply(pixels), affine)


def encoded(shown: ShownSlice, box: Box, pixels_per_mm: float) -> str:
    """Return a piece of a slice, windowed on itself, as the ``data:`` address of a JPEG with square pixels."""
    return _encoded(shown, box, pixels_per_mm, window_of(_piece(shown, box)), _JPEG_QUALITY)


def neighbours(shown: ShownSlice, box: Box, pixels_per_mm: float) -> Neighbours | None:
    """Return the same piece of the slices beside one, in its window; None where there are none."""
    window = window_of(_piece(shown, box))

    def row(step: int) -> tuple[str, ...]:
        rasters = []
        for index in range(shown.index + step, shown.index + step * (_NEIGHBOURS + 1), step):
            inside = 0 <= index < shown.volume.shape[0]
            slice_ = show_slice(shown.series, shown.volume, index) if inside else None
            if slice_ is None:
                break
            rasters.append(_encoded(slice_, box, pixels_per_mm, window, _NEIGHBOUR_QUALITY))
        return tuple(rasters)

    before, after = row(-1)[::-1], row(1)
    return Neighbours(before, after, shown.index + 1, shown.volume.shape[0]) if before or after else None


def edges_of(shown: ShownSlice, box: Box) -> tuple[float, float, float, float]:
    """Return left, top, right and bottom of a piece, pixels of the slice as displayed."""
    _, row_mm, column_mm = geometry.spacing_mm(shown.affine)
    return (
        box.x / column_mm,
        box.y / row_mm,
        min((box.x + box.width) / column_mm, shown.pixels.shape[1]),
        min((box.y + box.height) / row_mm, shown.pixels.shape[0]),
    )


def _piece(shown: ShownSlice, box: Box) -> NDArray[np.float32]:
    left, top, right, bottom = edges_of(shown, box)
    rows = slice(int(top), max(int(np.ceil(bottom)), int(top) + 1))
    return shown.pixels[rows, int(left) : max(int(np.ceil(right)), int(left) + 1)]


def _encoded(
    shown: ShownSlice, box: Box, pixels_per_mm: float, window: tuple[float, float], quality: int
) -> str:
    size = max(1, round(box.width * pixels_per_mm)), max(1, round(box.height * pixels_per_mm))
    left, top, right, bottom = edges_of(shown, box)
    across, down = (
        _CUBIC_REACH * max(1.0, step) for step in ((right - left) / size[0], (bottom - top) / size[1])
    )
    x, y = max(0, int(left - across)), max(0, int(top - down))
    piece = shown.pixels[y : math.ceil(bottom + down), x : math.ceil(right + across)]
    edges = left - x, top - y, right - x, bottom - y
    image = Image.fromarray(windowed(piece, window)).resize(size, Image.Resampling.BICUBIC, box=edges)
    # (the bytes that Pillow would write, which lets no other thread go on meanwhile)
    jpeg = imagecodecs.jpeg8_encode(np.asarray(image), level=quality, optimize=True)
    return f"data:image/jpeg;base64,{base64.b64encode(jpeg).decode('ascii')}"


def window_of(pixels: NDArray[np.float32]) -> tuple[float, float]:
    """Return black and white of a picture: robust percentiles of its intensities."""
    finite = np.nan_to_num(pixels, posinf=0.0, neginf=0.0)
    low, high = (float(value) for value in np.percentile(finite, WINDOW_PERCENTILES))
    return (low, high) if high > low else (float(pixels.min()), float(pixels.max()))


def windowed(pixels: NDArray[np.float32], window: tuple[float, float] | None = None) -> NDArray[np.uint8]:
    """Return a slice in 8 bits, from black to white; between robust percentiles of itself if no window is given.

    Examples
    --------
    >>> windowed(np.array([[0, 50], [100, 100]], np.float32), (0.0, 100.0)).tolist()[0]
    [0, 128]
    """
    finite = np.nan_to_num(pixels, posinf=0.0, neginf=0.0)
    low, high = window or window_of(finite[::_WINDOW_STEP, ::_WINDOW_STEP])
    scale = 255.0 / (high - low) if high > low else 0.0
    return (np.clip((finite - low) * scale, 0, 255) + 0.5).astype(np.uint8)


def shifted(placed: NDArray[np.float64], box: Box) -> tuple[tuple[float, float], ...]:
    """Return placed points as (x, y) from a box's upper left corner, mm."""
    return tuple((float(x - box.x), float(y - box.y)) for x, y in placed[:, :2])


def bar_of(width_mm: float) -> int:
    """Return a round length for a scale bar, about a quarter of the width, mm.

    Examples
    --------
    >>> bar_of(60.0), bar_of(130.0)
    (20, 50)
    """
    return next((bar for bar in (50, 20, 10, 5) if bar <= width_mm * 0.4), 1)


def _letters(direction: NDArray[np.float64]) -> str:
    """Return one or two letters of L, R, P, A, H, F that a direction points to, the nearer first."""
    cosines = direction / np.linalg.norm(direction)
    order = np.argsort(-np.abs(cosines), kind="stable")
    named = [("LPH" if cosines[axis] > 0 else "RAF")[axis] for axis in order]
    return named[0] + (named[1] if abs(cosines[order[1]]) > _OBLIQUE else "")


def _opposite(letters: str) -> str:
    return letters.translate(str.maketrans("LRPAHF", "RLAPFH"))


def span(points: Sequence[NDArray[np.float64]]) -> tuple[float, float, float, float]:
    """Return left, top, right and bottom of placed points, mm."""
    stacked = np.concatenate([np.asarray(item, np.float64).reshape(-1, 3) for item in points])
    (left, top), (right, bottom) = stacked[:, :2].min(axis=0), stacked[:, :2].max(axis=0)
    return float(left), float(top), float(right), float(bottom)
