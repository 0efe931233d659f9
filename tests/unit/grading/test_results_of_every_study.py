"""Objects of phantoms of every habit and every pattern of series: right by other tools, and equal to grades.json."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import pytest
from pydicom import dcmread
from tests.fhir_r4 import fhir_errors
from tests.phantom_patterns import HABITS, NOT_GRADED, PATIENT, PATTERNS, write_pattern
from tests.result_checks import MADE_AT, check_everything, check_references, grade_and_write, instances_in
from tests.sr_tree import said_in, strays, whole_in
from tests.written_objects import dciodvfy, dsrdump

from stenograde import default_bundle, read_study
from stenograde.dicom.write.kinds import ResultKind
from stenograde.errors import MissingSeriesError
from stenograde.grading.study import Grading, grade_into, reason_told

FEW = [
    ("plain", "usual"),
    ("siemens", "all multi-frame"),
    ("ge", "T2 alone"),
    ("as in RSNA 2024", "lost slice"),
]
OTHERS = [pair for pair in itertools.product(HABITS, PATTERNS) if pair not in FEW]


def check(folder: Path, habit: str, pattern: str) -> None:
    one = grade_and_write(write_pattern(folder / "phantom", habit, pattern), folder / "out")
    check_everything(one)
    names = {str(one.object(name).PatientName) for name in one.names}
    assert names == {"" if "RSNA" in habit else PATIENT}


@pytest.mark.parametrize(("habit", "pattern"), FEW)
def test_objects_are_right_and_say_what_grades_json_says(tmp_path: Path, habit: str, pattern: str) -> None:
    check(tmp_path, habit, pattern)


@pytest.mark.slow
@pytest.mark.parametrize(("habit", "pattern"), OTHERS)
def test_objects_of_every_other_habit_and_pattern_are_right_too(
    tmp_path: Path, habit: str, pattern: str
) -> None:
    check(tmp_path, habit, pattern)


@pytest.mark.parametrize(("habit", "pattern"), list(itertools.product(HABITS, NOT_GRADED)))
def test_a_study_that_cannot_be_graded_has_a_report_that_is_right(
    tmp_path: Path, habit: str, pattern: str
) -> None:
    source = write_pattern(tmp_path / "phantom", habit, pattern)
    grading = Grading(default_bundle(), dicom=tuple(ResultKind), fhir=True, clock=lambda: MADE_AT)

    def grade() -> None:
        with reason_told(lambda _: tmp_path / "out", source, grading):
            grade_into(tmp_path / "out", read_study(source), grading, source=source)

    with pytest.raises(MissingSeriesError, match="sagittal T2"):
        grade()
    path = tmp_path / "out/sr.dcm"
    assert sorted(one.name for one in (tmp_path / "out").iterdir()) == ["fhir.json", "sr.dcm"]
    assert dciodvfy(path) == []
    assert dsrdump(path) == []
    ds = dcmread(path)
    assert list(strays(ds)) == []
    check_references(instances_in(source), ds)
    assert said_in(whole_in(ds))["OUTCOME"] == "STUDY-NOT-GRADED"
    assert fhir_errors(json.loads((tmp_path / "out/fhir.json").read_text("utf-8"))) == []
