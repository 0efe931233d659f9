"""``stenograde prepare``: what is printed, written and refused."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.rsna_files import write_rsna

from stenograde.cli import main


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_rsna(
        tmp_path_factory.mktemp("rsna"), {"100": "nnmsn", "101": "nnnmn"}, n_axial=40, first_z_mm=30
    )


def test_prepare_when_done_then_counts_balance_and_agreement_are_printed(
    cohort: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["prepare", "rsna2024", "--data", str(cohort), "--out", str(tmp_path / "out")]) == 0
    printed = capsys.readouterr().out
    table = {
        cells[0].strip(): [cell.strip() for cell in cells[1:]]
        for line in printed.splitlines()
        if len(cells := line.strip("│ ").split("│")) == 4
    }
    assert table["Normal/Mild"] == ["7", "1", "7"]
    assert table["Moderate"] == ["2", "3 (of 1: 4)", "7"]
    assert table["Severe"] == ["1", "7", "7"]
    assert "k-means agrees with patient space on" in printed
    assert "of 10 slices on which experts marked a level, k-means agrees on" in printed
    assert f"manifest: {tmp_path / 'out' / 'manifest.csv'}" in printed
    assert len(list((tmp_path / "out").glob("*/*.png"))) == 10


def test_prepare_when_there_are_no_coordinates_then_it_says_that_levels_cannot_be_checked(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = write_rsna(tmp_path / "data", {"100": "nnmsn"})
    (data / "train_label_coordinates.csv").unlink()
    prepare = ["prepare", "rsna2024", "--data", str(data), "--out", str(tmp_path / "out")]
    assert main(prepare) == 2
    assert "levels can be named by clusters" in capsys.readouterr().err
    assert main([*prepare, "--levels", "clusters"]) == 0
    assert "no coordinates, so k-means cannot be checked" in capsys.readouterr().out


def test_prepare_when_a_study_is_left_out_then_it_says_why(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = write_rsna(tmp_path / "data", {"100": "nnmsn"})
    (data / "train_images" / "101").mkdir()
    assert main(["prepare", "rsna2024", "--data", str(data), "--out", str(tmp_path / "out")]) == 0
    assert "note: 101 was left out: study must hold" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("data", "out", "message"),
    [
        ("absent", "out", "must hold one folder of DICOM files per patient, got none"),
        (".", ".", "folder to prepare into must be empty"),
    ],
)
def test_prepare_when_a_folder_is_wrong_then_one_line_says_so(
    cohort: Path, capsys: pytest.CaptureFixture[str], data: str, out: str, message: str
) -> None:
    assert main(["prepare", "rsna2024", "--data", str(cohort / data), "--out", str(cohort / out)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert message in line
