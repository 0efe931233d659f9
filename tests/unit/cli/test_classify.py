"""``stenograde classify``: every picture has its row, with probabilities or with the reason why there are none."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tests.classifier_bundles import write_classifier

from stenograde.cli import main

pytest.importorskip("onnx", reason="needs the extra 'train'")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "pictures"
    path.mkdir()
    ramp = np.linspace(0, 255, 32 * 32).reshape(32, 32).astype(np.uint8)
    for name in ("T1_0001_D3.png", "T1_0001_D4.webp", "plain.png"):
        Image.fromarray(ramp).save(path / name, lossless=True)
    (path / "T1_0002_D3.png").write_bytes(b"no picture")
    (path / "notes.txt").write_text("not a picture")
    return path


def rows_of(path: Path) -> dict[str, dict[str, str]]:
    with path.open(newline="") as file:
        return {row["image"]: row for row in csv.DictReader(file)}


def test_every_picture_has_a_row_and_problems_are_said(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bundle, out = write_classifier(tmp_path / "b"), tmp_path / "out.csv"
    assert main(["classify", str(folder), "--bundle", str(bundle), "--out", str(out)]) == 0
    rows = rows_of(out)
    assert list(rows) == ["T1_0001_D3.png", "T1_0001_D4.webp", "T1_0002_D3.png", "plain.png"]
    assert rows["T1_0001_D4.webp"]["level"] == "L4/L5"
    for name in ("T1_0001_D3.png", "T1_0001_D4.webp"):
        assert sum(float(rows[name][one]) for one in ("no", "mild", "serious")) == pytest.approx(1, abs=3e-6)
    # the bundle thinks a lower level worse
    assert float(rows["T1_0001_D4.webp"]["serious"]) > float(rows["T1_0001_D3.png"]["serious"])
    assert rows["T1_0002_D3.png"]["no"] == ""
    assert "readable PNG" in rows["T1_0002_D3.png"]["problem"]
    assert "--levels" in rows["plain.png"]["problem"]
    said = capsys.readouterr()
    assert "2 of 4 pictures classified" in said.out
    assert "left out: plain.png: level must be one of" in said.out
    assert said.err == ""


def test_levels_of_a_table_win_over_names(folder: Path, tmp_path: Path) -> None:
    bundle, out, levels = write_classifier(tmp_path / "b"), tmp_path / "out.csv", tmp_path / "levels.csv"
    levels.write_text("image,level\nplain.png,L4-L5\nT1_0001_D3,l4_l5\n")
    words = ["classify", str(folder), "--bundle", str(bundle), "--out", str(out), "--levels", str(levels)]
    assert main(words) == 0
    rows = rows_of(out)
    assert {rows[name]["level"] for name in ("plain.png", "T1_0001_D3.png")} == {"L4/L5"}
    assert rows["plain.png"]["serious"] == rows["T1_0001_D3.png"]["serious"]


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda path: None, "FOLDER must hold PNG, WebP, JPEG or DICOM pictures"),
        (lambda path: (path / "a.png").write_bytes(b"x"), "such as brightness can classify, got none"),
    ],
)
def test_when_nothing_can_be_classified_then_it_is_an_error(
    make: object, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "pictures"
    path.mkdir()
    assert callable(make)
    make(path)
    bundle = write_classifier(tmp_path / "b")
    assert main(["classify", str(path), "--bundle", str(bundle), "--out", str(tmp_path / "o.csv")]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert said in line


def test_when_a_level_in_the_table_is_wrong_then_its_image_is_named(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bundle, levels = write_classifier(tmp_path / "b"), tmp_path / "levels.csv"
    levels.write_text("image,level\nplain.png,L9/S7\n")
    words = [
        "classify",
        str(folder),
        "--bundle",
        str(bundle),
        "--out",
        str(tmp_path / "o"),
        "--levels",
        str(levels),
    ]
    assert main(words) == 2
    assert "levels.csv, image plain.png: level must be one of" in capsys.readouterr().err
