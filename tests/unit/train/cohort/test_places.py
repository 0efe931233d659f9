"""Where the levels of a cohort lie: names by the experts' marks, and offsets that are learnt from other studies."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("torch", reason="needs the extra 'train'")

from stenograde.grades import Point
from stenograde.terms import LUMBAR_MRI, Cell, Condition, Level
from stenograde.train.cohort.places import LEAST_STUDIES, Marks, learnt, renaming

CANAL = LUMBAR_MRI.of(Condition.SPINAL_CANAL_STENOSIS)
FORAMEN = LUMBAR_MRI.of(Condition.NEURAL_FORAMINAL_NARROWING)


def column(shift: int = 0, off_mm: float = 0.0, levels: int = 5) -> dict[Level, Point]:
    """Levels 35 mm apart, named by so many too low."""
    order = LUMBAR_MRI.levels
    return {
        order[place + shift]: (0.0, off_mm, -35.0 * place)
        for place in range(levels)
        if 0 <= place + shift < len(order)
    }


@pytest.mark.parametrize("shift", [-1, 0, 1])
@pytest.mark.parametrize("off_mm", [0.0, 6.0])
def test_levels_that_are_marked_as_the_next_one_are_renamed(shift: int, off_mm: float) -> None:
    assert renaming(column(), column(shift, off_mm)) == shift


def test_marks_that_are_few_or_far_rename_nothing() -> None:
    assert renaming(column(), column(1, levels=2)) == 0
    assert renaming(column(), column(1, off_mm=30.0)) == 0
    assert renaming(column(), {}) == 0


def studies(n: int, mean: tuple[float, float, float], cells: tuple[Cell, ...]) -> list[Marks]:
    rng = np.random.default_rng(0)
    return [[(cell, tuple(rng.normal(mean, 0.3).tolist())) for cell in cells] for _ in range(n)]


@pytest.mark.parametrize("cells", [CANAL, FORAMEN])
def test_what_readers_do_alike_is_learnt_and_measured_on_other_studies(cells: tuple[Cell, ...]) -> None:
    marks = studies(60, (3.0, -2.0, 1.0), cells)
    offsets, left = learnt(marks)
    for offset in offsets.by_place.values():
        assert offset == pytest.approx((3.0, -2.0, 1.0), abs=0.6)
    assert len(left) == 60 * len(cells)
    before = np.mean([np.linalg.norm(offset) for of_study in marks for _, offset in of_study])
    after = np.mean([np.linalg.norm(offset) for _, offset in left])
    assert before > 3.5
    assert after < 1.2


def test_few_studies_teach_nothing() -> None:
    offsets, left = learnt(studies(LEAST_STUDIES - 1, (3.0, 0.0, 0.0), CANAL))
    assert not offsets.by_place
    assert left == []
