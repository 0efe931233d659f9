"""Run a locator over sagittal pictures: class probabilities and heat maps on its grid, masks on theirs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stenograde.images.resample import grid_size, resample
from stenograde.predict.looks import LEAST_TO_CHOOSE, Beside, Looks, Run, about
from stenograde.workers import import_meanwhile


@dataclass(frozen=True, eq=False)
class Marks:
    """What a locator says about a stack of pictures.

    ``probabilities`` has shape (n, classes, grid rows, grid columns) and ``heat`` (n, 2, grid rows, grid
    columns): centres of all discs, then of the lumbosacral disc. Grid and pictures share their outer edge at
    the top left, unless only a part of them is kept.
    """

    probabilities: NDArray[np.float32]
    heat: NDArray[np.float32]
    intensities: NDArray[np.float32]
    """The pictures on the grid, shape (n, grid rows, grid columns); 0 on those that were not asked for as a whole and
    not looked at."""
    grid_mm: float
    spacing_mm: tuple[float, float]
    size_px: tuple[int, int]
    """Rows and columns of the pictures."""
    shown: NDArray[np.bool_] | None = None
    """Where the pictures show anything, shape (n, grid rows, grid columns)."""
    part: tuple[range, range, range] | None = None
    """Pictures, rows and columns of the grid that are kept, where the others were not looked at."""

    def fine(self) -> NDArray[np.float32]:
        """Probabilities on the pictures' own grid, shape (n, classes, rows, columns).

        Raises
        ------
        ValueError
            If the pictures were not looked at as a whole.
        """
        if self.part is not None:
            msg = f"a stack must be marked as a whole to have masks, got its slices {self.part[0]}"
            raise ValueError(msg)
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
    beside: Beside | None = None,
    whole: bool = True,
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
    beside : Beside, optional
        Which slices are looked at before the others; all are alike when absent, or where no canal is seen.
    whole : bool
        Whether the others are looked at, too; else only the slices are kept that were, and of the grid what lies about
        ``spine``. Whatever is kept is the same.

    Returns
    -------
    marks : Marks
    """
    n, rows, columns = pictures.shape
    size = (grid_size(rows, spacing_mm[0], grid_mm), grid_size(columns, spacing_mm[1], grid_mm))
    import_meanwhile("scipy.ndimage")  # (a fifth of a second, which nets need not wait for)
    likely = range(n) if whole or beside is None else beside.about(n // 2, n // 2, n)
    looks = Looks(pictures, spacing_mm, size, run, grid_mm, stride, likely)
    near = (
        [about(*ends, n_lines, grid_mm, stride) for ends, n_lines in zip(spine, size, strict=True)]
        if spine
        else []
    )
    known = bool(near) and all(near)
    rows_within, columns_within = near if known else (range(size[0]), range(size[1]))
    part = None
    if n < LEAST_TO_CHOOSE or (known and whole):
        looks.look_at([[place] for place in range(n)], rows_within, columns_within)
    else:
        looks.look_first(rows_within, columns_within)
        columns_near = columns_within if known else looks.columns_of_spine()
        found = beside is not None and looks.look_about_canal(rows_within, columns_near, beside)
        if found and not whole:
            part = looks.slices, rows_within, columns_within
        else:
            looks.look_at_all(rows_within, columns_within if known else looks.columns_of_spine())
    kept = part or (range(n), range(size[0]), range(size[1]))
    probabilities, heat = looks.of_the_spine(*kept)
    within = tuple(slice(one.start, one.stop) for one in kept)
    plain, shown = looks.plain[within], looks.shown(*kept)
    return Marks(probabilities, heat, plain, grid_mm, spacing_mm, (rows, columns), shown, part)
