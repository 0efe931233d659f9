"""An anatomy made ready for painting: look-up tables, textures, roots and the skin of the back."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d

from stenograde.datasets.phantom.anatomy import Anatomy, Row
from stenograde.datasets.phantom.canvas import Noise, Points
from stenograde.datasets.phantom.curve import Array, Grid


@dataclass(frozen=True)
class Root:
    """One root of the cauda equina."""

    behind: float
    """Place behind the sac's centre, share of its depth."""
    across: float
    """Place to the left of it, share of its width."""
    radius_mm: float
    begin_mm: float
    """Way at which it leaves the cord."""
    end_mm: float
    """Way at which it leaves the sac."""


class Scene:
    """An anatomy made ready for painting."""

    def __init__(self, anatomy: Anatomy) -> None:
        self.anatomy = anatomy
        seed = anatomy.texture_seed
        self.fine = Noise(seed, 0.9)
        self.medium = Noise(seed + 1, 2.2)
        self.coarse = Noise(seed + 2, 7.0, 4.0)
        self.of_body = anatomy.index_table(0.0)
        """Vertebra whose body a table entry belongs to."""
        self.of_pedicle = anatomy.index_table(0.3)
        """Vertebra whose pedicle or upper articular process a table entry belongs to."""
        self.of_arch = anatomy.index_table(-0.42)
        """Vertebra whose lamina, spinous or lower articular process a table entry belongs to."""
        rng = np.random.default_rng(seed + 3)
        self.roots = _draw_roots(rng, anatomy)
        self.vessels = tuple(float(mm) for mm in rng.normal([8.0, -17.0, 9.0, 10.5], [4.0, 3.0, 1.0, 1.2]))
        """Aorta and vena cava: way to the left of the midline, then radius, mm."""

    def per_vertebra(self, values: Array, owner: NDArray[np.int8]) -> Grid:
        """Read a value per vertebra at points, float32."""
        return values.astype(np.float32)[owner]

    @cached_property
    def back(self) -> tuple[Array, Array]:
        """Height z and the y of the skin of the back there, both of shape (n,), mm."""
        anatomy, s = self.anatomy, self.anatomy.curve.table_way_mm
        deep = anatomy.tables[Row.ROOF] + np.interp(s, anatomy.centre_mm, anatomy.spinous_mm) + 5
        fat = anatomy.back_fat_mm * anatomy.tables[Row.TAPER]
        tips = anatomy.curve.to_body(np.stack([s, 0 * s, deep], axis=1))
        order = np.argsort(tips[:, 2])
        z = np.arange(-260.0, 260.0, 2.0)
        y = np.interp(z, tips[order, 2], (tips[:, 1] + fat)[order])
        return z, gaussian_filter1d(y, 14.0, mode="nearest")

    def skin(self, points: Points) -> Grid:
        """Signed distance to the skin of the back, mm."""
        x, y, z = points.xyz
        profile = np.interp(z, *self.back).astype(np.float32)
        return y - (profile - x * x / 480 - 3 * np.exp(-((x / 13) ** 2)))


def _draw_roots(rng: np.random.Generator, anatomy: Anatomy) -> tuple[Root, ...]:
    at = dict(zip(anatomy.names, anatomy.centre_mm.tolist(), strict=True))
    ends = [at[name] - 8 for name in ("L1", "L2", "L3", "L4", "L5")] + [at["S1"], at["S1"] - 8, at["S2"] + 5]
    roots = []
    for rank, end in enumerate(ends):
        for side in (-1, 1):
            for _ in range(2 if rank < 6 else 1):
                across = side * (0.12 + 0.66 * (1 - rank / len(ends))) * float(rng.uniform(0.8, 1.1))
                behind = max(0.9 - across**2, 0.02) ** 0.5 * float(rng.uniform(0.1, 0.9))
                roots.append(Root(behind, across, float(rng.uniform(0.7, 0.95)), at["L1"] + 14, end))
    return tuple(roots)
