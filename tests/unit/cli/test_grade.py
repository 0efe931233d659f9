"""What ``stenograde grade`` writes where, and what it says when a study cannot be graded."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import stenograde.datasets.study_files  # noqa: F401  (imported here, or it would keep a reader that a test puts in place)
from stenograde.cli import main
from stenograde.cli.grade import workers_for
from stenograde.errors import BundleError, NoStudyError, UnreadableInstanceError
from stenograde.grades import BundleStamp, CellGrade, LevelPosition, Probabilities, Status, StudyGrades
from stenograde.study import Examination, Study
from stenograde.terms import LUMBAR_MRI, Condition, Level, Side
from stenograde.workers import Step

PROBABILITIES = {Level.L3_L4: (0.1, 0.8, 0.1), Level.L4_L5: (0.0, 0.1, 0.9)}


def grades_of(study: Study) -> StudyGrades:
    cells = tuple(
        CellGrade(
            cell, Status.GRADED, probabilities=Probabilities(PROBABILITIES.get(cell.level, (0.9, 0.1, 0.0)))
        )
        if cell.condition is Condition.SPINAL_CANAL_STENOSIS
        else CellGrade(cell, Status.NOT_GRADED, "not graded by this bundle")
        for cell in LUMBAR_MRI.cells
    )
    stamp = BundleStamp("test", "0", "0")
    return StudyGrades(study.uid, LUMBAR_MRI, stamp, (), (), cells, (), (), (), 1.5)


@pytest.fixture
def grade(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., int]:
    """Run the command on inputs named after what reading or grading them does."""

    def read_study(path: Path, **_: object) -> Study:
        if path.name == "none":
            msg = f"study must hold DICOM files, got none ({path.name})"
            raise NoStudyError(msg)
        if path.name == "fault":
            raise ZeroDivisionError
        return Study(
            path.name, (), examination=Examination(date(2024, 5, 6), "57 years", "female", "Siemens")
        )

    def grade_study(study: Study, _: object) -> StudyGrades:
        if study.uid == "unreadable":
            msg = "instance 1.2 must be decodable, got a truncated one"
            raise UnreadableInstanceError(msg)
        return grades_of(study)

    def as_html(
        grades: StudyGrades, study: Study, *, reference: object, made_on: date, open_drafts: bool
    ) -> str:
        if grades.study_uid == "unshowable":
            raise IndexError
        told = f"{study.examination} drafts {'open' if open_drafts else 'folded'} {made_on.isoformat()}"
        return f"<title>{grades.study_uid}</title>{reference or ''}{told}"

    monkeypatch.setattr("stenograde.dicom.read.studies.read_study", read_study)
    monkeypatch.setattr(
        "stenograde.dicom.read.studies.read_studies", lambda path, **_: (Study("1.1", ()), read_study(path))
    )
    monkeypatch.setattr("stenograde.grading.study.grade_study", grade_study)
    monkeypatch.setattr("stenograde.report.as_html.as_html", as_html)
    monkeypatch.setattr(
        "stenograde.predict.bundle.default_bundle", lambda: SimpleNamespace(open_ahead=lambda: None)
    )
    return lambda *arguments: main(["grade", *arguments, "--out", str(tmp_path / "out")])


def written(tmp_path: Path) -> set[str]:
    out = tmp_path / "out"
    return {path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_file()}


def test_one_study_when_graded_then_its_files_lie_directly_in_out(
    grade: Callable[..., int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert grade("1.2.3") == 0
    assert written(tmp_path) == {"grades.json", "report.html"}
    assert json.loads((tmp_path / "out/grades.json").read_text(encoding="utf-8"))["study_uid"] == "1.2.3"
    shown = capsys.readouterr()
    assert "L4/L5 Severe, L3/L4 Moderate" in shown.out
    assert str(tmp_path / "out" / "report.html") in shown.out
    assert shown.err == ""


@pytest.mark.parametrize("certain", [True, False])
def test_names_of_levels_when_uncertain_then_it_is_said_for_one_study_and_for_many(
    grade: Callable[..., int],
    certain: bool,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    levels = tuple(LevelPosition(level, (0.0, 0.0, 0.0), True, certain) for level in LUMBAR_MRI.levels)
    monkeypatch.setattr(
        "stenograde.grading.study.grade_study",
        lambda study, _: dataclasses.replace(grades_of(study), levels=levels),
    )
    assert grade("1.2.3") == 0
    assert ("names uncertain" in capsys.readouterr().out) != certain
    assert grade("1.2.3", "1.2.4") == 0
    assert (" ".join(capsys.readouterr().out.split()).count("names of") == 2) != certain


def test_one_study_when_sides_are_graded_then_they_are_told_by_side(
    grade: Callable[..., int], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def all_cells(study: Study, _: object) -> StudyGrades:
        cells = []
        for one in grades_of(study).cells:
            if one.cell.condition is Condition.NEURAL_FORAMINAL_NARROWING:
                severe = (one.cell.level, one.cell.side) == (Level.L5_S1, Side.LEFT)
                shares = (0.0, 0.1, 0.9) if severe else (0.8, 0.1, 0.1)
                one = CellGrade(one.cell, Status.GRADED, probabilities=Probabilities(shares))  # noqa: PLW2901
            elif one.cell.condition is Condition.SUBARTICULAR_STENOSIS:
                one = CellGrade(one.cell, Status.ABSTAINED, "no axial series")  # noqa: PLW2901
            cells.append(one)
        return dataclasses.replace(grades_of(study), cells=tuple(cells))

    monkeypatch.setattr("stenograde.grading.study.grade_study", all_cells)
    assert grade("1.2.3") == 0
    shown = capsys.readouterr().out
    assert "foramina: L5/S1 left Severe\n" in shown
    assert "recesses: no level graded\n" in shown


def test_one_study_when_graded_again_then_its_files_are_replaced(
    grade: Callable[..., int], tmp_path: Path
) -> None:
    assert grade("1.2.3") == 0
    assert grade("4.5.6") == 0
    assert "4.5.6" in (tmp_path / "out/report.html").read_text(encoding="utf-8")
    assert written(tmp_path) == {"grades.json", "report.html"}


@pytest.mark.parametrize(
    ("name", "code", "line"),
    [
        ("none", 2, "stenograde: study must hold DICOM files, got none (none)\n"),
        ("unreadable", 2, "stenograde: instance 1.2 must be decodable, got a truncated one\n"),
        ("fault", 1, "stenograde: a fault of ours: ZeroDivisionError in cli/grade.py"),
        ("unshowable", 1, "stenograde: a fault of ours: IndexError in grading/study.py"),
    ],
)
def test_one_study_when_it_fails_then_nothing_is_written_and_one_line_says_why(
    name: str,
    code: int,
    line: str,
    grade: Callable[..., int],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert grade(name) == code
    shown = capsys.readouterr()
    assert shown.err.startswith(line)
    assert shown.err.count("\n") == 1
    assert shown.out == ""
    assert written(tmp_path) == set()


@pytest.mark.parametrize(
    ("names", "code"),
    [
        (["1.2", "1.3"], 0),
        (["1.2", "none", "1.3", "unreadable"], 2),
        (["1.2", "none", "fault", "1.3"], 1),
        (["none", "unreadable"], 2),
    ],
)
def test_several_studies_when_some_fail_then_the_others_are_graded_in_their_own_folders(
    names: list[str],
    code: int,
    grade: Callable[..., int],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert grade(*names, "--workers", "1") == code
    good = [name for name in names if name.startswith("1.")]
    assert written(tmp_path) == {f"{name}/{file}" for name in good for file in ("grades.json", "report.html")}
    shown = capsys.readouterr()
    assert f"{len(good)} of {len(names)} studies graded" in shown.out
    assert shown.err.count("\n") == len(names) - len(good), "one line for each that failed"
    for name in names:
        assert name in shown.out


def test_two_inputs_with_one_study_uid_when_graded_then_neither_overwrites_the_other(
    grade: Callable[..., int], tmp_path: Path
) -> None:
    assert grade("a/1.2", "b/1.2") == 0
    assert {path.split("/")[0] for path in written(tmp_path)} == {"1.2", "1.2-2"}


def test_all_studies_of_a_folder_when_asked_for_then_each_has_its_own_folder(
    grade: Callable[..., int], tmp_path: Path
) -> None:
    assert grade("1.2", "--all") == 0
    assert {path.split("/")[0] for path in written(tmp_path)} == {"1.1", "1.2"}


def test_a_study_and_all_when_both_asked_for_then_that_is_refused(
    grade: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    assert grade("1.2", "--all", "--study", "1.2") == 2
    assert "--study and --all must not be given together" in capsys.readouterr().err


def test_a_bundle_that_cannot_be_loaded_when_several_are_to_be_graded_then_none_is_tried(
    grade: Callable[..., int], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def load(_: Any) -> None:
        msg = "a bundle must be a folder with bundle.toml, got none"
        raise BundleError(msg)

    monkeypatch.setattr("stenograde.predict.bundle.load_bundle", load)
    assert grade("1.2", "1.3", "--bundle", "none") == 2
    assert capsys.readouterr().err == "stenograde: a bundle must be a folder with bundle.toml, got none\n"


def test_out_when_it_is_a_file_then_it_is_refused_and_kept(
    grade: Callable[..., int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "out").write_text("kept", encoding="utf-8")
    assert grade("1.2") == 2
    assert capsys.readouterr().err.startswith("stenograde: --out must be a folder, got the file")
    assert (tmp_path / "out").read_text(encoding="utf-8") == "kept"


def reference(tmp_path: Path, *studies: str) -> str:
    """A table as RSNA 2024 has it: L4/L5 severe, L2/L3 of the left foramen without an answer, the rest mild."""
    table = tmp_path / "train.csv"
    words = {"spinal_canal_stenosis_l4_l5": "Severe", "left_neural_foraminal_narrowing_l2_l3": ""}
    row = ",".join(words.get(cell.name, "Normal/Mild") for cell in LUMBAR_MRI.cells)
    lines = [f"{study},{row}" for study in studies]
    table.write_text("\n".join(["study_id," + ",".join(c.name for c in LUMBAR_MRI.cells), *lines]) + "\n")
    return str(table)


def test_reference_when_given_then_it_stands_beside_the_grades(
    grade: Callable[..., int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert grade("1.2.3", "--reference", reference(tmp_path, "7", "1.2.3")) == 0
    page = (tmp_path / "out/report.html").read_text(encoding="utf-8")
    assert page.count("Severity.SEVERE") == 1
    said = capsys.readouterr().out
    # 24 cells have an answer, five of them a grade; that of L3/L4 is Moderate
    assert "4 of 5 graded cells are as the reference says; 19 more have no grade." in said
    assert "L3/L4 canal stenosis (Moderate, reference Normal/Mild)" in said


def test_reference_when_it_lacks_a_study_then_that_is_said_and_the_study_is_graded(
    grade: Callable[..., int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert grade("1.2.3", "--reference", reference(tmp_path, "7")) == 0
    shown = capsys.readouterr()
    assert "1.2.3: the reference must have a row for it, got none" in shown.err
    assert "beside" not in shown.out


def test_reference_when_it_holds_an_unknown_word_then_nothing_is_graded(
    grade: Callable[..., int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = Path(reference(tmp_path, "1.2.3"))
    table.write_text(table.read_text().replace("Severe", "Awful"))
    assert grade("1.2.3", "--reference", str(table)) == 2
    assert "got 'awful'" in capsys.readouterr().err
    assert not written(tmp_path)


def test_refused_when_an_earlier_result_is_there_then_it_no_longer_passes_for_a_new_one(
    grade: Callable[..., int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert grade("good") == 0
    capsys.readouterr()
    for name in ("none", "unreadable", "unshowable"):
        assert grade(name) in (1, 2)
        told = capsys.readouterr().err
        assert told.count("\n") == 1
        assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
            "earlier-grades.json",
            "earlier-report.html",
        ]
    assert json.loads((tmp_path / "out/earlier-grades.json").read_text(encoding="utf-8"))


@pytest.fixture
def drafted(monkeypatch: pytest.MonkeyPatch, grade: Callable[..., int]) -> Callable[..., int]:
    """Run the command with a bundle whose foramina are drafts; the left one of L5/S1 says Severe."""

    def grade_study(study: Study, _: object) -> StudyGrades:
        cells = list(grades_of(study).cells)
        for place, one in enumerate(cells):
            if one.cell.condition is Condition.NEURAL_FORAMINAL_NARROWING:
                severe = (one.cell.level, one.cell.side) == (Level.L5_S1, Side.LEFT)
                shares = Probabilities((0.0, 0.1, 0.9) if severe else (0.8, 0.1, 0.1))
                cells[place] = CellGrade(one.cell, Status.DRAFT, "phantoms only", shares)
        return dataclasses.replace(grades_of(study), cells=tuple(cells))

    monkeypatch.setattr("stenograde.grading.study.grade_study", grade_study)
    return grade


def test_drafts_when_not_asked_for_then_they_are_folded_and_not_printed(
    drafted: Callable[..., int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert drafted("1.2.3") == 0
    shown = capsys.readouterr().out
    assert "foramina" not in shown
    assert "drafts: folded in the report, not to be relied on; --drafts shows them\n" in shown
    assert "drafts folded" in (tmp_path / "out/report.html").read_text(encoding="utf-8")
    cells = json.loads((tmp_path / "out/grades.json").read_text(encoding="utf-8"))["cells"]
    assert {cell["status"] for cell in cells} == {"graded", "draft", "not_graded"}


def test_drafts_when_asked_for_then_they_are_open_and_printed_apart(
    drafted: Callable[..., int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert drafted("1.2.3", "--drafts", "--reference", reference(tmp_path, "1.2.3")) == 0
    shown = capsys.readouterr().out
    assert "drafts, not to be relied on:\n  foramina: L5/S1 left Severe\n" in shown
    # of ten foramina one has no answer, and one differs
    assert "drafts beside it: 8 of 9 drafts are as the reference says." in shown
    assert "drafts open" in (tmp_path / "out/report.html").read_text(encoding="utf-8")


def test_demographics_when_not_wanted_then_the_report_is_made_without_them(
    grade: Callable[..., int], tmp_path: Path
) -> None:
    assert grade("1.2.3") == 0
    page = (tmp_path / "out/report.html").read_text(encoding="utf-8")
    assert "57 years" in page
    assert date.today().isoformat() in page
    assert grade("1.2.3", "--no-demographics") == 0
    page = (tmp_path / "out/report.html").read_text(encoding="utf-8")
    assert not any(told in page for told in ("57 years", "female", "2024, 5, 6"))
    assert "Siemens" in page


def test_one_study_when_no_severity_is_sure_then_the_printed_line_claims_none(
    grade: Callable[..., int], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(PROBABILITIES, Level.L4_L5, (0.3, 0.31, 0.39))
    monkeypatch.setitem(PROBABILITIES, Level.L3_L4, (0.05, 0.56, 0.39))
    assert grade("1.2.3") == 0
    assert "canal:  L3/L4 Moderate or severe, L4/L5 Uncertain\n" in capsys.readouterr().out


def test_one_study_when_graded_on_a_terminal_then_its_progress_is_shown(
    grade: Callable[..., int], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    steps: list[Step] = []

    @contextmanager
    def shown(*, lines: bool) -> Iterator[Callable[[Step], None]]:
        assert not lines
        yield steps.append

    monkeypatch.setattr("stenograde.cli.progress.progress_on_stderr", shown)
    assert grade("1.2.3") == 0
    assert [(step.what, step.done) for step in steps] == [
        ("reading the study", 0),
        ("reading the study", 1),
        ("grading it", 0),
        ("grading it", 1),
    ]
    assert capsys.readouterr().err == ""


def test_kinds_of_dicom_objects_that_are_none_are_refused_before_anything_is_read(
    grade: Callable[..., int], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert grade(str(tmp_path / "1.2"), "--dicom", "sr,docx") == 2
    assert "--dicom must name kinds of sr" in capsys.readouterr().err
    assert written(tmp_path) == set()


def test_fhir_is_written_and_named_when_it_is_asked_for(
    grade: Callable[..., int], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert grade(str(tmp_path / "1.2"), "--fhir") == 0
    assert written(tmp_path) == {"grades.json", "report.html", "fhir.json"}
    assert f"json:   {tmp_path / 'out/fhir.json'}" in capsys.readouterr().out
    assert json.loads((tmp_path / "out/fhir.json").read_text(encoding="utf-8"))["resourceType"] == "Bundle"


def test_asking_for_nothing_of_dicom_imports_nothing_of_it() -> None:
    code = "import stenograde.cli.grade, stenograde.grading.study, sys; print('pydicom' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


def test_several_studies_by_workers_have_the_files_and_grades_that_one_process_gives_them(
    phantom_study: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "empty").mkdir()
    inputs = [str(phantom_study), str(tmp_path / "empty"), str(phantom_study)]
    said = {}
    for workers in ("1", "2"):
        out = tmp_path / workers
        assert main(["grade", *inputs, "--fhir", "--out", str(out), "--workers", workers]) == 2
        shown = capfd.readouterr()
        assert "2 of 3 studies graded" in shown.out
        assert shown.err.count("\n") == 1
        assert "empty" in shown.err
        documents = {
            path.relative_to(out).as_posix(): json.loads(path.read_text(encoding="utf-8"))
            for path in out.rglob("grades.json")
        }
        said[workers] = {name: grades | {"seconds": None} for name, grades in documents.items()}
        assert {path.name for path in out.rglob("*.*") if path.is_file()} == {
            "grades.json",
            "report.html",
            "fhir.json",
        }
    assert len(said["1"]) == 2
    assert said["1"] == said["2"]


@pytest.mark.parametrize(
    ("n_inputs", "asked", "cores", "expected"),
    [(1, 0, 8, 1), (3, 0, 8, 1), (4, 0, 8, 2), (50, 0, 8, 8), (50, 0, 1, 1), (50, 3, 8, 3), (2, 8, 8, 2)],
)
def test_inputs_are_shared_among_processes_only_where_there_are_enough(
    n_inputs: int, asked: int, cores: int, expected: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stenograde.workers.n_cores", lambda: cores)
    assert workers_for(n_inputs, asked) == expected


@pytest.mark.parametrize("words", [("--debug", "grade"), ("grade", "--all")])
def test_with_debug_or_all_one_process_grades_everything(
    words: tuple[str, ...], grade: Callable[..., int], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    names = ("1.1", "1.2", "1.3", "1.4")
    monkeypatch.setattr("stenograde.grading.studies.grade_studies_by_workers", None)
    assert main([*words, *names, "--workers", "4", "--out", str(tmp_path / "out")]) == 0
    assert {path.split("/")[0] for path in written(tmp_path)} >= set(names)
