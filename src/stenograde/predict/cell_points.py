"""Where the cells of a study lie: by geometry, then where readers mark them, as far as a bundle has learnt that."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from stenograde.dicom.read.pixels import check_pixels
from stenograde.grades import Point
from stenograde.levels.cell_points import PointedLevel, points_of
from stenograde.levels.frames_of_reference import keep_reachable
from stenograde.levels.point_views import point_views
from stenograde.predict.bundle import Bundle
from stenograde.predict.foramina import measure_foramina
from stenograde.predict.locate import LocatedStudy
from stenograde.predict.point_finder import ASKED, CROPS, PLACES, asked_of, believed
from stenograde.predict.room_net import MeasuredCell
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


def settled_points(
    where: Mapping[Cell, Point], rooms: Mapping[Cell, MeasuredCell], bundle: Bundle
) -> dict[Cell, Point]:
    """Return where cells lie once rooms were measured: there, unless the bundle has learnt where readers mark them."""
    entry = bundle.table.grader
    if entry is not None and (entry.finder or entry.offsets.by_place):
        return dict(where)
    return {**where, **{cell: room.point for cell, room in rooms.items() if room.point is not None}}


def found_points(study: Study, located: LocatedStudy, bundle: Bundle) -> dict[Cell, Point]:
    """Return where the cells of a study lie, as it is graded.

    Raises
    ------
    UnreadableInstanceError
        If a slice that is needed cannot be decoded.
    BundleError
        If a net says what is no number.
    """
    study, _ = keep_reachable(check_pixels(study), located.series, located.points)
    where = cell_points(study, located.points.levels, bundle)
    entry = bundle.table.foramina
    if entry is None:
        return where
    return settled_points(where, measure_foramina(study, where, entry, bundle.foramina), bundle)
