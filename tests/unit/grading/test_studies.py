"""Many studies are graded into folders of their own; one that fails does not stop the rest, one that must, does."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stenograde.errors import BundleError, StudyError
from stenograde.grades import BundleStamp, CellGrade, Status, StudyGrades
from stenograde.grading.studies import folder_name, grade_studies, grade_studies_by_workers
from stenograde.grading.study import Graded, Grading, NotGraded, attempt
from stenograde.study import Study
from stenograde.terms import LUMBAR_MRI, Cell, Severity
from stenograde.workers import Step


def grade_study(study: Study, _: object) -> StudyGrades:
    if study.uid == "bad":
        msg = "sagittal series must show the lumbar canal"
        raise StudyError(msg)
    if study.uid == "fault":
        raise ZeroDivisionError
    if study.uid == "bundle":
        msg = "grader.onnx must be an ONNX graph"
        raise BundleError(msg)
    cells = tuple(CellGrade(cell, Status.NOT_GRADED, "by a test") for cell in LUMBAR_MRI.cells)
    return StudyGrades(study.uid, LUMBAR_MRI, BundleStamp("t", "0", "0"), (), (), cells, (), (), (), 1.5)


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    monkeypatch.setattr("stenograde.grading.study.grade_study", grade_study)
    monkeypatch.setattr("stenograde.report.as_html.as_html", lambda *_, **__: "<title>report</title>")
    return []


def read(source: Path) -> list[Study]:
    if source.name == "none":
        msg = "study must hold DICOM files, got none"
        raise StudyError(msg)
    return [Study(uid, ()) for uid in source.name.split(",")]


def grading(told: list[str], reference: dict[str, dict[Cell, Severity]] | None = None) -> Grading:
    return Grading(SimpleNamespace(), reference, tell=told.append)  # type: ignore[arg-type]


def test_each_study_has_its_outcome_in_order_and_each_failure_is_told(
    told: list[str], tmp_path: Path
) -> None:
    steps: list[Step] = []
    inputs = [Path("1.2"), Path("none"), Path("bad,1.3,fault"), Path("1.2")]
    outcomes = grade_studies(inputs, read, grading(told), tmp_path, progress=steps.append)

    assert [outcome.name for outcome in outcomes] == ["1.2", "none", "bad", "1.3", "fault", "1.2"]
    graded = [outcome.folder for outcome in outcomes if isinstance(outcome, Graded)]
    assert graded == [tmp_path / name for name in ("1.2", "1.3", "1.2-2")]
    assert all({"grades.json", "report.html"} == {file.name for file in one.iterdir()} for one in graded)
    failed = [outcome for outcome in outcomes if isinstance(outcome, NotGraded)]
    assert [outcome.is_our_fault for outcome in failed] == [False, False, True]
    assert told == [f"{outcome.name}: {outcome.line}" for outcome in failed]
    assert [(step.done, step.total) for step in steps] == [(1, 4), (2, 4), (3, 4), (4, 4)]


def test_a_bundle_that_does_not_work_stops_the_rest(told: list[str], tmp_path: Path) -> None:
    with pytest.raises(BundleError) as caught:
        grade_studies([Path("bundle"), Path("1.2")], read, grading(told), tmp_path)
    assert caught.value.__notes__ == ["while grading bundle"]
    assert list(tmp_path.iterdir()) == []


def test_a_study_is_found_in_the_reference_by_its_folder_or_its_uid(told: list[str], tmp_path: Path) -> None:
    known = {LUMBAR_MRI.cells[0]: Severity.SEVERE}
    inputs = [Path("1.2,1.3"), Path("1.4")]
    outcomes = grade_studies(inputs, read, grading(told, {"1.3": known, "1.4": known}), tmp_path)
    assert [outcome.known for outcome in outcomes if isinstance(outcome, Graded)] == [{}, known, known]
    assert told == ["1.2: the reference must have a row for it, got none; shown without"]


def test_a_fault_is_raised_where_only_a_study_may_fail() -> None:
    def work() -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        attempt("1.2", work, stopped_by=StudyError)


def grading_in_a_worker(tell: Callable[[str], None], mark: Path | None = None) -> Grading:
    """Return what a worker grades with; its process is its own, so nothing is put back.

    The study ``kills`` ends the process, and so does ``once``, the first time: it leaves a mark.
    """
    import stenograde.grading.study
    import stenograde.report.as_html

    def graded_or_ended(study: Study, bundle: object) -> StudyGrades:
        first = study.uid == "once" and mark is not None and not mark.exists()
        if first and mark is not None:
            mark.touch()
        if first or study.uid == "kills":
            os.kill(os.getpid(), signal.SIGKILL)
        return grade_study(study, bundle)

    stenograde.grading.study.grade_study = graded_or_ended
    stenograde.report.as_html.as_html = lambda *_, **__: "<title>report</title>"  # type: ignore[assignment]
    bundle = SimpleNamespace(open_ahead=lambda: None)
    return Grading(bundle, {"1.2": {}}, tell=tell)  # type: ignore[arg-type]


def test_workers_have_the_outcomes_of_one_process(told: list[str], tmp_path: Path) -> None:
    inputs = [Path("1.2"), Path("none"), Path("bad,1.3,fault"), Path("a/1.2"), Path("1.4"), Path("b/1.2")]
    steps: list[Step] = []
    lines: list[str] = []
    by_one = grade_studies(inputs, read, grading(told, {"1.2": {}}), tmp_path / "one")
    outcomes = grade_studies_by_workers(
        inputs,
        read,
        grading_in_a_worker,
        tmp_path / "out",
        workers=2,
        tell=lines.append,
        progress=steps.append,
    )

    assert [one.name for one in outcomes] == [one.name for one in by_one]
    assert [one.line for one in outcomes if isinstance(one, NotGraded) and not one.is_our_fault] == [
        one.line for one in by_one if isinstance(one, NotGraded) and not one.is_our_fault
    ]
    assert [one.is_our_fault for one in outcomes if isinstance(one, NotGraded)] == [False, False, True]
    folders = [one.folder for one in outcomes if isinstance(one, Graded)]
    assert {one.name for one in folders} == {"1.2", "1.2-2", "1.2-3", "1.3", "1.4"}
    for one in outcomes:
        if isinstance(one, Graded):
            assert one.folder.name.split("-")[0] == one.name
            assert {"grades.json", "report.html"} == {file.name for file in one.folder.iterdir()}
    assert sorted(line.split(":")[0] for line in lines) == sorted(line.split(":")[0] for line in told)
    assert [(step.done, step.total) for step in steps] == [(number, 6) for number in range(1, 7)]


def test_a_refused_study_by_a_worker_leaves_no_earlier_result_that_passes_for_new(tmp_path: Path) -> None:
    earlier = tmp_path / "out/bad/grades.json"
    earlier.parent.mkdir(parents=True)
    earlier.write_text("earlier", encoding="utf-8")
    (outcome,) = grade_studies_by_workers(
        [Path("bad")], read, grading_in_a_worker, tmp_path / "out", workers=1, tell=lambda _: None
    )
    assert isinstance(outcome, NotGraded)
    assert str(earlier.parent) in outcome.line
    assert [path.name for path in earlier.parent.iterdir()] == ["earlier-grades.json"]


def test_an_input_that_ends_its_worker_is_told_and_the_others_are_graded(tmp_path: Path) -> None:
    lines: list[str] = []
    outcomes = grade_studies_by_workers(
        [Path("1.2"), Path("kills"), Path("1.7,once"), Path("1.3")],
        read,
        partial(grading_in_a_worker, mark=tmp_path / "mark"),
        tmp_path / "out",
        workers=2,
        tell=lines.append,
    )

    assert [one.name for one in outcomes] == ["1.2", "kills", "1.7", "once", "1.3"]
    assert (tmp_path / "mark").exists()
    (failed,) = (one for one in outcomes if isinstance(one, NotGraded))
    assert failed.line.startswith("it ended the process that graded it 3 times")
    assert f"kills: {failed.line}" in lines
    folders = {one.folder.name for one in outcomes if isinstance(one, Graded)}
    assert folders == {"1.2", "1.3", "1.7", "once"}


def test_a_bundle_that_does_not_work_stops_all_workers(tmp_path: Path) -> None:
    earlier = tmp_path / "bundle/grades.json"
    earlier.parent.mkdir()
    earlier.write_text("earlier", encoding="utf-8")
    with pytest.raises(BundleError) as caught:
        grade_studies_by_workers(
            [Path("bundle"), Path("bundle"), *(Path(f"1.{k}") for k in range(100))],
            read,
            grading_in_a_worker,
            tmp_path,
            workers=2,
            tell=lambda _: None,
        )
    assert caught.value.__notes__[0] == "while grading bundle"
    assert "earlier-grades.json" in caught.value.__notes__[1]
    assert len(list(tmp_path.iterdir())) < 10


@given(st.lists(st.text(max_size=80) | st.from_regex(r"[0-9.]{1,64}", fullmatch=True), max_size=6))
def test_folder_names_for_any_texts_are_distinct_and_stay_in_their_folder(texts: list[str]) -> None:
    taken: set[str] = set()
    names = [folder_name(text, taken) for text in texts]
    assert len(set(names)) == len(names)
    assert all(Path(name).name == name and name not in (".", "..") and name.isascii() for name in names)


def test_folder_name_for_a_study_uid_is_the_uid() -> None:
    assert folder_name("1.2.826.0.1.3680043.8.498.1", set()) == "1.2.826.0.1.3680043.8.498.1"
