"""``stenograde train``: settings are checked before anything is loaded, and a missing torch is said."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from stenograde.cli import main
from stenograde.workers import Step

pytest.importorskip("torch", reason="training needs torch")


def test_locator_when_settings_are_given_then_training_gets_them(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = []

    def train(data: object, out: Path, settings: object, *, processes: int, progress: object) -> None:
        asked.append((data, out, settings.folds, settings.first.epochs, processes))  # type: ignore[attr-defined]
        asked.append((settings.finish.epochs, settings.finish.seed, settings.start.accelerator))  # type: ignore[attr-defined]
        progress(Step("phantoms", 20, 20))  # type: ignore[operator]
        progress(Step("all", 1, 2, "epoch", 0.5))  # type: ignore[operator]

    monkeypatch.setattr("stenograde.datasets.spider.read_spider", lambda data: f"slices of {data}")
    monkeypatch.setattr("stenograde.train.locator.training.train_locator", train)
    (tmp_path / "a.toml").write_text("folds = 3\n[first]\nepochs = 2\n", encoding="utf-8")
    arguments = ["--data", "d", "--out", str(tmp_path / "b"), "--config", str(tmp_path / "a.toml")]
    arguments += ["--set", "finish.epochs=5", "--device", "cpu"]
    assert main(["train", "locator", *arguments, "--processes", "2"]) == 0
    assert asked == [("slices of d", tmp_path / "b", 3, 2, 2), (5, 9, "cpu")]
    shown = capsys.readouterr()
    assert shown.err == "phantoms: 20 of 20\nall: epoch 1 of 2, loss 0.5000\n"
    assert shown.out == f"changed: finish.epochs=5\nbundle: {tmp_path / 'b'}\n"


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("fold = 3", "the configuration has no setting 'fold'; it has: net, augment, virtual, "),
        ("folds = 1", "the configuration: folds must be 0 (none) or at least 2, got 1"),
        ("[first]\nepochs = 'many'", "first.epochs must be a whole number, got 'many'"),
    ],
)
def test_locator_when_a_setting_is_wrong_then_nothing_is_made(
    text: str, line: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "a.toml").write_text(text, encoding="utf-8")
    arguments = ["--data", "d", "--out", str(tmp_path / "b"), "--config", str(tmp_path / "a.toml")]
    assert main(["train", "locator", *arguments]) == 2
    assert capsys.readouterr().err.startswith(f"stenograde: {line}")
    assert not (tmp_path / "b").exists()


def test_grader_when_settings_are_given_then_crops_and_training_get_them(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = []

    def make(out: Path, settings: object, *, progress: object, **others: object) -> str:
        asked.append((out, settings.fit.epochs, settings.fit.batch, others))  # type: ignore[attr-defined]
        progress(Step("train patients", 20, 20))  # type: ignore[operator]
        return "crops"

    def train(
        out: Path, _: object, crops: object, *, seed: int, base: object, progress: object, tested: object
    ) -> None:
        asked.append((out, crops, seed, base.stamp.name, tested))  # type: ignore[attr-defined]
        progress(Step("grader", 1, 2, "epoch", 0.5))  # type: ignore[operator]

    monkeypatch.setattr("stenograde.train.grader.training.make_training_crops", make)
    monkeypatch.setattr("stenograde.train.grader.training.train_grader", train)
    (tmp_path / "a.toml").write_text("[fit]\nepochs = 2\n", encoding="utf-8")
    arguments = ["--patients", "20", "--seed", "3", "--out", str(tmp_path / "b"), "--processes", "2"]
    scores = {"data": "COHORT", "whole studies": {"score": {}}}
    (tmp_path / "scores.json").write_text(json.dumps(scores), encoding="utf-8")
    arguments += ["--tested", str(tmp_path / "scores.json")]
    arguments += ["--set", "fit.batch=4"]
    assert main(["train", "grader", *arguments, "--config", str(tmp_path / "a.toml")]) == 0
    assert asked == [
        (tmp_path / "b", 2, 4, {"patients": 20, "seed": 3, "processes": 2}),
        (tmp_path / "b", "crops", 3, "lumbar-mri-25", [scores]),
    ]
    shown = capsys.readouterr()
    assert shown.err == "train patients: 20 of 20\ngrader: epoch 1 of 2, loss 0.5000\n"
    assert shown.out == f"changed: fit.batch=4\nbundle: {tmp_path / 'b'}\n"


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("[data.crops]\nsize_px = 64", "the configuration: net must take the crops that are cut"),
        ("[data]\ncontrasts = ['loud']", "data.contrasts[0] must be one of 'clinical', 'randomised'"),
        ("[data.mix]\nstir_share = 2.0", "data.mix: stir_share must be from 0 to 1, got 2.0"),
    ],
)
def test_grader_when_a_setting_is_wrong_then_nothing_is_made(
    text: str, line: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "a.toml").write_text(text, encoding="utf-8")
    arguments = ["--patients", "1", "--out", str(tmp_path / "b"), "--config", str(tmp_path / "a.toml")]
    assert main(["train", "grader", *arguments]) == 2
    assert capsys.readouterr().err.startswith(f"stenograde: {line}")
    assert not (tmp_path / "b").exists()


@pytest.mark.parametrize("text", ["nothing", "{}", "[1]", '{"score": 1}'])
def test_grader_when_the_scores_are_none_then_nothing_is_made(
    text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "a.json").write_text(text, encoding="utf-8")
    arguments = ["--patients", "1", "--out", str(tmp_path / "b"), "--tested", str(tmp_path / "a.json")]
    assert main(["train", "grader", *arguments]) == 2
    assert "--tested must be a file of what 'stenograde score --json' printed" in capsys.readouterr().err
    assert not (tmp_path / "b").exists()


def test_locator_when_data_are_not_there_then_that_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["train", "locator", "--data", str(tmp_path), "--out", str(tmp_path / "b")]) == 2
    shown = capsys.readouterr().err
    assert shown.count("\n") == 1
    assert "spider_t2space_masks" in shown
    assert not (tmp_path / "b").exists(), "no phantom is rendered for nothing"


def test_locator_when_torch_is_missing_then_the_extra_that_brings_it_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    monkeypatch.delitem(sys.modules, "stenograde.train.locator.training", raising=False)
    assert main(["train", "locator", "--data", "d", "--out", str(tmp_path / "b")]) == 2
    shown = capsys.readouterr().err
    assert shown.startswith(
        "stenograde: training needs the package torch, which is not installed; pip install"
    )


def test_discs_when_trained_then_scores_and_the_bundle_are_told(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("sklearn", reason="training heads needs scikit-learn")
    asked = []

    def train(
        data: Path, out: Path, settings: object, *, base: object, progress: object
    ) -> dict[str, object]:
        asked.append((data, out, settings.folds, base))  # type: ignore[attr-defined]
        return {}

    monkeypatch.setattr("stenograde.predict.bundle.bundle_at", lambda folder: f"bundle at {folder}")
    monkeypatch.setattr("stenograde.train.discs.bundle.train_discs", train)
    (tmp_path / "a.toml").write_text("folds = 3\n", encoding="utf-8")
    arguments = [
        "--data",
        "d",
        "--out",
        str(tmp_path / "b"),
        "--base",
        "c",
        "--config",
        str(tmp_path / "a.toml"),
    ]
    assert main(["train", "discs", *arguments]) == 0
    assert asked == [(Path("d"), tmp_path / "b", 3, "bundle at c")]
    assert f"bundle: {tmp_path / 'b'}" in capsys.readouterr().out
