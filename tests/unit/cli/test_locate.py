"""What ``stenograde locate`` writes for each kind of input; the locator answers what the test says."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import nibabel
import numpy as np
import pytest
from PIL import Image

from stenograde.cli import main
from stenograde.images.orient import Turn
from stenograde.predict.locate import MarkedPicture
from stenograde.study import Volume
from stenograde.terms import LUMBAR_MRI


@pytest.fixture(autouse=True)
def _no_bundle(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stenograde.predict.bundle.default_bundle", SimpleNamespace)


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    path = tmp_path / "a.webp"
    Image.fromarray(np.arange(48, dtype=np.uint8).reshape(6, 8)).save(path, lossless=True)
    return path


def test_picture_when_located_then_mask_points_and_overlay_are_on_its_grid(
    picture: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    mask = np.zeros((6, 8), np.uint8)
    mask[2:4, 3:5] = 2

    def mark(grey: np.ndarray, spacing_mm: tuple[float, float], _: object) -> MarkedPicture:
        assert (grey.shape, spacing_mm) == ((6, 8), (0.5, 0.25))
        return MarkedPicture(mask, (("L5/S1", 2.5, 3.5),), ("the sacrum was not seen",))

    monkeypatch.setattr("stenograde.grading.located.mark_picture", mark)
    out = tmp_path / "out"
    assert main(["locate", str(picture), "--out", str(out), "--spacing-mm", "0.5", "0.25"]) == 0
    assert {path.name for path in out.iterdir()} == {"mask.png", "levels.json", "overlay.png"}
    np.testing.assert_array_equal(np.asarray(Image.open(out / "mask.png")), mask)
    assert json.loads((out / "levels.json").read_text(encoding="utf-8")) == {
        "schema": "stenograde/levels/1",
        "space": "row_column_px",
        "levels": [{"name": "L5/S1", "certain": False, "row": 2.5, "column": 3.5}],
        "doubts": ["the sacrum was not seen"],
    }
    with Image.open(out / "overlay.png") as overlay:
        assert overlay.width * 3 == pytest.approx(overlay.height * 2, rel=0.02), (
            "pixels are square: 2 by 3 mm"
        )
    assert "doubt:   the sacrum was not seen" in capsys.readouterr().out


@pytest.mark.parametrize("spacing", [[], ["--spacing-mm", "0", "0.5"]])
def test_picture_when_its_spacing_is_not_known_then_it_is_asked_for(
    picture: Path, tmp_path: Path, spacing: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["locate", str(picture), "--out", str(tmp_path / "out"), *spacing]) == 2
    shown = capsys.readouterr().err
    assert shown.startswith("stenograde: --spacing-mm must be two positive distances for a picture, got ")
    assert shown.count("\n") == 1


@pytest.mark.parametrize("name", ["none.png", "none.nii.gz", "none"])
def test_input_when_it_is_not_there_then_it_is_one_line_and_nothing_is_written(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert main(["locate", str(tmp_path / name), "--out", str(out), "--spacing-mm", "1", "1"]) == 2
    shown = capsys.readouterr().err
    assert shown.count("\n") == 1
    assert name in shown
    assert list(out.iterdir()) == []


def stack_of(volume: Volume, masks: np.ndarray) -> SimpleNamespace:
    """What the locator gives for a volume that hangs as it is stored."""
    turn = Turn(transpose=False, flip_rows=False, flip_columns=False)
    return SimpleNamespace(
        turn=turn, marked=None, masks=lambda: masks, marks=SimpleNamespace(masks=lambda: masks)
    )


def test_volume_when_it_shows_no_spine_then_the_mask_is_written_and_the_doubt_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    data = np.arange(24, dtype=np.float32).reshape(4, 2, 3)
    affine = np.array([[0, 4, 0, 9], [0, 0, 1, 8], [-1, 0, 0, 7], [0, 0, 0, 1]], float)
    nibabel.save(nibabel.Nifti1Image(data, affine), tmp_path / "a.nii")
    monkeypatch.setattr(
        "stenograde.grading.located.mark_volume",
        lambda volume, _: stack_of(volume, (volume.pixels % 4).astype(np.uint8)),
    )
    monkeypatch.setattr("stenograde.grading.located.levels_in", lambda _: None)
    out = tmp_path / "out"
    assert main(["locate", str(tmp_path / "a.nii"), "--out", str(out)]) == 0
    mask = nibabel.load(out / "mask.nii.gz")
    np.testing.assert_array_equal(np.asarray(mask.dataobj), data % 4)
    np.testing.assert_allclose(mask.affine, affine)
    levels = json.loads((out / "levels.json").read_text(encoding="utf-8"))
    assert levels["space"] == "lps_mm"
    assert levels["doubts"] == ["neither canal nor discs were found"]
    assert [(level["name"], level["imaged"]) for level in levels["levels"]] == [
        (level.shown, False) for level in LUMBAR_MRI.levels
    ]
    assert capsys.readouterr().out.startswith("levels:  none\ndoubt:   neither canal nor discs were found\n")


@pytest.mark.parametrize("spacing", ["0 0", "-1 1", "nan nan", "inf inf", "1e-9 1e-9", "60 60", "0.6 nan"])
def test_picture_when_its_spacing_is_none_that_a_scanner_has_then_it_is_refused(
    spacing: str, picture: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["locate", str(picture), "--out", str(tmp_path / "o"), "--spacing-mm", *spacing.split()]) == 2
    told = capsys.readouterr().err
    assert "0.05 to 10 mm, such as --spacing-mm 0.6 0.6" in told
    assert told.count("\n") == 1


def test_picture_when_it_would_be_larger_than_any_scanner_then_it_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would be resampled to a picture of many gigabytes."""
    monkeypatch.undo()
    Image.fromarray(np.zeros((3, 3000), np.uint8)).save(tmp_path / "a.png")
    words = ["locate", str(tmp_path / "a.png"), "--out", str(tmp_path / "o"), "--spacing-mm", "0.6", "0.6"]
    assert main(words) == 2
    assert "longest edge must be 0 to 1200 mm, got 1800 mm" in capsys.readouterr().err
