"""Run a locator over sagittal pictures: class probabilities and heat maps on its grid, masks on theirs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import scipy
from numpy.typing import NDArray

from stenograde.images.resample import grid_size, resample
from stenograde.images.standardise import SAMPLE, standardise
from stenograde.terms import Structure
from stenograde.workers import import_meanwhile, in_threads

Run = Callable[[NDArray[np.float32]], NDArray[np.float32]]
"""(n, 1, rows, columns) standardised pictures to (n, classes + heat maps, rows, columns) logits."""

N_CLASSES = len(Structure) + 1

N_MAPS = N_CLASSES + 2
"""Channels of a locator's output: background and structures, then two heat maps."""

PATCH_MM = 3.0
"""A patch this wide in which nothing changes is padding, mm."""

LEAST_CHANGE = 1e-3
"""Change within a patch, as a share of the picture's own range, from which on it shows something."""

LEAST_TO_CHOOSE = 6
"""Of so many slices or more, three are looked at first: they tell in which columns the spine lies on the others."""

LEAST_SHARE = 0.05
"""Where a slice shows no more than this share of what the fullest of the three shows, those farther out are not looked
at: it shows the ends of transverse processes, or is spoilt, and what is joined to the spine beyond it is less still."""

BESIDE_MM = 30.0
"""How far about the spine other slices are looked at, mm: what a locator needs to see around what it marks."""

JOINED_MM = 5.0
"""Structures nearer than this belong together; what is joined to no spine is dropped, mm."""


@dataclass(frozen=True, eq=False)
class Marks:
    """What a locator says about a stack of pictures.

    ``probabilities`` has shape (n, classes, grid rows, grid columns) and ``heat`` (n, 2, grid rows, grid
    columns): centres of all discs, then of the lumbosacral disc. Grid and pictures share their outer edge at
    the top left.
    """

    probabilities: NDArray[np.float32]
    heat: NDArray[np.float32]
    intensities: NDArray[np.float32]
    """The pictures on the grid, shape (n, grid rows, grid columns)."""
    grid_mm: float
    spacing_mm: tuple[float, float]
    size_px: tuple[int, int]
    """Rows and columns of the pictures."""
    shown: NDArray[np.bool_] | None = None
    """Where the pictures show anything, shape (n, grid rows, grid columns)."""

    def fine(self) -> NDArray[np.float32]:
        """Probabilities on the pictures' own grid, shape (n, classes, rows, columns)."""
        return resample(self.probabilities, (self.grid_mm, self.grid_mm), self.spacing_mm, self.size_px)

    def masks(self) -> NDArray[np.uint8]:
        """Masks on the pictures' own grid, shape (n, rows, columns), values of :attr:`Structure.code`."""
        return np.argmax(self.fine(), axis=1).astype(np.uint8)

    def to_picture(self, grid_points: NDArray[np.float64]) -> NDArray[np.float64]:
        """Map (row, column) on the grid to (row, column) in the pictures; shape (m, 2)."""
        return (np.asarray(grid_points, float) + 0.5) * self.grid_mm / np.asarray(self.spacing_mm) - 0.5


def mark(
    pictures: NDArray[np.float32],
    spacing_mm: tuple[float, float],
    run: Run,
    *,
    grid_mm: float,
    stride: int,
    spine: Sequence[tuple[float, float]] | None = None,
) -> Marks:
    """Run a locator over pictures.

    Parameters
    ----------
    pictures : ndarray of shape (n, rows, columns), float32
        Sagittal, head up, front to the left.
    spacing_mm : tuple of float
        Between rows, between columns, mm.
    run : callable
        See :data:`Run`.
    grid_mm : float
        Pixel spacing the locator works on, mm.
    stride : int
        Rows and columns given to the locator are multiples of this.
    spine : sequence of tuple, optional
        First and last row, first and last column of the grid between which the spine is known to lie: nothing is
        looked for but about there. Where that is beside the pictures all is looked at.

    Returns
    -------
    marks : Marks
    """
    n, rows, columns = pictures.shape
    size = (grid_size(rows, spacing_mm[0], grid_mm), grid_size(columns, spacing_mm[1], grid_mm))
    import_meanwhile("scipy.ndimage")  # (a fifth of a second, which nets need not wait for)
    looks = _Looks(pictures, spacing_mm, size, run, grid_mm, stride)
    near = (
        [about(*ends, n_lines, grid_mm, stride) for ends, n_lines in zip(spine, size, strict=True)]
        if spine
        else []
    )
    known = bool(near) and all(near)
    rows_within, columns_within = near if known else map(range, size)
    first = range(n) if n < LEAST_TO_CHOOSE or known else sorted({n * share // 4 for share in (1, 2, 3)})
    looks.look_at([[place] for place in first], rows_within, columns_within)
    if len(first) < n:
        between = [[place] for place in range(first[0], first[-1]) if place not in first]
        outwards = [range(first[0] - 1, -1, -1), range(first[-1] + 1, n)]
        few = LEAST_SHARE * max(int(looks.marked[place].sum()) for place in first)
        looks.look_at([*outwards, *between], rows_within, looks.columns_of_spine(first), few)
    probabilities, heat = looks.of_the_spine()
    return Marks(probabilities, heat, looks.plain, grid_mm, spacing_mm, (rows, columns), looks.shown)


class _Looks:
    """What a locator says of slices (n, rows, columns) on its grid, as far as they were looked at: else background."""

    def __init__(
        self,
        pictures: NDArray[np.float32],
        spacing_mm: tuple[float, float],
        size: tuple[int, int],
        run: Run,
        grid_mm: float,
        stride: int,
    ) -> None:
        self.pictures, self.spacing_mm = pictures, spacing_mm
        self.run, self.grid_mm, self.stride = run, grid_mm, stride
        shape = len(pictures), *size
        self.plain, self.fine = np.empty(shape, np.float32), np.empty(shape, np.float32)
        self.shown, self.marked, self.near = (np.zeros(shape, bool) for _ in range(3))
        self.unprepared = set(range(len(pictures)))
        self.said: dict[int, NDArray[np.float32]] = {}
        """Probabilities and heat of a slice where it is near a structure, shape (maps, pixels)."""

    def prepare(self, place: int) -> None:
        """Bring a slice to the grid."""
        if place in self.unprepared:
            self.plain[place], fine = on_grid(self.pictures[place], self.spacing_mm, self.grid_mm)
            self.fine[place], self.shown[place] = fine, _shown(fine, self.grid_mm)
            self.unprepared.remove(place)

    def look_at(self, runs: Sequence[Sequence[int]], rows: range, columns: range, few: float = 0.0) -> None:
        """Run the locator over some rows and columns of runs of slices, each run until one shows few structures, px.

        What is in no run is prepared beside that, for there may be fewer runs than cores.
        """
        part = np.s_[..., rows.start : rows.stop, columns.start : columns.stop]
        padding = [(0, -len(lines) % self.stride) for lines in (rows, columns)]

        def look(places: Sequence[int]) -> None:
            for place in places:
                self.prepare(place)
                fine = self.fine[place]
                given = np.pad(fine[part], padding, constant_values=float(fine.min()))
                logits = self.run(given[None, None])[0, :, : len(rows), : len(columns)]
                marked = _marked(logits[:N_CLASSES])
                near = _near(marked, self.grid_mm)
                self.marked[place][part], self.near[place][part] = marked, near
                there = np.stack([one[near] for one in logits])
                self.said[place] = np.concatenate(
                    [_softmax(there[:N_CLASSES]), scipy.special.expit(there[N_CLASSES:])]
                )
                if marked.sum() <= few:
                    return

        others = self.unprepared.difference(*runs)
        works = [partial(look, places) for places in runs] + [
            partial(self.prepare, place) for place in others
        ]
        in_threads(lambda work: work(), works)

    def columns_of_spine(self, places: Sequence[int]) -> range:
        """Return the columns that hold structures on some slices, and those beside them; all where there are none."""
        n = self.fine.shape[2]
        found = np.flatnonzero(self.near[list(places)].any(axis=(0, 1)))
        return about(found[0], found[-1], n, self.grid_mm, self.stride) if found.size else range(n)

    def of_the_spine(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return probabilities and heat without what is joined to no spine: background, and no heat, there."""
        n, *size = self.fine.shape
        probabilities = np.zeros((n, N_CLASSES, *size), np.float32)
        probabilities[:, 0] = 1
        heat = np.zeros((n, N_MAPS - N_CLASSES, *size), np.float32)
        inside = _spine(self.marked, self.near)

        def put(place: int) -> None:
            here = inside[place]
            kept = here[self.near[place]]
            for out, said in zip((*probabilities[place], *heat[place]), self.said[place], strict=True):
                out[here] = said[kept]

        in_threads(put, self.said)
        return probabilities, heat


def about(first: float, last: float, n: int, grid_mm: float, stride: int) -> range:
    """Return the lines from :data:`BESIDE_MM` before ``first`` to as much behind ``last``, of ``n`` that there are.

    Their number is a multiple of the stride where there are enough.
    """
    beside = round(BESIDE_MM / grid_mm)
    start = max(int(first) - beside, 0)
    width = max(int(last) + beside + 1 - start, 0)
    return range(start, min(start + width + -width % stride, n))


def on_grid(
    picture: NDArray[np.float32], spacing_mm: tuple[float, float], grid_mm: float
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return a picture (rows, columns) on a locator's grid, which covers it, and as a locator sees it: standardised."""
    plain = resample(picture, spacing_mm, (grid_mm, grid_mm))
    return plain, standardise(plain)


def _softmax(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    exponents = np.exp(logits - logits.max(axis=0))
    exponents /= exponents.sum(axis=0)
    return exponents


def _shown(fine: NDArray[np.float32], grid_mm: float) -> NDArray[np.bool_]:
    """Where a picture shows anything but padding; shape (rows, columns)."""
    reach = round(PATCH_MM / 2 / grid_mm)
    highest, lowest = _over_patch(fine, reach, np.maximum), _over_patch(fine, reach, np.minimum)
    low, high = np.percentile(fine[::SAMPLE, ::SAMPLE], (1, 99))
    return np.asarray(highest - lowest > LEAST_CHANGE * max(high - low, 1e-9))


def _over_patch(values: NDArray[np.float32], reach: int, most: np.ufunc) -> NDArray[np.float32]:
    """Return the highest or lowest value within a reach along rows and columns; what lies outside does not count."""
    for axis in (0, 1):
        out = values.copy()
        changed, lines = np.swapaxes(out, 0, axis), np.swapaxes(values, 0, axis)
        for step in range(1, min(reach, len(lines) - 1) + 1):
            most(changed[step:], lines[:-step], out=changed[step:])
            most(changed[:-step], lines[step:], out=changed[:-step])
        values = out
    return values


def _marked(logits: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Where a slice shows a structure likelier than none, for (classes, rows, columns)."""
    return np.asarray(logits[1:].max(axis=0) > logits[0])


def _near(marked: NDArray[np.bool_], grid_mm: float) -> NDArray[np.bool_]:
    """Where a slice shows a structure, with a rim; shape (rows, columns)."""
    reach = max(1, round(JOINED_MM / 2 / grid_mm))
    return scipy.ndimage.uniform_filter(marked.astype(np.float32), 2 * reach + 1) > 1e-3


def _spine(marked: NDArray[np.bool_], near: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Where the largest connected group of structures lies, with a rim; shape (n, rows, columns)."""
    columns = np.flatnonzero(near.any(axis=(0, 1)))
    if not columns.size:
        return near
    held = np.s_[..., columns[0] : columns[-1] + 1]
    labels, n = scipy.ndimage.label(near[held], structure=np.ones((3, 3, 3)))
    if n == 1:
        return near
    sizes = np.bincount(labels[marked[held]], minlength=n + 1)
    spine = np.zeros_like(near)
    spine[held] = labels == int(np.argmax(sizes[1:])) + 1
    return spine
