"""Manifests: a CSV of one's own."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from tests.dicom_files import mr_dataset, picture
from tests.dicom_files import save as save_dicom
from tests.picture_sets import noise, save

from stenograde.datasets.manifest import read_manifest
from stenograde.errors import DatasetError
from stenograde.terms import Level, Side, Weighting


def test_manifest_when_all_columns_are_there_then_all_are_read(tmp_path: Path) -> None:
    save(tmp_path / "in" / "a.png", 4)
    save_dicom(mr_dataset(picture()), tmp_path / "b.dcm")
    (tmp_path / "m.csv").write_text(
        "path,label,patient,level,side,weighting,scanner\n"
        "in/a.png,Normal/Mild,p1,L4/L5,Left,t2,Aera\n"
        "b.dcm,,,l5_s1,,,\n"
    )
    samples = read_manifest(tmp_path / "m.csv")
    first, second = samples.samples
    assert samples.classes == ("normal_mild", "moderate", "severe")
    assert (first.label, first.patient, first.level) == ("normal_mild", "p1", Level.L4_L5)
    assert (first.side, first.weighting, dict(first.facts)) == (Side.LEFT, Weighting.T2, {"scanner": "Aera"})
    assert (second.label, second.patient, second.level, second.side) == (None, None, Level.L5_S1, None)
    np.testing.assert_array_equal(first.picture.read(), noise(4))
    np.testing.assert_array_equal(second.picture.read(), picture())
    assert samples.notes == ("the patient of 1 pictures is unknown: no split by patient",)


def test_manifest_when_a_picture_is_listed_for_both_sides_then_both_are_samples(tmp_path: Path) -> None:
    save(tmp_path / "a.png")
    (tmp_path / "m.csv").write_text("path,side\na.png,left\na.png,right\n")
    assert [one.side for one in read_manifest(tmp_path / "m.csv").samples] == [Side.LEFT, Side.RIGHT]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("path,label\n", "manifest must list at least one picture"),
        ("file\na.png\n", "m.csv must have the columns path, got file"),
        ("path\nb.png\n", r"path in line 2 of the manifest must be a file, got .*b\.png"),
        ("path,level\na.png,L9/L10\n", "level in line 2 of the manifest must be a known word, got 'L9/L10'"),
        ("path,side\na.png,top\n", "side in line 2 of the manifest must be a known word, got 'top'"),
        ("path\na.png\na.png\n", r"sample names of m must be unique"),
    ],
)
def test_manifest_when_a_cell_is_wrong_then_its_line_is_named(
    tmp_path: Path, text: str, message: str
) -> None:
    save(tmp_path / "a.png")
    (tmp_path / "m.csv").write_text(text)
    with pytest.raises(DatasetError, match=message):
        read_manifest(tmp_path / "m.csv")
