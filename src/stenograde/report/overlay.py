"""A picture with the locator's structures coloured and its points named: what ``stenograde locate`` shows."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

import numpy as np
import scipy
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from stenograde.report.pictures import windowed
from stenograde.terms import Structure

COLOURS: dict[Structure, tuple[int, int, int]] = {
    Structure.VERTEBRA: (124, 196, 245),
    Structure.DISC: (255, 180, 84),
    Structure.CANAL: (77, 240, 180),
}
"""Red, green, blue of each structure, as in the report's pictures; they differ in lightness for all eyes."""

SMALLEST_SIDE_PX = 700
"""A picture is enlarged until its longer side has so many pixels, so that names can be read."""

_FILL = 0.22
_LINE = 0.9
_BACKING = (0, 0, 0)


def overlay_png(
    picture: NDArray[Any],
    mask: NDArray[np.uint8],
    points: Sequence[tuple[float, float, str]] = (),
    *,
    spacing_mm: tuple[float, float] = (1.0, 1.0),
) -> bytes:
    """Return a picture with structures filled and outlined and points named, as a PNG with square pixels.

    Parameters
    ----------
    picture : ndarray of shape (rows, columns)
        Any intensities; they are windowed to robust percentiles.
    mask : ndarray of shape (rows, columns), uint8
        0 background, else the :attr:`~stenograde.terms.Structure.code` of a structure.
    points : sequence of (row, column, name)
        In pixels of the picture, from 0 at the first pixel's centre.
    spacing_mm : tuple of float
        Distance between rows and between columns, mm.

    Returns
    -------
    png : bytes

    Raises
    ------
    ValueError
        If picture and mask differ in shape, or a spacing is not positive.
    """
    if picture.ndim != 2 or mask.shape != picture.shape:
        msg = f"mask must have the picture's shape {picture.shape}, got {mask.shape}"
        raise ValueError(msg)
    if min(spacing_mm) <= 0:
        msg = f"spacing_mm must be positive, got {spacing_mm}"
        raise ValueError(msg)
    scales = _scales(picture.shape, spacing_mm)
    size = round(picture.shape[1] * scales[1]), round(picture.shape[0] * scales[0])
    grey = Image.fromarray(windowed(np.asarray(picture, np.float32))).resize(size, Image.Resampling.BICUBIC)
    labels = np.asarray(Image.fromarray(mask.astype(np.uint8)).resize(size, Image.Resampling.NEAREST))
    image = Image.fromarray(_coloured(np.asarray(grey), labels))
    _draw_points(image, points, scales)
    out = io.BytesIO()
    image.save(out, "PNG")
    return out.getvalue()


def _scales(shape: tuple[int, ...], spacing_mm: tuple[float, float]) -> tuple[float, float]:
    """Return the enlargement of rows and columns that makes pixels square and the picture large enough."""
    finest = min(spacing_mm)
    rows, columns = (mm / finest for mm in spacing_mm)
    grown = max(1.0, SMALLEST_SIDE_PX / max(shape[0] * rows, shape[1] * columns))
    return rows * grown, columns * grown


def _coloured(grey: NDArray[np.uint8], labels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return the grey picture in colour: structures tinted, their borders drawn."""
    canvas = np.repeat(grey[..., None], 3, axis=-1).astype(np.float32)
    for structure, colour in COLOURS.items():
        inside = labels == structure.code
        border = inside & ~scipy.ndimage.binary_erosion(inside, iterations=2, border_value=1)
        for where, weight in ((inside & ~border, _FILL), (border, _LINE)):
            canvas[where] = (1 - weight) * canvas[where] + weight * np.asarray(colour, np.float32)
    return (canvas + 0.5).astype(np.uint8)


def _draw_points(
    image: Image.Image, points: Sequence[tuple[float, float, str]], scales: tuple[float, float]
) -> None:
    draw = ImageDraw.Draw(image)
    size = max(12.0, max(image.size) / 45)
    font = ImageFont.load_default(size)
    radius = size / 4
    for row, column, name in points:
        x, y = (column + 0.5) * scales[1], (row + 0.5) * scales[0]
        draw.ellipse(
            (x - radius, y - radius, x + radius, y + radius), fill="white", outline=_BACKING, width=2
        )
        if name:
            draw.text(
                (x + 2 * radius, y),
                name,
                fill="white",
                font=font,
                anchor="lm",
                stroke_width=2,
                stroke_fill=_BACKING,
            )
