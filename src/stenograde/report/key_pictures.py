"""Key pictures of a study for people without the page: the spine at a glance, then one sheet for each level."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from stenograde.grades import CellGrade, StudyGrades
from stenograde.report import notes, words
from stenograde.report.level_cards import LevelCard, level_cards
from stenograde.report.pictures import Picture, SourceFrame
from stenograde.report.rasters import raster_of
from stenograde.report.spine import spine_of
from stenograde.study import Study

SIDE_PX: Final = 640
"""Height of a picture on a sheet of a level, and of the spine's half, px."""

_LETTER_PX: Final = 20
_GAP_PX: Final = 14
_PAPER: Final = (0, 0, 0)
_INK: Final = (235, 235, 235)
_SOFT: Final = (165, 165, 165)


@dataclass(frozen=True, eq=False)
class KeyPicture:
    """One sheet: a heading, pictures with their captions, and the bundle that it is by."""

    pixels: NDArray[np.uint8]
    """Shape (rows, columns, 3): red, green, blue."""
    title: str
    """What it shows, as a phrase."""
    sources: tuple[SourceFrame, ...]
    """Frames that the pictures were made of."""


def key_pictures(grades: StudyGrades, study: Study) -> tuple[KeyPicture, ...]:
    """Return the sheets of a study: the spine first, then levels with findings, worst first; drafts are left out.

    What cannot be shown has no sheet. Slices are found in ``study``, the one that was graded.
    """
    return tuple(_sheets(grades, study))


def _sheets(grades: StudyGrades, study: Study) -> Iterator[KeyPicture]:
    spine = spine_of(grades, study)
    region = grades.scheme.region.value.capitalize()
    if spine.picture:
        scale = 2 * SIDE_PX / spine.picture.height_mm
        picture = raster_of(spine.picture, scale, 4.2 if scale >= 5 else 21.0 / scale)
        lines = [words.findings(grades) or notes.NOTHING_GRADED]
        doubt = words.level_doubt(grades)
        lines += [f"{notes.UNCERTAIN_LEVELS} {doubt}"] if doubt else []
        lines += [f"{notes.DO_NOT_RELY} {words.sentence(grades.caution)}"] if grades.caution else []
        yield _sheet(
            f"{region} spine, {spine.picture.caption}",
            lines,
            [[(picture, spine.picture, spine.note)]],
            grades,
        )
    for card in level_cards(grades, study):
        shown = [*card.pictures]
        captions = [f"{one.caption}." for one in shown]
        for grade, foramen in card.foramina:
            if grade in card.sided:
                shown.append(foramen)
                captions.append(f"{words.place_of(grade.cell)}. {foramen.caption}.")
        if shown:
            cells = [
                (raster_of(one, SIDE_PX / one.height_mm, _letter_mm(one)), one, caption)
                for one, caption in zip(shown, captions, strict=True)
            ]
            rows = [cells[i : i + 2] for i in range(0, len(cells), 2)]
            yield _sheet(card.level.shown, list(_said(card)), rows, grades)


def _letter_mm(picture: Picture) -> float:
    """Return the height of letters that reads alike on all pictures of a sheet, mm."""
    return picture.height_mm * 1.2 * _LETTER_PX / SIDE_PX


def _said(card: LevelCard) -> Iterator[str]:
    """Give what is said of a level, one line for each cell that is no draft."""
    if card.position and not card.position.certain:
        yield notes.UNCERTAIN_LEVEL
    for grade in (card.grade, *card.sided):
        if grade and grade not in card.drafts:
            yield f"{words.place_of(grade.cell)}: {_graded(grade)}"
    yield from card.missing


def _graded(grade: CellGrade) -> str:
    said = words.wording(grade)
    if said is None or grade.probabilities is None:
        return f"{grade.status.value.replace('_', ' ')}: {grade.reason}"
    share = words.said_share(grade.probabilities)
    return f"{said}{f' ({share})' if share else ''}"


def _sheet(
    title: str,
    lines: Sequence[str],
    rows: Sequence[Sequence[tuple[Image.Image, Picture, str]]],
    grades: StudyGrades,
) -> KeyPicture:
    """Draw a heading, lines of text, rows of pictures with captions, and a foot."""
    width = max(sum(image.width for image, *_ in row) + _GAP_PX * (len(row) + 1) for row in rows)
    width = max(width, SIDE_PX + 2 * _GAP_PX)
    page = _Page(width)
    page.text(title, 1.5, _INK)
    for line in lines:
        page.text(line, 1.0, _INK)
    for row in rows:
        page.pictures([(image, caption) for image, _, caption in row])
    page.text(f"{notes.RESEARCH} {notes.made_by(grades.bundle)}", 0.8, _SOFT)
    sources = dict.fromkeys(one for row in rows for _, picture, _ in row for one in picture.sources)
    return KeyPicture(page.pixels(), title, tuple(sources))


class _Page:
    """A sheet that grows downwards."""

    def __init__(self, width: int) -> None:
        self.width, self.bottom = width, _GAP_PX
        self.drawn: list[
            tuple[tuple[float, float], Image.Image | tuple[str, float, tuple[int, int, int]]]
        ] = []

    def text(
        self, text: str, size: float, colour: tuple[int, int, int], left: int = _GAP_PX, width: int = 0
    ) -> None:
        font = ImageFont.load_default(size * _LETTER_PX)
        for line in _wrapped(text, font, width or self.width - 2 * _GAP_PX):
            self.drawn.append(((left, self.bottom), (line, size, colour)))
            self.bottom += round(1.35 * size * _LETTER_PX)

    def pictures(self, row: Sequence[tuple[Image.Image, str]]) -> None:
        top, left = self.bottom + _GAP_PX, _GAP_PX
        lowest = top
        for image, caption in row:
            self.drawn.append(((left, top), image))
            self.bottom = top + image.height + _GAP_PX // 2
            self.text(caption, 0.8, _SOFT, left, image.width)
            lowest = max(lowest, self.bottom)
            left += image.width + _GAP_PX
        self.bottom = lowest + _GAP_PX // 2

    def pixels(self) -> NDArray[np.uint8]:
        page = Image.new("RGB", (self.width, self.bottom + _GAP_PX), _PAPER)
        pen = ImageDraw.Draw(page)
        for at, item in self.drawn:
            if isinstance(item, Image.Image):
                page.paste(item, (round(at[0]), round(at[1])))
            else:
                text, size, colour = item
                pen.text(at, text, fill=colour, font=ImageFont.load_default(size * _LETTER_PX))
        return np.asarray(page)


def _wrapped(text: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont, width: int) -> Iterator[str]:
    """Give the lines of a text that fit a width, px."""
    line = ""
    for word in text.split():
        longer = f"{line} {word}".strip()
        if line and font.getlength(longer) > width:
            yield line
            longer = word
        line = longer
    if line:
        yield line
