"""What the pages of the PDF report are made of: type, tables, pictures and the line at the foot of each page."""

from __future__ import annotations

import io
from collections.abc import Sequence
from functools import cache
from typing import Any, Final
from xml.sax.saxutils import escape

from PIL import Image as Raster
from reportlab.lib.colors import Color, HexColor
from reportlab.lib.enums import TA_RIGHT
from reportlab.lib.pagesizes import A4
from reportlab.lib.styles import ParagraphStyle
from reportlab.lib.units import mm
from reportlab.pdfbase.pdfmetrics import registerFont, registerFontFamily
from reportlab.pdfbase.ttfonts import TTFont
from reportlab.pdfgen.canvas import Canvas
from reportlab.platypus import (
    BaseDocTemplate,
    Flowable,
    Frame,
    Image,
    PageTemplate,
    Paragraph,
    Table,
    TableStyle,
)

MARGIN: Final = 15 * mm
FOOT: Final = 12 * mm
WIDTH: Final = A4[0] - 2 * MARGIN
"""Room for text and pictures, points."""

_JPEG_QUALITY: Final = 90
_REGULAR, _BOLD = "Vera", "VeraBd"
"""Bitstream Vera comes with ReportLab, has every character that reports use, and is embedded."""

INK, SOFT, LINE = HexColor("#16211f"), HexColor("#4c5957"), HexColor("#c5ccca")
ALARM, NOTICE = HexColor("#fbe6e1"), HexColor("#fdf3dc")
TONES: Final = {"normal_mild": "#2f7099", "moderate": "#8a5500", "severe": "#9b1c31"}
"""Colours of the severities on paper, as in report.css; moderate is darker, for small print."""


@cache
def _register_fonts() -> None:
    for name in (_REGULAR, _BOLD):
        registerFont(TTFont(name, f"{name}.ttf"))
    registerFontFamily(_REGULAR, normal=_REGULAR, bold=_BOLD, italic=_REGULAR, boldItalic=_BOLD)


def style(size: float, *, bold: bool = False, colour: Color = INK, **others: Any) -> ParagraphStyle:
    """Return a style of text of a size in points."""
    _register_fonts()
    font = _BOLD if bold else _REGULAR
    return ParagraphStyle("", fontName=font, fontSize=size, leading=size * 1.35, textColor=colour, **others)


def plain(content: str) -> str:
    """Return text without markup, whose numbers are not parted from their signs at the end of a line.

    Examples
    --------
    >>> plain("<1 %, ≥ 12") == "&lt;1\u00a0%, ≥\u00a012"
    True
    """
    return escape(content).replace(" %", "\u00a0%").replace("≥ ", "≥\u00a0").replace(" *", "\u00a0*")


def text(content: str, size: float = 9, **others: Any) -> Paragraph:
    """Return a paragraph of plain text; nothing in it is markup."""
    return Paragraph(plain(content), style(size, **others))


def heading(content: str) -> Paragraph:
    """Return the heading of a section, which stays with what follows."""
    return text(content, 11.5, bold=True, spaceBefore=9, spaceAfter=3, keepWithNext=1)


def note(content: str) -> Paragraph:
    """Return small print."""
    return text(content, 7.5, colour=SOFT, spaceBefore=2, spaceAfter=4)


def boxed(lead: str, content: str, background: Color) -> Table:
    """Return a paragraph that must not be overlooked, its first words in bold."""
    body = Paragraph(f"<b>{plain(lead)}</b> {plain(content)}", style(9))
    return Table(
        [[body]],
        colWidths=[WIDTH],
        style=TableStyle([("BACKGROUND", (0, 0), (-1, -1), background), *_padding(5)]),
        spaceBefore=3,
        spaceAfter=3,
    )


def _padding(points: float) -> list[tuple[Any, ...]]:
    return [(f"{side}PADDING", (0, 0), (-1, -1), points) for side in ("LEFT", "RIGHT", "TOP", "BOTTOM")]


def widths_for(head: Sequence[str], first: float) -> list[float]:
    """Return widths of columns in which no word of the head is broken, as long as there is room; the first is given."""
    weights = [max(9, *map(len, one.split())) for one in head[1:]]
    return [first, *((WIDTH - first) * weight / sum(weights) for weight in weights)]


def table(
    head: Sequence[str],
    rows: Sequence[Sequence[str | Flowable]],
    widths: Sequence[float],
    spans: Sequence[tuple[int, int, int]] = (),
) -> Table:
    """Return a table whose head is repeated on each page.

    Parameters
    ----------
    head : sequence of str
    rows : sequence of sequence
        Text, or what was set already.
    widths : sequence of float
        Of the columns, points.
    spans : sequence of (row, first column, last column)
        Cells that are one; rows from 0, without the head.
    """
    cells: list[list[Flowable]] = [[text(one, 7.5, colour=SOFT) for one in head]]
    cells += [[text(one, 8) if isinstance(one, str) else one for one in row] for row in rows]
    joined = [("SPAN", (first, row + 1), (last, row + 1)) for row, first, last in spans]
    return Table(
        cells,
        colWidths=widths,
        repeatRows=1,
        style=TableStyle(
            [
                ("LINEBELOW", (0, 0), (-1, -1), 0.4, LINE),
                ("VALIGN", (0, 0), (-1, -1), "TOP"),
                *_padding(2.5),
                ("LEFTPADDING", (0, 0), (0, -1), 0),
                *joined,
            ]
        ),
        spaceAfter=3,
        hAlign="LEFT",
    )


def shown(raster: Raster.Image, width: float) -> Image:
    """Return a picture of a width in points."""
    stored = io.BytesIO()
    raster.save(stored, "JPEG", quality=_JPEG_QUALITY, optimize=True)
    stored.seek(0)
    return Image(stored, width=width, height=width * raster.height / raster.width, hAlign="LEFT")


def document(story: Sequence[Flowable], *, title: str, foot: str) -> bytes:
    """Return pages of A4 as a PDF that is the same, byte for byte, whenever it is made.

    Parameters
    ----------
    story : sequence of Flowable
    title : str
        Told in the properties of the document.
    foot : str
        Stands at the foot of each page, beside its number.
    """
    stream = io.BytesIO()
    template = BaseDocTemplate(
        stream,
        pagesize=A4,
        title=title,
        author="stenograde",
        subject="Research use only: not a medical device",
        creator="stenograde",
        lang="en",
        invariant=1,
    )
    frame = Frame(
        MARGIN,
        MARGIN + FOOT,
        WIDTH,
        A4[1] - 2 * MARGIN - FOOT,
        leftPadding=0,
        rightPadding=0,
        topPadding=0,
        bottomPadding=0,
    )
    template.addPageTemplates(PageTemplate(frames=[frame]))
    template.build(list(story), canvasmaker=_numbered(foot))
    return stream.getvalue()


def _numbered(foot: str) -> type[Canvas]:
    class Numbered(Canvas):  # type: ignore[misc]
        """Keeps pages until their number is known."""

        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **kwargs)
            self.kept: list[dict[str, Any]] = []

        def showPage(self) -> None:  # noqa: N802  (ReportLab's name)
            self.kept.append(dict(self.__dict__))
            self._startPage()

        def save(self) -> None:
            for number, page in enumerate(self.kept, start=1):
                self.__dict__.update(page)
                told = f"Page {number} of {len(self.kept)}"
                cells = [text(foot, 6.5, colour=SOFT), text(told, 6.5, colour=SOFT, alignment=TA_RIGHT)]
                line = Table([cells], colWidths=[WIDTH - 25 * mm, 25 * mm])
                line.setStyle([*_padding(0), ("VALIGN", (0, 0), (-1, -1), "TOP")])
                _, height = line.wrapOn(self, WIDTH, FOOT)
                line.drawOn(self, MARGIN, MARGIN + FOOT / 2 - height)
                super().showPage()
            super().save()

    return Numbered
