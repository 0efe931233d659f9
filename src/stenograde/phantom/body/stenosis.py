"""Stenosis as geometry: the effect of a continuous severity on sac, foramen and recess, and the resulting grade.

A severity runs from 0 to 3: Normal/Mild up to 1, Moderate up to 2, Severe up to 3. It is turned into lengths here,
and the grade of a cell is read off the lengths, not off the severity.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import pi

import numpy as np

from stenograde.terms import Severity

RELATIVE_STENOSIS_MM2 = 100.0
"""Area of the dural sac below which the canal is moderately stenosed, mm².

Schönström, Bolender and Spengler, Spine 1985;10:806 (central stenosis below 100 mm²); the two limits are
called relative and absolute stenosis in the later literature on the dural sac.
"""

ABSOLUTE_STENOSIS_MM2 = 75.0
"""Area of the dural sac below which the canal is severely stenosed, mm².

Schönström and Hansson, Spine 1988;13:385: below about 75 mm² the pressure among the roots rises.
"""

NARROW_RECESS_MM = 3.0
"""Height of the lateral recess below which it is moderately stenosed, mm.

Ciric et al., J Neurosurg 1980;53:433: 5 mm and more is normal, 3 mm and less suggests stenosis, 2 mm and less proves
it.
"""

CLOSED_RECESS_MM = 2.0
"""Height of the lateral recess below which it is severely stenosed, mm; see :data:`NARROW_RECESS_MM`."""

FAT_SEEN_MM = 0.5
"""Fat beside a root that is visible in an image, mm: most of a pixel; our choice.

Lee et al., AJR 2010;194:1095 grade a foramen 1 (mild) where fat is lost in two opposite directions, 2 (moderate) where
it is lost in all four, 3 (severe) where the root is collapsed or deformed.
"""

COLLAPSED_ROOT = 0.9
"""Depth of a root, as a fraction of its uncompressed depth, below which it counts as collapsed; our choice."""

OPEN_FORAMEN_MM = (4.5, 9.5)
"""Half depth and half height of a foramen without stenosis, mm.

Stephens, Evans and Gilbert, Spine 1991;16:S525: 11 to 19 mm high, 7 to 8 mm deep at the middle of the disc and more
above, 40 to 160 mm² in area.
"""


def severity_of_area(area_mm2: float) -> Severity:
    """Return the severity of canal stenosis for an area of the dural sac.

    Parameters
    ----------
    area_mm2 : float
        Cross-section of the dural sac at the disc, mm².

    References
    ----------
    :data:`RELATIVE_STENOSIS_MM2` and :data:`ABSOLUTE_STENOSIS_MM2`.

    Examples
    --------
    >>> [severity_of_area(area).shown for area in (150, 90, 40)]
    ['Normal/Mild', 'Moderate', 'Severe']
    """
    return _graded(area_mm2, RELATIVE_STENOSIS_MM2, ABSOLUTE_STENOSIS_MM2)


def severity_of_recess(height_mm: float) -> Severity:
    """Return the severity of subarticular stenosis for a height of the lateral recess.

    Parameters
    ----------
    height_mm : float
        Distance from the disc to the ligament in front of the facet joint, beside the sac, mm.

    Examples
    --------
    >>> [severity_of_recess(height).shown for height in (4.0, 2.5, 1.0)]
    ['Normal/Mild', 'Moderate', 'Severe']
    """
    return _graded(height_mm, NARROW_RECESS_MM, CLOSED_RECESS_MM)


def _graded(value: float, moderate_below: float, severe_below: float) -> Severity:
    if value < severe_below:
        return Severity.SEVERE
    return Severity.MODERATE if value < moderate_below else Severity.NORMAL_MILD


@dataclass(frozen=True)
class Foramen:
    """The soft tissue of one neural foramen in the sagittal plane through its middle."""

    fat_across_mm: float
    """Thickness of the fat in front of the root, and of that behind it."""
    fat_along_mm: float
    """Thickness of the fat above the root, and of that below it."""
    root_share: float
    """Depth of the root, as a fraction of its uncompressed depth."""

    @property
    def severity(self) -> Severity:
        """Severity from the fat in four directions and the shape of the root (:data:`FAT_SEEN_MM`).

        Examples
        --------
        >>> [Foramen(0.3, along, share).severity.shown for along, share in ((2.0, 1.0), (0.3, 1.0), (0.0, 0.6))]
        ['Normal/Mild', 'Moderate', 'Severe']
        """
        if self.root_share < COLLAPSED_ROOT:
            return Severity.SEVERE
        lost = max(self.fat_across_mm, self.fat_along_mm) < FAT_SEEN_MM
        return Severity.MODERATE if lost else Severity.NORMAL_MILD

    def area_mm2(self, half_depth_mm: float, half_height_mm: float) -> float:
        """Return the area of the root and the fat around it, mm², given the half depth and height of a free root.

        Where fat is plentiful, bone limits it (:data:`OPEN_FORAMEN_MM`).
        """
        depth = min(half_depth_mm * self.root_share + self.fat_across_mm, OPEN_FORAMEN_MM[0])
        return pi * depth * min(half_height_mm + self.fat_along_mm, OPEN_FORAMEN_MM[1])


def area_of(severity: float, open_mm2: float) -> float:
    """Return the area of the dural sac for a severity, mm².

    Parameters
    ----------
    severity : float
        0 to 3.
    open_mm2 : float
        Area of the sac without stenosis, mm².

    Examples
    --------
    >>> [round(area_of(severity, 170.0)) for severity in (0.0, 1.0, 2.0, 3.0)]
    [170, 100, 75, 30]
    """
    start = max(open_mm2, RELATIVE_STENOSIS_MM2 + 15.0)
    return float(np.interp(severity, _GRADES, (start, RELATIVE_STENOSIS_MM2, ABSOLUTE_STENOSIS_MM2, 30.0)))


def recess_of(severity: float) -> float:
    """Return the height of the lateral recess for a severity, mm.

    Examples
    --------
    >>> [round(recess_of(severity), 1) for severity in (0.0, 1.0, 2.0, 3.0)]
    [5.5, 3.0, 2.0, 0.5]
    """
    return float(np.interp(severity, _GRADES, (5.5, NARROW_RECESS_MM, CLOSED_RECESS_MM, 0.5)))


def foramen_of(severity: float) -> Foramen:
    """Return the soft tissue of a foramen for a severity: fat is lost first in front and behind, then above and below.

    Examples
    --------
    >>> [foramen_of(severity).severity.shown for severity in (0.9, 1.1, 2.1)]
    ['Normal/Mild', 'Moderate', 'Severe']
    """
    across = np.interp(severity, (0, 0.5, 1, 2, 3), (4.5, 1.6, FAT_SEEN_MM, 0.1, 0.0))
    along = np.interp(severity, (0, 0.5, 0.75, 1, 2, 3), (9.0, 6.0, 3.0, FAT_SEEN_MM, 0.1, 0.0))
    share = np.interp(severity, (1, 2, 3), (1.0, COLLAPSED_ROOT, 0.45))
    return Foramen(float(across), float(along), float(share))


_GRADES = (0.0, 1.0, 2.0, 3.0)
