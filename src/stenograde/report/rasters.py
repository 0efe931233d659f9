"""Pictures as pixels: what the page draws as vectors, drawn into a raster for whatever cannot show a page."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from typing import Final

from PIL import Image, ImageDraw, ImageFont

from stenograde.report.overlay import COLOURS
from stenograde.report.pictures import Drawn, Picture
from stenograde.terms import Structure

Colour = tuple[int, int, int, int]

WHITE: Final[Colour] = (255, 255, 255, 255)
BLACK: Final[Colour] = (0, 0, 0, 255)
_YELLOW: Final[Colour] = (255, 225, 77, 255)
_PINK: Final[Colour] = (255, 95, 162, 255)
_PALE: Final[Colour] = (228, 243, 255, 255)
_GUIDE: Final[Colour] = (255, 255, 255, 130)
"""Colours of the page, see report.css; those of structures are :data:`stenograde.report.overlay.COLOURS`."""

_FINER: Final = 2
"""So many pixels are drawn for each that is shown, so that lines are smooth."""

_CANAL_FILL: Final = 30
_HALF_DIAMOND_MM: Final = 1.1


def raster_of(picture: Picture, pixels_per_mm: float, letter_mm: float) -> Image.Image:
    """Return a picture with all that is drawn over it.

    Parameters
    ----------
    picture : Picture
    pixels_per_mm : float
        Scale of the raster, px per mm in the patient.
    letter_mm : float
        Height of letters, mm in the patient.

    Returns
    -------
    image : PIL.Image.Image
        RGB.
    """
    scale = pixels_per_mm * _FINER
    size = max(1, round(picture.width_mm * scale)), max(1, round(picture.height_mm * scale))
    stored = base64.b64decode(picture.href.partition("base64,")[2])
    grey = Image.open(io.BytesIO(stored)).convert("RGB").resize(size, Image.Resampling.BICUBIC)
    image = grey.convert("RGBA")
    layer = Image.new("RGBA", size)
    pen = _Pen(ImageDraw.Draw(layer), scale, letter_mm)
    for item in picture.drawn:
        pen.draw(item)
    pen.edges(picture)
    image.alpha_composite(layer)
    final = max(1, size[0] // _FINER), max(1, size[1] // _FINER)
    return image.convert("RGB").resize(final, Image.Resampling.LANCZOS)


class _Pen:
    """Draws on one raster in millimetres."""

    def __init__(self, draw: ImageDraw.ImageDraw, scale: float, letter_mm: float) -> None:
        self.draw_, self.scale, self.letter_mm = draw, scale, letter_mm
        self.width = max(1, round(0.1 * letter_mm * scale))
        self.font = ImageFont.load_default(letter_mm * scale)
        self.small = ImageFont.load_default(0.86 * letter_mm * scale)

    def px(self, points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
        return [(x * self.scale, y * self.scale) for x, y in points]

    def draw(self, item: Drawn) -> None:
        points = self.px(item.points)
        if item.kind in {*Structure}:
            colour = COLOURS[Structure(item.kind)]
            if item.kind == Structure.CANAL:
                self.draw_.polygon(points, fill=(*colour, _CANAL_FILL))
            self.line([*points, points[0]], (*colour, 255))
        elif item.kind == "measured-area":
            self.line([*points, points[0]], _YELLOW)
        elif item.kind == "measure":
            self.line(points, (0, 0, 0, 140), 3 * self.width)
            self.line(points, _YELLOW)
        elif item.kind == "guide":
            self.line(points, _GUIDE, max(1, self.width // 2))
        elif item.kind == "mark":
            self.circle(points[0], 0.8 * self.letter_mm, None, (0, 0, 0, 140), 3 * self.width)
            self.circle(points[0], 0.8 * self.letter_mm, None, _PINK, self.width)
        elif item.kind == "centre":
            self.circle(points[0], 0.3 * self.letter_mm, WHITE, BLACK, max(1, self.width // 2))
        elif item.kind == "point":
            (x, y), half = points[0], _HALF_DIAMOND_MM * self.scale
            self.draw_.polygon(
                [(x, y - half), (x + half, y), (x, y + half), (x - half, y)], fill=WHITE, outline=BLACK
            )
        if item.label:
            self.label(item)

    def line(self, points: Sequence[tuple[float, float]], colour: Colour, width: int = 0) -> None:
        self.draw_.line(list(points), fill=colour, width=width or self.width, joint="curve")

    def circle(
        self, at: tuple[float, float], radius_mm: float, fill: Colour | None, outline: Colour, width: int
    ) -> None:
        (x, y), r = at, radius_mm * self.scale
        r += width / 2
        self.draw_.ellipse((x - r, y - r, x + r, y + r), fill=fill, outline=outline, width=width)

    def label(self, item: Drawn) -> None:
        colour = {"measure": _YELLOW, "vertebra": _PALE}.get(item.kind, WHITE)
        across = {"start": "l", "middle": "m", "end": "r"}[item.anchor]
        up = "m" if item.kind in {"vertebra", "centre", "measure"} else "s"
        self.text(self.px([item.label_at])[0], item.label, across + up, colour)

    def text(
        self, at: tuple[float, float], text: str, anchor: str, colour: Colour, *, small: bool = False
    ) -> None:
        self.draw_.text(
            at,
            text,
            fill=colour,
            font=self.small if small else self.font,
            anchor=anchor,
            stroke_width=self.width,
            stroke_fill=BLACK,
        )

    def edges(self, picture: Picture) -> None:
        """Name the patient's directions at the edges, and draw the scale bar."""
        width, height = picture.width_mm * self.scale, picture.height_mm * self.scale
        unit = self.letter_mm * self.scale
        for edge, at, anchor in (
            ("left", (0.4 * unit, height / 2), "lm"),
            ("right", (width - 0.4 * unit, height / 2), "rm"),
            ("top", (width / 2, 0.3 * unit), "mt"),
            ("bottom", (width / 2, height - 0.5 * unit), "ms"),
        ):
            self.text(at, picture.letters[edge], anchor, WHITE, small=True)
        left, bottom = 0.6 * unit, height - 0.7 * unit
        self.line([(left, bottom), (left + picture.bar_mm * self.scale, bottom)], WHITE, 2 * self.width)
        self.text((left, bottom - 0.4 * unit), f"{picture.bar_mm} mm", "ls", WHITE, small=True)
