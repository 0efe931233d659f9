"""One cervical foramen: a tunnel of known cross-section, narrowed by spurs.

The cross-section of the tunnel lies in its own plane, with u from the vertebral body (front wall, the uncovertebral
joint) to the articular pillar (back wall, the facet joint) and v upwards. Open, it is an ellipse; a spur grows
from each wall at the height at which the root passes. All lengths are mm.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from stenograde.images.lattice import Grid
from stenograde.phantom.body.curve import Array
from stenograde.terms import Level, Severity

ROOT_MM: dict[Level, float] = {
    Level.C2_C3: 3.1,
    Level.C3_C4: 3.0,
    Level.C4_C5: 2.9,
    Level.C5_C6: 3.7,
    Level.C6_C7: 3.4,
    Level.C7_T1: 3.8,
}
"""Diameter of the nerve root that leaves through each foramen (C3 to C8), mm.

C5 to C7 by ultrasound in 219 volunteers (Takeuchi et al., Spine 2014;39:E944: 2.8 to 2.9, 3.6 to 3.8 and 3.3 to
3.4); C3, C4 and C8 on MR (doi:10.2174/0115734056266400231106054026: 3.11, 2.95 and 3.83).
"""

SEVERE_SHARE = 0.5
"""Fraction of the root's diameter below which a foramen is severely narrowed, see :func:`severity_of_width`."""

SPUR_HEIGHT = -0.10
"""Height of the tips of the spurs above the middle of the foramen, as a fraction of its height: the root lies in
the lower half (Pech et al., Radiology 1985;155:143, of sections)."""

SPUR_REACH = 0.34
"""Distance above and below its tip at which a spur is smaller by a factor e, as a fraction of the foramen's height; by
eye."""


def severity_of_width(level: Level, width_mm: float) -> Severity:
    """Return the severity of foraminal stenosis for a width.

    The rule of Kim et al., Korean J Radiol 2015;16:1294: none where the foramen is wider than the root outside it,
    grade 1 where it is narrower, grade 2 where it is at most half as wide as the root. Grades 0, 1 and 2 are called
    Normal/Mild, Moderate and Severe here. Kim measures on axial MR; here the width is that of the bony passage.

    Parameters
    ----------
    level : Level
    width_mm : float
        Narrowest width where the root passes, mm.

    Examples
    --------
    >>> [severity_of_width(Level.C5_C6, width).shown for width in (6.1, 3.0, 1.2)]
    ['Normal/Mild', 'Moderate', 'Severe']
    """
    if width_mm <= SEVERE_SHARE * ROOT_MM[level]:
        return Severity.SEVERE
    return Severity.MODERATE if width_mm <= ROOT_MM[level] else Severity.NORMAL_MILD


@dataclass(frozen=True)
class Foramen:
    """Cross-section of one foramen.

    Raises
    ------
    ValueError
        If a length is out of range, or the spurs close the foramen.
    """

    open_width_mm: float
    """Largest width without spurs."""
    height_mm: float
    front_spur_mm: float = 0.0
    """How far the tip of the uncovertebral spur projects into the open foramen."""
    back_spur_mm: float = 0.0
    """How far the spur of the facet joint does."""

    def __post_init__(self) -> None:
        if min(self.open_width_mm, self.height_mm) <= 0 or min(self.front_spur_mm, self.back_spur_mm) < 0:
            msg = f"a foramen must have a width and height above 0 mm and no negative spur, got {self}"
            raise ValueError(msg)
        if self.width_mm <= 0:
            msg = f"spurs must leave a passage, got {self.width_mm:.2f} mm of {self.open_width_mm:.2f} mm"
            raise ValueError(msg)

    @property
    def width_mm(self) -> float:
        """Width at the tips of the spurs, where the root passes."""
        return self.passage_mm - self.front_spur_mm - self.back_spur_mm

    @property
    def passage_mm(self) -> float:
        """Width at that height without spurs."""
        return self.open_width_mm * float(np.sqrt(1 - (2 * SPUR_HEIGHT) ** 2))

    @property
    def open_area_mm2(self) -> float:
        """Area without spurs."""
        return float(np.pi / 4) * self.open_width_mm * self.height_mm

    @property
    def area_mm2(self) -> float:
        """Area left by the spurs, integrated in steps of a thousandth of the height."""
        v = (np.arange(1000) + 0.5) / 1000 * self.height_mm - self.height_mm / 2
        front, back = self.walls(v)
        return float(np.maximum(back - front, 0).mean() * self.height_mm)

    @property
    def narrowing(self) -> float:
        """Fraction of the width that is lost where the root passes, 0 to 1: the continuous severity."""
        return 1 - self.width_mm / self.passage_mm

    def walls(self, v: Array) -> tuple[Array, Array]:
        """Return u of the front and back wall at heights v, each of shape (n,); equal where the foramen is closed."""
        half = self.open_width_mm / 2 * np.sqrt(np.maximum(1 - (2 * v / self.height_mm) ** 2, 0))
        bump = np.exp(-(((v / self.height_mm - SPUR_HEIGHT) / SPUR_REACH) ** 2))
        front = np.minimum(-half + self.front_spur_mm * bump, half)
        return front, np.maximum(half - self.back_spur_mm * bump, front)

    def open_distance(self, u: Grid, v: Grid) -> Grid:
        """Return the approximate signed distance to the open foramen, negative inside, mm."""
        a, b = self.open_width_mm / 2, self.height_mm / 2
        root = np.sqrt((u / a) ** 2 + (v / b) ** 2)
        steep = np.sqrt((u / a**2) ** 2 + (v / b**2) ** 2)
        return root * (root - 1) / np.maximum(steep, 1e-3)

    def distance(self, u: Grid, v: Grid) -> Grid:
        """Return the approximate signed distance to the foramen narrowed by its spurs, negative inside, mm."""
        bump = np.exp(-(((v / self.height_mm - SPUR_HEIGHT) / SPUR_REACH) ** 2))
        half = self.open_width_mm / 2 * np.sqrt(np.maximum(1 - (2 * v / self.height_mm) ** 2, 0))
        front = (-half + self.front_spur_mm * bump) - u
        back = u - (half - self.back_spur_mm * bump)
        return np.maximum(self.open_distance(u, v), np.maximum(front, back))
