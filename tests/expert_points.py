"""Points that readers marked, or that a phantom knows, of one study in the layout of RSNA 2024; LPS mm."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pydicom

from stenograde import geometry
from stenograde.terms import Cell


def expert_points(cohort: Path, study: str) -> dict[Cell, np.ndarray]:
    """Return the point of each cell that has one."""
    positions = {}
    for path in (cohort / "train_images" / study).glob("*/*.dcm"):
        ds = pydicom.dcmread(path, stop_before_pixels=True)
        positions[path.parent.name, int(ds.InstanceNumber)] = ds
    points = {}
    with (cohort / "train_label_coordinates.csv").open(encoding="utf-8", newline="") as stream:
        for row in csv.DictReader(stream):
            if row["study_id"] == study:
                ds = positions[row["series_id"], int(row["instance_number"])]
                affine = geometry.affine_of(
                    ds.ImagePositionPatient, ds.ImageOrientationPatient, ds.PixelSpacing, [0, 0, 0]
                )
                words = f"{row['condition']} {row['level']}".lower().replace(" ", "_").replace("/", "_")
                points[Cell.parse(words)] = (affine @ [0, float(row["y"]), float(row["x"]), 1])[:3]
    return points
