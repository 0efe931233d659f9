"""An anatomy prepared for painting: look-up tables, textures, roots and the skin of the back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d

from stenograde.images.lattice import Grid
from stenograde.phantom.body.anatomy import Anatomy, Row
from stenograde.phantom.body.canvas import Noise
from stenograde.phantom.body.curve import Array
from stenograde.phantom.body.habitus import Habitus
from stenograde.phantom.body.skeleton import Skeleton
from stenograde.phantom.body.stenosis import foramen_of
from stenograde.phantom.body.surfaces import Surface
from stenograde.terms import Side

_BACK_STEP_MM = 2.0


@dataclass(frozen=True)
class Root:
    """One root of the cauda equina."""

    behind: float
    """Position behind the centre of the sac, as a fraction of its depth."""
    across: float
    """Position to the left of it, as a fraction of its width."""
    tight_behind: float
    """Position behind the centre where the sac is tight and filled with roots."""
    tight_across: float
    """Position to the left there."""
    radius_mm: float
    begin_mm: float
    """Way at which it leaves the cord."""
    end_mm: float
    """Way at which it leaves the sac."""


class Scene:
    """An anatomy prepared for painting."""

    def __init__(self, anatomy: Anatomy, surfaces: Mapping[str, Surface] | None = None) -> None:
        self.anatomy, self._surfaces = anatomy, surfaces
        seed = anatomy.texture_seed
        self.habitus = Habitus.draw(seed)
        self.fine = Noise(seed, 0, 0.9)
        self.medium = Noise(seed, 1, 2.2, smooth=5.0, size=128)
        self.coarse = Noise(seed, 2, 7.0, smooth=5.0, size=128)
        self.streaks = Noise(seed, 3, self.habitus.streak_mm, smooth=5.0, size=128)
        self.loops = Noise(seed, 4, self.habitus.loop_mm, smooth=5.0, size=128, linear=True)
        self.belly = Noise(seed, 5, 9.0, smooth=5.0, size=128, linear=True)
        self.hard_mm = float(min(np.random.default_rng([seed, 7]).gamma(1.2, 0.5), 1.8))
        """How much thicker the cortex is at the facet joints, mm."""
        self.of_body = anatomy.index_table(0.0)
        """Vertebra of the body at each table entry."""
        self.of_pedicle = anatomy.index_table(0.3)
        """Vertebra of the pedicle or upper articular process at each table entry."""
        self.of_foramen = anatomy.index_table(-0.36)
        """Vertebra of the root that leaves through the foramen at each table entry."""
        self.of_arch = anatomy.index_table(-0.42)
        """Vertebra of the lamina, spinous or lower articular process at each table entry."""
        self.foramina = _foramina(anatomy)
        """Fat in front and behind, fat above and below (mm), depth of the root (fraction): shape (3, 2, n_vertebrae),
        left before right."""
        rng = np.random.default_rng(seed + 3)
        self.roots = _draw_roots(rng, anatomy)

    def per_vertebra(self, values: Array, owner: NDArray[np.int8]) -> Grid:
        """Look up a value per vertebra at points, float32."""
        return values.astype(np.float32).take(owner)

    @cached_property
    def skeleton(self) -> Skeleton:
        """The arches."""
        return Skeleton.of(self.anatomy, self._surfaces)

    @cached_property
    def back(self) -> tuple[Grid, Grid]:
        """Heights z, and y of the skin of the back there, both of shape (n,), mm."""
        anatomy, s = self.anatomy, self.anatomy.curve.table_way_mm
        deep = anatomy.tables[Row.ROOF] + np.interp(s, anatomy.centre_mm, anatomy.spinous_mm) + 5
        fat = anatomy.back_fat_mm * anatomy.tables[Row.TAPER]
        tips = anatomy.curve.to_body(np.stack([s, 0 * s, deep], axis=1))
        order = np.argsort(tips[:, 2])
        z = np.arange(-260.0, 260.0, _BACK_STEP_MM)
        y = np.interp(z, tips[order, 2], (tips[:, 1] + fat)[order])
        smooth = gaussian_filter1d(y, 28.0 / _BACK_STEP_MM, mode="nearest")
        return z.astype(np.float32), smooth.astype(np.float32)

    def skin(self, xyz: Grid) -> Grid:
        """Return the signed distance to the skin of the back, mm, at points in the body frame, shape (3, n), mm."""
        x, y, z = xyz
        heights, backs = self.back
        place = np.clip((z - heights[0]) / _BACK_STEP_MM, 0, len(heights) - 1.001).astype(np.float32)
        below = place.astype(np.int32)
        low = backs[below]
        profile = low + (backs[below + 1] - low) * (place - np.floor(place))
        habitus = self.habitus
        furrow = np.float32(habitus.furrow_mm) * np.exp(-((x / 13) ** 2))
        return y - (profile - x * x / np.float32(habitus.back_curve_mm) - furrow)


def _foramina(anatomy: Anatomy) -> Array:
    free = foramen_of(0.0)
    out = np.empty((3, len(Side), len(anatomy.names)))
    out[:] = np.array([free.fat_across_mm, free.fat_along_mm, free.root_share])[:, None, None]
    for (level, side), foramen in anatomy.foramina.items():
        above = anatomy.disc_of(level) + 1
        of_side = tuple(Side).index(side)
        out[:, of_side, above] = foramen.fat_across_mm, foramen.fat_along_mm, foramen.root_share
    return out


_ROOTS_PER_SIDE = {"L1": 2, "L2": 3, "L3": 3, "L4": 3, "L5": 4, "S1": 4, "S2": 3, "S3": 3, "S4": 2}
"""Strands drawn for each nerve: bundles of an anterior and a posterior root, which part on their way."""

_GOLDEN_ANGLE = 2.39996


def _draw_roots(rng: np.random.Generator, anatomy: Anatomy) -> tuple[Root, ...]:
    at = dict(zip(anatomy.names, anatomy.centre_mm.tolist(), strict=True))
    strands = [(name, side) for side in (-1, 1) for name, n in _ROOTS_PER_SIDE.items() for _ in range(n)]
    places = rng.permutation(len(strands)).tolist()
    roots = []
    for k, (name, side) in enumerate(strands):
        rank = list(_ROOTS_PER_SIDE).index(name) / len(_ROOTS_PER_SIDE)
        across = side * (0.08 + 0.70 * (1 - rank)) * float(rng.uniform(0.8, 1.1))
        behind = max(0.9 - across**2, 0.02) ** 0.5 * float(rng.uniform(0.1, 0.95))
        out, turn = ((places[k] + 0.5) / len(strands)) ** 0.5 * 0.92, k * _GOLDEN_ANGLE
        roots.append(
            Root(
                behind=behind,
                across=across,
                tight_behind=out * float(np.sin(turn)),
                tight_across=out * float(np.cos(turn)),
                radius_mm=float(rng.uniform(0.4, 0.8)) * (1 if rank < 0.75 else 0.8),
                begin_mm=at["L1"] + 14,
                end_mm=at[name] - (8 if name.startswith("L") else 0) if rank < 0.7 else at["S2"] + 4,
            )
        )
    return tuple(roots)
