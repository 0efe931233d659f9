"""``stenograde pretrain``: pictures in, weights and a report out; mistakes are said before anything is made."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from stenograde.cli import main

pytest.importorskip("torch", reason="pre-training needs torch")

from stenograde.experiments.pictures.recipe import read_recipe
from stenograde.experiments.recipes.catalogue import RECIPES
from stenograde.nets.build import build_net
from stenograde.nets.weights import load_weights

SETTINGS = """
projector = [16, 16]
encoder = { widths = [16, 16], depths = [1, 1] }
picture = { size_px = [32, 32] }
fit = { epochs = 2, batch = 4, workers = 0, precision = "32", accelerator = "cpu" }
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    (tmp_path / "pictures").mkdir()
    for number in range(6):
        Image.fromarray(rng.integers(0, 256, (40, 40)).astype(np.uint8)).save(
            tmp_path / "pictures" / f"patient{number}_a.png"
        )
    (tmp_path / "settings.toml").write_text(SETTINGS, encoding="utf-8")
    return tmp_path


def test_pretrain_writes_weights_and_what_is_known_of_them(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = folder / "encoder.safetensors"
    words = ["--data", str(folder / "pictures"), "--out", str(out), "--config", str(folder / "settings.toml")]
    words += ["--set", "fit.epochs=3", "--precision", "32"]
    assert main(["pretrain", *words, "--leave-out", "patient[01]_"]) == 0
    report = json.loads(out.with_suffix(".json").read_text())
    assert report["pictures"] == 4
    assert report["left_out"] == "patient[01]_"
    assert report["notes"][0] == "2 files left out as asked"
    assert len(report["losses"]) == 3
    assert report["changed"] == ["fit.epochs=3"]
    shown = capsys.readouterr()
    assert "changed: fit.epochs=3\n" in shown.out
    assert f"weights: {out} (4 pictures" in shown.out
    assert "encoder: epoch 3 of 3, loss" in shown.err
    assert str(folder) not in out.with_suffix(".json").read_text()


def test_pretrain_for_a_recipe_makes_weights_that_its_experiment_takes(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, own = folder / "encoder.safetensors", folder / "own.toml"
    short = "[quick.fit]\nepochs = 1\nbatch = 4"
    text = RECIPES["s0"].read_text(encoding="utf-8").replace("[quick.fit]\nepochs = 16", short)
    own.write_text(text.replace("size_px = [96, 96]", "size_px = [64, 64]"), encoding="utf-8")
    words = ["--data", str(folder / "pictures"), "--config", str(folder / "settings.toml")]
    assert main(["pretrain", *words, "--recipe", str(own), "--out", str(out)]) == 0
    assert json.loads(out.with_suffix(".json").read_text())["settings"]["encoder"]["widths"] == [
        32,
        64,
        96,
        128,
    ]
    net = build_net(
        "multi_attention_cnn", read_recipe(own).net.settings, classes=3, channels=1, size_px=(64, 64)
    )
    report = load_weights(net, out)
    assert report.pretrained.startswith("pre-trained: yes")
    assert not any(name.startswith("encoder.") for name in report.missing)
    capsys.readouterr()
    assert main(["pretrain", *words, "--recipe", "s1", "--out", str(out)]) == 2
    assert "small residual encoder to be pre-trained, got s1 with five_block_cnn" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["--data", "pictures", "--out", "a.pt"], "--out must be a file that ends in .safetensors, got a.pt"),
        (["--data", "none", "--out", "a.safetensors"], "unlabelled pictures must lie in a folder, got none"),
        (
            ["--data", "pictures", "--out", "a.safetensors", "--leave-out", "("],
            "what to leave out must be a regular expression, got '('",
        ),
    ],
)
def test_pretrain_when_something_is_wrong_then_nothing_is_made(
    words: list[str],
    line: str,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(folder)
    assert main(["pretrain", *words]) == 2
    assert capsys.readouterr().err.startswith(f"stenograde: {line}")
    assert sorted(path.name for path in folder.iterdir()) == ["pictures", "settings.toml"]
