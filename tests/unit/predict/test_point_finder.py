"""Points that a net found: where they lie in the patient, and which are believed."""

from __future__ import annotations

import numpy as np
import pytest

from stenograde.levels.crop import CropGrid
from stenograde.levels.point_views import PointView
from stenograde.predict.point_finder import N_ASKED, PointFinderEntry, asked_of, believed
from stenograde.predict.weight_files import WeightFile
from stenograde.terms import LUMBAR_MRI, Condition

FILE = WeightFile("points.onnx", "0" * 64)
FORAMINA = LUMBAR_MRI.of(Condition.NEURAL_FORAMINAL_NARROWING)


def test_each_cell_asks_for_its_condition_and_level() -> None:
    asked = asked_of(LUMBAR_MRI.cells)
    assert asked.shape == (25, N_ASKED)
    assert (asked.sum(axis=1) == 2).all()
    pairs = {(cell.condition, cell.level) for cell in LUMBAR_MRI.cells}
    assert len(np.unique(asked, axis=0)) == len(pairs) == 15
    left, right = FORAMINA[0], FORAMINA[5]
    assert left.level is right.level
    assert (asked_of([left]) == asked_of([right])).all()


def test_a_place_in_a_view_is_a_point_of_the_patient_unless_it_is_too_far() -> None:
    # slices to the right, rows to the feet, columns to the back
    steps = np.array([[-4.0, 0, 0], [0, 0, 1.2], [0, -1.2, 0]])
    view = PointView(
        np.zeros((5, 48, 48), np.float32), CropGrid(np.array([10.0, 20.0, 30.0]), steps, (5, 48, 48))
    )
    cells = FORAMINA[:2]
    expected = dict.fromkeys(cells, (10.0, 20.0, 30.0))
    far = {"neural_foraminal_narrowing": 5.0}
    found = believed(cells, [view, view], np.array([[1.0, 2.0, 3.0], [4.0, 4.0, 4.0]]), expected, far)
    assert found == {cells[0]: pytest.approx((9.0, 23.0, 28.0))}


@pytest.mark.parametrize("far", [{}, {"canal": 3.0}, {"spinal_canal_stenosis": 0.0}])
def test_a_finder_must_be_asked_for_conditions(far: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="far_mm must be above 0 for one condition or more"):
        PointFinderEntry(FILE, FILE, far)
