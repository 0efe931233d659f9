"""Population that neck phantoms are drawn from: mean dimensions with their sources, and their spread."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from scipy.stats import norm

from stenograde.phantom.neck.foramen import ROOT_MM, SEVERE_SHARE
from stenograde.terms import CERVICAL_XRAY, Level, Severity, Side


@dataclass(frozen=True)
class Vertebra:
    """Mean dimensions of one vertebra and of the disc below it, mm."""

    name: str
    height_mm: float
    """Height of the body, without the dens in C2."""
    half_depth_mm: float
    half_width_mm: float
    disc_below_mm: float
    canal_depth_mm: float
    pillar_mm: float
    """Distance of the middle of the articular pillar from the midline."""
    spinous_mm: float
    """Length of the spinous process behind the canal."""
    spinous_slope_deg: float
    """Downward slope of the spinous process."""


VERTEBRAE = (
    Vertebra("C2", 17.0, 8.2, 8.6, 4.8, 19.0, 17.5, 15.0, 20.0),
    Vertebra("C3", 12.6, 8.3, 8.8, 5.1, 16.4, 19.0, 13.0, 22.0),
    Vertebra("C4", 12.3, 8.4, 9.2, 5.2, 16.6, 19.6, 13.0, 22.0),
    Vertebra("C5", 12.2, 8.5, 9.7, 5.1, 16.6, 20.2, 15.0, 24.0),
    Vertebra("C6", 12.2, 8.8, 10.6, 5.2, 16.8, 20.8, 22.0, 24.0),
    Vertebra("C7", 13.6, 9.0, 11.9, 4.8, 15.8, 21.0, 31.0, 20.0),
    Vertebra("T1", 15.6, 9.2, 13.0, 4.4, 15.6, 20.0, 32.0, 28.0),
    Vertebra("T2", 16.8, 9.6, 13.2, 4.4, 15.6, 19.0, 32.0, 36.0),
)
"""The spine of the phantom, from above.

Bodies, canals and spinous processes are rounded from Panjabi et al., Spine 1991;16:861 (bodies made about a tenth
larger, as living adults on radiographs are), disc heights from Gilad and Nissan, Spine 1986;11:154. Pillars, slopes
and the rows of C2, T1 and T2 are rounded to look right and are not data.
"""

FORAMEN_HEIGHT_MM = dict(zip(CERVICAL_XRAY.levels, (10.15, 8.09, 8.00, 8.18, 8.43, 7.97), strict=True))
FORAMEN_WIDTH_MM = dict(zip(CERVICAL_XRAY.levels, (6.34, 5.73, 6.03, 6.11, 6.83, 7.33), strict=True))
"""Mean height and width of open foramina in 320 adults aged 16 to 37 on CT, mm: J. H. Abu Ghaida and others,
linear measurements of normal cervical intervertebral foramina of Jordanians, C2/C3 through C7/T1."""

FORAMEN_ANGLE_DEG = dict(zip(CERVICAL_XRAY.levels, (46.3, 48.3, 50.2, 52.2, 54.1, 56.1), strict=True))
"""Angle from straight ahead at which a foramen appears most open: 46.3° at C2/C3 to 56.1° at C7/T1 on radiographs
of specimens (J Spinal Disord Tech 2009;22:21, 10.1097/BSD.0b013e3181639b62), evenly spaced between."""

FORAMEN_SLOPE_DEG = 12.0
"""Downward slope of the tunnels towards the outside: 10 to 15° in the anatomical literature going back to Pech et
al., Radiology 1985;155:143, 10.1148/radiology.155.1.3975392; the reason for tilting the central ray by 15°."""

_SHARES: tuple[tuple[float, float, float], ...] = (
    (0.92, 0.06, 0.02),
    (0.76, 0.16, 0.08),
    (0.66, 0.22, 0.12),
    (0.50, 0.29, 0.21),
    (0.54, 0.28, 0.18),
    (0.84, 0.11, 0.05),
)


@dataclass(frozen=True)
class Narrowed:
    """Narrowing of a foramen, before its dimensions are known."""

    severity: Severity
    place: float
    """Position within the severity, from 0 (widest) to 1 (narrowest)."""


@dataclass(frozen=True)
class Population:
    """Distributions that patients are drawn from.

    Raises
    ------
    ValueError
        If shares do not add up to 1, or a correlation is out of range.
    """

    size: tuple[float, float] = (1.0, 0.06)
    """Mean and standard deviation of the factor on all bony dimensions."""
    lordosis_deg: tuple[float, float] = (12.7, 9.0)
    """Mean and standard deviation of the angle from C2 to C7.

    The mean over 15,364 people without symptoms by Cobb's method (Guo et al., J Orthop Surg Res 2018;13:147,
    10.1186/s13018-018-0854-6); the spread lets about a tenth be kyphotic.
    """
    foramen_spread: float = 0.07
    """Standard deviation of the factors on a foramen's width and height; by eye."""
    severity_shares: dict[Level, tuple[float, float, float]] = field(
        default_factory=lambda: dict(zip(CERVICAL_XRAY.levels, _SHARES, strict=True))
    )
    """Per level the shares of Normal/Mild, Moderate and Severe foramina.

    Stenosis is far more common than in the population (about 20 % have any), so that a small cohort shows every grade;
    C5/C6 and C6/C7 have most, as in Park et al., Br J Radiol 2013;86:20120515.
    """
    within_patient: float = 0.35
    """Share of the variance of wear common to all foramina of a patient; by eye."""
    within_level: float = 0.25
    """Further share common to the two foramina of a level; by eye."""

    def __post_init__(self) -> None:
        for level, shares in self.severity_shares.items():
            if len(shares) != len(Severity) or min(shares) < 0 or abs(sum(shares) - 1) > 1e-9:
                msg = f"severity shares of {level.shown} must be three shares that add up to 1, got {shares}"
                raise ValueError(msg)
        common = (self.within_patient, self.within_level)
        if min(common) < 0 or sum(common) >= 1:
            msg = f"shares of common wear must be at least 0 and add up to less than 1, got {common}"
            raise ValueError(msg)

    def draw_wear(self, rng: np.random.Generator) -> dict[tuple[Level, Side], Narrowed]:
        """Draw the narrowing of each foramen; levels and sides of a patient are correlated, as wear is."""
        rest = 1 - self.within_patient - self.within_level
        patient = rng.normal() * self.within_patient**0.5
        out = {}
        for level in CERVICAL_XRAY.levels:
            both = rng.normal() * self.within_level**0.5
            for side in Side:
                rank = float(norm.cdf(patient + both + rng.normal() * rest**0.5))
                out[level, side] = self._at_rank(level, rank)
        return out

    def _at_rank(self, level: Level, rank: float) -> Narrowed:
        below = 0.0
        for severity, share in zip(Severity, self.severity_shares[level], strict=True):
            if rank < below + share or severity is Severity.SEVERE:
                return Narrowed(severity, min(max((rank - below) / max(share, 1e-9), 0.0), 1.0))
            below += share
        raise AssertionError(level)


_NARROWEST_SHARE = 0.12
"""Smallest width, as a fraction of the root's diameter."""

_MARGIN_MM = 0.05
"""Widths keep this far from the limits between severities, mm."""


def width_of(level: Level, narrowed: Narrowed, passage_mm: float) -> float:
    """Return the width of a foramen with a given narrowing, mm.

    Parameters
    ----------
    level : Level
    narrowed : Narrowed
    passage_mm : float
        Width without spurs where the root passes, mm.
    """
    root = ROOT_MM[level]
    widest, narrowest = {
        Severity.NORMAL_MILD: (passage_mm, max(0.75 * passage_mm, root + 2 * _MARGIN_MM)),
        Severity.MODERATE: (min(root, passage_mm) - _MARGIN_MM, SEVERE_SHARE * root + _MARGIN_MM),
        Severity.SEVERE: (SEVERE_SHARE * root - _MARGIN_MM, _NARROWEST_SHARE * root),
    }[narrowed.severity]
    # most open foramina have hardly any spur: the square keeps them near the widest
    place = narrowed.place**2 if narrowed.severity is Severity.NORMAL_MILD else narrowed.place
    return widest + (min(narrowest, widest) - widest) * place
