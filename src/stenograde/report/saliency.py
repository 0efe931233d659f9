"""A map of what spoke for and against an answer, laid over the slices that it belongs to, as one picture of a cell."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from stenograde.grades import Point
from stenograde.images.orient import display_turn
from stenograde.report.pictures import Box, ShownSlice, edges_of, show_slice, window_of, windowed
from stenograde.study import Series, Volume

FOR, AGAINST = (255, 140, 0), (64, 160, 255)
"""Red, green, blue of what speaks for and against; orange and blue are told apart by all eyes."""

FIELD_MM = 64.0
"""Side of the square about a level that is shown, mm: a crop of 48 mm and what lies around it."""

_PX_PER_MM = 5.0
_OPAQUE = 0.75
"""Opacity where a map is strongest."""
_FAINT = 0.1
"""Values below this share of the strongest are not drawn, so that the anatomy stays clear."""
_HEAD_PX = 26
_FONT_PX = 15.0


@dataclass(frozen=True, eq=False)
class MappedSlice:
    """A slice and a map on its pixels, as they are stored."""

    series: Series
    volume: Volume
    index: int
    values: NDArray[np.float32]
    """Shape (rows, columns); above 0 what speaks for."""
    centre: Point
    """Middle of what is shown, LPS mm."""
    strongest: Point | None = None
    """To be ringed, LPS mm."""


def saliency_png(slices: Sequence[MappedSlice], title: Sequence[str]) -> bytes | None:
    """Return slices as they are, and beside each the same with its map, as a PNG; None if none can be decoded.

    All maps share one scale: strongest is the value that is farthest from 0 in any of them.

    Parameters
    ----------
    slices : sequence of MappedSlice
    title : sequence of str
        Lines that stand above them.
    """
    most = max((float(np.abs(one.values).max()) for one in slices), default=0.0)
    rows = [row for one in slices if (row := _row(one, most)) is not None]
    if not rows:
        return None
    lines = [*title, "left: as acquired; right: orange speaks for moderate or severe, blue against"]
    top = _HEAD_PX * len(lines)
    sheet = Image.new("RGB", (max(row.width for row in rows), top + sum(row.height for row in rows)))
    draw = ImageDraw.Draw(sheet)
    for number, line in enumerate(lines):
        draw.text((6, _HEAD_PX * number + 4), line, fill="white", font=_font())
    for row in rows:
        sheet.paste(row, (0, top))
        top += row.height
    out = io.BytesIO()
    sheet.save(out, "PNG")
    return out.getvalue()


def _row(one: MappedSlice, most: float) -> Image.Image | None:
    shown = show_slice(one.series, one.volume, one.index)
    if shown is None:
        return None
    turn = display_turn(one.volume.affine, one.series.plane)
    (x, y, _), *_ = shown.place([one.centre])
    box = Box.around(x, y, FIELD_MM, shown.size_mm)
    edges = edges_of(shown, box)
    size = round(box.width * _PX_PER_MM), round(box.height * _PX_PER_MM)
    left, top, right, bottom = (int(n) for n in edges)
    window = window_of(shown.pixels[top : max(bottom, top + 1), left : max(right, left + 1)])
    grey = Image.fromarray(windowed(shown.pixels, window))
    plain = grey.resize(size, Image.Resampling.BICUBIC, box=edges)
    values = Image.fromarray(np.ascontiguousarray(turn.apply(one.values), np.float32))
    heat = np.asarray(values.resize(size, Image.Resampling.BILINEAR, box=edges))
    row = Image.new("RGB", (2 * size[0], size[1] + _HEAD_PX))
    row.paste(plain, (0, _HEAD_PX))
    row.paste(Image.fromarray(laid_over(np.asarray(plain), heat, most)), (size[0], _HEAD_PX))
    draw = ImageDraw.Draw(row)
    draw.text((6, 4), shown.where, fill="white", font=_font())
    _letter(draw, shown, (0, _HEAD_PX), size)
    if one.strongest is not None:
        (x, y, _), *_ = shown.place([one.strongest])
        x, y = size[0] + (x - box.x) * _PX_PER_MM, _HEAD_PX + (y - box.y) * _PX_PER_MM
        draw.ellipse((x - 9, y - 9, x + 9, y + 9), outline="white", width=2)
    return row


def laid_over(grey: NDArray[np.uint8], values: NDArray[np.float32], most: float) -> NDArray[np.uint8]:
    """Return a grey picture with a map over it, shape (rows, columns, 3).

    Parameters
    ----------
    grey : ndarray of shape (rows, columns), uint8
    values : ndarray of shape (rows, columns)
        Above 0 what speaks for, below 0 what speaks against.
    most : float
        Size of a value that is drawn strongest; of 0 nothing is drawn.
    """
    strength = np.clip(np.abs(values) / most, 0, 1) if most > 0 else np.zeros_like(values)
    opacity = np.where(strength < _FAINT, 0, _OPAQUE * np.sqrt(strength))[..., None]
    colour = np.where((values > 0)[..., None], np.array(FOR, np.float32), np.array(AGAINST, np.float32))
    return np.rint(grey[..., None] * (1 - opacity) + colour * opacity).astype(np.uint8)


def _letter(
    draw: ImageDraw.ImageDraw, shown: ShownSlice, corner: tuple[int, int], size: tuple[int, int]
) -> None:
    """Write the patient's directions at the left and right edges of a picture."""
    letters, middle = shown.letters(), corner[1] + size[1] / 2
    font = _font()
    for x, edge, anchor in ((corner[0] + 5, "left", "lm"), (corner[0] + size[0] - 5, "right", "rm")):
        draw.text(
            (x, middle),
            letters[edge],
            fill="white",
            font=font,
            anchor=anchor,
            stroke_width=2,
            stroke_fill="black",
        )


def _font() -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(_FONT_PX)
