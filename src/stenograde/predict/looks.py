"""Which sagittal slices a locator looks at, and what it says of them on its grid: the work behind ``marks``."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import scipy
from numpy.typing import NDArray

from stenograde.images.resample import resample
from stenograde.images.standardise import SAMPLE, standardise
from stenograde.levels.marked import midline_of
from stenograde.terms import Structure
from stenograde.workers import in_threads

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
"""Of so many slices or more, the middle one is looked at first, and two more where it shows no canal: they tell in
which columns the spine lies on the others."""

LEAST_SHARE = 0.05
"""Where a slice shows no more than this share of what the fullest of the first shows, those farther out are not looked
at: it shows the ends of transverse processes, or is spoilt, and what is joined to the spine beyond it is less still."""

LEAST_CANAL = 0.2
"""Slices that show no more than this share of the canal that the fullest shows are its sides: of its middle, which goes
by the square of its width on each slice, those farther out tell nothing."""

LEAST_LENGTH = 1 / 3
"""Share of the rows on which some slice must show canal for slices to be chosen by where it lies."""

BESIDE_MM = 30.0
"""How far about the spine other slices are looked at, mm: what a locator needs to see around what it marks."""

JOINED_MM = 5.0
"""Structures nearer than this belong together; what is joined to no spine is dropped, mm."""


@dataclass(frozen=True)
class Beside:
    """How far beside the canal's middle slices of a stack matter."""

    reach_mm: float
    """Farther ones do not, unless they show the canal or what lies between such, mm."""
    slice_mm: float
    """From slice to slice, mm."""

    def about(self, first: float, last: float, n: int) -> range:
        """Return the slices, of ``n``, that matter where the canal's middle lies between two, in fractions."""
        reach = self.reach_mm / self.slice_mm
        return range(max(math.ceil(first - reach), 0), min(math.floor(last + reach), n - 1) + 1)


class Looks:
    """What a locator says of slices (n, rows, columns) on its grid, as far as they were looked at: else background."""

    def __init__(
        self,
        pictures: NDArray[np.float32],
        spacing_mm: tuple[float, float],
        size: tuple[int, int],
        run: Run,
        grid_mm: float,
        stride: int,
        likely: Sequence[int],
    ) -> None:
        self.pictures, self.spacing_mm = pictures, spacing_mm
        self.run, self.grid_mm, self.stride = run, grid_mm, stride
        shape = len(pictures), *size
        self.plain, self.fine = np.zeros(shape, np.float32), np.empty(shape, np.float32)
        self.marked, self.near = (np.zeros(shape, bool) for _ in range(2))
        self.canal = np.zeros(shape[:2], np.intp)
        """Width of the canal on each row of each slice, px."""
        self.unprepared = set(range(len(pictures)))
        self.likely = likely
        """Slices that are brought to the grid beside what is looked at."""
        self.said: dict[int, NDArray[np.float32]] = {}
        """Probabilities and heat of a slice where it is near a structure, shape (maps, pixels)."""

    def prepare(self, place: int) -> None:
        """Bring a slice to the grid."""
        if place in self.unprepared:
            self.plain[place], self.fine[place] = on_grid(self.pictures[place], self.spacing_mm, self.grid_mm)
            self.unprepared.remove(place)

    def look_first(self, rows: range, columns: range) -> None:
        """Look at the middle slice, and at one on each side of it where that shows hardly any canal."""
        n = len(self.fine)
        self.look_at([[n // 2]], rows, columns)
        if not self.shows_canal(rows):
            self.look_at([[n // 4], [n * 3 // 4]], rows, columns)

    def shows_canal(self, rows: range) -> bool:
        """Whether some slice shows canal on enough of the rows."""
        return bool((self.canal > 0).sum(axis=1).max() >= LEAST_LENGTH * len(rows))

    def look_at_all(self, rows: range, columns: range) -> None:
        """Look at all slices there are, outwards until one shows few structures."""
        n, few = len(self.fine), LEAST_SHARE * self.marked.sum(axis=(1, 2)).max()
        between = [[place] for place in range(n // 4, n * 3 // 4 + 1)]
        outwards = [range(n // 4 - 1, -1, -1), range(n * 3 // 4 + 1, n)]
        self.look_at([*outwards, *between], rows, columns, lambda place: self.marked[place].sum() <= few)

    def look_about_canal(self, rows: range, columns: range, beside: Beside) -> bool:
        """Look outwards as long as there is canal, then at what else lies near its middle.

        Where that shows more of the canal, beyond a spoilt slice, its middle lies elsewhere, and so on from there.

        Returns whether there is canal to go by.
        """
        if not self.shows_canal(rows):
            return False
        n, n_said = len(self.fine), -1
        while len(self.said) > n_said:
            n_said = len(self.said)
            area = self.canal.sum(axis=1)
            few = LEAST_CANAL * area.max()
            seen = np.flatnonzero(area > few)
            between = [[place] for place in range(seen[0], seen[-1] + 1)]
            outwards = [range(seen[0] - 1, -1, -1), range(seen[-1] + 1, n)]
            self.look_at([*outwards, *between], rows, columns, partial(self._ends_canal, few))
            midline = midline_of(self.canal, beside.slice_mm, self.grid_mm)
            if midline is None:
                return False
            on_row = self.canal.sum(axis=0)
            middles = midline.slice_of_row[on_row > LEAST_SHARE * on_row.max()]
            near = beside.about(middles.min(), middles.max(), n)
            self.look_at([[place] for place in near], rows, columns)
        return True

    def _ends_canal(self, few: float, place: int) -> bool:
        return bool(self.canal[place].sum() <= few)

    def look_at(
        self,
        runs: Sequence[Sequence[int]],
        rows: range,
        columns: range,
        is_last: Callable[[int], bool] = lambda _: False,
    ) -> None:
        """Run the locator over some rows and columns of runs of slices, each run until a slice is said to be its last.

        What is in no run is prepared beside that, for there may be fewer runs than cores.
        """
        part = np.s_[..., rows.start : rows.stop, columns.start : columns.stop]
        padding = [(0, -len(lines) % self.stride) for lines in (rows, columns)]

        def look(places: Sequence[int]) -> None:
            for place in places:
                if place not in self.said:
                    look_at_one(place)
                if is_last(place):
                    return

        def look_at_one(place: int) -> None:
            self.prepare(place)
            fine = self.fine[place]
            given = np.pad(fine[part], padding, constant_values=float(fine.min()))
            logits = self.run(given[None, None])[0, :, : len(rows), : len(columns)]
            marked = _marked(logits[:N_CLASSES])
            near = _near(marked, self.grid_mm)
            self.marked[place][part], self.near[place][part] = marked, near
            there = np.stack([one[near] for one in logits])
            is_canal = np.zeros_like(near)
            is_canal[near] = there[:N_CLASSES].argmax(axis=0) == Structure.CANAL.code
            self.canal[place, rows.start : rows.stop] = is_canal.sum(axis=1)
            self.said[place] = np.concatenate(
                [_softmax(there[:N_CLASSES]), scipy.special.expit(there[N_CLASSES:])]
            )

        others = self.unprepared.intersection(self.likely).difference(*runs)
        works = [partial(look, places) for places in runs] + [
            partial(self.prepare, place) for place in others
        ]
        in_threads(lambda work: work(), works)

    def columns_of_spine(self) -> range:
        """Return the columns that hold structures, and those beside them; all where there are none."""
        n = self.fine.shape[2]
        found = np.flatnonzero(self.near.any(axis=(0, 1)))
        return about(found[0], found[-1], n, self.grid_mm, self.stride) if found.size else range(n)

    @property
    def slices(self) -> range:
        """Slices from the first that was looked at to the last, and one more on each side that has one."""
        return range(max(min(self.said) - 1, 0), min(max(self.said) + 2, len(self.fine)))

    def of_the_spine(
        self, slices: range, rows: range, columns: range
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return probabilities and heat within a part; what is joined to no spine is background, without heat."""
        part = np.s_[slices.start : slices.stop, rows.start : rows.stop, columns.start : columns.stop]
        shape = len(slices), len(rows), len(columns)
        probabilities = np.zeros((shape[0], N_CLASSES, *shape[1:]), np.float32)
        probabilities[:, 0] = 1
        heat = np.zeros((shape[0], N_MAPS - N_CLASSES, *shape[1:]), np.float32)
        near = self.near[part]
        inside = _spine(self.marked[part], near)

        def put(place: int) -> None:
            k = place - slices.start
            here = inside[k]
            kept = here[near[k]]
            for out, said in zip((*probabilities[k], *heat[k]), self.said[place], strict=True):
                out[here] = said[kept]

        in_threads(put, self.said)
        return probabilities, heat

    def shown(self, slices: range, rows: range, columns: range) -> NDArray[np.bool_]:
        """Return where slices show anything but padding, within a part; where they were brought to the grid."""
        shown = np.zeros((len(slices), len(rows), len(columns)), bool)

        def put(k: int) -> None:
            fine = self.fine[slices[k], rows.start : rows.stop, columns.start : columns.stop]
            shown[k] = _shown(fine, self.grid_mm)

        in_threads(put, [k for k, place in enumerate(slices) if place not in self.unprepared])
        return shown


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
