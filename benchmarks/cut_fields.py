"""Counts wrong level names that are certain in mid-sagittal slices cut at heights every 10 mm.

    python benchmarks/cut_fields.py SPIDER_MIDSAGITTAL [--every 1]

A name counts as wrong when it lies more than 12 mm from where the full field has it. Fields whose own names are
uncertain are not cut. Heights are of the cut above (negative) or below the centre of L5/S1.
"""

from __future__ import annotations

import argparse
import csv
import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image

from stenograde import default_bundle
from stenograde.predict.bundle import Bundle
from stenograde.predict.locate import MarkedPicture, mark_picture

HEIGHTS_MM = range(-150, 65, 10)
"""Where a field is cut, relative to the centre of L5/S1, mm."""

WRONG_MM = 12.0
"""A name that lies farther from its place in the full field is another level's, mm."""

LEAST_FIELD_MM = 60.0
"""Shorter fields are not tried, mm."""

Spacing = tuple[float, float]


def main() -> None:
    """Print the table."""
    parse = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parse.add_argument("folder", type=Path)
    parse.add_argument("--every", type=int, default=1, help="take every so many-th slice of the set")
    asked = parse.parse_args()
    bundle = default_bundle()
    n_full = n_certain = 0
    table: dict[int, list[int]] = defaultdict(lambda: [0, 0, 0])
    for picture, spacing in _pictures(asked.folder, asked.every):
        full = mark_picture(picture, spacing, bundle)
        n_full += 1
        n_certain += not full.doubts
        if full.doubts or "L5/S1" not in {name for name, _, _ in full.points}:
            continue
        for height_mm, cut in _cuts(picture, spacing, full, bundle):
            row = table[height_mm]
            row[0] += 1
            row[1] += not cut.doubts
            row[2] += not cut.doubts and is_wrong(cut, full, spacing)
    print(f"full fields {n_full}, certain {n_certain} ({n_certain / max(n_full, 1):.1%})")
    print("| cut, mm below L5/S1 | fields | names certain | of these wrong |\n|---:|---:|---:|---:|")
    for height_mm in sorted(table):
        print("| " + " | ".join(str(value) for value in (height_mm, *table[height_mm])) + " |")
    print("| all | " + " | ".join(str(sum(row[k] for row in table.values())) for k in range(3)) + " |")


def is_wrong(cut: MarkedPicture, full: MarkedPicture, spacing: Spacing) -> bool:
    """Say whether a disc of a cut field has the name of another."""
    places = {name: np.array([row, column]) * spacing for name, row, column in full.points}
    return any(
        float(np.linalg.norm(np.array([row, column]) * spacing - places[name])) > WRONG_MM
        for name, row, column in cut.points
        if name in places
    )


def _cuts(
    picture: np.ndarray, spacing: Spacing, full: MarkedPicture, bundle: Bundle
) -> Iterator[tuple[int, MarkedPicture]]:
    (row,) = (row for name, row, _ in full.points if name == "L5/S1")
    for height_mm in HEIGHTS_MM:
        end = int(row + height_mm / spacing[0])
        if LEAST_FIELD_MM / spacing[0] <= end < len(picture):
            yield height_mm, mark_picture(np.ascontiguousarray(picture[:end]), spacing, bundle)


def _pictures(folder: Path, every: int) -> Iterator[tuple[np.ndarray, Spacing]]:
    with (folder / "overview.csv").open(encoding="utf-8", newline="") as stream:
        spacings = {row["new_file_name"]: row["PixelSpacing"] for row in csv.DictReader(stream)}
    for path in sorted((folder / "images").glob("*.webp"))[::every]:
        if path.stem in spacings:
            rows_mm, columns_mm = (float(value) for value in re.findall(r"[\d.]+", spacings[path.stem])[:2])
            yield np.asarray(Image.open(path).convert("L"), np.float32), (rows_mm, columns_mm)


if __name__ == "__main__":
    main()
