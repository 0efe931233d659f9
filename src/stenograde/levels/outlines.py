"""Borders of vertebrae, discs and canal on one slice, named, in patient space, to be drawn."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from skimage.measure import find_contours

from stenograde import geometry
from stenograde.grades import Outline
from stenograde.levels.points import LevelPoints
from stenograde.terms import Structure

MIN_AREA_MM2 = {Structure.VERTEBRA: 120.0, Structure.DISC: 40.0, Structure.CANAL: 40.0}
"""Smaller pieces are not drawn, mm²."""

_SIMPLER_PX = 0.4


def outlines_of(points: LevelPoints, slice_index: int) -> tuple[Outline, ...]:
    """Outline the structures on one slice of ``points.surface.marked``.

    Vertebrae are named ``L5``, ``L4``… and discs ``L4/L5``… after the nearest disc of the chain; posterior
    elements and pieces that belong to no named level have an empty name.
    """
    marked = points.surface.marked
    found = []
    for structure in Structure:
        p = marked.probabilities[slice_index, structure.code]
        for line in find_contours(np.pad(p, 1), 0.5):
            border = line - 1
            if abs(_signed_area(border)) * marked.grid_mm**2 < MIN_AREA_MM2[structure]:
                continue
            name = "" if structure is Structure.CANAL else _name(points, structure, border.mean(axis=0))
            simple = simplified(border, _SIMPLER_PX)
            at = np.column_stack([np.full(len(simple), float(slice_index)), simple])
            found.append(Outline(structure, name, geometry.to_patient(marked.affine, at)))
    return tuple(found)


def simplified(line: NDArray[np.float64], tolerance: float) -> NDArray[np.float64]:
    """Leave out points of a line, shape (n, 2), that lie within a tolerance of the line without them.

    By Douglas and Peucker (doi:10.3138/FM57-6770-U75U-7727). scikit-image's ``approximate_polygon`` does the same, but
    imports ``scipy.signal`` and ``scipy.stats``: half a second on the way to every study.
    """
    if len(line) < 3:
        return line
    kept = np.zeros(len(line), bool)
    kept[[0, -1]] = True
    places = np.arange(len(line))
    while True:
        ends = np.flatnonzero(kept)
        part = np.minimum(
            np.searchsorted(ends, places, side="right"), len(ends) - 1
        )  # between two that are kept
        away = np.where(kept, 0.0, _distances(line, line[ends[part - 1]], line[ends[part]]))
        farthest = np.maximum.reduceat(away, ends[:-1])[part - 1]
        chosen = np.flatnonzero((away == farthest) & (farthest > tolerance))
        if not chosen.size:
            return line[kept]
        kept[chosen[np.unique(part[chosen], return_index=True)[1]]] = True


def _distances(
    points: NDArray[np.float64], starts: NDArray[np.float64], ends: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return how far points lie from pieces of a line between two ends, all of shape (n, 2)."""
    along, off = ends - starts, points - starts
    length = np.maximum((along**2).sum(axis=1), 1e-12)
    share = np.clip((off * along).sum(axis=1) / length, 0, 1)
    return np.asarray(np.hypot(*(off - share[:, None] * along).T))


def vertebra_names(points: LevelPoints) -> tuple[str, ...]:
    """Names of the vertebrae above each disc of the chain, from the lowest disc upwards.

    Examples
    --------
    A chain of the discs L5/S1 and L4/L5 gives ``("L5", "L4")``.
    """
    return tuple(disc.name.split("/")[0] for disc in points.chain.discs)


def _name(points: LevelPoints, structure: Structure, centre: NDArray[np.float64]) -> str:
    discs = points.chain.discs
    centres = np.array([disc.centre for disc in discs])
    grid = points.surface.marked.grid_mm
    if structure is Structure.DISC:
        away = np.linalg.norm(centres - centre, axis=1) * grid
        nearest = int(np.argmin(away))
        return discs[nearest].name if away[nearest] < 12 else ""
    names = vertebra_names(points)
    bodies = [
        ((below + above) / 2, name) for below, above, name in zip(centres, centres[1:], names, strict=False)
    ]
    if len(centres) > 1:
        bodies.append((centres[-1] + (centres[-1] - centres[-2]) / 2, names[-1]))
    away = np.array([np.linalg.norm(body - centre) * grid for body, _ in bodies])
    return bodies[int(np.argmin(away))][1] if away.size and away.min() < 12 else ""


def _signed_area(line: NDArray[np.float64]) -> float:
    rows, columns = line[:, 0], line[:, 1]
    return float(rows @ np.roll(columns, 1) - columns @ np.roll(rows, 1)) / 2
