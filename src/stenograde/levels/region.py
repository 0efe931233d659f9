"""What part of a spine the marks of a sagittal volume show, by sizes in mm: lumbar, another, or none.

Limits lie between what is known of the parts. Discs are about 34 mm deep and 36 mm apart in the lumbar spine (Zhou et
al., 10.1007/s005860000140), 17 mm deep and 18 mm apart in the neck (Panjabi et al., Spine 1991;16:861; Gilad and
Nissan, Spine 1986;11:154), and 20 to 28 mm apart in the chest down to T10 (Panjabi et al., Spine 1991;16:888, bodies;
discs 3 to 5 mm).
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from stenograde.levels.disc import Disc
from stenograde.levels.points import LevelPoints
from stenograde.terms import Structure

LEAST_DISCS = 2
"""Fewer discs with an outline are no spine."""

SHALLOW_MM, NARROW_MM = 21.0, 24.0
"""Discs less deep than this on average and less wide from side to side are of the neck, mm."""

NECK_PITCH_MM = 22.0
"""Discs nearer to each other than this, centre to centre, are none of the lumbar spine, mm."""

CHEST_PITCH_MM = 27.0
"""So near to each other are discs above the twelfth thoracic vertebra, mm; it counts where no sacrum was seen."""

LEAST_BONE = 0.7
"""Share of the space between two discs that must be marked as the body of a vertebra."""

LEAST_CANAL = 0.6
"""Share of the stretch from the lowest disc to the highest along which the canal's walls must be found behind it."""

UPSIDE_MM = 1.2
"""Discs of a spine that stands upright lie nearer to each other upwards, by about 1 mm from level to level; where the
lowest six lie farther apart by this or more, and no sacrum is seen, it stands upside down, mm."""


@dataclass(frozen=True)
class SpineSizes:
    """What was measured of a column of discs, medians over them."""

    n_discs: int
    """Discs with an outline."""
    depth_mm: float
    """From front to back."""
    width_mm: float
    """From side to side, as far as the slices reach."""
    pitch_mm: float
    """From disc to disc, the lowest four."""
    growth_mm: float
    """By how much the pitch grows from level to level upwards over the lowest six discs; 0 where there are fewer."""
    bone: float
    """Share of the space between discs that is vertebra."""
    canal: float
    """Share of the stretch between the lowest and the highest disc that has a canal behind it."""


def spine_sizes(points: LevelPoints) -> SpineSizes:
    """Measure the column of discs that was found."""
    marked, grid = points.surface.marked, points.surface.marked.grid_mm
    discs = [disc for disc in points.chain.discs if np.isfinite(disc.length_mm)]
    centres = np.array([disc.centre for disc in discs]).reshape(-1, 2)
    pitches = np.linalg.norm(np.diff(centres, axis=0), axis=1) * grid
    growth = float(np.polyfit(np.arange(5), pitches[:5], 1)[0]) if len(pitches) >= 5 else 0.0
    bone = points.surface.structures[Structure.VERTEBRA.code]
    shares = [
        float(_patch(bone, (np.add(a.centre, b.centre)) / 2, 5.0 / grid).mean()) for a, b in pairwise(discs)
    ]
    return SpineSizes(
        n_discs=len(discs),
        depth_mm=_median([disc.length_mm for disc in discs]),
        width_mm=_median([_width_mm(points, disc) for disc in discs]) if marked.size[0] > 1 else np.inf,
        pitch_mm=_median(pitches[:4].tolist()),
        growth_mm=growth,
        bone=_median(shares),
        canal=_canal_share(points, discs),
    )


def not_lumbar(points: LevelPoints) -> str:
    """Return why what was found is no lumbar spine, in words that say what was seen; empty when it may be one."""
    sizes, unseen = spine_sizes(points), not points.chain.sacrum_seen
    discs = f"discs {sizes.depth_mm:.0f} mm deep and {sizes.pitch_mm:.0f} mm apart"
    is_shallow = sizes.depth_mm < SHALLOW_MM
    signs = (
        (sizes.n_discs < LEAST_DISCS, "fewer than two intervertebral discs"),
        (sizes.bone < LEAST_BONE, f"no vertebral bodies between what looks like {sizes.n_discs} discs"),
        (
            is_shallow and (sizes.width_mm < NARROW_MM or sizes.pitch_mm < NECK_PITCH_MM),
            f"{discs}, as in the neck",
        ),
        (sizes.pitch_mm < NECK_PITCH_MM, f"{discs}, nearer to each other than lumbar ones"),
        (sizes.canal < LEAST_CANAL, f"a canal behind only {sizes.canal:.0%} of the column of discs"),
        (
            unseen and sizes.growth_mm >= UPSIDE_MM,
            "no sacrum, and discs that lie farther apart towards the head: a spine upside down",
        ),
        (unseen and sizes.pitch_mm < CHEST_PITCH_MM, f"no sacrum, and {discs}, as in the chest"),
    )
    return next((seen for is_so, seen in signs if is_so), "")


def _median(values: list[float]) -> float:
    return float(np.median(values)) if values else 0.0


def _patch(values: np.ndarray, at: np.ndarray, reach: float) -> np.ndarray:
    row, column, half = round(float(at[0])), round(float(at[1])), max(1, round(reach))
    return values[max(0, row - half) : row + half + 1, max(0, column - half) : column + half + 1]


def _width_mm(points: LevelPoints, disc: Disc) -> float:
    """How far a disc reaches from side to side: slices on which it is marked near its centre, mm."""
    marked = points.surface.marked
    reach = 5.0 / marked.grid_mm
    seen = [
        _patch(p, np.asarray(disc.centre), reach).max() > 0.5
        for p in marked.probabilities[:, Structure.DISC.code]
    ]
    return float(np.sum(seen)) * marked.slice_mm


def _canal_share(points: LevelPoints, discs: list[Disc]) -> float:
    rows = [disc.centre[0] for disc in discs]
    if len(rows) < 2:
        return 0.0
    line = points.canal
    between = (line.centre[:, 0] >= min(rows)) & (line.centre[:, 0] <= max(rows))
    return float(np.isfinite(line.diameter_mm[between]).mean()) if between.any() else 0.0
