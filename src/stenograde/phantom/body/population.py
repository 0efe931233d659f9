"""Population that phantoms are drawn from: mean dimensions with their sources, and their spread."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from pathlib import Path

import numpy as np

from stenograde.phantom.body.cooccurrence import (
    RSNA_SHARES,
    Shares,
    draw_ranks,
    enriched,
    severity_of_rank,
)
from stenograde.terms import LUMBAR_MRI, Cell, Condition, Level, Severity


class Transition(StrEnum):
    """A transitional vertebra between lumbar spine and sacrum."""

    NONE = "none"
    SACRALISED_L5 = "sacralised_l5"
    """L5 is joined to the sacrum by broad transverse processes and a bridged, low disc (Castellvi et al., Spine
    1984;9:493, type III)."""
    LUMBARISED_S1 = "lumbarised_s1"
    """S1 has its own disc below it (O'Driscoll et al., Skeletal Radiol 1996;25:225, type 4)."""


@dataclass(frozen=True)
class Segment:
    """Mean dimensions of one vertebra and of the disc above it, mm."""

    name: str
    height_mm: float
    """Height of the middle of the body."""
    half_depth_mm: float
    half_width_mm: float
    disc_above_mm: float
    """Height of the middle of the disc above."""
    tilt_deg: float
    """Backward angle of the body's axis (towards the head) relative to that of the upper end plate of S1."""
    spinous_mm: float
    """Length of the spinous process behind the roof of the canal."""
    pedicle_half_width_mm: float
    foramen_mm: float
    """Distance of the middle of the foramen below from the midline."""
    notch_mm: float
    """How far below the centre of the body the pedicle ends, where the foramen is highest."""


SEGMENTS = (
    Segment("S5", 14.0, 4.5, 10.0, 1.0, 52.0, 2.0, 6.0, 17.0, 1.1),
    Segment("S4", 16.0, 5.0, 12.0, 1.0, 28.0, 4.0, 8.0, 17.0, 1.1),
    Segment("S3", 19.0, 6.8, 15.0, 1.2, 0.0, 6.0, 9.0, 17.0, 1.1),
    Segment("S2", 23.0, 8.6, 19.0, 1.6, -13.0, 8.0, 10.0, 17.0, 1.1),
    Segment("S1", 29.0, 12.5, 25.0, 8.6, -10.0, 10.0, 11.0, 19.0, 1.1),
    Segment("L5", 27.0, 17.3, 24.3, 9.8, 26.0, 23.0, 8.0, 19.0, -2.5),
    Segment("L4", 28.0, 17.6, 23.3, 9.4, 36.0, 29.0, 6.2, 17.5, 3.4),
    Segment("L3", 28.5, 17.5, 22.3, 8.6, 42.5, 31.0, 5.0, 15.5, 3.5),
    Segment("L2", 28.0, 17.2, 21.5, 7.6, 46.5, 30.0, 4.4, 14.0, 2.5),
    Segment("L1", 26.5, 16.8, 20.8, 6.4, 48.0, 28.0, 4.3, 13.5, 5.6),
    Segment("T12", 25.0, 16.0, 20.0, 5.4, 48.0, 26.0, 4.2, 13.0, 5.0),
    Segment("T11", 23.5, 15.4, 18.5, 4.8, 46.0, 26.0, 4.2, 13.0, 4.0),
    Segment("T10", 22.0, 14.8, 17.0, 4.4, 43.0, 28.0, 3.8, 12.5, 4.0),
    Segment("T9", 21.0, 14.4, 16.0, 4.2, 40.0, 30.0, 3.6, 12.5, 4.0),
)
"""The spine of the phantom, from below.

Lumbar bodies and pedicles are rounded from Panjabi et al., Spine 1992;17:299 (bodies made about 10 % larger,
as living adults on MR are). Tilts add up to a lordosis L1 to S1 near 48°, as in people lying down, half of it
below the middle of L5, so that the promontory shows (by eye); Vialle et al., J Bone Joint Surg Am 2005;87:260
measured 60 ± 10° in people standing. Disc heights, sacrum and thoracic rows are rounded to look right and
are not data.
"""

LEVEL_BELOW = {"L1": Level.L1_L2, "L2": Level.L2_L3, "L3": Level.L3_L4, "L4": Level.L4_L5, "L5": Level.L5_S1}
"""The graded level under each lumbar vertebra."""

NAMES = tuple(segment.name for segment in SEGMENTS)
"""Vertebrae, from below."""

S1 = NAMES.index("S1")
"""Index of the first sacral vertebra, whose disc above is L5/S1."""


def disc_index(level: Level, names: tuple[str, ...] = NAMES) -> int:
    """Return the index of the vertebra below the disc of a level."""
    upper = next(name for name, below in LEVEL_BELOW.items() if below is level)
    return names.index(upper) - 1


@dataclass(frozen=True)
class Population:
    """Distributions that patients are drawn from.

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
    severity_shares: Mapping[Condition, tuple[Shares, ...]] = field(default_factory=lambda: dict(RSNA_SHARES))
    """Shares of the grades per condition at L1/L2 to L5/S1; those of RSNA 2024 by default.

    Which cells are stenosed together always follows RSNA 2024 (:mod:`~stenograde.phantom.body.cooccurrence`).
    """
    sway_mm: float = 1.5
    """Standard deviation of the amplitude of the lateral sway, mm; 15 gives scoliosis."""
    slip_share: float = 0.04
    """Share of patients with degenerative spondylolisthesis at L4/L5 or L5/S1.

    Kalichman et al., Spine 2009;34:199 found slips of any kind and degree in 14 % of adults on CT; this is the share
    of those that are obvious in an image.
    """
    slip_mm: tuple[float, float] = (3.0, 8.0)
    """Smallest and largest slip, mm: Meyerding grade I (below a quarter of the end plate)."""
    transitional_share: float = 0.0
    """Share of patients with a transitional vertebra, both kinds equally often; levels keep the names they have when
    counted from above. 4 to 30 % in the literature (Konin and Walz, AJNR 2010;31:1778)."""
    back_fat_mm: tuple[float, float] = (10.0, 32.0)
    """Smallest and largest thickness of the subcutaneous fat of the back, mm."""
    bones: Path | None = None
    """Folder with surfaces of real vertebrae, to be used in place of measured arches (:mod:`.surfaces`)."""

    def __post_init__(self) -> None:
        if not (0 <= self.slip_share <= 1 and 0 <= self.transitional_share <= 1) or self.sway_mm < 0:
            msg = (
                f"slip_share and transitional_share must be 0 to 1 and sway_mm at least 0, got {self.slip_share}, "
                f"{self.transitional_share} and {self.sway_mm}"
            )
            raise ValueError(msg)
        for condition in Condition:
            rows = self.severity_shares.get(condition, ())
            if len(rows) != len(LUMBAR_MRI.levels):
                msg = f"severity shares of {condition.shown} must be given for five levels, got {len(rows)}"
                raise ValueError(msg)
            for level, shares in zip(LUMBAR_MRI.levels, rows, strict=True):
                if len(shares) != len(Severity) or min(shares) < 0 or abs(sum(shares) - 1) > 1e-6:
                    msg = (
                        f"severity shares of {condition.shown} at {level.shown} must be three shares that add up "
                        f"to 1, got {shares}"
                    )
                    raise ValueError(msg)

    def worse(self, shift: float) -> Population:
        """Return the population with every patient worse by ``shift`` standard deviations, for training."""
        shares = {
            condition: tuple(enriched(one, shift) for one in rows)
            for condition, rows in self.severity_shares.items()
        }
        return replace(self, severity_shares=shares)

    def draw_transition(self, rng: np.random.Generator) -> Transition:
        """Draw whether a patient has a transitional vertebra."""
        if rng.random() >= self.transitional_share:
            return Transition.NONE
        return (Transition.SACRALISED_L5, Transition.LUMBARISED_S1)[int(rng.integers(2))]

    def draw_severities(self, rng: np.random.Generator) -> dict[Cell, float]:
        """Draw the continuous severity (0 to 3, see :mod:`.stenosis`) of each of the 25 cells of one patient."""
        severities = {}
        for cell, rank in draw_ranks(rng).items():
            shares = self.severity_shares[cell.condition][LUMBAR_MRI.levels.index(cell.level)]
            severities[cell] = severity_of_rank(rank, shares)
        return severities
