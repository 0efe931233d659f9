"""From files of every habit to DICOM and FHIR files: right by independent tools, and of a refused study the reason."""

from __future__ import annotations

import json
import logging
import shutil
from datetime import datetime
from pathlib import Path

import pytest
from fhir.resources.R4B.bundle import Bundle as FhirBundle
from pydicom import dcmread
from tests.small_phantoms import SMALL
from tests.sr_tree import said_in, strays, whole_in
from tests.written_objects import dciodvfy, dsrdump

from stenograde import default_bundle, read_study
from stenograde.dicom.write.kinds import ResultKind
from stenograde.errors import ConfigError, MissingSeriesError, NoStudyError
from stenograde.grading.dicom_results import kinds_of
from stenograde.grading.studies import grade_studies
from stenograde.grading.study import Grading, earlier_results_set_aside, grade_into, reason_told
from stenograde.phantom import FileOptions, write_cohort

MADE_AT = datetime(2026, 5, 6, 7, 8, 9)


def phantom(folder: Path, **options: object) -> Path:
    """Write a small phantom study; its patient's name is one that no log may hold."""
    write_cohort(folder, patients=1, seed=3, protocol=SMALL, options=FileOptions(**options))  # type: ignore[arg-type]
    (study,) = (folder / "train_images").iterdir()
    for path in study.rglob("*.dcm"):
        ds = dcmread(path)
        ds.PatientName, ds.PatientID = "Planted^Name", "PLANTED-ID"
        ds.save_as(path)
    return study


def series_of(study: Path, words: str) -> Path:
    """Return the folder of the series whose description has certain words."""
    for folder in sorted(study.iterdir()):
        if words in dcmread(next(folder.glob("*.dcm")), stop_before_pixels=True).SeriesDescription:
            return folder
    raise AssertionError(words)


def grading(**settings: object) -> Grading:
    return Grading(
        default_bundle(),
        dicom=(ResultKind.SR,),
        fhir=True,
        clock=lambda: MADE_AT,
        **settings,  # type: ignore[arg-type]
    )


def graded(study: Path, out: Path) -> Path:
    """Grade a study and return the report, which independent tools accept."""
    grade_into(out, read_study(study), grading(), source=study)
    path = out / "sr.dcm"
    assert dciodvfy(path) == []
    assert dsrdump(path) == []
    assert list(strays(dcmread(path))) == []
    FhirBundle.model_validate(json.loads((out / "fhir.json").read_text("utf-8")))
    return path


def test_nothing_of_the_patient_is_in_a_log_or_in_a_file_but_the_report(tmp_path, caplog):
    with caplog.at_level(logging.DEBUG):
        path = graded(phantom(tmp_path / "phantom"), tmp_path / "out")

    assert dcmread(path).PatientName == "Planted^Name"
    assert "Planted" not in caplog.text
    assert "PLANTED" not in caplog.text
    assert not [
        one for one in (tmp_path / "out").iterdir() if "lanted" in one.read_text("latin-1") and one != path
    ]


@pytest.mark.parametrize("missing", ["Sagittal T1", "Sagittal T2", "Axial T2"])
def test_a_report_says_which_series_there_is_not(missing, tmp_path):
    study = phantom(tmp_path / "phantom")
    shutil.rmtree(series_of(study, missing))
    ds = dcmread(graded(study, tmp_path / "out"))
    assert bool(
        [one for one in said_in(whole_in(ds), "TEXT").get("WARNING", ()) if "there is no" in one]
    ) == (missing != "Sagittal T1")


def test_a_second_run_replaces_and_a_study_with_more_images_does_not(tmp_path):
    study = phantom(tmp_path / "phantom")
    kept = tmp_path / "kept"
    series = series_of(study, "Axial T2")
    shutil.move(series, kept)
    grade = read_study(study)
    grade_into(tmp_path / "1", grade, grading(), source=study)
    grade_into(tmp_path / "2", grade, grading(), source=study)
    first = (tmp_path / "1/sr.dcm").read_bytes()
    assert first == (tmp_path / "2/sr.dcm").read_bytes()
    shutil.move(kept, series)
    grade_into(tmp_path / "3", read_study(study), grading(), source=study)
    one, other = dcmread(tmp_path / "1/sr.dcm"), dcmread(tmp_path / "3/sr.dcm")
    assert one.SOPInstanceUID != other.SOPInstanceUID
    assert one.StudyInstanceUID == other.StudyInstanceUID

    grade_into(tmp_path / "1", grade, Grading(default_bundle()), source=study)
    names = {path.name for path in (tmp_path / "1").iterdir()}
    assert names == {"grades.json", "report.html", "earlier-sr.dcm", "earlier-fhir.json"}


def test_a_study_that_cannot_be_graded_has_a_report_that_says_why(tmp_path):
    study, out = phantom(tmp_path / "phantom"), tmp_path / "out"
    for words in ("Sagittal T1", "Sagittal T2"):
        shutil.rmtree(series_of(study, words))
    out.mkdir()
    (out / "sr.dcm").write_bytes(b"of an earlier run")

    def grade() -> None:
        with reason_told(lambda _: out, study, grading()), earlier_results_set_aside(out):
            grade_into(out, read_study(study), grading(), source=study)

    with pytest.raises(MissingSeriesError) as caught:
        grade()

    assert str(out / "sr.dcm") in " ".join(caught.value.__notes__)
    assert (out / "earlier-sr.dcm").read_bytes() == b"of an earlier run"
    ds = dcmread(out / "sr.dcm")
    (reason,) = said_in(whole_in(ds), "TEXT")["OUTCOME"]
    assert reason.startswith("a study must have a sagittal T2, STIR or T1 series")
    assert dciodvfy(out / "sr.dcm") == []
    assert dsrdump(out / "sr.dcm") == []
    (report, _) = json.loads((out / "fhir.json").read_text("utf-8"))["entry"]
    assert report["resource"]["status"] == "cancelled"


def test_many_studies_have_a_report_each_graded_or_not_and_one_without_headers_has_none(tmp_path):
    study, named = phantom(tmp_path / "phantom"), tmp_path / "Planted Name"
    shutil.copytree(study, named)
    for path in named.rglob("*.dcm"):
        path.write_bytes(path.read_bytes()[:-100])
    (tmp_path / "empty").mkdir()
    lines: list[str] = []
    outcomes = grade_studies(
        [study, named, tmp_path / "empty"],
        lambda path: [read_study(path)],
        grading(tell=lines.append),
        tmp_path / "out",
    )
    uid = outcomes[0].name
    files = {
        path.relative_to(tmp_path / "out").as_posix()
        for path in (tmp_path / "out").rglob("*.*")
        if path.is_file()
    }
    assert files == {
        *(f"{uid}/{name}" for name in ("grades.json", "report.html", "sr.dcm", "fhir.json")),
        *(f"{uid}-2/{name}" for name in ("sr.dcm", "fhir.json")),
    }
    ds = dcmread(tmp_path / f"out/{uid}-2/sr.dcm")
    (reason,) = said_in(whole_in(ds), "TEXT")["OUTCOME"]
    assert "the place it was read from" in reason
    for name in ("sr.dcm", "fhir.json"):
        assert "Planted Name" not in (tmp_path / f"out/{uid}-2/{name}").read_text("latin-1")
    assert dciodvfy(tmp_path / f"out/{uid}-2/sr.dcm") == []


def refused(error: type[Exception], where: Path, given: Grading, out: Path) -> None:
    with reason_told(lambda _: out, where, given):
        raise error


def test_nothing_is_written_of_why_not_where_nothing_was_asked_for(tmp_path):
    study = phantom(tmp_path / "phantom")
    with pytest.raises(NoStudyError):
        refused(NoStudyError, study, Grading(default_bundle()), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_fault_of_ours_is_not_told_as_a_reason(tmp_path):
    study = phantom(tmp_path / "phantom")
    with pytest.raises(ZeroDivisionError):
        refused(ZeroDivisionError, study, grading(), tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("words", ["", "doc", "sr,doc", ","])
def test_kinds_that_cannot_be_written_are_refused(words):
    with pytest.raises(ConfigError, match=r"^--dicom must name kinds of sr.*, separated by commas, got"):
        kinds_of(words)


def test_kinds_are_named_once_whatever_their_case():
    assert kinds_of(" SR,sr ") == (ResultKind.SR,)
