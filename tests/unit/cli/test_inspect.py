"""``inspect`` and ``grade`` say the same of what reading found out."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from pydicom import dcmread

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
