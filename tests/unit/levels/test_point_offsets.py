"""Where readers mark points beside ours."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from stenograde.levels.point_offsets import STEADY, PointOffsets, fit_offsets, offset_of
from stenograde.terms import LUMBAR_MRI, Cell, Condition, Level, Side

COORDINATE = st.floats(-200, 200)
CELL = st.sampled_from(LUMBAR_MRI.cells)


@given(
    CELL,
    st.tuples(COORDINATE, COORDINATE, COORDINATE),
    st.tuples(*[st.floats(-9, 9)] * 3),
    st.integers(0, 99),
)
def test_a_point_moved_by_its_offset_is_the_mark(
    cell: Cell, point: tuple[float, float, float], offset: tuple[float, float, float], seed: int
) -> None:
    axes = Rotation.random(random_state=seed).as_matrix()
    offsets = PointOffsets({f"{cell.condition.value}_{cell.level.value}": offset})
    mark = offsets.moved(point, cell.condition, cell.level, cell.side, axes)
    assert offset_of(mark, point, cell.side, axes) == pytest.approx(offset, abs=1e-9)
    others = PointOffsets().moved(point, cell.condition, cell.level, cell.side, axes)
    assert others == point


def test_both_sides_are_moved_away_from_the_midline() -> None:
    offsets = PointOffsets({"neural_foraminal_narrowing_l4_l5": (2.0, 0.0, 0.0)})
    where = (Condition.NEURAL_FORAMINAL_NARROWING, Level.L4_L5)
    assert offsets.moved((15, 0, 0), *where, Side.LEFT, np.eye(3))[0] == 17
    assert offsets.moved((-15, 0, 0), *where, Side.RIGHT, np.eye(3))[0] == -17


def test_few_marks_move_little_and_one_wrong_mark_nothing() -> None:
    cell = LUMBAR_MRI.cells[3]
    many = [(cell, (1.0, -2.0, 3.0))] * 90 + [(cell, (80.0, 80.0, 80.0))]
    (found,) = fit_offsets(many).by_place.values()
    assert found == pytest.approx(np.array([1.0, -2.0, 3.0]) * 91 / (91 + STEADY))
    (few,) = fit_offsets(many[:1]).by_place.values()
    assert np.abs(few).max() < 0.3


@pytest.mark.parametrize(
    "wrong", [{"canal": (0.0, 0.0, 0.0)}, {"spinal_canal_stenosis_l4_l5": (0.0, np.nan, 0.0)}]
)
def test_offsets_must_be_numbers_of_places(wrong: dict[str, tuple[float, ...]]) -> None:
    with pytest.raises(ValueError, match="offsets must be three numbers for a condition and a level"):
        PointOffsets(wrong)
