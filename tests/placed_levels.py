"""Levels at chosen places, and studies of smooth random pictures around them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage
from tests.plain_volumes import series_of, study_of, volume_of

from stenograde.grades import Point
from stenograde.study import Series, Study, Volume
from stenograde.terms import Level, Role, Side

MIRROR = np.array([-1.0, 1.0, 1.0])

SAGITTAL = np.array([[-4.0, 0.0, 0.0], [0.0, 0.0, 0.7], [0.0, -0.7, 0.0]])
"""Columns: steps to the next slice (to the right), row (to the feet) and column (to the back), LPS mm."""

AXIAL = np.array([[0.0, 0.0, 0.6], [0.0, 0.6, 0.0], [4.0, 0.0, 0.0]])
"""Columns: steps to the next slice (to the head), row (to the back) and column (to the left), LPS mm."""


@dataclass(frozen=True, eq=False)
class Placed:
    """A level at a place."""

    canal_centre: Point
    foramina: dict[Side, Point]
    left: np.ndarray
    back: np.ndarray
    up: np.ndarray

    def mirrored(self) -> Placed:
        return Placed(
            tuple(MIRROR * self.canal_centre),
            {
                Side.LEFT: tuple(MIRROR * self.foramina[Side.RIGHT]),
                Side.RIGHT: tuple(MIRROR * self.foramina[Side.LEFT]),
            },
            -MIRROR * self.left,
            MIRROR * self.back,
            MIRROR * self.up,
        )


def placed(centre: tuple[float, float, float], tilt_deg: float = 0.0, aside_mm: float = 15.0) -> Placed:
    """A level whose disc points down at its back by an angle."""
    tilt = np.deg2rad(tilt_deg)
    left = np.array([1.0, 0.0, 0.0])
    back = np.array([0.0, np.cos(tilt), -np.sin(tilt)])
    up = np.cross(left, back)
    foramina = {
        side: tuple(np.array(centre) + sense * aside_mm * left - 6 * back + 4 * up)
        for side, sense in {Side.LEFT: 1.0, Side.RIGHT: -1.0}.items()
    }
    return Placed(centre, foramina, left, back, up)


def levels() -> dict[Level, Placed]:
    return {Level.L4_L5: placed((1.0, 2.0, 18.0), 5.0), Level.L5_S1: placed((2.0, 4.0, -16.0), 25.0)}


def affine_of(
    steps: np.ndarray, shape: tuple[int, int, int], centre: tuple[float, float, float]
) -> np.ndarray:
    affine = np.eye(4)
    affine[:3, :3] = steps
    affine[:3, 3] = np.array(centre) - steps @ ((np.array(shape) - 1) / 2)
    return affine


def random_volume(
    steps: np.ndarray,
    shape: tuple[int, int, int],
    *,
    seed: int,
    centre: tuple[float, float, float] = (0, 0, 0),
) -> Volume:
    """Smooth random pictures around a centre."""
    noise = np.random.default_rng(seed).standard_normal(shape)
    pixels = ndimage.gaussian_filter(noise, (0.5, 2, 2)) * 400 + 300
    return volume_of(pixels, affine_of(steps, shape, centre), f"2.25.{seed}")


def series() -> dict[Role, Series]:
    """One series of each role that shows both levels."""
    return {
        Role.SAGITTAL_T1: series_of(
            random_volume(SAGITTAL, (17, 160, 160), seed=1), role=Role.SAGITTAL_T1, uid="2.25.1"
        ),
        Role.SAGITTAL_T2_STIR: series_of(
            random_volume(SAGITTAL, (17, 160, 160), seed=2), role=Role.SAGITTAL_T2_STIR, uid="2.25.2"
        ),
        Role.AXIAL_T2: series_of(
            random_volume(AXIAL, (20, 150, 150), seed=3), role=Role.AXIAL_T2, uid="2.25.3"
        ),
    }


def study() -> Study:
    return study_of(*series().values())


def mirrored(study: Study) -> Study:
    """The study of the same patient with left and right exchanged."""
    return study_of(
        *(
            series_of(
                *(
                    Volume(
                        np.diag([*MIRROR, 1.0]) @ volume.affine,
                        volume.shape,
                        volume.sop_instance_uids,
                        volume.source,
                    )
                    for volume in one.volumes
                ),
                role=one.role,
                uid=one.uid,
            )
            for one in study.series
        )
    )
