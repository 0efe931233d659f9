"""Decides which series of a study the points found in one of them may be carried into (PS3.3 C.7.4.1)."""

from __future__ import annotations

from dataclasses import replace

from stenograde import geometry
from stenograde.grades import Point
from stenograde.levels.points import LevelPoints
from stenograde.study import Series, Study
from stenograde.terms import Plane, Unused

MARGIN_MM = 10.0
"""A volume shows a point up to this far outside it, mm: half the height of a vertebra, less some motion."""

LEAST_SHARE = 0.5
"""Share of the levels found that a sagittal series must show; an axial one may be of a single disc."""


def keep_reachable(study: Study, located: Series, points: LevelPoints) -> tuple[Study, tuple[str, ...]]:
    """Leave out the series that points must not be carried into.

    Points are carried into a series that states the frame of reference of the one they were found in. One that
    states another or none is assumed to share it while the spine lies in both; else it is left out.

    Parameters
    ----------
    study : Study
    located : Series
        The sagittal series that the points were found in.
    points : LevelPoints

    Returns
    -------
    study : Study
        Without the series left out, which are listed as unused.
    warnings : tuple of str
        What was assumed, and what was left out.
    """
    stations = [level.station for level in points.levels.values()]
    centres = [geometry.as_point(at) for at in points.surface.to_patient(points.canal.centre[stations])]
    assumed: list[Series] = []
    apart: dict[Series, str] = {}
    for one in study.series:
        if one.role is None or one is located or _shares_frame(one, located):
            continue
        n_shown = sum(_shows(one, at) for at in centres)
        if n_shown >= (min(1, len(centres)) if one.plane is Plane.AXIAL else LEAST_SHARE * len(centres)):
            assumed.append(one)
        else:
            apart[one] = (
                f"states no frame of reference in common with series {located.uid}, and shows {n_shown} of the "
                f"{len(centres)} levels found there"
            )
    kept = tuple(one for one in study.series if one not in apart)
    unused = (Unused(f"series {one.uid}", why) for one, why in apart.items())
    warnings = [
        f"{one.role and one.role.shown} is not graded: series {one.uid} {why}" for one, why in apart.items()
    ]
    if assumed:
        names = ", ".join(dict.fromkeys(one.role.shown for one in (located, *assumed) if one.role))
        warnings.append(
            f"series without a common frame of reference ({names}) are assumed to share one, and points are carried "
            "between them"
        )
    return replace(study, series=kept, unused=(*study.unused, *unused)), tuple(warnings)


def _shares_frame(one: Series, other: Series) -> bool:
    """Whether all volumes of two series state the same frame of reference."""
    stated = {volume.frame_of_reference_uid for series in (one, other) for volume in series.volumes}
    return len(stated) == 1 and None not in stated


def _shows(series: Series, point: Point) -> bool:
    return any(geometry.is_inside(one.affine, one.shape, point, MARGIN_MM) for one in series.volumes)
