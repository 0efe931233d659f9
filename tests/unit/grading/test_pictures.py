"""Every picture of a folder has its row, batched or not, and the number of those done is told."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tests.classifier_bundles import write_classifier

from stenograde.errors import DatasetError
from stenograde.grading import pictures
from stenograde.grading.pictures import as_pictures_csv, classify_folder, read_picture_levels
from stenograde.predict.classifier import load_classifier
from stenograde.terms import Level
from stenograde.workers import Step

pytest.importorskip("onnx", reason="needs the extra 'train'")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "pictures"
    path.mkdir()
    for number in range(5):
        ramp = np.linspace(0, 50 * number, 32 * 32).reshape(32, 32).astype(np.uint8)
        Image.fromarray(ramp).save(path / f"T1_000{number}_D3.png")
    (path / "T1_0002_D3.png").write_bytes(b"no picture")
    return path


def test_a_folder_in_batches_has_the_rows_of_one_by_one(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    classifier, steps = load_classifier(write_classifier(tmp_path / "b")), list[Step]()
    whole = classify_folder(folder, classifier)
    monkeypatch.setattr(pictures, "BATCH", 2)
    batched = classify_folder(folder, classifier, progress=steps.append)
    assert as_pictures_csv(batched, classifier.table.classes) == as_pictures_csv(
        whole, classifier.table.classes
    )
    assert [bool(row.problem) for row in batched] == [False, False, True, False, False]
    assert all(row.prepared is None and bool(row.probabilities) != bool(row.problem) for row in batched)
    assert [(step.done, step.total) for step in steps] == [(2, 5), (4, 5), (5, 5)]


def test_levels_of_a_table_are_by_file_stem(tmp_path: Path) -> None:
    table = tmp_path / "levels.csv"
    table.write_text("image,level\na.png,L4-L5\nb,l5_s1\n", encoding="utf-8")
    assert read_picture_levels(table) == {"a": Level.L4_L5, "b": Level.L5_S1}


def test_a_folder_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="must be a folder of pictures"):
        classify_folder(tmp_path / "none", load_classifier(write_classifier(tmp_path / "b")))
