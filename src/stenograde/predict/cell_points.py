"""Where the cells of a study lie: by geometry, then where readers mark them, as far as a bundle has learnt that."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from stenograde.grades import Point
from stenograde.levels.cell_points import PointedLevel, points_of
from stenograde.levels.point_views import point_views
from stenograde.predict.bundle import Bundle
from stenograde.predict.point_finder import ASKED, CROPS, PLACES, asked_of, believed
from stenograde.predict.weight_files import check_said
from stenograde.study import Study
from stenograde.terms import Cell, Level


def cell_points(study: Study, levels: Mapping[Level, PointedLevel], bundle: Bundle) -> dict[Cell, Point]:
    """Return where each cell of the levels lies.

    Raises
    ------
    UnreadableInstanceError
        If a slice that is needed cannot be decoded.
    BundleError
        If the point finder says what is no number.
    """
    entry = bundle.table.grader
    if entry is None:
        return points_of(levels)
    expected = entry.offsets.points_of(levels)
    if entry.finder is None:
        return expected
    views = point_views(study, levels, entry.finder.crops)
    cells = [cell for cell in views if cell.condition in entry.finder.far_mm]
    if not cells:
        return expected
    fed = {CROPS: np.stack([views[cell].values for cell in cells]), ASKED: asked_of(cells)}
    (places_mm,) = bundle.point_finder.run([PLACES], fed)
    check_said(entry.finder.onnx, places_mm)
    return expected | believed(
        cells, [views[cell] for cell in cells], places_mm, expected, entry.finder.far_mm
    )
