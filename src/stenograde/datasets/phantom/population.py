"""What virtual patients are drawn from: mean dimensions with their sources, and how they spread.

The first phantom draws the spinal canal's stenosis freely and keeps foramina and lateral recesses open.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from stenograde.terms import LUMBAR_MRI, Level, Severity

RELATIVE_STENOSIS_MM2 = 100.0
"""Area of the dural sac below which the canal is moderately stenosed, mm².

Schönström, Bolender and Spengler, Spine 1985;10:806 (central stenosis below 100 mm²); the two limits are
called relative and absolute stenosis in the later literature on the dural sac.
"""

ABSOLUTE_STENOSIS_MM2 = 75.0
"""Area of the dural sac below which the canal is severely stenosed, mm².

Schönström and Hansson, Spine 1988;13:385: below about 75 mm² the pressure among the roots rises.
"""


def severity_of_area(area_mm2: float) -> Severity:
    """Return the severity of canal stenosis that an area of the dural sac stands for.

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
    if area_mm2 < ABSOLUTE_STENOSIS_MM2:
        return Severity.SEVERE
    return Severity.MODERATE if area_mm2 < RELATIVE_STENOSIS_MM2 else Severity.NORMAL_MILD


@dataclass(frozen=True)
class Segment:
    """Mean dimensions of one vertebra and of the disc above it, mm."""

    name: str
    height_mm: float
    """Height of the body in its middle."""
    half_depth_mm: float
    half_width_mm: float
    disc_above_mm: float
    """Height of the disc above, in its middle."""
    tilt_deg: float
    """Angle of the body's axis (to the head) behind that of S1's upper end plate."""
    spinous_mm: float
    """Length of the spinous process behind the canal's roof."""
    pedicle_half_width_mm: float


SEGMENTS = (
    Segment("S5", 14.0, 4.5, 10.0, 1.0, 52.0, 2.0, 6.0),
    Segment("S4", 16.0, 5.0, 12.0, 1.0, 28.0, 4.0, 8.0),
    Segment("S3", 19.0, 6.8, 15.0, 1.2, 0.0, 6.0, 9.0),
    Segment("S2", 23.0, 8.6, 19.0, 1.6, -13.0, 8.0, 10.0),
    Segment("S1", 29.0, 12.5, 25.0, 8.6, -10.0, 10.0, 11.0),
    Segment("L5", 27.0, 17.3, 24.3, 9.8, 26.0, 23.0, 8.0),
    Segment("L4", 28.0, 17.6, 23.3, 9.4, 36.0, 29.0, 6.2),
    Segment("L3", 28.5, 17.5, 22.3, 8.6, 42.5, 31.0, 5.0),
    Segment("L2", 28.0, 17.2, 21.5, 7.6, 46.5, 30.0, 4.4),
    Segment("L1", 26.5, 16.8, 20.8, 6.4, 48.0, 28.0, 4.3),
    Segment("T12", 25.0, 16.0, 20.0, 5.4, 48.0, 26.0, 4.2),
    Segment("T11", 23.5, 15.4, 18.5, 4.8, 46.0, 26.0, 4.2),
    Segment("T10", 22.0, 14.8, 17.0, 4.4, 43.0, 28.0, 3.8),
    Segment("T9", 21.0, 14.4, 16.0, 4.2, 40.0, 30.0, 3.6),
)
"""The spine of the phantom, from below.

Lumbar bodies and pedicles are rounded from Panjabi et al., Spine 1992;17:299 (bodies made about 10 % larger,
as living adults on MR are). Tilts add up to a lordosis L1 to S1 near 48°, as in people who lie, half of it
below the middle of L5, so that the promontory shows (by eye); Vialle et al., J Bone Joint Surg Am 2005;87:260
measured 60 ± 10° in people who stand. Disc heights, sacrum and thoracic rows are rounded to look right and
are no data.
"""

LEVEL_BELOW = {"L1": Level.L1_L2, "L2": Level.L2_L3, "L3": Level.L3_L4, "L4": Level.L4_L5, "L5": Level.L5_S1}
"""The graded level under each lumbar vertebra."""


@dataclass(frozen=True)
class Population:
    """How patients differ.

    Raises
    ------
    ValueError
        If a share or a spread is out of range.
    """

    sacral_slope_deg: tuple[float, float] = (39.0, 5.0)
    """Mean and standard deviation of the slope of S1's end plate (Vialle et al. 2005: 41 ± 8), degrees."""
    lordosis: tuple[float, float] = (1.0, 0.1)
    """Mean and standard deviation of the factor on the tilts of the lumbar bodies."""
    size: tuple[float, float] = (1.0, 0.05)
    """Mean and standard deviation of the factor on all bony dimensions."""
    sac_area_mm2: tuple[float, float] = (175.0, 22.0)
    """Mean and standard deviation of the area of an open dural sac at L3/L4, mm².

    Lim et al., Medicine 2017;96:e9087 measured 152 ± 54 mm² at L4/L5 in people without stenosis.
    """
    severity_shares: dict[Level, tuple[float, float, float]] = field(
        default_factory=lambda: dict(
            zip(
                LUMBAR_MRI.levels,
                (
                    (0.90, 0.07, 0.03),
                    (0.75, 0.15, 0.10),
                    (0.60, 0.22, 0.18),
                    (0.50, 0.22, 0.28),
                    (0.80, 0.12, 0.08),
                ),
                strict=True,
            )
        )
    )
    """Per level the shares of Normal/Mild, Moderate and Severe canals.

    Much richer in stenosis than RSNA 2024 (88, 7 and 5 %), so that a small cohort shows every grade; the
    order of the levels follows it (L4/L5 most, then L3/L4).
    """
    back_fat_mm: tuple[float, float] = (10.0, 32.0)
    """Least and greatest thickness of the subcutaneous fat of the back, mm."""

    def __post_init__(self) -> None:
        for level, shares in self.severity_shares.items():
            if len(shares) != len(Severity) or min(shares) < 0 or abs(sum(shares) - 1) > 1e-9:
                msg = f"severity shares of {level.shown} must be three shares that add up to 1, got {shares}"
                raise ValueError(msg)

    def draw_canals(self, rng: np.random.Generator) -> dict[Level, Severity]:
        """Draw the severity of canal stenosis at each level."""
        return {
            level: tuple(Severity)[int(rng.choice(len(Severity), p=self.severity_shares[level]))]
            for level in LUMBAR_MRI.levels
        }


def draw_area(rng: np.random.Generator, severity: Severity, open_mm2: float) -> float:
    """Draw an area of the dural sac that has a severity, mm².

    Parameters
    ----------
    rng : numpy.random.Generator
    severity : Severity
    open_mm2 : float
        Area of the sac were there no stenosis, mm².
    """
    if severity is Severity.SEVERE:
        return float(rng.uniform(32.0, ABSOLUTE_STENOSIS_MM2 - 3.0))
    if severity is Severity.MODERATE:
        return float(rng.uniform(ABSOLUTE_STENOSIS_MM2 + 2.0, RELATIVE_STENOSIS_MM2 - 2.0))
    return max(float(open_mm2 * rng.uniform(0.8, 1.0)), RELATIVE_STENOSIS_MM2 + 8.0)
