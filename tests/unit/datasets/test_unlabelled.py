"""Unlabelled pictures: all that lie below the folders, plain or DICOM, and nothing else."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from stenograde.datasets.unlabelled import read_unlabelled
from stenograde.errors import DatasetError


def _write(path: Path, grey: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((4, 5), grey, np.uint8)).save(path)


def test_pictures_below_all_folders_are_read(tmp_path: Path) -> None:
    _write(tmp_path / "a" / "one.png", 10)
    _write(tmp_path / "a" / "deep" / "two.png", 20)
    _write(tmp_path / "b" / "one.png", 30)
    (tmp_path / "a" / "notes.txt").write_text("no picture")
    samples = read_unlabelled([tmp_path / "a", tmp_path / "b"])
    assert [sample.name for sample in samples.samples] == ["1/deep/two.png", "1/one.png", "2/one.png"]
    assert [int(sample.picture.read()[0, 0]) for sample in samples.samples] == [20, 10, 30]
    assert all(sample.label is None and sample.patient is None for sample in samples.samples)
    assert samples.notes[1] == "1 files that are no grey pictures"


def test_what_is_to_be_left_out_is_left_out(tmp_path: Path) -> None:
    for patient in ("p1", "p2"):
        _write(tmp_path / patient / "slice.png", 1)
    samples = read_unlabelled([tmp_path], leave_out="^p1/")
    assert [sample.name for sample in samples.samples] == ["1/p2/slice.png"]


def test_dicom_slices_are_read(phantom_study: Path) -> None:
    samples = read_unlabelled([phantom_study])
    assert len(samples) == sum(path.suffix == ".dcm" for path in phantom_study.rglob("*"))
    assert samples.samples[0].picture.read().ndim == 2


def test_no_pictures_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="must hold pictures, got none"):
        read_unlabelled([tmp_path])
