"""Finding of the same anatomy in pictures of one kind: a template, fitted without labels, is moved over each picture.

The template is the mean of the pictures around the places where it was last found, fitted in rounds
(congealing, Miller et al., doi:10.1109/CVPR.2000.855856, with shifts only). Brightness is normalised locally first,
because surface coils cause shading.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
import scipy
from numpy.typing import NDArray
from skimage.feature import match_template
from skimage.transform import resize

from stenograde.errors import BundleError

Picture = NDArray[np.float32]

FIELD_PX = 96
"""Length to which the longer side of a picture is resampled before the search, px: the grid of the template."""

SCALES = (0.8, 0.89, 1.0, 1.12, 1.25)
"""Sizes at which the template is tried."""

_SHADING_PX = 7.0
"""Standard deviation of the Gaussian that separates shading from anatomy, px of that grid."""

_REACH = (0.2, 0.13)
"""Reach of the search from the usual place, along rows and columns, as fractions of the picture."""

_STRAY_COST = 0.15
"""Penalty, in correlation, at the end of that reach; half of it at 0.7 of the reach."""

_SCALE_COST = 0.3
"""Penalty, in correlation, for a size off by a factor of e."""


@dataclass(frozen=True, eq=False)
class Template:
    """Appearance of the anatomy on the search grid, and the place where it usually lies.

    Raises
    ------
    ValueError
        If the pictures are not an array (kinds, rows, columns) smaller than the grid, or the place is not within
        0 to 1.
    """

    pictures: NDArray[np.float32]
    """One template per kind of picture, shape (kinds, rows, columns), locally normalised, left-right symmetric."""
    usual: tuple[float, float]
    """Row and column of its centre, as fractions of the picture."""

    def __post_init__(self) -> None:
        shape = self.pictures.shape
        if (
            len(shape) != 3
            or min(shape) < 1
            or max(shape[1:]) * SCALES[-1] >= FIELD_PX
            or min(self.usual) < 0
        ):
            msg = (
                f"a template must be a filled (kinds, rows, columns) array below {FIELD_PX / SCALES[-1]:.0f} px with "
                f"a usual place, got shape {shape} at {self.usual}"
            )
            raise ValueError(msg)


@dataclass(frozen=True)
class Found:
    """Place where a template was found."""

    centre: tuple[float, float]
    """Row and column, as fractions of the picture's rows and columns."""
    scale: float
    """Size of the anatomy relative to the template."""
    kind: int
    """Index of the kind of template that fitted best."""
    correlation: float
    """Normalised correlation there, from -1 to 1."""


@dataclass(frozen=True)
class AlignConfig:
    """Crop around a template that was found."""

    usual: tuple[float, float] = (0.5, 0.5)
    """Row and column at which the anatomy lies on average, as fractions of the picture."""
    template_share: float = 0.4
    """Side of the template, as a fraction of the longer side of the picture."""
    rounds: int = 4
    """Rounds in which the template is fitted."""
    share: float = 0.3
    """Side of the crop, as a fraction of the longer side of the picture."""
    offset: tuple[float, float] = (0.0, 0.0)
    """Offset from the centre of the template to that of the crop, down and right, as fractions of the picture."""

    def __post_init__(self) -> None:
        if not 0 < self.template_share * SCALES[-1] < 1 or self.rounds < 1 or not self.share > 0:
            msg = (
                f"align needs template_share below {1 / SCALES[-1]:.2f}, rounds >= 1 and share > 0, "
                f"got {self.template_share}, {self.rounds}, {self.share}"
            )
            raise ValueError(msg)


def aligned(picture: Picture, template: Template, config: AlignConfig, kind: int | None = None) -> Picture:
    """Find a template in a picture and return the crop around it.

    Parameters
    ----------
    picture : ndarray of shape (rows, columns)
    template : Template
    config : AlignConfig
    kind : int, optional
        Kind of the picture, if known.

    Returns
    -------
    piece : ndarray of shape (side, side)
        Crop; outside the picture, its border is repeated.
    """
    row, column = find(picture, template, kind).centre
    side = max(1, round(config.share * max(picture.shape)))
    return _window(picture, (row + config.offset[0], column + config.offset[1]), (side, side))


def find(picture: Picture, template: Template, kind: int | None = None) -> Found:
    """Find a template in a picture.

    Parameters
    ----------
    picture : ndarray of shape (rows, columns)
    template : Template
    kind : int, optional
        Kind of the picture, if known; otherwise all are tried.

    Returns
    -------
    found : Found

    Raises
    ------
    ValueError
        If the template has no such kind.
    """
    kinds = range(len(template.pictures))
    if kind is not None and kind not in kinds:
        msg = f"kind must be one of the template's {len(kinds)}, from 0, got {kind}"
        raise ValueError(msg)
    return _found(_on_grid(picture), template, kinds if kind is None else (kind,))


def fit_template(
    pictures: Sequence[Picture], config: AlignConfig, kinds: Sequence[int] | None = None
) -> Template:
    """Fit a template to pictures of one anatomy; no labels are used.

    Parameters
    ----------
    pictures : sequence of ndarray of shape (rows, columns)
    config : AlignConfig
    kinds : sequence of int, optional
        Kind of each picture, from 0 (such as its level); each kind gets its own template. One kind if not given.

    Raises
    ------
    ValueError
        If there is no picture, or a kind without one.
    """
    which = np.zeros(len(pictures), int) if kinds is None else np.asarray(kinds)
    if not len(which) or set(which.tolist()) != set(range(int(which.max()) + 1)):
        msg = f"a template must be fitted to at least one picture of each kind, got kinds {sorted(set(which.tolist()))}"
        raise ValueError(msg)
    grids = [_on_grid(picture) for picture in pictures]
    centres, scales = np.tile(config.usual, (len(grids), 1)), np.ones(len(grids))
    side = round(config.template_share * FIELD_PX)
    template = _mean(grids, which, centres, scales, side)
    for _ in range(config.rounds):
        found = [_found(grid, template, (kind,)) for grid, kind in zip(grids, which.tolist(), strict=True)]
        # the mean place and size are kept, otherwise the template drifts over the anatomy
        centres = np.array([one.centre for one in found])
        centres += np.asarray(config.usual) - centres.mean(axis=0)
        scales = np.array([one.scale for one in found])
        scales /= np.exp(np.log(scales).mean())
        template = _mean(grids, which, centres, scales, side)
    return template


def _mean(
    grids: Sequence[Picture],
    which: NDArray[np.int64],
    centres: NDArray[np.float64],
    scales: NDArray[np.float64],
    side: int,
) -> Template:
    pieces = np.stack(
        [
            _scaled_window(grid, centre, scale, side)
            for grid, centre, scale in zip(grids, centres, scales, strict=True)
        ]
    )
    means = np.stack([pieces[which == kind].mean(axis=0) for kind in range(int(which.max()) + 1)])
    row, column = (float(value) for value in centres.mean(axis=0))
    return Template(((means + means[:, :, ::-1]) / 2).astype(np.float32), (row, column))


def write_template(template: Template) -> bytes:
    """Return a template as the bytes of an ``.npz`` file."""
    file = BytesIO()
    np.savez_compressed(file, pictures=template.pictures.astype(np.float16), usual=np.array(template.usual))
    return file.getvalue()


def read_template(path: Path) -> Template:
    """Read a template.

    Raises
    ------
    BundleError
        If the file does not hold one.
    """
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as stored:
            row, column = (float(value) for value in stored["usual"])
            return Template(stored["pictures"].astype(np.float32), (row, column))
    except (OSError, KeyError, ValueError, BadZipFile) as exc:
        msg = f"{path.name} must be a template that stenograde wrote, got {exc}; copy the bundle again"
        raise BundleError(msg) from exc


def _on_grid(picture: Picture) -> Picture:
    """Return a picture on the search grid, with shading and local contrast removed."""
    scale = FIELD_PX / max(picture.shape)
    shape = [max(1, round(scale * n)) for n in picture.shape]
    small = resize(np.asarray(picture, np.float32), shape, anti_aliasing=True, preserve_range=True)
    apart = small - scipy.ndimage.gaussian_filter(small, _SHADING_PX)
    spread = np.sqrt(scipy.ndimage.gaussian_filter(apart**2, _SHADING_PX))
    return (apart / (spread + 1e-3 * (float(np.ptp(small)) or 1.0))).astype(np.float32)


def _found(grid: Picture, template: Template, kinds: Sequence[int]) -> Found:
    best = Found(template.usual, 1.0, kinds[0], -2.0)
    best_weighed = -np.inf
    for kind in kinds:
        for scale in SCALES:
            match, first = _matched(grid, template, kind, scale)
            rows, columns = (
                ((start + np.arange(n)) / whole - usual) / reach
                for start, n, whole, usual, reach in zip(
                    first, match.shape, grid.shape, template.usual, _REACH, strict=True
                )
            )
            cost = _STRAY_COST * (rows[:, None] ** 2 + columns[None] ** 2) + _SCALE_COST * np.log(scale) ** 2
            place = np.unravel_index(int(np.argmax(match - cost)), match.shape)
            if (weighed := float((match - cost)[place])) > best_weighed:
                best_weighed = weighed
                row, column = (
                    (start + at) / n for start, at, n in zip(first, place, grid.shape, strict=True)
                )
                best = Found((float(row), float(column)), scale, kind, float(match[place]))
    return best


def _matched(
    grid: Picture, template: Template, kind: int, scale: float
) -> tuple[NDArray[np.float32], tuple[int, int]]:
    """Return correlations around the usual place, and the row and column of the first one on the grid."""
    wanted = [round(scale * n) for n in template.pictures.shape[1:]]
    picture = resize(template.pictures[kind], wanted, anti_aliasing=scale < 1, preserve_range=True)
    first, size = [], []
    for n, usual, reach in zip(grid.shape, template.usual, _REACH, strict=True):
        first.append(round((usual - reach) * n))
        size.append(round(2 * reach * n) + 1)
    area = _window(
        grid,
        tuple((f + s // 2) / n for f, s, n in zip(first, size, grid.shape, strict=True)),
        tuple(s + w - 1 for s, w in zip(size, wanted, strict=True)),
    )
    return match_template(area, picture.astype(np.float32)), (first[0], first[1])


def _scaled_window(grid: Picture, centre: NDArray[np.float64], scale: float, side: int) -> Picture:
    piece = _window(grid, (centre[0], centre[1]), (round(side * scale), round(side * scale)))
    return resize(piece, (side, side), preserve_range=True).astype(np.float32)


def _window(picture: Picture, centre: tuple[float, float], size: tuple[int, int]) -> Picture:
    places = []
    for n, middle, side in zip(picture.shape, centre, size, strict=True):
        first = round(middle * n) - side // 2
        places.append(np.clip(np.arange(first, first + side), 0, n - 1))
    return picture[np.ix_(*places)]
