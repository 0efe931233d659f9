"""``grade --cohort``: what stands beside it is refused, and what it wrote is told."""

from __future__ import annotations

from pathlib import Path

import pyarrow.parquet as pq
import pytest

from stenograde import default_bundle, grade_study, read_study
from stenograde.cli import main
from stenograde.terms import Severity


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["study"], "STUDIES must not be given with --cohort"),
        (["--all"], "--all must not be given with --cohort"),
        (["--dicom", "sr"], "--dicom must not be given with --cohort"),
        (["--no-demographics"], "--no-demographics must not be given with --cohort"),
        (["--engine", "spark"], "--engine must be one of local, ray, got 'spark'"),
    ],
)
def test_what_does_not_go_with_a_cohort_is_refused(tmp_path, capsys, words, told):
    manifest = tmp_path / "m.csv"
    manifest.write_text("source\nnowhere\n")

    assert main(["grade", "--cohort", str(manifest), "--out", str(tmp_path / "out"), *words]) == 2
    assert told in capsys.readouterr().err


def test_without_studies_and_without_a_cohort_nothing_is_done(tmp_path, capsys):
    assert main(["grade", "--out", str(tmp_path)]) == 2
    assert "STUDIES must name what is to be graded, or --cohort a manifest" in capsys.readouterr().err


def test_cells_are_those_of_the_library_and_studies_that_cannot_be_read_are_told(
    phantom_study: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    manifest = tmp_path / "m.csv"
    manifest.write_text(f"source,name\n{phantom_study},first\nnowhere,second\n")
    out = tmp_path / "out"

    assert main(["grade", "--cohort", str(manifest), "--out", str(out), "--workers", "1"]) == 2

    printed = capsys.readouterr().out
    assert "graded" in printed
    assert "not graded" in printed
    grades = grade_study(read_study(phantom_study), default_bundle())
    cells = pq.read_table(out / "cells").to_pylist()
    assert [(one["condition"], one["level"], one["side"]) for one in cells] == [
        (g.cell.condition.value, g.cell.level.shown, g.cell.side and g.cell.side.value) for g in grades.cells
    ]
    for one, grade in zip(cells, grades.cells, strict=True):
        if grade.probabilities is not None:
            said = [one[severity.value] for severity in Severity]
            assert said == pytest.approx(list(grade.probabilities), abs=2e-6)
    studies = pq.read_table(out / "studies").to_pylist()
    assert [(one["name"], one["outcome"]) for one in studies] == [
        ("first", "graded"),
        ("second", "not graded"),
    ]
    assert studies[1]["reason"].endswith("got second, which does not exist"), "its name stands for its place"
