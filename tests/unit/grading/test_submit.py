"""A submission has every cell of every study; what could not be graded is filled, and that is said."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from tests.rsna_files import AXIAL_SERIES, SAGITTAL_SERIES, write_rsna

from stenograde.cli import main
from stenograde.datasets.submission import read_submission
from stenograde.errors import MissingSeriesError
from stenograde.grades import EVEN_ODDS, CellGrade, Probabilities, Status, StudyGrades
from stenograde.grading import submit
from stenograde.predict.bundle import Bundle, default_bundle
from stenograde.study import Study
from stenograde.terms import LUMBAR_MRI, Role, Severity

SAID = Probabilities((0.5, 0.3, 0.2))
ABSENT, ABSTAINED, DRAFT = LUMBAR_MRI.cells[2], LUMBAR_MRI.cells[3], LUMBAR_MRI.cells[20]
TABLE = "test_series_descriptions.csv"


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Test studies 8 and 9 in the layout of RSNA 2024."""
    write_rsna(tmp_path, {"8": "nnnnn", "9": "mmmmm"}, n_axial=3)
    (tmp_path / "train_images").rename(tmp_path / "test_images")
    (tmp_path / "train_series_descriptions.csv").rename(tmp_path / TABLE)
    return tmp_path


Grade = Callable[[Study, Bundle], StudyGrades]


@pytest.fixture
def graded_by(monkeypatch: pytest.MonkeyPatch) -> list[Study]:
    """Studies that were handed to a grader that does not find one cell, abstains from one, and drafts one."""
    seen: list[Study] = []

    def grade_study(study: Study, _: Bundle) -> StudyGrades:
        seen.append(study)
        of_cell = {
            ABSENT: CellGrade(ABSENT, Status.NOT_IMAGED, "no series shows it"),
            ABSTAINED: CellGrade(ABSTAINED, Status.ABSTAINED, "noisy", SAID),
            DRAFT: CellGrade(DRAFT, Status.DRAFT, "phantoms only", SAID),
        }
        cells = tuple(
            of_cell.get(cell, CellGrade(cell, Status.GRADED, "", SAID)) for cell in LUMBAR_MRI.cells
        )
        stamp = default_bundle().stamp
        return StudyGrades(study.uid, LUMBAR_MRI, stamp, (), (), cells, (), (), (), 1.0)

    monkeypatch.setattr(submit, "grade_study", grade_study)
    return seen


def refuse_second(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    """Let the grader fail on the second study."""
    grade_study, seen = submit.grade_study, []

    def refuse(study: Study, bundle: Bundle) -> StudyGrades:
        seen.append(study)
        if len(seen) == 2:
            raise error
        return grade_study(study, bundle)

    monkeypatch.setattr(submit, "grade_study", refuse)


def shares_table(path: Path) -> Path:
    """Labels of four studies: half of all cells moderate, and a quarter each of the others."""
    words = [Severity.NORMAL_MILD, Severity.MODERATE, Severity.MODERATE, Severity.SEVERE]
    head = ",".join(["study_id", *(cell.name for cell in LUMBAR_MRI.cells)])
    rows = [",".join([str(k), *[word.shown] * 25]) for k, word in enumerate(words)]
    path.write_text("\n".join([head, *rows]) + "\n", encoding="utf-8")
    return path


def test_every_cell_has_a_row_and_a_filled_one_is_told(
    data: Path, graded_by: list[Study], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "made" / "submission.csv"
    assert main(["submit", str(data), "--out", str(out)]) == 0
    captured = capsys.readouterr()
    assert captured.err.splitlines() == [
        f"stenograde: {name} {ABSENT.name}: filled with even odds: no series shows it" for name in "89"
    ]
    assert "2 of 2 studies graded, 2 of 50 cells filled with even odds" in captured.out
    assert {series.role for study in graded_by for series in study.series} == {
        Role.AXIAL_T2,
        Role.SAGITTAL_T2_STIR,
    }
    head, *rows = out.read_text(encoding="utf-8").splitlines()
    assert head == "row_id,normal_mild,moderate,severe"
    assert [row.partition(",")[0] for row in rows] == [
        f"{study}_{name}" for study in "89" for name in sorted(cell.name for cell in LUMBAR_MRI.cells)
    ]
    said = read_submission(out)
    for cells in said.values():
        assert cells.pop(ABSENT) == EVEN_ODDS
        assert set(cells.values()) == {SAID}, "drafts and abstained cells count with their probabilities"


def test_a_submission_is_scored_as_the_grades_are(
    data: Path, graded_by: list[Study], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "submission.csv"
    assert main(["submit", str(data), "--out", str(out)]) == 0
    asked = ["score", "--labels", str(data / "train.csv"), "--predictions", str(out), "--draws", "5"]
    assert main(asked) == 0
    # five canals of 8 are normal or mild, one of them even odds, and those of 9 moderate
    loss = (4 * np.log(1 / 0.5) + np.log(3) + 2 * (4 * np.log(1 / 0.3) + np.log(3))) / 15
    shown = capsys.readouterr().out
    assert f"{loss:.3f}" in next(line for line in shown.splitlines() if "spinal_canal" in line)
    assert "scored cells: 50, labelled cells without prediction: 0, predictions without label: 0" in shown


def test_the_share_of_the_level_stands_for_what_is_absent_and_is_weighted_too(
    data: Path, graded_by: list[Study], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, shares = tmp_path / "submission.csv", shares_table(tmp_path / "shares.csv")
    assert main(["submit", str(data), "--out", str(out), "--shares", str(shares)]) == 0
    assert "filled with the level's share: no series shows it" in capsys.readouterr().err
    assert read_submission(out)["8"][ABSENT] == pytest.approx((0.25, 0.5, 0.25))
    assert main(["submit", str(data), "--out", str(out), "--shares", str(shares), "--weighted"]) == 0
    said = read_submission(out)["8"]
    assert said[ABSENT] == pytest.approx((0.25 / 2.25, 1 / 2.25, 1 / 2.25))
    assert said[DRAFT] == pytest.approx((0.5 / 1.9, 0.6 / 1.9, 0.8 / 1.9))


def test_even_odds_stay_even_where_probabilities_are_weighted(
    data: Path, graded_by: list[Study], tmp_path: Path
) -> None:
    out = tmp_path / "submission.csv"
    assert main(["submit", str(data), "--out", str(out), "--weighted"]) == 0
    assert read_submission(out)["9"][ABSENT] == EVEN_ODDS


def test_a_study_that_cannot_be_graded_or_is_not_there_is_filled(
    data: Path,
    graded_by: list[Study],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    with (data / TABLE).open("a", encoding="utf-8") as file:
        file.write("10,5,Axial T2\n")
    refuse_second(monkeypatch, MissingSeriesError("a study must have a sagittal series, got none"))
    out = tmp_path / "submission.csv"
    assert main(["submit", str(data), "--out", str(out)]) == 0
    captured = capsys.readouterr()
    assert f"10: filled with even odds: {TABLE} names it, and it has no folder" in captured.err
    assert "9: filled with even odds: a study must have a sagittal series, got none" in captured.err
    assert "1 of 3 studies graded, 51 of 75 cells filled" in captured.out
    said = read_submission(out)
    assert list(said) == ["10", "8", "9"]
    assert set(said["10"].values()) == set(said["9"].values()) == {EVEN_ODDS}


def test_a_fault_of_ours_fills_the_study_and_ends_with_1(
    data: Path,
    graded_by: list[Study],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    refuse_second(monkeypatch, KeyError("DOE^JANE"))
    out = tmp_path / "submission.csv"
    assert main(["submit", str(data), "--out", str(out)]) == 1
    shown = capsys.readouterr().err
    assert "9: filled with even odds: a fault of ours: KeyError" in shown
    assert "DOE" not in shown
    assert sum(map(len, read_submission(out).values())) == 50


def test_roles_that_do_not_fit_are_inferred_and_that_is_said(
    data: Path, graded_by: list[Study], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = data / TABLE
    table.write_text(
        table.read_text(encoding="utf-8").replace(
            f"8,{AXIAL_SERIES},Axial T2", f"8,{AXIAL_SERIES},Sagittal T1"
        ),
        encoding="utf-8",
    )
    assert main(["submit", str(data), "--out", str(tmp_path / "submission.csv")]) == 0
    assert "8: roles are inferred, as the table's do not fit: " in capsys.readouterr().err
    assert {series.role for series in graded_by[0].series} == {Role.AXIAL_T2, Role.SAGITTAL_T2_STIR}


def test_any_folders_are_studies_and_their_names_are_not_printed(
    data: Path, graded_by: list[Study], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, out = tmp_path / "patients", tmp_path / "submission.csv"
    for old, new in (("8", "DOE JANE"), ("9", "ROE RICHARD")):
        shutil.copytree(data / "test_images" / old, folder / new)
    assert main(["submit", str(folder), "--out", str(out)]) == 0
    assert list(read_submission(out)) == ["DOE JANE", "ROE RICHARD"]
    captured = capsys.readouterr()
    assert f"study 2 of 2 {ABSENT.name}: filled" in captured.err
    assert "DOE" not in captured.err + captured.out


def test_series_are_not_taken_for_studies(
    data: Path, graded_by: list[Study], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "submission.csv"
    assert main(["submit", str(data / "test_images" / "8"), "--out", str(out)]) == 2
    assert "must hold one folder for each study, got 2 folders of one study" in capsys.readouterr().err
    assert not out.exists()


def test_nothing_is_written_where_nothing_could_be_graded(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for study in "89":
        shutil.rmtree(data / "test_images" / study / str(SAGITTAL_SERIES))
    out = tmp_path / "submission.csv"
    out.write_text("kept", encoding="utf-8")
    assert main(["submit", str(data), "--out", str(out)]) == 2
    last = capsys.readouterr().err.splitlines()[-1]
    assert "must hold studies that can be graded, got none of 2, the first of them: " in last
    assert out.read_text(encoding="utf-8") == "kept"


def test_a_folder_is_no_file_to_write(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["submit", "anything", "--out", str(tmp_path)]) == 2
    assert "--out must be a file, got the folder" in capsys.readouterr().err


def test_a_phantom_is_submitted_with_what_the_shipped_bundle_says_of_it(
    phantom_cohort: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    grade_study, made = submit.grade_study, []
    monkeypatch.setattr(submit, "grade_study", lambda *given: made.append(grade_study(*given)) or made[-1])
    out = tmp_path / "submission.csv"
    assert main(["submit", str(phantom_cohort), "--out", str(out)]) == 0
    (said,), (grades,) = read_submission(out).values(), made
    assert said.keys() == set(LUMBAR_MRI.cells)
    for cell, three in said.items():
        assert three == pytest.approx(grades.of(cell).probabilities or EVEN_ODDS, abs=1e-12)
