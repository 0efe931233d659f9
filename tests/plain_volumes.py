"""Volumes, series and studies from arrays, without files."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from stenograde.study import Series, Study, Volume
from stenograde.terms import Plane, Role, Weighting

PLANE_OF_ROLE = {
    Role.SAGITTAL_T1: (Plane.SAGITTAL, Weighting.T1),
    Role.SAGITTAL_T2_STIR: (Plane.SAGITTAL, Weighting.T2),
    Role.AXIAL_T2: (Plane.AXIAL, Weighting.T2),
}


def volume_of(pixels: np.ndarray, affine: np.ndarray, root: str = "2.25.7") -> Volume:
    """Wrap slices of shape (slices, rows, columns); instance k is named root.k."""
    pixels = np.asarray(pixels, np.float32)

    def source(indices: Sequence[int]) -> np.ndarray:
        return pixels[list(indices)]

    uids = tuple(f"{root}.{k}" for k in range(len(pixels)))
    return Volume(np.asarray(affine, float), pixels.shape, uids, source, frame_of_reference_uid="2.25.1")


def series_of(*volumes: Volume, role: Role = Role.SAGITTAL_T2_STIR, uid: str = "2.25.70") -> Series:
    plane, weighting = PLANE_OF_ROLE[role]
    return Series(uid, plane, weighting, role, "by the test", volumes)


def study_of(*series: Series) -> Study:
    return Study("2.25.700", series)
