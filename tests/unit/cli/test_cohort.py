"""``stenograde train rsna2024``, ``ingest`` and ``crops``: what they print, what they refuse, that they resume."""

from __future__ import annotations

import csv
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from stenograde.cli import main

pytest.importorskip("torch", reason="needs the extra 'train'")

from stenograde.phantom import Protocol, write_cohort
from stenograde.predict.bundle import load_bundle

TINY = [
    *("folds=2", "copies=1", "fit.epochs=2", "head.epochs=2", "fit.batch=4", "head.batch=2"),
    *("net.grid=2", "net.stages=[1]", "net.kept=4", "net.features=16"),
    *("points.folds=2", "points.least_studies=4", "points.fit.epochs=2", "points.fit.batch=8"),
]

_HANGING_S = 600.0


def settings() -> list[str]:
    return [word for one in TINY for word in ("--set", one)]


def test_a_cohort_is_read_and_cut_by_commands_of_their_own(
    phantom_cohort: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "steps"
    assert main(["ingest", "--data", str(phantom_cohort), "--out", str(out), "--processes", "1"]) == 0
    shown = capsys.readouterr()
    assert "studies: 1, to be used: 1" in shown.out
    assert "studies read: 1 of 1" in shown.err
    words = ["crops", "--data", str(phantom_cohort), "--out", str(out), "--processes", "1"]
    assert main([*words, "--set", "crops.size_px=48", "--set", "net.size_px=48"]) == 0
    shown = capsys.readouterr()
    assert "mm from the experts' marks" in shown.out
    assert "studies read" not in shown.err, "what was read is not read again"
    assert len(list(out.glob("crops-*/crops.npy"))) == 1
    # the places are kept, only the crops are cut again
    assert main([*words, "--set", "crops.size_px=56", "--set", "net.size_px=56"]) == 0
    assert "levels found" not in capsys.readouterr().err
    assert len(list(out.glob("crops-*/crops.npy"))) == 2


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["--set", "fit.epoch=2"], "fit has no setting 'epoch'"),
        (["--set", "folds"], "a setting must be NAME=VALUE, such as fit.epochs=2, got 'folds'"),
        (["--set", "crops.size_px=48"], "net must take the crops that are cut"),
        ([], "5 folds need at least 10 studies, got 1"),
    ],
)
def test_what_cannot_be_trained_is_refused(
    words: list[str], line: str, phantom_cohort: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = [
        "train",
        "rsna2024",
        "--data",
        str(phantom_cohort),
        "--out",
        str(tmp_path / "b"),
        "--weights",
        "none",
    ]
    assert main([*asked, *words, "--processes", "1"]) == 2
    assert line in capsys.readouterr().err


@pytest.fixture(scope="module")
def six(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("six")
    protocol = Protocol(sagittal_matrix=256, axial_matrix=192, axial_slices_per_level=3, layers=1)
    write_cohort(root, patients=6, seed=2, protocol=protocol)
    return root


def command(data: Path, out: Path) -> list[str]:
    words = ["train", "rsna2024", "--data", str(data), "--out", str(out), "--weights", "none", *settings()]
    return [sys.executable, "-m", "stenograde", *words, "--processes", "1", "--device", "cpu"]


def killed_when(data: Path, out: Path, is_there: Callable[[Path], bool]) -> bool:
    """Start the training, kill it as soon as something is there; whether it was killed before its end."""
    with subprocess.Popen(
        command(data, out), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        deadline = time.monotonic() + _HANGING_S
        while process.poll() is None and not is_there(out / "training"):
            assert time.monotonic() < deadline
            time.sleep(0.01)
        ended = process.poll() is not None
        if not ended:
            os.kill(process.pid, signal.SIGKILL)
        process.wait()
    return not ended


def has_lines(pattern: str, n: int) -> Callable[[Path], bool]:
    return lambda steps: any(path.read_bytes().count(b"\n") >= n for path in steps.glob(pattern))


def is_made(pattern: str) -> Callable[[Path], bool]:
    return lambda steps: any(steps.glob(pattern))


STEPS = {
    "ingest": has_lines("ingest.jsonl", 2),
    "places": has_lines("places-*/places.jsonl", 2),
    "views": has_lines("views-*/cut.jsonl", 2),
    "points": is_made("points-*/fold-2/checkpoint.pt"),
    "crops": has_lines("crops-*/cut.jsonl", 2),
    "maps": has_lines("maps-*/done.jsonl", 2),
    "first step of a fold": is_made("folds-*/fold-1-*/net/checkpoint.pt"),
    "second step of a fold": is_made("folds-*/fold-1-*/head/checkpoint.pt"),
    "second fold": is_made("folds-*/fold-2-*/net/checkpoint.pt"),
}


@pytest.mark.slow
def test_killed_in_every_step_the_training_gives_the_same_predictions(six: Path, tmp_path: Path) -> None:
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    subprocess.run(command(six, whole), check=True, capture_output=True, timeout=_HANGING_S)
    n_killed = sum(killed_when(six, killed, is_there) for is_there in STEPS.values())
    assert n_killed >= len(STEPS) - 1, "a short last step may have ended before it could be killed"
    subprocess.run(command(six, killed), check=True, capture_output=True, timeout=_HANGING_S)
    assert (killed / "oof.csv").read_bytes() == (whole / "oof.csv").read_bytes()
    one, other = load_bundle(whole).table, load_bundle(killed).table
    assert one.grader == other.grader


@pytest.mark.slow
def test_the_tutorial_runs_as_it_is_written(
    six: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = (Path(__file__).parents[3] / "docs" / "tutorials" / "rsna2024.md").read_text(encoding="utf-8")
    blocks = text.split("```bash\n")[1:]
    lines = [line for block in blocks for line in block.partition("```")[0].splitlines()]
    data = tmp_path / "DATA"
    shutil.copytree(six, data)
    study = next((data / "train_images").iterdir())
    where = {"DATA/train.csv": str(data / "train.csv"), "DATA": str(data), "STUDY": str(study)}
    made = {"BUNDLE", "OWN", "BUNDLE/training", "BUNDLE/oof.csv", "audit.csv", "submission.csv", "report"}
    ran = 0
    for line in lines:
        words = [
            str(tmp_path / word) if word in made else where.get(word, word)
            for word in line.replace('"our own"', "own").split()[1:]
        ]
        if words[0] == "phantom":
            continue  # six phantoms stand in for 300
        if words[:2] == ["train", "rsna2024"]:
            words += [*settings(), "--device", "cpu", "--weights", "none"]
        assert main(words) == 0, f"{line}: {capsys.readouterr().err}"
        ran += 1
    assert ran >= 8
    with (tmp_path / "submission.csv").open(newline="") as file:
        assert len(list(csv.DictReader(file))) == 6 * 25
