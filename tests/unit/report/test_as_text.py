"""The findings as text: a line per level that can be pasted into a report, without drafts."""

from __future__ import annotations

import dataclasses
from datetime import date

from tests.golden.report.example import example_grades

from stenograde.grades import CellGrade, LevelPosition, Probabilities, Status
from stenograde.report.as_text import as_text
from stenograde.study import Examination
from stenograde.terms import LUMBAR_MRI


def test_text_has_a_line_for_each_level_from_head_to_feet() -> None:
    lines = as_text(
        example_grades(), Examination(day=date(2024, 5, 6)), made_on=date(2025, 1, 2)
    ).splitlines()
    assert lines[0].startswith("Lumbar spine of 2024-05-06: stenosis grades by computer. Research use only")
    assert lines[1] == "Levels counted upward from the sacrum, taking five lumbar vertebrae for granted."
    assert [line.partition(":")[0] for line in lines[2:7]] == [level.shown for level in LUMBAR_MRI.levels]
    measured, _, disc = lines[4].partition("; disc: ")
    assert measured == "L3/L4: canal Normal/Mild or moderate (82 %); canal AP diameter 11.4 mm"
    assert disc == "no finding, uncertain: narrowing, Pfirrmann grade about 3."
    measured, _, disc = lines[5].partition("; disc: ")
    assert measured == "L4/L5: canal Severe (83 %); canal AP diameter 7.8 mm; dural sac area 61.4 mm²"
    assert disc == "narrowing 93 %, Pfirrmann grade 5."
    assert "disc:" not in lines[6], "nothing is said of a disc that was not seen"
    assert lines[7] == "Foraminal narrowing and subarticular stenosis not graded."
    assert lines[8] == "Graded on 2025-01-02 by lumbar-1 0.1.0 (9f2c4b7a9f2c)."


def test_text_when_cells_are_drafts_then_it_does_not_tell_what_they_say() -> None:
    shares = Probabilities((0.0, 0.0, 1.0))
    cells = tuple(
        CellGrade(grade.cell, Status.DRAFT, "phantoms only", shares) if grade.cell.side else grade
        for grade in example_grades().cells
    )
    text = as_text(dataclasses.replace(example_grades(), cells=cells))
    assert "foramen" not in text
    assert "drafts only, not shown to hold on patients" in text
    assert text.count("Severe") == 1


def test_text_when_levels_are_in_doubt_not_imaged_or_abstained_from_then_it_says_so() -> None:
    grades = example_grades()
    cells = list(grades.cells)
    cells[0] = CellGrade(cells[0].cell, Status.ABSTAINED, "a doubt")
    cells = [
        CellGrade(one.cell, Status.NOT_IMAGED, "outside") if one.cell.level is LUMBAR_MRI.levels[1] else one
        for one in cells
    ]
    levels = tuple(LevelPosition(one.level, one.point, one.imaged, certain=False) for one in grades.levels)
    text = as_text(dataclasses.replace(grades, cells=tuple(cells), levels=levels))
    assert "Level names uncertain: all levels." in text
    assert "L1/L2: canal not graded (abstained); canal AP diameter 16.2 mm;" in text
    assert "L2/L3: not imaged;" in text
