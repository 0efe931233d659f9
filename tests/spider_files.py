"""A small made-up folder in the layout of the SPIDER slices: pale discs on dark, one canal behind grey bodies."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

SIZE = (160, 128)


def picture_and_mask(n_discs: int = 4, shift: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return a picture (rows, columns) uint8 and its mask with 1 vertebra, 2 disc, 3 canal."""
    mask = np.zeros(SIZE, np.uint8)
    pitch = 30
    for number in range(n_discs):
        top = 8 + number * pitch + shift
        mask[top : top + 22, 30:70] = 1
        mask[top + 23 : top + 29, 31:69] = 2
    mask[4:150, 76:90] = 3
    picture = np.select([mask == 1, mask == 2, mask == 3], [120, 60, 220], 15).astype(np.uint8)
    noise = np.random.default_rng(shift).integers(0, 12, SIZE, dtype=np.uint8)
    return picture + noise, mask


def write_spider(folder: Path, *, patients: int = 4) -> Path:
    """Write the three folders and return their parent."""
    space, coloured, middle = (
        folder / name for name in ("spider_t2space_masks", "spider_level_masks", "spider_midsagittal")
    )
    for part in (
        space / "images",
        space / "masks",
        coloured / "images",
        coloured / "masks",
        middle / "images",
    ):
        part.mkdir(parents=True)
    for patient in range(1, patients + 1):
        picture, mask = picture_and_mask(shift=patient)
        name = f"{patient}_t2_SPACE_slice50"
        Image.fromarray(picture).save(space / "images" / f"{name}.webp", lossless=True)
        Image.fromarray(np.array([0, 76, 29, 150], np.uint8)[mask]).save(space / "masks" / f"{name}.png")
        Image.fromarray(picture).save(middle / "images" / f"{patient}_t1.webp", lossless=True)
    rows = [f'{patient}_t1,"[0.6, 0.6]"' for patient in range(1, patients + 1)]
    (middle / "overview.csv").write_text("new_file_name,PixelSpacing\n" + "\n".join(rows) + "\n")
    picture, mask = picture_and_mask()
    colours = np.zeros((*SIZE, 3), np.uint8)
    palette = [(255, 255, 0), (0, 0, 255), (0, 255, 0), (255, 0, 0)]  # L2 to L5 downwards
    for number, colour in enumerate(palette):
        band = np.zeros(SIZE, bool)
        band[8 + number * 30 : 30 + number * 30] = True
        colours[band & (mask == 1)] = colour
    Image.fromarray(picture).save(coloured / "images" / "901_9.webp", lossless=True)
    Image.fromarray(colours).save(coloured / "masks" / "901_9.png")
    return folder
