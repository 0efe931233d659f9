"""A cohort is graded study by study, whole or with a series left out, and scored against what is true of it."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from stenograde.cli import main
from stenograde.datasets.rsna2024 import read_answered_studies
from stenograde.errors import DatasetError, StudyError
from stenograde.grades import (
    CellGrade,
    LevelPosition,
    Measurement,
    Probabilities,
    SecondOpinion,
    Status,
    StudyGrades,
)
from stenograde.grading import cohort
from stenograde.grading.cohort import grade_cohort, score_cohort, without_one
from stenograde.predict.bundle import Bundle, default_bundle
from stenograde.study import Study
from stenograde.terms import LUMBAR_MRI, Condition, Level, Quantity, Role

OFF_MM = np.array([3.0, 0.0, 4.0])


@pytest.fixture
def data(phantom_cohort: Path, tmp_path: Path) -> Path:
    """The phantom cohort with a table of what is true of its canals."""
    for path in phantom_cohort.iterdir():
        if path.suffix == ".csv" or path.is_dir():
            (tmp_path / path.name).symlink_to(path)
    study = next(read_answered_studies(tmp_path, notes=[]))
    truth = tmp_path / "truth.csv"
    truth.unlink(missing_ok=True)
    with truth.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        head = ("study_id", "level", "canal_x_mm", "canal_y_mm", "canal_z_mm", "sac_ap_mm", "sac_area_mm2")
        writer.writerow(head)
        for level in LUMBAR_MRI.levels:
            writer.writerow((study.name, level.value, *study.points[level], 12.0, 120.0))
    return tmp_path


def grades_of(study: Study, data: Path) -> StudyGrades:
    """Grades that are right about everything; L1/L2 is abstained from and L2/L3 is in dispute."""
    truth = next(read_answered_studies(data, notes=[]))
    cells = []
    for cell in LUMBAR_MRI.cells:
        p = [0.05, 0.05, 0.05]
        p[truth.severities[cell].rank] = 0.9
        opinion = SecondOpinion("a ruler", Probabilities((0.0, 0.0, 1.0)), 1.9, cell.level is Level.L2_L3)
        abstained = cell.level is Level.L1_L2
        cells.append(
            CellGrade(
                cell,
                Status.ABSTAINED if abstained else Status.GRADED,
                "a test" if abstained else "",
                Probabilities(p),
                second_opinion=opinion if cell.side is None else None,
            )
        )
    positions = tuple(
        LevelPosition(level, tuple(np.array(truth.points[level]) + OFF_MM), imaged=True, certain=True)
        for level in LUMBAR_MRI.levels
    )
    measurements = (
        Measurement(Quantity.CANAL_AP_DIAMETER, Level.L4_L5, 13.5, ()),
        Measurement(Quantity.CANAL_AP_DIAMETER, Level.L5_S1, 11.5, ()),
        Measurement(Quantity.DURAL_SAC_AREA, Level.L4_L5, 100.0, ()),
    )
    stamp = default_bundle().stamp
    return StudyGrades(study.uid, LUMBAR_MRI, stamp, (), positions, tuple(cells), measurements, (), (), 2.5)


@pytest.fixture
def graded_by(monkeypatch: pytest.MonkeyPatch, data: Path) -> list[Study]:
    """Studies that were handed to a grader that knows the truth."""
    seen: list[Study] = []

    def grade_study(study: Study, _: Bundle) -> StudyGrades:
        seen.append(study)
        return grades_of(study, data)

    monkeypatch.setattr(cohort, "grade_study", grade_study)
    return seen


def test_what_is_right_is_scored_so(data: Path, graded_by: list[Study]) -> None:
    graded = grade_cohort(data, default_bundle())
    scores = score_cohort(graded, draws=20)

    assert scores.n_studies == len(graded_by) == 1
    assert scores.score["score"].value == pytest.approx(-np.log(0.9), abs=0.08)
    assert scores.coverage == dict.fromkeys([one.value for one in Condition], 0.8)
    (study,) = graded
    for condition, shown in scores.agreement.items():
        cells = [cell for cell in study.severities if cell.condition == condition]
        right = [np.argmax(study.said[cell]) == study.severities[cell].rank for cell in cells]
        assert shown.value == pytest.approx(np.mean(right))
    assert scores.errors["level_point_mm"].value == pytest.approx(5.0)
    assert scores.errors["canal_ap_diameter"].value == pytest.approx(1.0)
    assert scores.errors["dural_sac_area"].value == pytest.approx(20.0)
    assert scores.flagged == 1.0
    assert scores.seconds == 2.5
    assert scores.failures == ()


def test_one_series_of_each_study_is_left_out(data: Path, graded_by: list[Study]) -> None:
    (one,) = grade_cohort(data, default_bundle(), leave_one_out=5)
    assert one.left_out is not None
    assert graded_by[0].by_role(one.left_out) is None
    assert sum(graded_by[0].by_role(role) is not None for role in Role) == 2


def test_every_role_is_left_out_now_and_then_and_the_last_never(data: Path) -> None:
    study = next(read_answered_studies(data, notes=[])).study
    drawn = [without_one(study, np.random.default_rng(seed)) for seed in range(30)]
    assert {role for _, role in drawn} == set(Role)
    alone = drawn[0][0]
    alone = without_one(alone, np.random.default_rng(0))[0]
    assert without_one(alone, np.random.default_rng(0)) == (alone, None)


def test_a_study_that_cannot_be_graded_counts_as_even_odds(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> StudyGrades:
        msg = "no spine can be seen"
        raise StudyError(msg)

    monkeypatch.setattr(cohort, "grade_study", refuse)
    scores = score_cohort(grade_cohort(data, default_bundle()), draws=5)
    assert scores.score[Condition.SUBARTICULAR_STENOSIS.value].value == pytest.approx(np.log(3))
    assert scores.failures[0].endswith(": no spine can be seen")
    assert np.isnan(scores.errors["level_point_mm"].value)


def test_a_study_that_cannot_be_read_is_told_beside_the_scores(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = cohort.read_answered_studies

    def with_a_note(data: Path, *, notes: list[str], progress: object = None):
        notes.append("7 was left out: its slices are coronal")
        yield from whole(data, notes=notes)

    monkeypatch.setattr(cohort, "read_answered_studies", with_a_note)
    scores = cohort.score_passes(data, default_bundle(), leave_one_out=False, draws=5, seed=0)
    assert scores["whole studies"].left_out == ("7 was left out: its slices are coronal",)


def test_a_cohort_without_labels_is_refused(data: Path) -> None:
    (data / "train.csv").unlink()
    (data / "train.csv").write_text("study_id," + ",".join(cell.name for cell in LUMBAR_MRI.cells) + "\n")
    with pytest.raises(DatasetError, match=r"must hold studies with labels, got none; .* was left out"):
        grade_cohort(data, default_bundle())


def test_the_command_prints_the_scores_as_tables_or_as_json(
    data: Path, graded_by: list[Study], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["score", str(data), "--leave-one-out", "--draws", "5"]) == 0
    printed = capsys.readouterr().out
    assert main(["score", str(data), "--draws", "5", "--json"]) == 0
    assert "whole studies: metric of RSNA 2024" in printed
    assert "one series left out" in printed
    numbers = json.loads(capsys.readouterr().out)
    assert numbers["whole studies"]["score"]["score"]["value"] == pytest.approx(0.105, abs=0.08)
    assert len(graded_by) == 3


def test_drafts_are_scored_and_counted_but_are_not_graded(
    data: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def grade_study(study: Study, _: Bundle) -> StudyGrades:
        grades = grades_of(study, data)
        cells = tuple(
            replace(grade, status=Status.DRAFT, reason="phantoms only") if grade.cell.side else grade
            for grade in grades.cells
        )
        return replace(grades, cells=cells)

    monkeypatch.setattr(cohort, "grade_study", grade_study)
    scores = score_cohort(grade_cohort(data, default_bundle()), draws=5)
    assert scores.drafts == 20
    foramina = Condition.NEURAL_FORAMINAL_NARROWING.value
    assert scores.coverage == {condition.value: 0.0 for condition in Condition} | {
        Condition.SPINAL_CANAL_STENOSIS.value: 0.8
    }
    assert scores.score[foramina].value < 0.5
    assert np.isnan(scores.graded_only[foramina].value)
    assert main(["score", str(data), "--draws", "5"]) == 0
    shown = capsys.readouterr().out
    assert "20 cells are drafts, which rest on phantoms alone" in shown
    assert "absent: no labelled cell was graded" in shown
    assert "nan" not in shown.lower()


def test_the_levels_share_is_that_of_other_studies_or_of_a_table(
    data: Path, graded_by: list[Study], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    alone = score_cohort(grade_cohort(data, default_bundle()), draws=5)
    assert alone.level_share == {}, "one study has no others beside it"
    assert alone.is_of_phantoms
    assert alone.cells == {"spinal_canal_stenosis": 5} | dict.fromkeys(
        ("neural_foraminal_narrowing", "subarticular_stenosis"), 10
    )
    shares = tmp_path / "shares.csv"
    head = ",".join(["study_id", *(cell.name for cell in LUMBAR_MRI.cells)])
    rows = (f"{k}," + ",".join([word] * 25) for k, word in enumerate(("Normal/Mild", "Moderate", "Severe")))
    shares.write_text("\n".join([head, *rows]) + "\n")
    assert main(["score", str(data), "--draws", "5", "--json", "--shares", str(shares)]) == 0
    numbers = json.loads(capsys.readouterr().out)["whole studies"]
    for condition in Condition:
        assert numbers["level_share"][condition.value]["value"] == pytest.approx(np.log(3))
