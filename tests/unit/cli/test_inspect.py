"""``inspect`` and ``grade`` say the same; files are called by number, their names told only to who asks; memory has a
limit.
"""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest
from pydicom import dcmread
from tests.dicom_files import write_study

from stenograde.cli import main


def spoilt(study: Path, folder: Path) -> Path:
    """Copy a study; take a sagittal slice away, blacken another, and turn one series over."""
    shutil.copytree(study, folder)
    for series in sorted(folder.iterdir()):
        paths = sorted(series.iterdir(), key=lambda path: int(path.stem))
        if "Sagittal T2" not in dcmread(paths[0]).SeriesDescription:
            continue
        paths[3].unlink()
        for number, path in enumerate(paths):
            if number == 3:
                continue
            ds = dcmread(path)
            ds.HighBit = 15
            if number == 1:
                ds.PixelData = bytes(len(ds.PixelData))
            ds.save_as(path)
    return folder


def test_inspect_and_grade_give_the_same_warnings(phantom_study, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "300")
    study = spoilt(phantom_study, tmp_path / "study")

    assert main(["inspect", str(study)]) == 0
    shown = capsys.readouterr().out
    assert main(["grade", str(study), "--out", str(tmp_path / "out")]) == 0

    warnings = json.loads((tmp_path / "out" / "grades.json").read_text())["warnings"]
    found = [line.removeprefix("warning: ") for line in shown.splitlines() if line.startswith("warning: ")]
    assert len(found) == 3
    assert [warning for warning in warnings if warning in found] == found
    for said, warning in zip(("black", "a slice is missing after", "HighBit"), found, strict=True):
        assert said in warning
        assert warning.startswith("Sagittal T2/STIR: ")
        assert warning.partition(": ")[2][:40] in " ".join(shown.split())
    page = (tmp_path / "out" / "report.html").read_text()
    assert all(words in page for words in ("a slice is missing after", "are black, or of one value"))


def test_a_study_whose_t2_is_spoilt_is_refused_in_one_line(phantom_study, tmp_path, capsys):
    study = shutil.copytree(phantom_study, tmp_path / "study")
    for path in study.rglob("*.dcm"):
        ds = dcmread(path)
        if "Sagittal T2" in ds.SeriesDescription:
            ds.Rows = 0
            ds.save_as(path)

    assert main(["grade", str(study), "--out", str(tmp_path / "out")]) == 2

    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("stenograde: the sagittal T2 of a study must be readable, got none: series ")
    assert "rows and columns must be positive" in line
    assert not list((tmp_path / "out").glob("*"))


@pytest.fixture
def study(tmp_path: Path) -> Path:
    folder = write_study(tmp_path / "study")
    (folder / "DOE_JANE\x1b[31m.txt").write_text("x", encoding="utf-8")
    os.mkfifo(folder / "DOE_JANE.pipe")
    return folder


def test_what_was_left_out_when_listed_then_by_number_and_names_on_demand(
    study: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["inspect", str(study)]) == 0
    shown = capsys.readouterr().out
    assert "file 1 of 17" in shown
    assert "a named pipe, which is not read" in shown
    assert "DOE" not in shown
    assert main(["inspect", str(study), "--names"]) == 0
    names = capsys.readouterr().out.splitlines()
    assert len(names) == 17
    assert names[:2] == [r"file 1 of 17: DOE_JANE\x1b[31m.txt", "file 2 of 17: DOE_JANE.pipe"]


def test_memory_limit_when_a_study_takes_more_then_it_is_refused_and_named(
    study: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stenograde.cli.inspect.bytes_asked", lambda size: 10_000 if size == "9" else 1 << 30)
    assert main(["inspect", str(study), "--memory-limit", "9"]) == 2
    assert "must take at most 9.77 KiB while it is graded" in capsys.readouterr().err
    assert main(["inspect", str(study), "--memory-limit", "1GiB"]) == 0


@pytest.mark.parametrize("size", ["much", "-1GiB", "10", "nan", "1e9", "999KiB", "1 2GiB"])
def test_memory_limit_when_it_is_no_size_then_it_is_refused(
    size: str, study: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["inspect", str(study), "--memory-limit", size]) == 2
    assert "--memory-limit must be a size of at least 1MiB" in capsys.readouterr().err
