"""``stenograde experiment``: the list needs nothing; a run says what it read and found; mistakes cost one line."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from tests.planted_pictures import axial, write_class_folders

from stenograde.cli import main
from stenograde.experiments.recipes.catalogue import RECIPES

RECIPE = """
name = "own"
title = "A small one"
document = "none"
task = "canal_severity"
shown_task = "severity"
data = "class folders"
[claim]
text = "nothing"
[picture]
size_px = [32, 32]
[net]
name = "five_block_cnn"
settings = { widths = [8, 8], dense = [8] }
[fit]
epochs = 2
batch = 8
average = 0.0
precision = "32"
workers = 0
accelerator = "cpu"
"""


def test_list_shows_document_task_data_and_protocols(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["experiment", "list"]) == 0
    shown = capsys.readouterr().out
    for name in RECIPES:
        assert f"{name}  " in shown
    for words in (
        "10.3390/bioengineering11101021",
        "10.18103/mra.v13i7.6660",
        "without CBAM",
        "protocol patient:",
    ):
        assert words in shown


def test_list_comes_without_torch() -> None:
    code = "import sys; from stenograde.cli import main; main(['experiment', 'list']); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, check=False).returncode == 0


def test_a_recipe_runs_and_says_what_it_read_and_found(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("torch", reason="needs the extra 'train'")
    (tmp_path / "own.toml").write_text(RECIPE, encoding="utf-8")
    data = write_class_folders(tmp_path / "data", ("no", "mild", "serious"), axial, patients=6)
    words = ["--data", str(data), "--protocol", "patient", "--folds", "2", "--patient-pattern", r"^(p\d+)_"]
    arguments = [str(tmp_path / "own.toml"), *words, "--out", str(tmp_path / "out")]
    arguments += ["--set", "fit.epochs=1", "--device", "cpu"]
    assert main(["experiment", *arguments]) == 0
    shown = capsys.readouterr()
    assert "read as class folders" in shown.out
    assert "| accuracy |" in shown.out
    assert "**pre-trained: no**" in shown.out
    assert "split 2/2: epoch 1 of 1" in shown.err
    assert "# OWN (quick, changed: fit.epochs=1, protocols.patient.folds=2), patient" in shown.out
    page = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert (
        "Experiment OWN (quick, changed: fit.epochs=1, protocols.patient.folds=2): A small one</h1>" in page
    )
    recipe = json.loads((tmp_path / "out" / "result.json").read_text(encoding="utf-8"))["recipe"]
    assert recipe["changed"] == ["fit.epochs=1", "protocols.patient.folds=2"]
    assert recipe["fit"]["epochs"] == 1
    for name in ("result.json", "predictions.csv", "report.html"):
        assert (tmp_path / "out" / name).is_file()
    assert main(["experiment", "table", str(tmp_path / "out")]) == 0
    assert (
        "| OWN (quick, changed: fit.epochs=1, protocols.patient.folds=2) | patient | acc"
        in capsys.readouterr().out
    )


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["s9"], "recipe must be one of s0, s1, s2, s3, s3-fusion, s3-spider, s4"),
        (["s1", "--folds", "1"], "protocols.patient: folds must be at least 2, got 1"),
        (["s1", "--set", "fit.epoch=2"], "fit has no setting 'epoch'; it has: epochs, batch"),
        (["s3-fusion", "--set", "fit.epochs=few"], "fit.epochs must be a whole number, got 'few'"),
        (["s3", "--set", "network.epoch=3"], "network has no setting 'epoch'; it has: hidden, epochs"),
        (["s3", "--device", "cpu"], "settings must have one named accelerator to be 'cpu', got none"),
        (["s3-spider", "--set", "size=published"], "--set must name a setting of the recipe, got size"),
        (["s1", "--weights", "nowhere.pt"], "--weights must be a file, 'hub' or 'imagenet', got nowhere.pt"),
        (["s1"], "--data must be a folder or a CSV file that exists"),
    ],
)
def test_a_mistake_costs_one_line_and_makes_nothing(
    words: list[str], line: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("torch", reason="needs the extra 'train'")
    places = ["--data", str(tmp_path / "none"), "--out", str(tmp_path / "out"), "--protocol", "patient"]
    assert main(["experiment", *words, *places]) == 2
    shown = capsys.readouterr().err
    assert shown.startswith(f"stenograde: {line}")
    assert shown.count("\n") == 1
    assert not (tmp_path / "out").exists()
