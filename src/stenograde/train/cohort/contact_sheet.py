"""The labels that the folds believe least, as one picture for human eyes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from stenograde.evaluate.label_audit import AuditedLabel, audit_cells
from stenograde.evaluate.rsna_metric import UNKNOWN, CohortAnswers
from stenograde.files import whole_file
from stenograde.levels.crop import SHOWN_BY, CropKind
from stenograde.terms import LUMBAR_MRI, Cell, Severity, Side
from stenograde.train.cohort.cut import CohortCrops

TILE_PX, CAPTION_PX, COLUMNS = 176, 34, 6


def write_contact_sheet(path: Path, crops: CohortCrops, answers: CohortAnswers, *, most: int = 60) -> int:
    """Draw the most suspicious labels that a crop shows, six in a row, and return how many.

    Each tile is the middle slice of the crop that shows its cell, with the stated severity and the probabilities.

    Parameters
    ----------
    path : Path
        PNG file.
    crops : CohortCrops
    answers : CohortAnswers
        Out of fold, studies in the order of the crops.
    most : int
    """
    studies, cells = np.nonzero(answers.severities != UNKNOWN)
    if not len(studies):
        return 0
    ranked = audit_cells(
        answers.probabilities[studies, cells],
        answers.severities[studies, cells],
        [LUMBAR_MRI.cells[cell] for cell in cells],
        [crops.names[study] for study in studies],
    )
    tiles = []
    for one in ranked:
        study, cell = int(studies[one.place]), LUMBAR_MRI.cells[int(cells[one.place])]
        picture = _shown(crops, study, cell)
        if picture is not None:
            tiles.append(_tile(picture, crops.names[study], cell, one))
        if len(tiles) == most:
            break
    rows = -(-len(tiles) // COLUMNS)
    sheet = Image.new("L", (COLUMNS * TILE_PX, rows * (TILE_PX + CAPTION_PX)), 255)
    for number, tile in enumerate(tiles):
        row, column = divmod(number, COLUMNS)
        sheet.paste(tile, (column * TILE_PX, row * (TILE_PX + CAPTION_PX)))
    with whole_file(path) as file:
        sheet.save(file, "PNG")
    return len(tiles)


def _shown(crops: CohortCrops, study: int, cell: Cell) -> NDArray[np.uint8] | None:
    """Return the middle slice of the first crop that shows a cell."""
    level = LUMBAR_MRI.levels.index(cell.level)
    sides = [cell.side] if cell.side else list(Side)
    for kind in SHOWN_BY[cell.condition]:
        for side in sides:
            place = (study, level, tuple(Side).index(side), tuple(CropKind).index(kind))
            if crops.set.present[place]:
                stored = crops.set.crops[place]
                values = stored[len(stored) // 2].astype(np.int16)
                return np.clip(values + 128, 0, 255).astype(np.uint8)
    return None


def _tile(picture: NDArray[np.uint8], study: str, cell: Cell, one: AuditedLabel) -> Image.Image:
    tile = Image.new("L", (TILE_PX, TILE_PX + CAPTION_PX), 255)
    tile.paste(Image.fromarray(picture).resize((TILE_PX - 4, TILE_PX - 4), Image.Resampling.BILINEAR), (2, 2))
    draw = ImageDraw.Draw(tile)
    side = f" {cell.side.value}" if cell.side else ""
    short = {"spinal_canal_stenosis": "canal", "neural_foraminal_narrowing": "foramen"}
    what = short.get(cell.condition.value, "recess")
    draw.text((3, TILE_PX - 1), f"{study} {cell.level.shown}{side} {what}", fill=0)
    said = " ".join(f"{p:.2f}" for p in one.probabilities)
    draw.text((3, TILE_PX + 15), f"label {tuple(Severity)[one.stated].shown}; said {said}", fill=0)
    return tile
